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
    bool copy;        /* lists and dicts in the rows are copied for each */
    PyObject *holder; /* of the rows' prototypes, where the rows are kept; NULL: they aren't, or have lists or dicts */
    size_t bytes;     /* what was put into the holder */
};

/* The instances, a list; None: the plan holds no longer. */
PyObject *engine_row_plan_rows(struct row_plan *self, PyObject *rows, struct engine_instances *wanted);

PyObject *engine_row_plan_build(struct row_plan *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);

/* prototypes.c */

/* Those of one use of some rows, by a plan. */
struct prototypes {
    PyObject *holder; /* borrowed; NULL: there are none */
    PyObject *known;  /* a tuple of its own; NULL: not made */
    PyObject *made;   /* the same, being made */
    Py_ssize_t nodes;
};

/* To be closed in any case. */
int engine_prototypes_open(struct prototypes *self, struct row_plan *plan, PyObject *holder, Py_ssize_t rows);

/* Borrowed; NULL without an exception: there is none. */
PyObject *engine_prototype(const struct prototypes *self, Py_ssize_t row, Py_ssize_t node);

/* Takes what an instance has got, if prototypes are being made. */
int engine_prototype_keep(struct prototypes *self, const struct engine_state *state, Py_ssize_t row, Py_ssize_t node,
                          PyObject *instance);

/* `good`: the rows have given their instances. Adds the bytes of what is put into the holder. */
int engine_prototypes_close(struct prototypes *self, const struct engine_state *state, bool good, size_t *bytes);

/* They would take too much: never again. */
int engine_prototypes_refuse(PyObject *holder);

/* plan_parse.c: fills an empty plan from its description. */
int engine_row_plan_parse(struct row_plan *plan, PyObject *const *description);

#endif
