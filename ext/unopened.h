/* The Unopened object, as its own file and the standing see it. */
#ifndef QC_EXT_UNOPENED_H
#define QC_EXT_UNOPENED_H

#include "engine.h"

/* What is known of a connection that isn't open (django_cache_manager/standing.py). */
struct unopened {
    PyObject_HEAD PyObject *settings;   /* the connection's settings_dict */
    PyObject *wanted;                   /* name -> value: what the settings have to hold, the same objects */
    PyObject *options;                  /* a copy of OPTIONS, for those may be changed in place */
    PyObject *last_known, *key, *facts; /* a dict, and what it has to have under the key */
    PyObject *path;                     /* bytes: where the database's file is; None: it has none */
    PyObject *file;                     /* what file_identity() told of it */
    struct engine_file was;             /* the same */
};

/* 1: an open connection would lead where it did; 0: it might not; -1: an exception is set. `own`: the connection's
 * attributes. */
int engine_unopened_holds(const struct engine_state *state, const struct unopened *self, PyObject *own);

#endif
