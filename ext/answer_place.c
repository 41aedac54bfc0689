/* Where a traced queryset is answered: the alias that the router names, the connection, and its standing. */
#include "answers.h"

static PyObject *item_of(PyObject *dict, PyObject *name)
{
    return Py_XNewRef(PyDict_GetItemWithError(dict, name));
}

/* --- the alias ---------------------------------------------------------------------------------------------------- */

int engine_is_unrouted(const struct engine_state *state, const struct answers *self)
{
    PyObject *own, *routers;
    int unrouted;

    if (PyDict_GetItemWithError(self->query_names, state->name_router) != self->router ||
        _PyType_Lookup(Py_TYPE(self->router), state->name_db_for_read) != self->db_for_read)
        return PyErr_Occurred() != NULL ? -1 : 0;
    own = PyObject_GenericGetDict(self->router, NULL);
    if (own == NULL)
        return -1;
    routers = PyDict_GetItemWithError(own, state->name_routers);
    unrouted = routers != NULL && PyList_CheckExact(routers) && PyList_GET_SIZE(routers) == 0 &&
               PyDict_Contains(own, state->name_db_for_read) == 0;
    Py_DECREF(own);
    return PyErr_Occurred() != NULL ? -1 : unrouted;
}

/* The alias that an instance came from, as the router takes it. */
static PyObject *alias_of_instance(const struct engine_state *state, const struct answers *self, PyObject *instance)
{
    PyObject *model_state = PyObject_GetAttr(instance, state->name_state), *alias;

    alias = model_state == NULL ? NULL : PyObject_GetAttr(model_state, state->name_db);
    Py_XDECREF(model_state);
    if (alias == Py_None)
        Py_SETREF(alias, Py_NewRef(self->default_alias));
    if (alias != NULL && !(PyUnicode_CheckExact(alias) && PyUnicode_GET_LENGTH(alias) > 0))
        Py_CLEAR(alias);
    return alias;
}

static PyObject *alias_of_hints(const struct engine_state *state, const struct answers *self, PyObject *hints)
{
    PyObject *instance, *alias;
    int unrouted = engine_is_unrouted(state, self);

    if (unrouted <= 0 || !PyDict_CheckExact(hints))
        return NULL;
    if (PyDict_GET_SIZE(hints) == 0)
        return Py_NewRef(self->default_alias);
    instance = PyDict_GET_SIZE(hints) == 1 ? item_of(hints, state->name_instance) : NULL;
    if (instance == NULL)
        return NULL;
    alias = instance == Py_None ? Py_NewRef(self->default_alias) : alias_of_instance(state, self, instance);
    Py_DECREF(instance);
    return alias;
}

PyObject *engine_alias_by(const struct engine_state *state, const struct answers *self, PyObject *using,
                          PyObject *hints)
{
    if (using == Py_None)
        return alias_of_hints(state, self, hints);
    return PyUnicode_CheckExact(using) && PyUnicode_GET_LENGTH(using) > 0 ? Py_NewRef(using) : NULL;
}

static PyObject *alias_in(const struct engine_state *state, const struct answers *self, PyObject *own)
{
    PyObject *alias = PyDict_GetItemWithError(own, state->name__db), *hints, *found;

    if (alias == NULL || PyDict_GetItemWithError(own, state->name_for_write) != Py_False)
        return NULL;
    Py_INCREF(alias);
    hints = item_of(own, state->name_hints);
    found = hints == NULL ? NULL : engine_alias_by(state, self, alias, hints);
    Py_XDECREF(hints);
    Py_DECREF(alias);
    return found;
}

PyObject *engine_alias_of(const struct engine_state *state, const struct answers *self, PyObject *queryset)
{
    PyObject *own, *found;

    if (_PyType_Lookup(Py_TYPE(queryset), state->name_db) != self->database)
        return NULL;
    own = PyObject_GenericGetDict(queryset, NULL);
    if (own == NULL)
        return NULL;
    found = alias_in(state, self, own);
    Py_DECREF(own);
    return found;
}

/* --- the connection ----------------------------------------------------------------------------------------------- */

static int nobody_listens(const struct engine_state *state, const struct answers *self)
{
    PyObject *found = PyObject_GetAttr(self->captures, state->name_found);

    Py_XDECREF(found);
    return found == NULL ? -1 : found == Py_None;
}

static int no_loop_runs(const struct answers *self)
{
    PyObject *loop = PyObject_CallNoArgs(self->running_loop);

    Py_XDECREF(loop);
    return loop == NULL ? -1 : loop == Py_None;
}

/* An attribute that may be missing, of a thread's own storage. */
static PyObject *stored(PyObject *storage, PyObject *alias)
{
    PyObject *found = PyObject_GetAttr(storage, alias);

    if (found == NULL && PyErr_ExceptionMatches(PyExc_AttributeError))
        PyErr_Clear();
    return found;
}

/* This thread's connection, where asgiref keeps it. */
static PyObject *connection_of(const struct engine_state *state, const struct answers *self, PyObject *alias)
{
    PyObject *local = PyObject_GetAttr(self->connections, state->name_connections), *own, *storage, *found;

    own = local == NULL ? NULL : PyObject_GenericGetDict(local, NULL);
    storage = own == NULL ? NULL : item_of(own, state->name_storage);
    found = storage != NULL && (PyObject *)Py_TYPE(storage) == self->local_type ? stored(storage, alias) : NULL;
    Py_XDECREF(storage);
    Py_XDECREF(own);
    Py_XDECREF(local);
    return found;
}

/* What is remembered of a connection: of one that is open, and of the time when it isn't. */
static PyObject *standing_in(const struct engine_state *state, PyObject *own)
{
    PyObject *driver = PyDict_GetItemWithError(own, state->name_connection);

    return item_of(own, driver == Py_None ? state->name_unopened : state->name_standing);
}

/* A connection's standing, if it holds. */
static struct standing *standing_of(const struct engine_state *state, PyObject *connection, bool any_thread)
{
    PyObject *own = PyObject_GenericGetDict(connection, NULL), *standing;
    int holds;

    standing = own == NULL ? NULL : standing_in(state, own);
    Py_XDECREF(own);
    if (standing == NULL)
        return NULL;
    holds = Py_IS_TYPE(standing, state->standing_type)
                ? engine_standing_holds((struct standing *)standing, connection, any_thread)
                : 0;
    if (holds <= 0)
        Py_CLEAR(standing);
    return (struct standing *)standing;
}

struct standing *engine_standing_here(const struct engine_state *state, const struct answers *self, PyObject *alias)
{
    int plain = nobody_listens(state, self);
    struct standing *standing = NULL;
    PyObject *connection;

    if (plain > 0)
        plain = no_loop_runs(self);
    connection = plain > 0 ? connection_of(state, self, alias) : NULL;
    if (connection != NULL)
        standing = standing_of(state, connection, false);
    Py_XDECREF(connection);
    return standing;
}

struct standing *engine_standing_of(const struct engine_state *state, const struct answers *self, PyObject *connection,
                                    PyObject *alias)
{
    PyObject *own = nobody_listens(state, self) > 0 ? PyObject_GenericGetDict(connection, NULL) : NULL, *name;
    struct standing *standing = NULL;
    int same;

    name = own == NULL ? NULL : item_of(own, state->name_alias);
    same = name == NULL ? 0 : PyObject_RichCompareBool(name, alias, Py_EQ);
    if (same > 0)
        standing = standing_of(state, connection, true);
    Py_XDECREF(name);
    Py_XDECREF(own);
    return standing;
}
