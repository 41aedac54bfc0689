/* Copies of what a caller could change: lists, dicts, and tuples that hold some. */
#include "engine.h"

static PyObject *copy_list(PyObject *list)
{
    Py_ssize_t count = PyList_GET_SIZE(list);
    PyObject *copy = PyList_New(count);

    for (Py_ssize_t i = 0; copy != NULL && i < count; i++) {
        PyObject *item = engine_value_copy(PyList_GET_ITEM(list, i));

        if (item == NULL)
            Py_CLEAR(copy);
        else
            PyList_SET_ITEM(copy, i, item);
    }
    return copy;
}

/* The tuple itself when nothing in it can be changed. */
static PyObject *copy_tuple(PyObject *tuple)
{
    Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    PyObject *copy = PyTuple_New(count);
    bool same = true;

    for (Py_ssize_t i = 0; copy != NULL && i < count; i++) {
        PyObject *item = engine_value_copy(PyTuple_GET_ITEM(tuple, i));

        if (item == NULL) {
            Py_CLEAR(copy);
            break;
        }
        same = same && item == PyTuple_GET_ITEM(tuple, i);
        PyTuple_SET_ITEM(copy, i, item);
    }
    if (copy == NULL || !same)
        return copy;
    Py_DECREF(copy);
    return Py_NewRef(tuple);
}

static PyObject *copy_dict(PyObject *dict)
{
    PyObject *copy = PyDict_Copy(dict), *key, *value;
    Py_ssize_t position = 0;
    int result = 0;

    while (copy != NULL && result == 0 && PyDict_Next(copy, &position, &key, &value)) {
        PyObject *own = engine_value_copy(value);

        /* A value in place of another: the dict keeps its shape while it is walked. */
        result = own == NULL ? -1 : own == value ? 0 : PyDict_SetItem(copy, key, own);
        Py_XDECREF(own);
    }
    if (result < 0)
        Py_CLEAR(copy);
    return copy;
}

PyObject *engine_value_copy(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    PyObject *copy;

    if (type != &PyDict_Type && type != &PyList_Type && type != &PyTuple_Type)
        return Py_NewRef(value);
    if (Py_EnterRecursiveCall(" while a row's value is copied"))
        return NULL;
    copy = type == &PyDict_Type ? copy_dict(value) : type == &PyList_Type ? copy_list(value) : copy_tuple(value);
    Py_LeaveRecursiveCall();
    return copy;
}
