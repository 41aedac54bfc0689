/* What a child must not share with its parent after fork: descriptors that hold kernel locks.
 *
 * A guard is a lock around such a piece of state, with a function that puts the child's copy right. fork() waits until
 * every guard is free, so that a child never sees one half changed. A thread enters one guard at a time and neither
 * forks nor waits inside. The list of guards is this library's one global that changes: fork() knows no other way to
 * tell us.
 */
#ifndef QC_PLAT_FORK_H
#define QC_PLAT_FORK_H

#include <pthread.h>

#include "qcache/error.h"

struct qc_fork_guard {
    pthread_mutex_t mutex;
    void (*in_child)(void *context);
    void *context;
    struct qc_fork_guard *next, *previous;
};

/* `in_child` runs in each child of a fork, inside the guard, and may only make async-signal-safe calls. The guard stays
 * where it is until qc_fork_guard_destroy. */
int qc_fork_guard_init(struct qc_fork_guard *guard, void (*in_child)(void *context), void *context) QC_MUST_USE;
void qc_fork_guard_destroy(struct qc_fork_guard *guard);

void qc_fork_guard_enter(struct qc_fork_guard *guard);
void qc_fork_guard_leave(struct qc_fork_guard *guard);

#endif
