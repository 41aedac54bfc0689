/* Standing: what a connection's last look round has found, compared instead of asked again. */
#include "standing.h"

#include "segment.h"
#include "unopened.h"

static const struct engine_field fields[] = {
    {"segment", offsetof(struct standing, segment)},
    {"head", offsetof(struct standing, head)},
    {"state", offsetof(struct standing, state)},
    {"driver", offsetof(struct standing, driver)},
    {"session", offsetof(struct standing, session)},
    {"level", offsetof(struct standing, level)},
    {"idle", offsetof(struct standing, idle)},
    {"in_autocommit", offsetof(struct standing, in_autocommit)},
    {"next_level", offsetof(struct standing, next_level)},
    {"ensure_connection", offsetof(struct standing, ensure_connection)},
    {"settings", offsetof(struct standing, settings)},
    {"settings_now", offsetof(struct standing, settings_now)},
    {"use_tz", offsetof(struct standing, use_tz)},
    {"django_settings", offsetof(struct standing, django_settings)},
    {"time_zone", offsetof(struct standing, time_zone)},
    {"schema", offsetof(struct standing, schema)},
    {"uncached_depth", offsetof(struct standing, uncached_depth)},
    {"unopened", offsetof(struct standing, unopened)},
    {NULL, 0},
};

static int check(const struct standing *self)
{
    const struct engine_state *state = engine_state_of_type(Py_TYPE(self));

    if (engine_segment_of(state, self->segment) == NULL || engine_bytes("head", self->head) < 0)
        return -1;
    if (engine_dict("settings_now", self->settings_now) < 0 ||
        engine_dict("django_settings", self->django_settings) < 0)
        return -1;
    if (PyContextVar_CheckExact(self->uncached_depth) && (self->idle == Py_None || PyUnicode_CheckExact(self->idle)) &&
        (self->unopened == Py_None ? self->driver != Py_None
                                   : Py_IS_TYPE(self->unopened, state->unopened_type) && self->driver == Py_None))
        return 0;
    PyErr_SetString(PyExc_TypeError, "uncached_depth must be a context variable, idle a str or None, and unopened an "
                                     "Unopened where driver is None");
    return -1;
}

static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    struct standing *self = (struct standing *)type->tp_alloc(type, 0);

    if (self != NULL && (engine_fields_set(self, "Standing", fields, args, keywords) < 0 || check(self) < 0))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int traverse(struct standing *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return engine_fields_visit(self, fields, visit, arg);
}

/* No tp_clear: a standing is never changed, and the dicts it stands among break their cycles. */
static void dealloc(struct standing *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    engine_fields_clear(self, fields);
    type->tp_free(self);
    Py_DECREF(type);
}

/* --- what is compared --------------------------------------------------------------------------------------------- */

/* Whether a dict has `expected` under a name; what isn't there is None. */
static bool has(PyObject *dict, PyObject *name, PyObject *expected)
{
    PyObject *found = PyDict_GetItemWithError(dict, name);

    return found == expected || (found == NULL && expected == Py_None && PyErr_Occurred() == NULL);
}

static int attribute_is(PyObject *object, PyObject *name, PyObject *expected)
{
    PyObject *found = PyObject_GetAttr(object, name);

    Py_XDECREF(found);
    return found == NULL ? -1 : found == expected;
}

static int attribute_is_false(PyObject *object, PyObject *name)
{
    PyObject *found = PyObject_GetAttr(object, name);
    int truth = found == NULL ? -1 : PyObject_IsTrue(found);

    Py_XDECREF(found);
    return truth < 0 ? -1 : !truth;
}

/* Nothing that this connection has written waits for its COMMIT (PROTOCOL 4.3). */
static int is_clean(const struct engine_state *state, PyObject *connection_state)
{
    PyObject *dirty = PyObject_GetAttr(connection_state, state->name_dirty);
    int clean = dirty == NULL ? -1 : PyAnySet_CheckExact(dirty) && PySet_GET_SIZE(dirty) == 0;

    Py_XDECREF(dirty);
    return clean;
}

static int session_holds(const struct engine_state *state, const struct standing *self)
{
    int holds = attribute_is(self->state, state->name_driver, self->driver);

    if (holds > 0)
        holds = attribute_is(self->state, state->name_session, self->session);
    if (holds > 0 && self->session != Py_None)
        holds = attribute_is_false(self->session, state->name_doubtful);
    if (holds > 0 && self->session != Py_None)
        holds = attribute_is(self->session, state->name_off, Py_None);
    if (holds > 0)
        holds = attribute_is_false(self->state, state->name_errored);
    return holds > 0 ? is_clean(state, self->state) : holds;
}

