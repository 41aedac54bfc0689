/* Bypass: a write while no segment can be had. */
#include "engine.h"

struct bypass {
    PyObject_HEAD struct qc_bypass *handle; /* NULL: not begun, or ended */
};

static void end(struct bypass *self)
{
    struct qc_bypass *handle = self->handle;

    self->handle = NULL;
    if (handle != NULL)
        qc_bypass_end(handle);
}

static void dealloc(struct bypass *self)
{
    PyTypeObject *type = Py_TYPE(self);

    end(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static int begin(struct bypass *self, PyObject *path, const struct qc_segment_options *options)
{
    struct qc_bypass *handle = NULL;
    struct qc_error error;
    int status;

    Py_BEGIN_ALLOW_THREADS
    status = qc_bypass_begin(PyBytes_AS_STRING(path), options, &handle, &error);
    Py_END_ALLOW_THREADS
    if (status != QC_OK) {
        engine_error_raise(engine_state_of_type(Py_TYPE(self)), &error);
        return -1;
    }
    end(self); /* a second __init__ */
    self->handle = handle;
    return 0;
}

static int initialize(struct bypass *self, PyObject *args, PyObject *keywords)
{
    static const char *const names[] = {"path", "mode", "group", NULL};
    static const struct engine_signature signature = {"Bypass", names, 1, 1};
    struct qc_segment_options options = {.mode = 0600, .group = -1};
    PyObject *given[3], *path;
    int result;

    if (engine_arguments_init(&signature, args, keywords, given) < 0 ||
        engine_number_u32("mode", given[1], &options.mode) < 0 || engine_group(given[2], &options.group) < 0 ||
        !PyUnicode_FSConverter(given[0], &path))
        return -1;
    result = begin(self, path, &options);
    Py_DECREF(path);
    return result;
}

static PyObject *enter(struct bypass *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef((PyObject *)self);
}

static PyObject *leave(struct bypass *self, PyObject *unused)
{
    (void)unused;
    end(self);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"__enter__", ENGINE_METHOD(enter), METH_NOARGS, NULL},
    {"__exit__", ENGINE_METHOD(leave), METH_VARARGS, NULL},
    {"close", ENGINE_METHOD(leave), METH_NOARGS, "Ends it. May be called again."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "A write while no segment can be had: none is created as long as this is held."},
    {Py_tp_new, ENGINE_SLOT(PyType_GenericNew)},
    {Py_tp_init, ENGINE_SLOT(initialize)},
    {Py_tp_dealloc, ENGINE_SLOT(dealloc)},
    {Py_tp_methods, methods},
    {0, NULL},
};

PyType_Spec engine_bypass_spec = {
    .name = "django_cache_manager._engine.Bypass",
    .basicsize = sizeof(struct bypass),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
