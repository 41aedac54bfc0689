/* RowPlan: its guards and its life. plan_parse.c reads its description, instance.c follows it. */
#include "row_plan.h"

static bool has_version(const PyTypeObject *type, unsigned int version)
{
#if PY_VERSION_HEX < 0x030D0000
    /* Before 3.13 the number of a class that changed may still stand in it. */
    if (!PyType_HasFeature((PyTypeObject *)(uintptr_t)type, Py_TPFLAGS_VALID_VERSION_TAG))
        return false;
#endif
    return version != 0 && type->tp_version_tag == version;
}

/* Borrowed, but only compared. */
static bool attribute_holds(const struct plan_attribute *attribute)
{
    return _PyType_Lookup(attribute->type, attribute->name) == attribute->expected;
}

static bool name_holds(const struct plan_name *name)
{
    PyObject *found = PyDict_GetItemWithError(name->namespace, name->name);

    return found == name->expected;
}

static bool receivers_hold(const struct plan_receivers *receivers)
{
    Py_ssize_t count = PyList_GET_SIZE(receivers->list);

    /* None is left of those that were looked at, or none has come. */
    return count == 0 || (receivers->last != NULL && PyList_GET_ITEM(receivers->list, count - 1) == receivers->last);
}

bool engine_row_plan_holds(const struct row_plan *plan)
{
    for (Py_ssize_t i = 0; i < plan->type_count; i++)
        if (!has_version(plan->types[i].type, plan->types[i].version))
            return false;
    for (Py_ssize_t i = 0; i < plan->attribute_count; i++)
        if (!attribute_holds(&plan->attributes[i]))
            return false;
    for (Py_ssize_t i = 0; i < plan->name_count; i++)
        if (!name_holds(&plan->names[i]))
            return false;
    for (Py_ssize_t i = 0; i < plan->receivers_count; i++)
        if (!receivers_hold(&plan->receivers[i]))
            return false;
    return true;
}

static int traverse(struct row_plan *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->state_type);
    for (Py_ssize_t i = 0; i < self->node_count; i++)
        Py_VISIT(self->nodes[i].model);
    for (Py_ssize_t i = 0; i < self->type_count; i++)
        Py_VISIT(self->types[i].type);
    for (Py_ssize_t i = 0; i < self->attribute_count; i++) {
        Py_VISIT(self->attributes[i].type);
        Py_VISIT(self->attributes[i].expected);
    }
    for (Py_ssize_t i = 0; i < self->name_count; i++) {
        Py_VISIT(self->names[i].namespace);
        Py_VISIT(self->names[i].expected);
    }
    for (Py_ssize_t i = 0; i < self->receivers_count; i++) {
        Py_VISIT(self->receivers[i].list);
        Py_VISIT(self->receivers[i].last);
    }
    return 0;
}

static void release_node(struct plan_node *node)
{
    Py_XDECREF(node->model);
    Py_XDECREF(node->names);
    Py_XDECREF(node->local_name);
    Py_XDECREF(node->remote_name);
    PyMem_Free(node->columns);
    PyMem_Free(node->foreign);
}

static void release_guards(struct row_plan *self)
{
    for (Py_ssize_t i = 0; i < self->type_count; i++)
        Py_XDECREF(self->types[i].type);
    for (Py_ssize_t i = 0; i < self->attribute_count; i++) {
        Py_XDECREF(self->attributes[i].type);
        Py_XDECREF(self->attributes[i].name);
        Py_XDECREF(self->attributes[i].expected);
    }
    for (Py_ssize_t i = 0; i < self->name_count; i++) {
        Py_XDECREF(self->names[i].namespace);
        Py_XDECREF(self->names[i].name);
        Py_XDECREF(self->names[i].expected);
    }
    for (Py_ssize_t i = 0; i < self->receivers_count; i++) {
        Py_XDECREF(self->receivers[i].list);
        Py_XDECREF(self->receivers[i].last);
    }
    PyMem_Free(self->types);
    PyMem_Free(self->attributes);
    PyMem_Free(self->names);
    PyMem_Free(self->receivers);
}

/* No tp_clear: a plan is never changed, and the dicts and classes it stands among break their cycles. */
static void dealloc(struct row_plan *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    for (Py_ssize_t i = 0; i < self->node_count; i++)
        release_node(&self->nodes[i]);
    for (Py_ssize_t i = 0; i < self->annotation_count; i++)
        Py_XDECREF(self->annotations[i].name);
    PyMem_Free(self->nodes);
    PyMem_Free(self->annotations);
    release_guards(self);
    Py_XDECREF(self->state_type);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static const char *const names[] = {"state_type", "nodes", "annotations", "types",
                                        "attributes", "names", "receivers",   NULL};
    static const struct engine_signature signature = {"RowPlan", names, 7, 7};
    PyObject *given[ENGINE_ARGUMENTS_MAX];
    struct row_plan *plan;

    if (engine_arguments_init(&signature, args, keywords, given) < 0)
        return NULL;
    plan = (struct row_plan *)type->tp_alloc(type, 0);
    if (plan != NULL && engine_row_plan_parse(plan, given) < 0)
        Py_CLEAR(plan);
    return (PyObject *)plan;
}

static PyObject *holds(struct row_plan *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(engine_row_plan_holds(self));
}

static PyMethodDef methods[] = {
    {"build", ENGINE_METHOD(engine_row_plan_build), METH_FASTCALL | METH_KEYWORDS,
     "The instances of the rows, or None when the plan holds no longer."},
    {"holds", ENGINE_METHOD(holds), METH_NOARGS, "Whether the classes, names and receivers are as they were."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "How the rows of one shape become model instances, and what has to hold for that."},
    {Py_tp_new, ENGINE_SLOT(make)},
    {Py_tp_dealloc, ENGINE_SLOT(dealloc)},
    {Py_tp_traverse, ENGINE_SLOT(traverse)},
    {Py_tp_methods, methods},
    {0, NULL},
};

PyType_Spec engine_row_plan_spec = {
    .name = "django_cache_manager._engine.RowPlan",
    .basicsize = sizeof(struct row_plan),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};
