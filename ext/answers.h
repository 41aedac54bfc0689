/* What a traced queryset is asked, what an answer holds, and the object that finds it: what its files share.
 *
 * A function here that looks for something returns a new reference, or NULL, with an exception or without.
 */
#ifndef QC_EXT_ANSWERS_H
#define QC_EXT_ANSWERS_H

#include "standing.h"
#include "trace.h"

/* ITEMS to LEVEL: all of its items, or a value. LEVEL: of a prefetch, its items and what is remembered of them. Of the
 * last three there is one item. They are in keys: a number that changes its meaning needs no care, for answers are of one
 * process. */
enum answer_kind {
    ANSWER_ITEMS,
    ANSWER_COUNT,
    ANSWER_EXISTS,
    ANSWER_AGGREGATE,
    ANSWER_LEVEL,
    ANSWER_ONE,
    ANSWER_FIRST,
    ANSWER_LAST,
};

/* The places of django_cache_manager.answers.Answer, a named tuple. */
enum answer_part {
    ANSWER_VALUE,
    ANSWER_ROWS,
    ANSWER_COPIES,
    ANSWER_MAKE_ITEMS, /* a callable; None: the answer is the value */
    ANSWER_CELLS,
    ANSWER_TIME,
    ANSWER_PLAN,       /* a django_cache_manager.row_plans.RowPlan that the items are made by, or None */
    ANSWER_PROTOTYPES, /* the holder of those of its rows (prototypes.c) */
    ANSWER_PARTS,
};

struct answers {
    PyObject_HEAD PyObject *cache;      /* the LocalCache */
    PyObject *miss;                     /* what stands for no answer where all is plain */
    PyObject *captures;                 /* whose `found` is not None where somebody listens to the reads of a block */
    PyObject *connections, *local_type; /* Django's, and threading.local */
    PyObject *running_loop;
    PyObject *database, *default_alias; /* QuerySet.db */
    PyObject *router, *db_for_read;     /* Django's router, and the method of its class */
    PyObject *query_names;              /* the dict of db/models/query.py, in which the router has its name */
    PyObject *filtering;                /* QuerySet.filter */
    PyObject *plain;                    /* types of which any value may be compared to */
    PyObject *kept;                     /* attributes that a queryset has from the one before */
    PyObject *roots;                    /* (queryset class, model) -> Trace */
};

/* A question to a queryset. */
struct question {
    PyObject *queryset; /* NULL: there is none, and what needs it isn't answered */
    PyObject *own;      /* its attributes, a dict */
    PyObject *alias;
    PyObject *connection; /* that is asked; NULL: this thread's */
    PyObject *number;     /* of its kind, as it stands in keys */
    struct trace *trace;
    enum answer_kind kind;
};

int engine_question_kind(PyObject *number, struct question *question);

/* The standing of the connection that is asked, if it holds. */
struct standing *engine_question_standing(const struct engine_state *state, const struct answers *self,
                                          const struct question *question);

/* The answer, counted as a hit; or what stands for none. NULL without an exception: Python has to look. */
PyObject *engine_answers_find(const struct answers *self, const struct standing *standing,
                              const struct question *question);

/* `found`; NotImplemented where something isn't plain: for Python. */
PyObject *engine_or_not(PyObject *found);

/* answer_place.c */

/* 1: Django's router has nobody to ask; 0: it has; -1. */
int engine_is_unrouted(const struct engine_state *state, const struct answers *self);

/* What `queryset.db` is, if that is plain. */
PyObject *engine_alias_of(const struct engine_state *state, const struct answers *self, PyObject *queryset);

/* The same of a queryset that a manager begins: of its database and its hints. */
PyObject *engine_alias_by(const struct engine_state *state, const struct answers *self, PyObject *using,
                          PyObject *hints);

/* The standing of this thread's connection, if it holds, no event loop runs and nobody listens. */
struct standing *engine_standing_here(const struct engine_state *state, const struct answers *self, PyObject *alias);

/* The standing of a connection of another thread, for a coroutine whose queries that thread runs: that its event loop runs
 * here is no obstacle. */
struct standing *engine_standing_of(const struct engine_state *state, const struct answers *self, PyObject *connection,
                                    PyObject *alias);

/* answer_calls.c */

/* The trace after a filter or exclude, if that is known. */
struct trace *engine_answers_filtered(const struct engine_state *state, const struct answers *self, struct trace *trace,
                                      PyObject *method, PyObject *keywords);

PyObject *engine_answers_answer(struct answers *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);

/* queryset_calls.c */
PyObject *engine_answers_filter(struct answers *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *engine_answers_name(struct answers *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *engine_answers_slice(struct answers *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);

/* manager_calls.c */
PyObject *engine_answers_manager_get(struct answers *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *engine_answers_manager_filter(struct answers *self, PyObject *const *args, Py_ssize_t count,
                                        PyObject *keywords);

#endif
