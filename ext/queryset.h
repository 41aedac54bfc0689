/* Querysets that have a trace instead of a Query. */
#ifndef QC_EXT_QUERYSET_H
#define QC_EXT_QUERYSET_H

#include "manager.h"

/* A queryset's Trace; None: it has none; NotImplemented: not a plain one. A new reference. */
PyObject *engine_queryset_trace(const struct engine_state *state, PyObject *queryset);

/* The same, if it is a plain one; NULL, with an exception or without: it isn't. */
struct trace *engine_queryset_plain_trace(const struct engine_state *state, PyObject *queryset);

/* A queryset like another, with another trace, and the other's own attributes `kept`, an exact tuple of names. Its
 * __init__ isn't run. */
PyObject *engine_queryset_like(const struct engine_state *state, PyObject *queryset, struct trace *trace,
                               PyObject *kept);

/* The queryset of a manager; with the trace after a call of it, where `trace` isn't NULL. */
PyObject *engine_queryset_of(const struct engine_state *state, const struct manager *manager, struct trace *trace,
                             PyObject *kept);

#endif
