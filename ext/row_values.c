/* Rows to what values() and values_list() give: dicts, tuples, named tuples, single values. */
#include "engine.h"

/* How one row is turned into what is handed out. */
struct row_shape {
    PyObject *(*make)(const struct row_shape *shape, PyObject *row);
    PyObject *names;    /* of dicts: a tuple of str */
    PyObject *template; /* of dicts: with those names */
    PyTypeObject *type; /* of named tuples */
    Py_ssize_t width;   /* columns that a row has at least */
    Py_ssize_t column;  /* of single values */
    bool copy;
};

static PyObject *value_of(const struct row_shape *shape, PyObject *row, Py_ssize_t column)
{
    PyObject *value = PySequence_Fast_GET_ITEM(row, column);

    return shape->copy ? engine_value_copy(value) : Py_NewRef(value);
}

static PyObject *make_tuple(const struct row_shape *shape, PyObject *row)
{
    PyObject *tuple, *copy;

    if (!shape->copy)
        return PySequence_Tuple(row); /* a tuple as it is */
    tuple = PySequence_Tuple(row);
    copy = tuple == NULL ? NULL : engine_value_copy(tuple);
    Py_XDECREF(tuple);
    return copy;
}

static PyObject *make_named(const struct row_shape *shape, PyObject *row)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(row);
    PyObject *named = shape->type->tp_alloc(shape->type, count);

    for (Py_ssize_t i = 0; named != NULL && i < count; i++) {
        PyObject *value = value_of(shape, row, i);

        if (value == NULL)
            Py_CLEAR(named);
        else
            PyTuple_SET_ITEM(named, i, value);
    }
    return named;
}

static PyObject *make_single(const struct row_shape *shape, PyObject *row)
{
    return value_of(shape, row, shape->column);
}

static PyObject *make_dict(const struct row_shape *shape, PyObject *row)
{
    PyObject *dict = PyDict_Copy(shape->template);

    for (Py_ssize_t i = 0; dict != NULL && i < PyTuple_GET_SIZE(shape->names); i++) {
        PyObject *value = value_of(shape, row, i);

        if (value == NULL || PyDict_SetItem(dict, PyTuple_GET_ITEM(shape->names, i), value) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *make_row(const struct row_shape *shape, PyObject *row)
{
    if ((PyTuple_CheckExact(row) || PyList_CheckExact(row)) && PySequence_Fast_GET_SIZE(row) >= shape->width)
        return shape->make(shape, row);
    PyErr_SetString(PyExc_ValueError, "a row that has too few columns, or is none");
    return NULL;
}

/* As for instances, the collector waits: what is made here can't be garbage yet. */
static PyObject *make_rows(const struct row_shape *shape, PyObject *rows)
{
    Py_ssize_t count = PyList_GET_SIZE(rows);
    PyObject *made = PyList_New(count);
    int collecting = PyGC_Disable();

    for (Py_ssize_t i = 0; made != NULL && i < count; i++) {
        PyObject *row, *item = NULL;

        if (PyList_GET_SIZE(rows) == count) {
            row = Py_NewRef(PyList_GET_ITEM(rows, i));
            item = make_row(shape, row);
            Py_DECREF(row);
        } else {
            PyErr_SetString(PyExc_RuntimeError, "rows changed while they were read");
        }
        if (item == NULL)
            Py_CLEAR(made);
        else
            PyList_SET_ITEM(made, i, item);
    }
    if (collecting)
        PyGC_Enable();
    return made;
}

/* `rows` and `copy`, the first argument and the last, of all functions below. */
static int open_shape(struct row_shape *shape, PyObject *rows, PyObject *copy)
{
    int truth = copy == NULL ? 0 : PyObject_IsTrue(copy);

    if (truth < 0)
        return -1;
    shape->copy = truth;
    if (PyList_CheckExact(rows))
        return 0;
    PyErr_Format(PyExc_TypeError, "rows must be a list, not %.100s", Py_TYPE(rows)->tp_name);
    return -1;
}

PyObject *engine_row_tuples(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"rows", "copy", NULL};
    static const struct engine_signature signature = {"row_tuples", names, 1, 2};
    struct row_shape shape = {.make = make_tuple};
    PyObject *given[2];

    (void)module;
    if (engine_arguments(&signature, args, count, keywords, given) < 0 || open_shape(&shape, given[0], given[1]) < 0)
        return NULL;
    return make_rows(&shape, given[0]);
}

/* A class whose instances are tuples with nothing beside. */
static bool is_row_class(PyObject *object)
{
    PyTypeObject *type = (PyTypeObject *)object;

    if (PyType_Check(object) && PyType_IsSubtype(type, &PyTuple_Type) &&
        type->tp_basicsize == PyTuple_Type.tp_basicsize && type->tp_itemsize == PyTuple_Type.tp_itemsize &&
        type->tp_dictoffset == 0)
        return true;
    PyErr_SetString(PyExc_TypeError, "row_class must be a named tuple's class");
    return false;
}

PyObject *engine_row_named(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"rows", "row_class", "copy", NULL};
    static const struct engine_signature signature = {"row_named", names, 2, 3};
    struct row_shape shape = {.make = make_named};
    PyObject *given[3];

    (void)module;
    if (engine_arguments(&signature, args, count, keywords, given) < 0 || !is_row_class(given[1]) ||
        open_shape(&shape, given[0], given[2]) < 0)
        return NULL;
    shape.type = (PyTypeObject *)given[1];
    return make_rows(&shape, given[0]);
}

PyObject *engine_row_column(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"rows", "column", "copy", NULL};
    static const struct engine_signature signature = {"row_column", names, 2, 3};
    struct row_shape shape = {.make = make_single};
    PyObject *given[3];
    uint64_t column = 0;

    (void)module;
    if (engine_arguments(&signature, args, count, keywords, given) < 0 || open_shape(&shape, given[0], given[2]) < 0 ||
        engine_number("column", given[1], UINT32_MAX, &column) < 0)
        return NULL;
    shape.column = (Py_ssize_t)column;
    shape.width = shape.column + 1;
    return make_rows(&shape, given[0]);
}

/* A dict with these names, which a copy of costs less than a new one. */
static PyObject *template_of(PyObject *names)
{
    PyObject *template = PyDict_New();

    for (Py_ssize_t i = 0; template != NULL && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);

        if (!PyUnicode_CheckExact(name)) {
            PyErr_Format(PyExc_TypeError, "a name must be str, not %.100s", Py_TYPE(name)->tp_name);
            Py_CLEAR(template);
        } else if (PyDict_SetItem(template, name, Py_None) < 0) {
            Py_CLEAR(template);
        }
    }
    return template;
}

PyObject *engine_row_dicts(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"rows", "names", "copy", NULL};
    static const struct engine_signature signature = {"row_dicts", names, 2, 3};
    struct row_shape shape = {.make = make_dict};
    PyObject *given[3], *dicts = NULL;

    (void)module;
    if (engine_arguments(&signature, args, count, keywords, given) < 0 || open_shape(&shape, given[0], given[2]) < 0)
        return NULL;
    shape.names = PySequence_Tuple(given[1]);
    shape.template = shape.names == NULL ? NULL : template_of(shape.names);
    if (shape.template != NULL) {
        shape.width = PyTuple_GET_SIZE(shape.names);
        dicts = make_rows(&shape, given[0]);
    }
    Py_XDECREF(shape.template);
    Py_XDECREF(shape.names);
    return dicts;
}
