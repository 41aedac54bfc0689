/* Calls that give another queryset: filters, names, slices. */
#include "answers.h"
#include "queryset.h"

/* A queryset's trace, if the next call is made at once on a queryset of its own. */
static struct trace *trace_before(const struct engine_state *state, PyObject *queryset, bool may_be_put_off)
{
    PyObject *own = PyObject_GenericGetDict(queryset, NULL);
    struct trace *trace = NULL;

    if (own == NULL)
        return NULL;
    if (PyDict_GetItemWithError(own, state->name_sticky_filter) == Py_False &&
        (!may_be_put_off || PyDict_GetItemWithError(own, state->name_defer_next_filter) == Py_False))
        trace = engine_queryset_plain_trace(state, queryset);
    Py_DECREF(own);
    return trace;
}

PyObject *engine_answers_filter(struct answers *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"queryset", "method", "kwargs", NULL};
    static const struct engine_signature signature = {"filter", names, 3, 3};
    const struct engine_state *state = engine_state_of_type(Py_TYPE(self));
    struct trace *trace, *longer = NULL;
    PyObject *given[3], *made = NULL;

    if (engine_arguments(&signature, args, count, keywords, given) < 0)
        return NULL;
    trace = trace_before(state, given[0], true);
    if (trace != NULL)
        longer = engine_answers_filtered(state, self, trace, given[1], given[2]);
    if (longer != NULL)
        made = engine_queryset_like(state, given[0], longer, self->kept);
    Py_XDECREF(longer);
    Py_XDECREF(trace);
    return engine_or_not(made);
}

/* The queryset after a call that is taken apart but for its values, of which it has none. */
static PyObject *after(const struct engine_state *state, const struct answers *self, PyObject *queryset,
                       struct trace *trace, const struct engine_call *call)
{
    struct trace *longer = engine_trace_after(trace, call);
    PyObject *made = longer == NULL ? NULL : engine_queryset_like(state, queryset, longer, self->kept);

    Py_XDECREF(longer);
    return made;
}

/* --- names -------------------------------------------------------------------------------------------------------- */

static bool are_names(PyObject *args)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++)
        if (!PyUnicode_CheckExact(PyTuple_GET_ITEM(args, i)))
            return false;
    return true;
}

/* (method, args, *kwargs.items()), where the keywords are booleans; NULL without an exception: they aren't. */
static PyObject *key_of_names(PyObject *method, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t count = PyDict_GET_SIZE(kwargs), position = 0;
    PyObject *key = PyTuple_New(2 + count), *name, *value;

    if (key == NULL)
        return NULL;
    PyTuple_SET_ITEM(key, 0, Py_NewRef(method));
    PyTuple_SET_ITEM(key, 1, Py_NewRef(args));
    for (Py_ssize_t i = 2; i < 2 + count && PyDict_Next(kwargs, &position, &name, &value); i++) {
        PyObject *item = PyBool_Check(value) ? PyTuple_Pack(2, name, value) : NULL;

        if (item == NULL) {
            Py_DECREF(key);
            return NULL;
        }
        PyTuple_SET_ITEM(key, i, item);
    }
    return key;
}

PyObject *engine_answers_name(struct answers *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"queryset", "method", "args", "kwargs", NULL};
    static const struct engine_signature signature = {"name", names, 4, 4};
    const struct engine_state *state = engine_state_of_type(Py_TYPE(self));
    PyObject *given[4], *key = NULL, *made = NULL;
    struct trace *trace;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || engine_tuple("args", given[2]) < 0 ||
        engine_dict("kwargs", given[3]) < 0)
        return NULL;
    trace = are_names(given[2]) ? trace_before(state, given[0], false) : NULL;
    if (trace != NULL)
        key = key_of_names(given[1], given[2], given[3]);
    if (key != NULL)
        made =
            after(state, self, given[0], trace,
                  &(struct engine_call){
                      .method = given[1], .args = given[2], .kwargs = given[3], .key = key, .values = trace->values});
    Py_XDECREF(key);
    Py_XDECREF(trace);
    return engine_or_not(made);
}

/* --- slices ------------------------------------------------------------------------------------------------------- */

static bool is_bound(PyObject *bound)
{
    int overflow;

    if (bound == Py_None)
        return true;
    return PyLong_CheckExact(bound) && PyLong_AsLongLongAndOverflow(bound, &overflow) >= 0 && overflow == 0;
}

static bool is_plain_slice(PyObject *object)
{
    const PySliceObject *slice = (const PySliceObject *)object;

    return PySlice_Check(object) && slice->step == Py_None && is_bound(slice->start) && is_bound(slice->stop);
}

/* Whether Django takes no other calls after it. */
static bool ends(const PySliceObject *slice)
{
    return slice->stop != Py_None || PyObject_IsTrue(slice->start) > 0;
}

static PyObject *values_after(PyObject *values, const PySliceObject *slice)
{
    Py_ssize_t count = PyTuple_GET_SIZE(values);
    PyObject *longer = PyTuple_New(count + 2);

    if (longer == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        PyTuple_SET_ITEM(longer, i, Py_NewRef(PyTuple_GET_ITEM(values, i)));
    PyTuple_SET_ITEM(longer, count, Py_NewRef(slice->start));
    PyTuple_SET_ITEM(longer, count + 1, Py_NewRef(slice->stop));
    return longer;
}

static PyObject *after_slice(const struct engine_state *state, const struct answers *self, PyObject *const *given,
                             struct trace *trace)
{
    const PySliceObject *slice = (const PySliceObject *)given[2];
    PyObject *key, *args, *kwargs, *values, *made = NULL;

    key = PyTuple_Pack(4, given[1], (PyObject *)Py_TYPE(slice->start), (PyObject *)Py_TYPE(slice->stop),
                       ends(slice) ? Py_True : Py_False);
    args = PyTuple_Pack(1, given[2]);
    kwargs = PyDict_New();
    values = values_after(trace->values, slice);
    if (key != NULL && args != NULL && kwargs != NULL && values != NULL)
        made = after(
            state, self, given[0], trace,
            &(struct engine_call){.method = given[1], .args = args, .kwargs = kwargs, .key = key, .values = values});
    Py_XDECREF(values);
    Py_XDECREF(kwargs);
    Py_XDECREF(args);
    Py_XDECREF(key);
    return made;
}

PyObject *engine_answers_slice(struct answers *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"queryset", "method", "key", NULL};
    static const struct engine_signature signature = {"slice", names, 3, 3};
    const struct engine_state *state = engine_state_of_type(Py_TYPE(self));
    PyObject *given[3], *made = NULL;
    struct trace *trace;

    if (engine_arguments(&signature, args, count, keywords, given) < 0)
        return NULL;
    trace = trace_before(state, given[0], false);
    if (trace != NULL && is_plain_slice(given[2]))
        made = after_slice(state, self, given, trace);
    Py_XDECREF(trace);
    return engine_or_not(made);
}
