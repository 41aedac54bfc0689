/* The description of a RowPlan, checked: whatever Python hands in, instance.c can trust it. */
#include "row_plan.h"

static int refuse(const char *what)
{
    PyErr_Format(PyExc_ValueError, "RowPlan: %s", what);
    return -1;
}

/* A tuple with `size` items (any number when negative), or NULL with an exception. Borrowed. */
static PyObject *tuple_of(PyObject *object, Py_ssize_t size, const char *what)
{
    if (PyTuple_CheckExact(object) && (size < 0 || PyTuple_GET_SIZE(object) == size))
        return object;
    PyErr_Format(PyExc_TypeError, "RowPlan: %s must be a tuple%s", what, size < 0 ? "" : " of the right length");
    return NULL;
}

/* A zeroed array of as many items as `tuple` has; at least one, so that NULL means no memory. */
static void *room(PyObject *tuple, size_t item)
{
    size_t count = (size_t)Py_MAX(PyTuple_GET_SIZE(tuple), 1);
    void *array = PyMem_Calloc(count, item);

    if (array == NULL)
        PyErr_NoMemory();
    return array;
}

/* An interned exact str: a new reference. */
static PyObject *name_of(PyObject *object)
{
    if (!PyUnicode_CheckExact(object)) {
        PyErr_Format(PyExc_TypeError, "RowPlan: a name must be str, not %.100s", Py_TYPE(object)->tp_name);
        return NULL;
    }
    Py_INCREF(object);
    PyUnicode_InternInPlace(&object);
    return object;
}

static int optional_name(PyObject *object, PyObject **out)
{
    if (object == Py_None)
        return 0;
    *out = name_of(object);
    return *out == NULL ? -1 : 0;
}

static int number_of(PyObject *object, Py_ssize_t *out)
{
    Py_ssize_t number = PyLong_Check(object) ? PyLong_AsSsize_t(object) : -1;

    if (number < 0 || number >= PY_SSIZE_T_MAX) {
        PyErr_Clear();
        return refuse("a column or a number of nodes must be a number from 0");
    }
    *out = number;
    return 0;
}

static int column_of(struct row_plan *plan, PyObject *object, Py_ssize_t *out)
{
    if (number_of(object, out) < 0)
        return -1;
    plan->width = Py_MAX(plan->width, *out + 1);
    return 0;
}

/* A class whose instances have a __dict__ and are made by object.__new__. */
static int model_of(PyObject *object, PyTypeObject **out)
{
    PyTypeObject *type = (PyTypeObject *)object;

    if (!PyType_Check(object) || !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) ||
        type->tp_new != PyBaseObject_Type.tp_new || type->tp_dictoffset == 0 || type->tp_itemsize != 0 ||
        type->tp_setattro != PyObject_GenericSetAttr || Py_TYPE(object)->tp_call != PyType_Type.tp_call)
        return refuse("a class that does not make its instances as object does");
    *out = (PyTypeObject *)Py_NewRef(object);
    return 0;
}

/* Of a field: (name, column, whether it is a foreign key's). */
static int parse_field(struct row_plan *plan, struct plan_node *node, Py_ssize_t index, PyObject *given)
{
    PyObject *field = tuple_of(given, 3, "a field"), *name, *descriptor;

    if (field == NULL)
        return -1;
    name = name_of(PyTuple_GET_ITEM(field, 0));
    if (name == NULL)
        return -1;
    PyTuple_SET_ITEM(node->names, index, name);
    descriptor = _PyType_Lookup(node->model, name); /* borrowed */
    node->through_dict = node->through_dict || (descriptor != NULL && Py_TYPE(descriptor)->tp_descr_set != NULL);
    node->foreign[index] = PyTuple_GET_ITEM(field, 2) == Py_True;
    node->has_foreign = node->has_foreign || node->foreign[index];
    return column_of(plan, PyTuple_GET_ITEM(field, 1), &node->columns[index]);
}

static int parse_fields(struct row_plan *plan, struct plan_node *node, PyObject *given)
{
    PyObject *fields = tuple_of(given, -1, "fields");

    if (fields == NULL)
        return -1;
    node->names = PyTuple_New(PyTuple_GET_SIZE(fields));
    node->columns = room(fields, sizeof *node->columns);
    node->foreign = room(fields, sizeof *node->foreign);
    if (node->names == NULL || node->columns == NULL || node->foreign == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields); i++)
        if (parse_field(plan, node, i, PyTuple_GET_ITEM(fields, i)) < 0)
            return -1;
    return 0;
}

