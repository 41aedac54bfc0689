/* Unopened: what is known of a connection that the driver hasn't opened yet, or has closed, compared instead of asked again.
 * Where it would lead follows from its settings, from what connections with these settings were told last, and for SQLite
 * from the file under its name.
 */
#include "unopened.h"

static const struct engine_field fields[] = {
    {"settings", offsetof(struct unopened, settings)},
    {"wanted", offsetof(struct unopened, wanted)},
    {"options", offsetof(struct unopened, options)},
    {"last_known", offsetof(struct unopened, last_known)},
    {"key", offsetof(struct unopened, key)},
    {"facts", offsetof(struct unopened, facts)},
    {"path", offsetof(struct unopened, path)},
    {"file", offsetof(struct unopened, file)},
    {NULL, 0},
};

/* The file as file_identity() gave it. */
static int check_file(struct unopened *self)
{
    struct engine_file *was = &self->was;

    if (engine_bytes("path", self->path) < 0 || engine_tuple("file", self->file) < 0)
        return -1;
    return PyArg_ParseTuple(self->file, "kkKK;file must be a file's identity", &was->major, &was->minor, &was->inode,
                            &was->birth)
               ? 0
               : -1;
}

static int check(struct unopened *self)
{
    if (engine_dict("settings", self->settings) < 0 || engine_dict("wanted", self->wanted) < 0 ||
        engine_dict("options", self->options) < 0 || engine_dict("last_known", self->last_known) < 0)
        return -1;
    return self->path == Py_None ? 0 : check_file(self);
}

static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    struct unopened *self = (struct unopened *)type->tp_alloc(type, 0);

    if (self != NULL && (engine_fields_set(self, "Unopened", fields, args, keywords) < 0 || check(self) < 0))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int traverse(struct unopened *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return engine_fields_visit(self, fields, visit, arg);
}

/* No tp_clear: it is never changed, and the dicts it stands among break their cycles. */
static void dealloc(struct unopened *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    engine_fields_clear(self, fields);
    type->tp_free(self);
    Py_DECREF(type);
}

static bool is(PyObject *dict, PyObject *name, PyObject *expected)
{
    return PyDict_GetItemWithError(dict, name) == expected;
}

/* Whether the settings have the very objects that they had. */
static bool are_wanted(const struct unopened *self)
{
    PyObject *name, *value;
    Py_ssize_t position = 0;

    while (PyDict_Next(self->wanted, &position, &name, &value))
        if (!is(self->settings, name, value))
            return false;
    return true;
}

/* The options may have been changed in place. */
static int options_hold(const struct engine_state *state, const struct unopened *self)
{
    PyObject *options = Py_XNewRef(PyDict_GetItemWithError(self->settings, state->name_options));
    int same =
        options == NULL || !PyDict_CheckExact(options) ? 0 : PyObject_RichCompareBool(options, self->options, Py_EQ);

    Py_XDECREF(options);
    return same;
}

static bool is_the_file(const struct unopened *self)
{
    const struct engine_file *was = &self->was;
    struct engine_file now;

    if (self->path == Py_None)
        return true;
    return engine_file_look(self->path, &now) == 0 && now.major == was->major && now.minor == was->minor &&
           now.inode == was->inode && now.birth == was->birth;
}

int engine_unopened_holds(const struct engine_state *state, const struct unopened *self, PyObject *own)
{
    int holds = is(own, state->name_settings_dict, self->settings) && is(own, state->name_in_atomic_block, Py_False) &&
                is(self->last_known, self->key, self->facts) && are_wanted(self);

    if (holds > 0)
        holds = options_hold(state, self);
    if (PyErr_Occurred() != NULL)
        return -1;
    return holds > 0 ? is_the_file(self) : holds;
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "What is known of a connection that isn't open."},
    {Py_tp_new, ENGINE_SLOT(make)},
    {Py_tp_dealloc, ENGINE_SLOT(dealloc)},
    {Py_tp_traverse, ENGINE_SLOT(traverse)},
    {0, NULL},
};

PyType_Spec engine_unopened_spec = {
    .name = "django_cache_manager._engine.Unopened",
    .basicsize = sizeof(struct unopened),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};
