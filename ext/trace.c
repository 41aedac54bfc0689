/* Trace: what a queryset has instead of a Query. What decides is in django_cache_manager/traces.py; here is what each call
 * of a queryset's method does over and over. */
#include "trace.h"

struct trace *engine_trace_of(const struct engine_state *state, PyObject *object)
{
    if (Py_IS_TYPE(object, state->trace_type))
        return (struct trace *)object;
    PyErr_Format(PyExc_TypeError, "trace must be a Trace, not %.100s", Py_TYPE(object)->tp_name);
    return NULL;
}

/* Takes over the three, any of which may be NULL with an exception set. */
static PyObject *new_trace(PyTypeObject *type, PyObject *shape, PyObject *values, PyObject *calls)
{
    struct trace *trace = NULL;

    if (shape != NULL && values != NULL && calls != NULL)
        trace = (struct trace *)type->tp_alloc(type, 0);
    if (trace == NULL) {
        Py_XDECREF(shape);
        Py_XDECREF(values);
        Py_XDECREF(calls);
        return NULL;
    }
    trace->shape = shape;
    trace->values = values;
    trace->calls = calls;
    return (PyObject *)trace;
}

static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static const char *const names[] = {"shape", "values", "calls", NULL};
    static const struct engine_signature signature = {"Trace", names, 3, 3};
    PyObject *given[3];

    if (engine_arguments_init(&signature, args, keywords, given) < 0 || engine_tuple("values", given[1]) < 0 ||
        engine_tuple("calls", given[2]) < 0)
        return NULL;
    return new_trace(type, Py_NewRef(given[0]), Py_NewRef(given[1]), Py_NewRef(given[2]));
}

static int traverse(struct trace *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->shape);
    Py_VISIT(self->values);
    Py_VISIT(self->calls);
    return 0;
}

/* No tp_clear: a trace is never changed, and the shapes and dicts it stands among break their cycles. */
static void dealloc(struct trace *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->shape);
    Py_XDECREF(self->values);
    Py_XDECREF(self->calls);
    type->tp_free(self);
    Py_DECREF(type);
}

/* --- the trace after a call --------------------------------------------------------------------------------------- */

/* The step that is known of such a call, a new reference; NULL without an exception: none is. */
static PyObject *find_step(const struct engine_state *state, PyObject *shape, PyObject *key)
{
    PyObject *children = PyObject_GetAttr(shape, state->name_children), *step = NULL;

    if (children != NULL && engine_dict("children", children) == 0)
        step = Py_XNewRef(PyDict_GetItemWithError(children, key));
    Py_XDECREF(children);
    return step;
}

/* 1: the step means the same whatever it is called with; 0: an instance is read, or a model's ordering looked at; -1. */
static int is_plain_step(const struct engine_state *state, PyObject *step)
{
    PyObject *readers = PyObject_GetAttr(step, state->name_readers), *unordered;
    int plain;

    unordered = readers == NULL ? NULL : PyObject_GetAttr(step, state->name_unordered);
    plain =
        unordered == NULL ? -1 : readers == Py_None && PyList_CheckExact(unordered) && PyList_GET_SIZE(unordered) == 0;
    Py_XDECREF(unordered);
    Py_XDECREF(readers);
    return plain;
}

/* `left` and one more. Takes over `last`, which may be NULL with an exception set. */
static PyObject *appended(PyObject *left, PyObject *last)
{
    Py_ssize_t count = PyTuple_GET_SIZE(left);
    PyObject *longer = last == NULL ? NULL : PyTuple_New(count + 1);

    if (longer == NULL) {
        Py_XDECREF(last);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++)
        PyTuple_SET_ITEM(longer, i, Py_NewRef(PyTuple_GET_ITEM(left, i)));
    PyTuple_SET_ITEM(longer, count, last);
    return longer;
}

static PyObject *after(struct trace *self, PyObject *step, const struct engine_call *call)
{
    const struct engine_state *state = engine_state_of_type(Py_TYPE(self));

    return new_trace(Py_TYPE(self), PyObject_GetAttr(step, state->name_shape), Py_NewRef(call->values),
                     appended(self->calls, PyTuple_Pack(3, call->method, call->args, call->kwargs)));
}

struct trace *engine_trace_after(struct trace *self, const struct engine_call *call)
{
    const struct engine_state *state = engine_state_of_type(Py_TYPE(self));
    PyObject *step, *longer = NULL;

    if (PyTuple_GET_SIZE(call->values) > TRACE_VALUES_MAX)
        return NULL;
    step = find_step(state, self->shape, call->key);
    if (step != NULL && (call->is_checked || is_plain_step(state, step) > 0))
        longer = after(self, step, call);
    Py_XDECREF(step);
    return (struct trace *)longer;
}

