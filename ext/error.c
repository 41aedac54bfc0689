/* The one place where what the library reports becomes a Python exception. */
#include "engine.h"

#include <string.h>

/* `name` becomes an attribute of `exception`; takes over `value`, which may be NULL with an exception set. */
static int describe(PyObject *exception, PyObject *name, PyObject *value)
{
    int result = value == NULL ? -1 : PyObject_SetAttr(exception, name, value);

    Py_XDECREF(value);
    return result;
}

PyObject *engine_error_raise(struct engine_state *state, const struct qc_error *error)
{
    /* The message names a file, whose name may be any bytes, and may be cut anywhere. */
    PyObject *message = PyUnicode_DecodeUTF8(error->message, (Py_ssize_t)strlen(error->message), "replace");
    PyObject *exception = message == NULL ? NULL : PyObject_CallOneArg(state->segment_error, message);

    Py_XDECREF(message);
    if (exception == NULL)
        return NULL;
    if (describe(exception, state->name_status, PyUnicode_FromString(qc_status_name(error->status))) == 0 &&
        describe(exception, state->name_errno, PyLong_FromLong(error->os_errno)) == 0)
        PyErr_SetObject(state->segment_error, exception);
    Py_DECREF(exception);
    return NULL;
}

PyObject *engine_codec_raise(struct engine_state *state, int status)
{
    switch (status) {
    case ENGINE_RAISED:
        return NULL;
    case QC_ERR_MEMORY:
        return PyErr_NoMemory();
    case QC_ERR_CORRUPT:
        PyErr_SetString(PyExc_ValueError, "not bytes that this engine encoded");
        return NULL;
    case QC_ERR_TOO_LARGE:
        PyErr_SetString(state->unencodable, "more than an encoded value can hold");
        return NULL;
    default:
        PyErr_SetString(state->unencodable, "a value outside the range of its type");
        return NULL;
    }
}

/* SegmentError's attributes exist on an instance that Python code made, too. */
static PyObject *segment_error_new(void)
{
    PyObject *attributes = Py_BuildValue("{s:s,s:i}", "status", "", "errno", 0);
    PyObject *error;

    if (attributes == NULL)
        return NULL;
    error = PyErr_NewExceptionWithDoc("django_cache_manager._engine.SegmentError",
                                      "The segment can't do what was asked: `status` is a word for the reason, "
                                      "`errno` the system's number or 0.",
                                      NULL, attributes);
    Py_DECREF(attributes);
    return error;
}

int engine_errors_add(PyObject *module, struct engine_state *state)
{
    state->segment_error = segment_error_new();
    if (state->segment_error == NULL || PyModule_AddObjectRef(module, "SegmentError", state->segment_error) < 0)
        return -1;
    state->unencodable = PyErr_NewExceptionWithDoc("django_cache_manager._engine.Unencodable",
                                                   "A value outside the closed set. The message names its type.",
                                                   PyExc_ValueError, NULL);
    if (state->unencodable == NULL)
        return -1;
    return PyModule_AddObjectRef(module, "Unencodable", state->unencodable);
}
