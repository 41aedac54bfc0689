/* Arguments of the fast calling convention, checked and turned into plain C values. */
#include "engine.h"

#include <string.h>

static Py_ssize_t names_count(const struct engine_signature *signature)
{
    Py_ssize_t count = 0;

    while (signature->names[count] != NULL)
        count++;
    return count;
}

static int wrong(const struct engine_signature *signature, const char *what, const char *name)
{
    PyErr_Format(PyExc_TypeError, "%s() %s '%s'", signature->function, what, name);
    return -1;
}

static int place(const struct engine_signature *signature, PyObject *keyword, PyObject *value, PyObject **out)
{
    for (Py_ssize_t i = 0; signature->names[i] != NULL; i++) {
        if (PyUnicode_CompareWithASCIIString(keyword, signature->names[i]) != 0)
            continue;
        if (out[i] != NULL)
            return wrong(signature, "got two values for", signature->names[i]);
        out[i] = value;
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s() has no argument %R", signature->function, keyword);
    return -1;
}

static int place_positional(const struct engine_signature *signature, PyObject *const *args, Py_ssize_t count,
                            PyObject **out)
{
    if (count > signature->positional) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments without a name, %zd were given",
                     signature->function, signature->positional, count);
        return -1;
    }
    memset(out, 0, (size_t)names_count(signature) * sizeof *out);
    for (Py_ssize_t i = 0; i < count; i++)
        out[i] = args[i];
    return 0;
}

static int check_required(const struct engine_signature *signature, PyObject *const *out)
{
    for (Py_ssize_t i = 0; i < signature->required; i++)
        if (out[i] == NULL)
            return wrong(signature, "needs", signature->names[i]);
    return 0;
}

int engine_arguments(const struct engine_signature *signature, PyObject *const *args, Py_ssize_t count,
                     PyObject *keywords, PyObject **out)
{
    if (place_positional(signature, args, count, out) < 0)
        return -1;
    for (Py_ssize_t i = 0; keywords != NULL && i < PyTuple_GET_SIZE(keywords); i++)
        if (place(signature, PyTuple_GET_ITEM(keywords, i), args[count + i], out) < 0)
            return -1;
    return check_required(signature, out);
}

int engine_arguments_init(const struct engine_signature *signature, PyObject *args, PyObject *keywords, PyObject **out)
{
    PyObject *keyword, *value;
    Py_ssize_t position = 0;

    if (place_positional(signature, PySequence_Fast_ITEMS(args), PyTuple_GET_SIZE(args), out) < 0)
        return -1;
    while (keywords != NULL && PyDict_Next(keywords, &position, &keyword, &value))
        if (place(signature, keyword, value, out) < 0)
            return -1;
    return check_required(signature, out);
}

static PyObject **field_of(void *self, const struct engine_field *field)
{
    return (PyObject **)(void *)((char *)self + field->offset);
}

int engine_fields_set(void *self, const char *type, const struct engine_field *fields, PyObject *args,
                      PyObject *keywords)
{
    Py_ssize_t count = 0;

    for (; fields[count].name != NULL; count++) {
        PyObject *value = keywords == NULL ? NULL : PyDict_GetItemString(keywords, fields[count].name);

        if (value == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() needs '%s'", type, fields[count].name);
            return -1;
        }
        *field_of(self, &fields[count]) = Py_NewRef(value);
    }
    if (PyTuple_GET_SIZE(args) == 0 && PyDict_GET_SIZE(keywords) == count)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s() takes its %zd arguments by name, and no others", type, count);
    return -1;
}

int engine_fields_visit(void *self, const struct engine_field *fields, visitproc visit, void *arg)
{
    for (; fields->name != NULL; fields++)
        Py_VISIT(*field_of(self, fields));
    return 0;
}

void engine_fields_clear(void *self, const struct engine_field *fields)
{
    for (; fields->name != NULL; fields++)
        Py_CLEAR(*field_of(self, fields));
}

int engine_number(const char *name, PyObject *object, uint64_t max, uint64_t *out)
{
    uint64_t number;

    if (object == NULL)
        return 0;
    number = PyLong_AsUnsignedLongLong(object);
    if (number == UINT64_MAX && PyErr_Occurred() != NULL) {
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "%s must be an int, not %.100s", name, Py_TYPE(object)->tp_name);
        else
            PyErr_Format(PyExc_OverflowError, "%s must be within 0 and %llu", name, (unsigned long long)max);
        return -1;
    }
    if (number > max) {
        PyErr_Format(PyExc_OverflowError, "%s must be within 0 and %llu", name, (unsigned long long)max);
        return -1;
    }
    *out = number;
    return 0;
}

int engine_number_u32(const char *name, PyObject *object, uint32_t *out)
{
    uint64_t number = *out;

    if (engine_number(name, object, UINT32_MAX, &number) < 0)
        return -1;
    *out = (uint32_t)number;
    return 0;
}

int engine_group(PyObject *object, int64_t *out)
{
    long long group;

    if (object == NULL)
        return 0;
    group = PyLong_AsLongLong(object);
    if (group == -1 && PyErr_Occurred() != NULL)
        return -1;
    *out = group;
    return 0;
}

int engine_bytes(const char *name, PyObject *object)
{
    if (PyBytes_Check(object))
        return 0;
    PyErr_Format(PyExc_TypeError, "%s must be bytes, not %.100s", name, Py_TYPE(object)->tp_name);
    return -1;
}

int engine_dict(const char *name, PyObject *object)
{
    if (PyDict_CheckExact(object))
        return 0;
    PyErr_Format(PyExc_TypeError, "%s must be a dict, not %.100s", name, Py_TYPE(object)->tp_name);
    return -1;
}

int engine_tuple(const char *name, PyObject *object)
{
    if (PyTuple_CheckExact(object))
        return 0;
    PyErr_Format(PyExc_TypeError, "%s must be a tuple, not %.100s", name, Py_TYPE(object)->tp_name);
    return -1;
}

/* Cells are read where they lie. */
static_assert(offsetof(PyBytesObject, ob_sval) % _Alignof(uint32_t) == 0, "cells in a bytes object are aligned");

int engine_cells_of(PyObject *object, struct engine_cells *out)
{
    size_t size;

    if (engine_bytes("cells", object) < 0)
        return -1;
    size = (size_t)PyBytes_GET_SIZE(object);
    if (size % sizeof(uint32_t) != 0) {
        PyErr_SetString(PyExc_ValueError, "cells must be whole 32-bit numbers");
        return -1;
    }
    out->items = (const uint32_t *)(const void *)PyBytes_AS_STRING(object);
    out->count = size / sizeof(uint32_t);
    return 0;
}