/* --- filters ------------------------------------------------------------------------------------------------------ */

/* The keywords of filter() or exclude(), taken apart. */
struct keywords {
    PyObject *names, *types, *values; /* tuples of its own; the values come after those of the trace before */
};

static void release_keywords(struct keywords *call)
{
    Py_XDECREF(call->names);
    Py_XDECREF(call->types);
    Py_XDECREF(call->values);
}

static int make_room(struct keywords *call, PyObject *before, Py_ssize_t count)
{
    Py_ssize_t known = PyTuple_GET_SIZE(before);

    *call = (struct keywords){PyTuple_New(count), PyTuple_New(count), PyTuple_New(known + count)};
    if (call->names == NULL || call->types == NULL || call->values == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < known; i++)
        PyTuple_SET_ITEM(call->values, i, Py_NewRef(PyTuple_GET_ITEM(before, i)));
    return 0;
}

/* 1: taken apart; 0: a value is of another type than the plain ones; -1: an exception is set. A metaclass may have a
 * hash of its own, which could change the keywords. */
static int take_apart(struct keywords *call, PyObject *before, PyObject *kwargs, PyObject *plain)
{
    Py_ssize_t count = PyDict_GET_SIZE(kwargs), known = PyTuple_GET_SIZE(before), position = 0, i = 0;
    PyObject *name, *value;

    if (make_room(call, before, count) < 0)
        return -1;
    while (i < count && PyDict_Next(kwargs, &position, &name, &value)) {
        int is_plain;

        PyTuple_SET_ITEM(call->names, i, Py_NewRef(name));
        PyTuple_SET_ITEM(call->types, i, Py_NewRef(Py_TYPE(value)));
        PyTuple_SET_ITEM(call->values, known + i, Py_NewRef(value));
        is_plain = PySet_Contains(plain, PyTuple_GET_ITEM(call->types, i));
        if (is_plain <= 0)
            return is_plain;
        i++;
    }
    return i == count;
}

static PyObject *after_filter(struct trace *self, PyObject *method, const struct keywords *keywords, PyObject *kwargs)
{
    PyObject *key = PyTuple_Pack(3, method, keywords->names, keywords->types), *none = PyTuple_New(0);
    struct engine_call call = {
        .method = method,
        .args = none,
        .kwargs = kwargs,
        .key = key,
        .values = keywords->values,
        .is_checked = true,
    };
    struct trace *longer = key != NULL && none != NULL ? engine_trace_after(self, &call) : NULL;

    Py_XDECREF(none);
    Py_XDECREF(key);
    return longer != NULL || PyErr_Occurred() != NULL ? (PyObject *)longer : Py_NewRef(Py_None);
}

PyObject *engine_trace_filtered(struct trace *self, PyObject *method, PyObject *kwargs, PyObject *plain)
{
    PyObject *longer = NULL;
    struct keywords keywords = {0};
    int known = take_apart(&keywords, self->values, kwargs, plain);

    if (known == 0)
        longer = Py_NewRef(Py_NotImplemented);
    else if (known > 0)
        longer = after_filter(self, method, &keywords, kwargs);
    release_keywords(&keywords);
    return longer;
}

static PyObject *filtered(struct trace *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"method", "kwargs", "plain", NULL};
    static const struct engine_signature signature = {"filtered", names, 3, 3};
    PyObject *given[3];

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || engine_dict("kwargs", given[1]) < 0)
        return NULL;
    return engine_trace_filtered(self, given[0], given[1], given[2]);
}

static PyMemberDef members[] = {
    {"shape", T_OBJECT_EX, offsetof(struct trace, shape), READONLY, "The chain without its values."},
    {"values", T_OBJECT_EX, offsetof(struct trace, values), READONLY, "The values, in the order of the calls."},
    {"calls", T_OBJECT_EX, offsetof(struct trace, calls), READONLY, "(method, args, kwargs), to be replayed."},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef methods[] = {
    {"filtered", ENGINE_METHOD(filtered), METH_FASTCALL | METH_KEYWORDS,
     "The trace after a filter; None: the shape is not known; NotImplemented: a value isn't plain."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "The public calls that made a queryset."},
    {Py_tp_new, ENGINE_SLOT(make)},
    {Py_tp_dealloc, ENGINE_SLOT(dealloc)},
    {Py_tp_traverse, ENGINE_SLOT(traverse)},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {0, NULL},
};

PyType_Spec engine_trace_spec = {
    .name = "django_cache_manager._engine.Trace",
    .basicsize = sizeof(struct trace),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};
