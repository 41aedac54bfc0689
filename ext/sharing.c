/* Whether rows, or copies of them, may be handed out again and again, and what they take in this process. */
#include "engine.h"

/* The bytes that the collector keeps before an object it tracks. */
#define COLLECTOR_HEAD (2 * sizeof(void *))

static bool is_immutable(const struct engine_state *state, PyObject *value);

static bool tuple_is_immutable(const struct engine_state *state, PyObject *tuple, int depth)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); i++) {
        PyObject *child = PyTuple_GET_ITEM(tuple, i);

        if (PyTuple_CheckExact(child) && (depth == 0 || !tuple_is_immutable(state, child, depth - 1)))
            return false;
        if (!PyTuple_CheckExact(child) && !is_immutable(state, child))
            return false;
    }
    return true;
}

static bool is_immutable(const struct engine_state *state, PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);

    if (type == &PyUnicode_Type || type == &PyLong_Type || value == Py_None || type == &PyFloat_Type ||
        type == &PyBool_Type)
        return true;
    if (type == state->datetime->DateTimeType || type == state->decimal_type || type == state->datetime->DateType ||
        type == &PyBytes_Type || type == state->uuid_type)
        return true;
    if (type == state->datetime->TimeType || type == state->datetime->DeltaType || type == &PyComplex_Type ||
        type == state->timezone_type)
        return true;
    return type == &PyTuple_Type && tuple_is_immutable(state, value, QC_DEPTH_MAX);
}

static bool row_is_immutable(const struct engine_state *state, PyObject *row)
{
    PyObject **values = PySequence_Fast_ITEMS(row);
    Py_ssize_t count = PySequence_Fast_GET_SIZE(row);

    for (Py_ssize_t i = 0; i < count; i++)
        if (!is_immutable(state, values[i]))
            return false;
    return true;
}

/* Runs no Python code and allocates nothing: borrowed references are good throughout. */
PyObject *engine_shareable(PyObject *module, PyObject *rows)
{
    const struct engine_state *state = engine_state_of(module);

    if (!engine_rows_check(rows))
        return NULL;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(rows); i++) {
        PyObject *row = PySequence_Fast_GET_ITEM(rows, i);

        if (!(PyTuple_CheckExact(row) || PyList_CheckExact(row)) || !row_is_immutable(state, row))
            Py_RETURN_FALSE;
    }
    Py_RETURN_TRUE;
}

static bool is_copyable(const struct engine_state *state, PyObject *value, int depth);

static bool items_are_copyable(const struct engine_state *state, PyObject *sequence, int depth)
{
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence); i++)
        if (!is_copyable(state, PySequence_Fast_GET_ITEM(sequence, i), depth))
            return false;
    return true;
}

static bool pairs_are_copyable(const struct engine_state *state, PyObject *dict, int depth)
{
    PyObject *key, *value;
    Py_ssize_t position = 0;

    while (PyDict_Next(dict, &position, &key, &value))
        if (!is_immutable(state, key) || !is_copyable(state, value, depth))
            return false;
    return true;
}

static bool is_copyable(const struct engine_state *state, PyObject *value, int depth)
{
    if (PyDict_CheckExact(value))
        return depth > 0 && pairs_are_copyable(state, value, depth - 1);
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value))
        return depth > 0 && items_are_copyable(state, value, depth - 1);
    return is_immutable(state, value);
}

/* As above: no Python code, no allocation. */
PyObject *engine_copyable(PyObject *module, PyObject *rows)
{
    const struct engine_state *state = engine_state_of(module);

    if (!engine_rows_check(rows))
        return NULL;
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(rows); i++) {
        PyObject *row = PySequence_Fast_GET_ITEM(rows, i);

        if (!(PyTuple_CheckExact(row) || PyList_CheckExact(row)) || !items_are_copyable(state, row, QC_DEPTH_MAX))
            Py_RETURN_FALSE;
    }
    Py_RETURN_TRUE;
}

static int add_footprint(const struct engine_state *state, PyObject *value, int depth, size_t *sum);

static int add_items(const struct engine_state *state, PyObject *sequence, int depth, size_t *sum)
{
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence); i++)
        if (add_footprint(state, PySequence_Fast_GET_ITEM(sequence, i), depth - 1, sum) < 0)
            return -1;
    return 0;
}

static int add_pairs(const struct engine_state *state, PyObject *dict, int depth, size_t *sum)
{
    PyObject *key, *item;
    Py_ssize_t position = 0;
    int result = 0;

    while (result == 0 && PyDict_Next(dict, &position, &key, &item)) {
        Py_INCREF(item); /* the key's __sizeof__ may be anybody's code */
        result = add_footprint(state, key, depth - 1, sum);
        if (result == 0)
            result = add_footprint(state, item, depth - 1, sum);
        Py_DECREF(item);
    }
    return result;
}

int engine_own_size(const struct engine_state *state, PyObject *value, size_t *sum)
{
    PyObject *size = PyObject_CallMethodNoArgs(value, state->name_sizeof);
    Py_ssize_t bytes;

    if (size == NULL)
        return -1;
    bytes = PyLong_AsSsize_t(size);
    Py_DECREF(size);
    if (bytes == -1 && PyErr_Occurred() != NULL)
        return -1;
    *sum += (size_t)Py_MAX(bytes, 0) + (PyObject_IS_GC(value) ? COLLECTOR_HEAD : 0);
    return 0;
}

/* One to three digits, rounded as the allocator does. */
#define INT_SIZE 32

/* 0: a large one, which is asked for its size. */
static size_t int_size(PyObject *value)
{
    int overflow;

    (void)PyLong_AsLongLongAndOverflow(value, &overflow);
    return overflow == 0 ? INT_SIZE : 0;
}

/* The types whose size is known without asking: most values of most rows. */
static size_t plain_size(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);

    if (type == &PyUnicode_Type && PyUnicode_IS_COMPACT_ASCII(value))
        return sizeof(PyASCIIObject) + (size_t)PyUnicode_GET_LENGTH(value) + 1;
    if (type == &PyLong_Type)
        return int_size(value);
    if (value == Py_None || type == &PyFloat_Type || type == &PyBool_Type)
        return (size_t)Py_MAX(type->tp_basicsize, (Py_ssize_t)sizeof(PyObject));
    if (type == &PyBytes_Type)
        return offsetof(PyBytesObject, ob_sval) + (size_t)PyBytes_GET_SIZE(value) + 1;
    return 0;
}

/* Beyond the depth that rows can have the size of an object itself is all that is counted. */
static int add_footprint(const struct engine_state *state, PyObject *value, int depth, size_t *sum)
{
    size_t plain = plain_size(value);
    int result;

    if (plain > 0) {
        *sum += plain;
        return 0;
    }
    Py_INCREF(value);
    result = engine_own_size(state, value, sum);
    if (result == 0 && depth > 0 && (PyTuple_CheckExact(value) || PyList_CheckExact(value)))
        result = add_items(state, value, depth, sum);
    else if (result == 0 && depth > 0 && PyDict_CheckExact(value))
        result = add_pairs(state, value, depth, sum);
    Py_DECREF(value);
    return result;
}

PyObject *engine_footprint(PyObject *module, PyObject *rows)
{
    size_t sum = 0;

    if (!engine_rows_check(rows) || add_footprint(engine_state_of(module), rows, QC_DEPTH_MAX + 2, &sum) < 0)
        return NULL;
    return PyLong_FromSize_t(sum);
}
