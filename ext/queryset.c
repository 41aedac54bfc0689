/* Querysets that have a trace instead of a Query: their attributes, and the trace among them. */
#include "queryset.h"

/* A queryset of a class, without running its __init__. Takes over `own`, its attributes, which may be NULL with an
 * exception set. */
static PyObject *with_attributes(const struct engine_state *state, PyObject *kind, PyObject *own)
{
    PyObject *made = own == NULL ? NULL : PyObject_CallOneArg(state->object_new, kind);

    /* As `made.__dict__ = own` does: PyObject_GenericSetDict forgets the values in the instance itself (Python 3.13). */
    if (made != NULL && PyObject_GenericSetAttr(made, state->name_dict, own) < 0)
        Py_CLEAR(made);
    Py_XDECREF(own);
    return made;
}

/* A copy of what the shape leaves on a queryset, with the trace. */
static PyObject *attributes_of(const struct engine_state *state, struct trace *trace)
{
    PyObject *attributes = PyObject_GetAttr(trace->shape, state->name_attributes), *own = NULL;

    if (attributes != NULL && engine_dict("attributes", attributes) == 0)
        own = PyDict_Copy(attributes);
    Py_XDECREF(attributes);
    if (own != NULL && PyDict_SetItem(own, state->name_trace, (PyObject *)trace) < 0)
        Py_CLEAR(own);
    return own;
}

/* `hints`, or a dict of the queryset's own where it has none. */
static int put_hints(const struct engine_state *state, PyObject *own, PyObject *hints)
{
    int some = PyObject_IsTrue(hints), result;
    PyObject *empty;

    if (some != 0)
        return some < 0 ? -1 : PyDict_SetItem(own, state->name_hints, hints);
    empty = PyDict_New();
    result = empty == NULL ? -1 : PyDict_SetItem(own, state->name_hints, empty);
    Py_XDECREF(empty);
    return result;
}

static int copy_item(PyObject *own, PyObject *theirs, PyObject *name)
{
    PyObject *value = PyDict_GetItemWithError(theirs, name);

    if (value != NULL)
        return PyDict_SetItem(own, name, value);
    if (PyErr_Occurred() == NULL)
        PyErr_SetObject(PyExc_KeyError, name);
    return -1;
}

static int copy_kept(const struct engine_state *state, PyObject *own, PyObject *theirs, PyObject *kept)
{
    PyObject *hints = Py_XNewRef(PyDict_GetItemWithError(theirs, state->name_hints));
    int result = hints == NULL ? -1 : put_hints(state, own, hints);

    if (hints == NULL && PyErr_Occurred() == NULL)
        PyErr_SetObject(PyExc_KeyError, state->name_hints);
    Py_XDECREF(hints);
    for (Py_ssize_t i = 0; result == 0 && i < PyTuple_GET_SIZE(kept); i++)
        result = copy_item(own, theirs, PyTuple_GET_ITEM(kept, i));
    return result;
}

PyObject *engine_queryset_like(const struct engine_state *state, PyObject *queryset, struct trace *trace,
                               PyObject *kept)
{
    PyObject *theirs = PyObject_GenericGetDict(queryset, NULL), *own;

    if (theirs == NULL)
        return NULL;
    own = attributes_of(state, trace);
    if (own != NULL && copy_kept(state, own, theirs, kept) < 0)
        Py_CLEAR(own);
    Py_DECREF(theirs);
    return with_attributes(state, (PyObject *)Py_TYPE(queryset), own);
}

PyObject *engine_unbuilt(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"queryset", "trace", "kept", NULL};
    static const struct engine_signature signature = {"unbuilt", names, 3, 3};
    struct engine_state *state = engine_state_of(module);
    PyObject *given[3];
    struct trace *trace;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || engine_tuple("kept", given[2]) < 0)
        return NULL;
    trace = engine_trace_of(state, given[1]);
    return trace == NULL ? NULL : engine_queryset_like(state, given[0], trace, given[2]);
}

/* The root's attributes: of them are the `kept` ones of a queryset that a call has followed. */
static int copy_root(const struct engine_state *state, PyObject *own, struct trace *root, PyObject *kept)
{
    PyObject *attributes = PyObject_GetAttr(root->shape, state->name_attributes);
    int result = attributes == NULL ? -1 : engine_dict("attributes", attributes);

    for (Py_ssize_t i = 0; result == 0 && i < PyTuple_GET_SIZE(kept); i++)
        result = copy_item(own, attributes, PyTuple_GET_ITEM(kept, i));
    Py_XDECREF(attributes);
    return result;
}