static bool is_this_thread(PyObject *ident)
{
    unsigned long number = ident != NULL && PyLong_CheckExact(ident) ? PyLong_AsUnsignedLong(ident) : 0;

    return number != 0 && number == PyThread_get_thread_ident();
}

static bool connection_holds(const struct engine_state *state, const struct standing *self, PyObject *connection,
                             PyObject *own, bool any_thread)
{
    return _PyType_Lookup(Py_TYPE(connection), state->name_ensure_connection) == self->ensure_connection &&
           has(own, state->name_connection, self->driver) && has(own, state->name_needs_rollback, Py_False) &&
           PyDict_Contains(own, state->name_cursor) == 0 && has(own, state->name_timezone_name, self->time_zone) &&
           has(own, state->name_schema_name, self->schema) &&
           (any_thread || is_this_thread(PyDict_GetItemWithError(own, state->name_thread_ident)));
}

static int settings_hold(const struct engine_state *state, const struct standing *self)
{
    PyObject *depth;
    int cached;

    if (!has(self->settings_now, state->name_current, self->settings) ||
        !has(self->django_settings, state->name_use_tz, self->use_tz))
        return PyErr_Occurred() != NULL ? -1 : 0;
    if (PyContextVar_Get(self->uncached_depth, NULL, &depth) < 0 || depth == NULL)
        return -1;
    cached = PyObject_Not(depth);
    Py_DECREF(depth);
    return cached;
}

/* A closed connection says so when it is asked. */
static int is_idle(const struct standing *self)
{
    PyObject *answer;
    int truth;

    if (self->idle != Py_None) {
        truth = attribute_is(self->driver, self->idle, Py_False);
        if (truth >= 0)
            return truth;
        PyErr_Clear();
        return 0;
    }
    answer = PyObject_CallOneArg(self->in_autocommit, self->driver);
    truth = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    return truth;
}

static int level_holds(const struct engine_state *state, const struct standing *self)
{
    PyObject *level, *next;
    int holds;

    if (self->next_level == Py_None)
        return attribute_is(self->session, state->name_level, self->level);
    level = PyObject_GetAttr(self->session, state->name_level);
    next = level == NULL ? NULL : PyObject_CallFunctionObjArgs(self->next_level, self->driver, level, NULL);
    holds = next == NULL ? -1 : next == self->level;
    Py_XDECREF(level);
    Py_XDECREF(next);
    return holds;
}

/* What an open connection's driver has to tell, or what is known where there is none. */
static int place_holds(const struct engine_state *state, const struct standing *self, PyObject *own)
{
    if (self->unopened != Py_None)
        return engine_unopened_holds(state, (const struct unopened *)self->unopened, own);
    return is_idle(self); /* first, for in a transaction all else may hold */
}

static int own_hold(const struct engine_state *state, const struct standing *self, PyObject *connection, PyObject *own,
                    bool any_thread)
{
    if (connection_holds(state, self, connection, own, any_thread))
        return place_holds(state, self, own);
    return PyErr_Occurred() != NULL ? -1 : 0;
}

int engine_standing_holds(const struct standing *self, PyObject *connection, bool any_thread)
{
    const struct engine_state *state = engine_state_of_type(Py_TYPE(self));
    PyObject *own;
    int holds;

    if (!qc_segment_usable(((const struct segment *)self->segment)->handle))
        return 0; /* another has taken its place, or will */
    own = PyObject_GenericGetDict(connection, NULL);
    if (own == NULL)
        return -1;
    holds = own_hold(state, self, connection, own, any_thread);
    Py_DECREF(own);
    if (holds > 0)
        holds = session_holds(state, self);
    if (holds > 0)
        holds = settings_hold(state, self);
    return holds > 0 && self->unopened == Py_None ? level_holds(state, self) : holds;
}

static PyObject *holds(struct standing *self, PyObject *connection)
{
    int answer = engine_standing_holds(self, connection, false);

    return answer < 0 ? NULL : PyBool_FromLong(answer);
}

static PyMethodDef methods[] = {
    {"holds", ENGINE_METHOD(holds), METH_O, "Whether all that it is made of is as it was, in this thread."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"head", T_OBJECT_EX, offsetof(struct standing, head), READONLY, "What the keys of its traces begin with."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "What a connection's last look round has found."},
    {Py_tp_new, ENGINE_SLOT(make)},
    {Py_tp_dealloc, ENGINE_SLOT(dealloc)},
    {Py_tp_traverse, ENGINE_SLOT(traverse)},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {0, NULL},
};

PyType_Spec engine_standing_spec = {
    .name = "django_cache_manager._engine.Standing",
    .basicsize = sizeof(struct standing),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};
