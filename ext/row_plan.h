/* The RowPlan object: how the rows of one shape become model instances. */
#ifndef QC_EXT_ROW_PLAN_H
#define QC_EXT_ROW_PLAN_H

#include "engine.h"

/* An instance that a row holds: the row's own, or one that select_related() brings along. */
struct plan_node {
    PyTypeObject *model;
    PyObject *names;       /* a tuple of attribute names, in the order in which Django sets them */
    Py_ssize_t *columns;   /* one for each name */
    bool *foreign;         /* one for each name: set through a descriptor that asks the fields cache */
    bool has_foreign;      /* any of them */
    bool through_dict;     /* a name has a descriptor that sets: what it would do is done past it */
    Py_ssize_t pk_column;  /* None in it: there is no such object. -1: there always is */
    PyObject *local_name;  /* what the outer instance caches this one as */
    PyObject *remote_name; /* what this one caches the outer instance as; NULL: it doesn't */
    Py_ssize_t end;        /* the index past its last descendant, for nodes stand in preorder */
};

struct plan_annotation {
    PyObject *name;
    Py_ssize_t column;
};

/* A class that has to be as it was when the plan was made. */
struct plan_type {
    PyTypeObject *type;
    unsigned int version;
};

/* What a class has to have under a name, for a class that changes too often to be watched as a whole: each new Field
 * counts itself in its class. */
struct plan_attribute {
    PyTypeObject *type;
    PyObject *name, *expected;
};

/* A name that has to mean what it did. */
struct plan_name {
    PyObject *namespace, *name, *expected; /* expected NULL: the name is absent */
};

/* A signal's receivers: whoever connects is appended. */
struct plan_receivers {
    PyObject *list, *last; /* last NULL: it was empty */
};

/* Never changed once made, so that threads can share it. */
struct row_plan {
    PyObject_HEAD PyTypeObject *state_type; /* ModelState */
    Py_ssize_t node_count, annotation_count, type_count, attribute_count, name_count, receivers_count;
    struct plan_node *nodes;
    struct plan_annotation *annotations;
    struct plan_type *types;
    struct plan_attribute *attributes;
    struct plan_name *names;
    struct plan_receivers *receivers;
    Py_ssize_t width; /* columns that a row has at least */
};

#define PLAN_DEPTH_MAX 64

/* Whether all that decides how Django would make the instances is as it was. Runs no Python code. */
bool engine_row_plan_holds(const struct row_plan *plan);

/* instance.c */

/* What instances of a plan's rows are wanted. */
struct engine_instances {
    PyObject *db;
    PyObject *fetch_mode; /* Py_None or NULL: Django has none */
    bool track_peers;
    bool copy; /* lists and dicts in the rows are copied for each */
};

/* The instances, a list; None: the plan holds no longer. */
PyObject *engine_row_plan_rows(struct row_plan *self, PyObject *rows, const struct engine_instances *wanted);

PyObject *engine_row_plan_build(struct row_plan *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);

/* plan_parse.c: fills an empty plan from its description. */
int engine_row_plan_parse(struct row_plan *plan, PyObject *const *description);

#endif
