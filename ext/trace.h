/* The Trace object, as its own file and the answers see it. */
#ifndef QC_EXT_TRACE_H
#define QC_EXT_TRACE_H

#include "engine.h"

/* The public calls that made a queryset (django_cache_manager/traces.py). Never changed once made, so that threads can
 * share it. */
struct trace {
    PyObject_HEAD PyObject *shape;
    PyObject *values, *calls; /* exact tuples */
};

/* Values that a trace may have: its key is made of them each time. */
#define TRACE_VALUES_MAX 1024

/* The Trace behind `object`, or NULL with TypeError. Borrowed. */
struct trace *engine_trace_of(const struct engine_state *state, PyObject *object);

/* A call on a queryset, taken apart; what is in it stays its maker's. */
struct engine_call {
    PyObject *method, *args, *kwargs;
    PyObject *key;    /* an exact tuple: what tells calls of its kind from all others (calls.py) */
    PyObject *values; /* an exact tuple: those of the trace before, and its own */
    bool is_checked;  /* nothing but the key decides about its meaning */
};

/* The trace after a call; NULL, with an exception or without: it isn't known. */
struct trace *engine_trace_after(struct trace *self, const struct engine_call *call);

/* After filter() or exclude(): a Trace; None: its shape isn't known; NotImplemented: a type isn't in the set `plain`. A
 * new reference. */
PyObject *engine_trace_filtered(struct trace *self, PyObject *method, PyObject *kwargs, PyObject *plain);

#endif