/* Of a node: (model, fields, pk column, local name, remote name, nodes in it with itself). */
static int parse_node(struct row_plan *plan, Py_ssize_t index, PyObject *given)
{
    PyObject *parts = tuple_of(given, 6, "a node");
    struct plan_node *node = &plan->nodes[index];
    Py_ssize_t size;

    if (parts == NULL || model_of(PyTuple_GET_ITEM(parts, 0), &node->model) < 0 ||
        parse_fields(plan, node, PyTuple_GET_ITEM(parts, 1)) < 0 ||
        optional_name(PyTuple_GET_ITEM(parts, 3), &node->local_name) < 0 ||
        optional_name(PyTuple_GET_ITEM(parts, 4), &node->remote_name) < 0 ||
        number_of(PyTuple_GET_ITEM(parts, 5), &size) < 0)
        return -1;
    if (size < 1 || size > plan->node_count - index)
        return refuse("a node that ends nowhere");
    node->end = index + size;
    node->pk_column = -1;
    if (index == 0)
        return 0;
    if (node->local_name == NULL)
        return refuse("a related node without a name");
    return column_of(plan, PyTuple_GET_ITEM(parts, 2), &node->pk_column);
}

/* Each node ends within the one around it. */
static int check_nesting(const struct row_plan *plan, Py_ssize_t index, int depth)
{
    const struct plan_node *nodes = plan->nodes;

    if (depth > PLAN_DEPTH_MAX)
        return refuse("nodes nested too deep");
    for (Py_ssize_t i = index + 1; i < nodes[index].end; i = nodes[i].end)
        if (nodes[i].end > nodes[index].end || check_nesting(plan, i, depth + 1) < 0)
            return PyErr_Occurred() != NULL ? -1 : refuse("a node that ends outside the one around it");
    return 0;
}

static int parse_nodes(struct row_plan *plan, PyObject *given)
{
    PyObject *nodes = tuple_of(given, -1, "nodes");

    if (nodes == NULL)
        return -1;
    if (PyTuple_GET_SIZE(nodes) == 0)
        return refuse("no nodes");
    plan->nodes = room(nodes, sizeof *plan->nodes);
    if (plan->nodes == NULL)
        return -1;
    plan->node_count = PyTuple_GET_SIZE(nodes);
    for (Py_ssize_t i = 0; i < plan->node_count; i++)
        if (parse_node(plan, i, PyTuple_GET_ITEM(nodes, i)) < 0)
            return -1;
    if (plan->nodes[0].end != plan->node_count)
        return refuse("nodes beside the first");
    return check_nesting(plan, 0, 0);
}

static int parse_annotations(struct row_plan *plan, PyObject *given)
{
    PyObject *annotations = tuple_of(given, -1, "annotations");

    if (annotations == NULL)
        return -1;
    plan->annotations = room(annotations, sizeof *plan->annotations);
    if (plan->annotations == NULL)
        return -1;
    plan->annotation_count = PyTuple_GET_SIZE(annotations);
    for (Py_ssize_t i = 0; i < plan->annotation_count; i++) {
        PyObject *pair = tuple_of(PyTuple_GET_ITEM(annotations, i), 2, "an annotation");
        struct plan_annotation *annotation = &plan->annotations[i];

        if (pair == NULL)
            return -1;
        annotation->name = name_of(PyTuple_GET_ITEM(pair, 0));
        if (annotation->name == NULL || column_of(plan, PyTuple_GET_ITEM(pair, 1), &annotation->column) < 0)
            return -1;
    }
    return 0;
}

/* The number that a class keeps as long as neither it nor a base of it is changed; 0: it can't have one. */
static unsigned int version_of(PyTypeObject *type)
{
#if PY_VERSION_HEX >= 0x030C0000
    if (!PyUnstable_Type_AssignVersionTag(type))
        return 0;
#else
    PyObject *name = PyUnicode_InternFromString("__init__");

    if (name == NULL)
        return 0;
    (void)_PyType_Lookup(type, name); /* a lookup gives it a number */
    Py_DECREF(name);
    if (!PyType_HasFeature(type, Py_TPFLAGS_VALID_VERSION_TAG))
        return 0;
#endif
    return type->tp_version_tag;
}

