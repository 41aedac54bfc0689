/* A robust process-shared mutex in shared memory.
 *
 * Its bytes may be damaged at any time by whoever shares the memory: no function here crashes, aborts or follows a
 * pointer out of them because of that. A thread holds at most one of them at a time.
 * Robust futexes name their owner by thread id, so all users must be in one PID namespace.
 */
#ifndef QC_PLAT_MUTEX_H
#define QC_PLAT_MUTEX_H

#include <stdalign.h>

#include "qcache/error.h"

/* Locked, and its owner died inside: repair what it guards, then qc_mutex_consistent. Unlocked without that, it stays
 * QC_ERR_CORRUPT for everyone. */
#define QC_MUTEX_DIED 1

struct qc_mutex {
    alignas(64) unsigned char bytes[64];
};

/* Makes an unlocked mutex of any bytes. No other thread may use it meanwhile. */
int qc_mutex_init(struct qc_mutex *mutex) QC_MUST_USE;

/* 0: locked. QC_MUTEX_DIED: locked. QC_ERR_BUSY: held by another. QC_ERR_CORRUPT: no mutex of ours, or given up. */
int qc_mutex_try(struct qc_mutex *mutex) QC_MUST_USE;

/* The same, but waits up to `wait_ms` of the monotonic clock before it says QC_ERR_BUSY. */
int qc_mutex_lock(struct qc_mutex *mutex, unsigned wait_ms) QC_MUST_USE;

/* After QC_MUTEX_DIED, when what the mutex guards has been repaired. */
int qc_mutex_consistent(struct qc_mutex *mutex) QC_MUST_USE;

/* By the thread that locked it. */
void qc_mutex_unlock(struct qc_mutex *mutex);

#endif
