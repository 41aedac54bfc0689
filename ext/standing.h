/* The Standing object, as its own file and the answers see it. */
#ifndef QC_EXT_STANDING_H
#define QC_EXT_STANDING_H

#include "engine.h"

/* What a connection's last look round has found (django_cache_manager/standing.py), and what that was made of. */
struct standing {
    PyObject_HEAD PyObject *segment; /* a Segment */
    PyObject *head;                  /* bytes: what the keys of the connection's traces begin with */
    PyObject *state, *driver, *session, *level;
    PyObject *idle;                    /* the driver's attribute that is False outside transactions; None: ask */
    PyObject *in_autocommit;           /* asked then */
    PyObject *next_level;              /* None: the session's */
    PyObject *ensure_connection;       /* BaseDatabaseWrapper's */
    PyObject *settings, *settings_now; /* what was in force, and where it stands: a module's dict */
    PyObject *use_tz, *django_settings;
    PyObject *time_zone, *schema;
    PyObject *uncached_depth;
    PyObject *unopened; /* an Unopened where there is no driver's connection, and so no session; else None */
};

/* 1: all of it is as it was, and this is the connection's thread or `any_thread`; 0: something isn't; -1: an exception is
 * set. */
int engine_standing_holds(const struct standing *self, PyObject *connection, bool any_thread);

#endif