static int parse_types(struct row_plan *plan, PyObject *given)
{
    PyObject *types = tuple_of(given, -1, "types");

    if (types == NULL)
        return -1;
    plan->types = room(types, sizeof *plan->types);
    if (plan->types == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(types); i++) {
        PyObject *type = PyTuple_GET_ITEM(types, i);

        if (!PyType_Check(type))
            return refuse("types that are none");
        plan->types[i] = (struct plan_type){(PyTypeObject *)Py_NewRef(type), version_of((PyTypeObject *)type)};
        plan->type_count++;
        if (plan->types[i].version == 0)
            return PyErr_Occurred() != NULL ? -1 : refuse("a class whose changes can't be told");
    }
    return 0;
}

/* Each is (class, name, what it has there or in a base). */
static int parse_attributes(struct row_plan *plan, PyObject *given)
{
    PyObject *attributes = tuple_of(given, -1, "attributes");

    if (attributes == NULL)
        return -1;
    plan->attributes = room(attributes, sizeof *plan->attributes);
    if (plan->attributes == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(attributes); i++) {
        PyObject *parts = tuple_of(PyTuple_GET_ITEM(attributes, i), 3, "an attribute");
        struct plan_attribute *attribute = &plan->attributes[i];

        if (parts == NULL || !PyType_Check(PyTuple_GET_ITEM(parts, 0)))
            return PyErr_Occurred() != NULL ? -1 : refuse("an attribute without a class");
        plan->attribute_count++;
        attribute->type = (PyTypeObject *)Py_NewRef(PyTuple_GET_ITEM(parts, 0));
        attribute->expected = Py_NewRef(PyTuple_GET_ITEM(parts, 2));
        attribute->name = name_of(PyTuple_GET_ITEM(parts, 1));
        if (attribute->name == NULL)
            return -1;
    }
    return 0;
}

/* Each is (namespace, name, the object it means) or (namespace, name). */
static int parse_names(struct row_plan *plan, PyObject *given)
{
    PyObject *names = tuple_of(given, -1, "names");

    if (names == NULL)
        return -1;
    plan->names = room(names, sizeof *plan->names);
    if (plan->names == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        PyObject *parts = tuple_of(PyTuple_GET_ITEM(names, i), -1, "a name's place");
        Py_ssize_t count = parts == NULL ? 0 : PyTuple_GET_SIZE(parts);
        struct plan_name *name = &plan->names[i];

        if (count < 2 || count > 3 || !PyDict_CheckExact(PyTuple_GET_ITEM(parts, 0)))
            return PyErr_Occurred() != NULL ? -1 : refuse("a name without a namespace");
        plan->name_count++;
        name->namespace = Py_NewRef(PyTuple_GET_ITEM(parts, 0));
        name->expected = count == 3 ? Py_NewRef(PyTuple_GET_ITEM(parts, 2)) : NULL;
        name->name = name_of(PyTuple_GET_ITEM(parts, 1));
        if (name->name == NULL)
            return -1;
    }
    return 0;
}

static int parse_receivers(struct row_plan *plan, PyObject *given)
{
    PyObject *lists = tuple_of(given, -1, "receivers");

    if (lists == NULL)
        return -1;
    plan->receivers = room(lists, sizeof *plan->receivers);
    if (plan->receivers == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(lists); i++) {
        PyObject *list = PyTuple_GET_ITEM(lists, i);
        Py_ssize_t count;

        if (!PyList_CheckExact(list))
            return refuse("receivers that are no list");
        count = PyList_GET_SIZE(list);
        plan->receivers[i].list = Py_NewRef(list);
        plan->receivers[i].last = count == 0 ? NULL : Py_NewRef(PyList_GET_ITEM(list, count - 1));
        plan->receivers_count++;
    }
    return 0;
}

int engine_row_plan_parse(struct row_plan *plan, PyObject *const *description)
{
    if (!PyType_Check(description[0]) || model_of(description[0], &plan->state_type) < 0)
        return PyErr_Occurred() != NULL ? -1 : refuse("a state type that is none");
    if (parse_nodes(plan, description[1]) < 0 || parse_annotations(plan, description[2]) < 0 ||
        parse_types(plan, description[3]) < 0 || parse_attributes(plan, description[4]) < 0 ||
        parse_names(plan, description[5]) < 0)
        return -1;
    return parse_receivers(plan, description[6]);
}
