/* What a manager's querysets begin with. */
#ifndef QC_EXT_MANAGER_H
#define QC_EXT_MANAGER_H

#include "trace.h"

/* References of its own. */
struct manager {
    PyObject *kind, *model, *using, *hints;
    struct trace *root;
};

/* 1: filled; 0: Django has to make the queryset, for there is no root, or the manager has a `caching` of its own; -1. To
 * be released in any case. */
int engine_manager_read(const struct engine_state *state, PyObject *object, PyObject *roots, struct manager *manager);
void engine_manager_release(struct manager *manager);

#endif