static int put_manager(const struct engine_state *state, PyObject *own, const struct manager *manager)
{
    PyObject *related = PyDict_New();
    int result = related == NULL ? -1 : PyDict_SetItem(own, state->name_known_related_objects, related);

    Py_XDECREF(related);
    if (result < 0 || PyDict_SetItem(own, state->name__db, manager->using) < 0)
        return -1;
    return put_hints(state, own, manager->hints);
}

PyObject *engine_queryset_of(const struct engine_state *state, const struct manager *manager, struct trace *trace,
                             PyObject *kept)
{
    PyObject *own = attributes_of(state, trace == NULL ? manager->root : trace);

    if (own != NULL && trace != NULL && copy_root(state, own, manager->root, kept) < 0)
        Py_CLEAR(own);
    if (own != NULL && put_manager(state, own, manager) < 0)
        Py_CLEAR(own);
    return with_attributes(state, manager->kind, own);
}

/* --- the trace of a queryset -------------------------------------------------------------------------------------- */

/* Whether a queryset has under a name the very object that its shape has. */
static bool same(PyObject *theirs, PyObject *ours, PyObject *name)
{
    PyObject *own = PyDict_GetItemWithError(theirs, name);

    return own != NULL && own == PyDict_GetItemWithError(ours, name);
}

/* 1: its class and its fields are those that the calls have left; 0: somebody has set others; -1. */
static int is_as_left(const struct engine_state *state, PyObject *theirs, struct trace *trace)
{
    PyObject *ours = PyObject_GetAttr(trace->shape, state->name_attributes), *cloning;
    int plain;

    if (ours == NULL)
        return -1;
    cloning = PyDict_GetItemWithError(theirs, state->name_cloning_enabled); /* Django 6.1 */
    plain = PyDict_CheckExact(ours) && (cloning == NULL || cloning == Py_True) &&
            same(theirs, ours, state->name_iterable_class) && same(theirs, ours, state->name_fields);
    Py_DECREF(ours);
    return PyErr_Occurred() != NULL ? -1 : plain;
}

static PyObject *trace_in(const struct engine_state *state, PyObject *theirs)
{
    /* Read before the trace, and written after it: a thread that finds no filter put off has a trace with it. */
    PyObject *deferred = PyDict_GetItemWithError(theirs, state->name_deferred_filter);
    PyObject *trace = Py_XNewRef(PyDict_GetItemWithError(theirs, state->name_trace));
    int plain;

    if (trace == NULL || trace == Py_None) {
        Py_XDECREF(trace);
        return PyErr_Occurred() != NULL ? NULL : Py_NewRef(Py_None);
    }
    plain = deferred == Py_None && Py_IS_TYPE(trace, state->trace_type)
                ? is_as_left(state, theirs, (struct trace *)trace)
                : 0;
    if (plain > 0)
        return trace;
    Py_DECREF(trace);
    return plain < 0 ? NULL : Py_NewRef(Py_NotImplemented);
}

PyObject *engine_queryset_trace(const struct engine_state *state, PyObject *queryset)
{
    PyObject *theirs = PyObject_GenericGetDict(queryset, NULL), *found = NULL;

    if (theirs != NULL)
        found = trace_in(state, theirs);
    Py_XDECREF(theirs);
    return found;
}

struct trace *engine_queryset_plain_trace(const struct engine_state *state, PyObject *queryset)
{
    PyObject *trace = engine_queryset_trace(state, queryset);

    if (trace != NULL && !Py_IS_TYPE(trace, state->trace_type))
        Py_CLEAR(trace);
    return (struct trace *)trace;
}

PyObject *engine_plain_trace(PyObject *module, PyObject *queryset)
{
    return engine_queryset_trace(engine_state_of(module), queryset);
}

PyObject *engine_pristine(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"manager", "roots", NULL};
    static const struct engine_signature signature = {"pristine", names, 2, 2};
    const struct engine_state *state = engine_state_of(module);
    PyObject *given[2], *made = NULL;
    struct manager manager;
    int known;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || engine_dict("roots", given[1]) < 0)
        return NULL;
    known = engine_manager_read(state, given[0], given[1], &manager);
    if (known > 0)
        made = engine_queryset_of(state, &manager, NULL, NULL);
    else if (known == 0)
        made = Py_NewRef(Py_None);
    engine_manager_release(&manager);
    return made;
}
