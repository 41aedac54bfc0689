#include "coherence/gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plat/fork.h"
#include "plat/lock.h"
#include "plat/time.h"

#define SUFFIX ".lock"
#define LOCK_BYTE 0u /* the lock itself */
#define TURN_BYTE 1u /* held by the creator that waits for it */
#define PAUSE_US 1000u

struct qc_gate {
    struct qc_fork_guard guard; /* around what follows */
    int fd;                     /* -1: not open */
    unsigned holders;           /* threads of this process that have entered */
    struct qc_file_facts facts; /* of fd */
    struct qc_file_access access;
    char path[];
};

/* A lock is its open file's: with the descriptor in a child it would outlive the parent. */
static void close_in_child(void *context)
{
    struct qc_gate *gate = context;

    if (gate->fd >= 0)
        qc_file_close(gate->fd);
    gate->fd = -1;
    gate->holders = 0;
}

int qc_gate_new(const char *path, const struct qc_file_access *access, struct qc_gate **out, struct qc_error *error)
{
    size_t size = strlen(path) + sizeof SUFFIX;
    struct qc_gate *gate = calloc(1, sizeof *gate + size);

    if (!gate)
        return qc_error_set(error, QC_ERR_MEMORY, 0, "no memory");
    gate->fd = -1;
    gate->access = *access;
    (void)snprintf(gate->path, size, "%s" SUFFIX, path);
    if (qc_fork_guard_init(&gate->guard, close_in_child, gate)) {
        free(gate);
        return qc_error_set(error, QC_ERR_MEMORY, 0, "no memory");
    }
    *out = gate;
    return QC_OK;
}

void qc_gate_free(struct qc_gate *gate)
{
    if (!gate)
        return;
    qc_fork_guard_enter(&gate->guard);
    close_in_child(gate);
    qc_fork_guard_leave(&gate->guard);
    qc_fork_guard_destroy(&gate->guard);
    free(gate);
}

static int open_guarded(struct qc_gate *gate, struct qc_error *error)
{
    int status;

    if (gate->fd >= 0)
        return QC_OK;
    status = qc_file_ensure(gate->path, &gate->access, &gate->fd, error);
    if (!status && qc_file_facts(gate->fd, &gate->facts))
        status = qc_error_set(error, QC_ERR_SYSTEM, errno, "%s can't be looked at", gate->path);
    if (status && gate->fd >= 0) {
        qc_file_close(gate->fd);
        gate->fd = -1;
    }
    return status;
}

/* Whether the open file still bears the name. A creator looks at the name; for writers, who come often, it is enough that
 * nobody removed or replaced it, which the link count tells at half the cost. */
static bool in_place_guarded(const struct qc_gate *gate, enum qc_lock_kind kind)
{
    struct qc_file_facts now;

    if (kind == QC_LOCK_EXCLUSIVE)
        return qc_file_is_at(gate->path, &gate->facts);
    return qc_file_facts(gate->fd, &now) == 0 && now.links > 0;
}

/* Takes the lock on the file that bears the name *after* it was taken: a lock on a removed file excludes nobody. */
static int take_guarded(struct qc_gate *gate, enum qc_lock_kind kind, struct qc_error *error)
{
    int status = open_guarded(gate, error);

    if (status)
        return status;
    status = qc_lock_take(gate->fd, LOCK_BYTE, kind);
    if (status)
        return qc_error_set(error, status, errno, "%s can't be locked", gate->path);
    if (in_place_guarded(gate, kind))
        return QC_OK;
    qc_file_close(gate->fd);
    gate->fd = -1;
    return qc_error_set(error, QC_ERR_RETIRED, 0, "%s has been replaced", gate->path);
}

/* One try: QC_ERR_BUSY and QC_ERR_RETIRED are worth another. */
static int enter_once(struct qc_gate *gate, bool *final, struct qc_error *error)
{
    int status = QC_OK;

    *final = false;
    qc_fork_guard_enter(&gate->guard);
    if (gate->holders == 0) {
        status = take_guarded(gate, QC_LOCK_SHARED, error);
    } else if (!in_place_guarded(gate, QC_LOCK_SHARED)) {
        /* The lock that our other threads rely on can't be exchanged under them. */
        *final = true;
        status = qc_error_set(error, QC_ERR_RETIRED, 0, "%s was removed while in use", gate->path);
    }
    if (!status)
        gate->holders++;
    qc_fork_guard_leave(&gate->guard);
    return status;
}

int qc_gate_enter(struct qc_gate *gate, unsigned wait_ms, struct qc_error *error)
{
    uint64_t deadline = qc_time_monotonic_us() + (uint64_t)wait_ms * 1000;
    bool final;

    for (;;) {
        int status = enter_once(gate, &final, error);

        if (final || (status != QC_ERR_BUSY && status != QC_ERR_RETIRED) || qc_time_monotonic_us() >= deadline)
            return status;
        if (status == QC_ERR_BUSY)
            qc_time_wait_us(PAUSE_US);
    }
}

void qc_gate_leave(struct qc_gate *gate)
{
    qc_fork_guard_enter(&gate->guard);
    if (gate->holders > 0 && --gate->holders == 0)
        qc_lock_drop(gate->fd, LOCK_BYTE);
    qc_fork_guard_leave(&gate->guard);
}

void qc_gate_yield(struct qc_gate *gate, unsigned wait_ms)
{
    uint64_t deadline = qc_time_monotonic_us() + (uint64_t)wait_ms * 1000;
    bool creator;

    do {
        qc_fork_guard_enter(&gate->guard);
        creator = !open_guarded(gate, NULL) && qc_lock_test(gate->fd, TURN_BYTE, QC_LOCK_SHARED) == 1;
        qc_fork_guard_leave(&gate->guard);
        if (creator)
            qc_time_wait_us(PAUSE_US);
    } while (creator && qc_time_monotonic_us() < deadline);
}

/* One try, first for the turn, then for the lock: QC_ERR_BUSY is worth another. */
static int seize_guarded(struct qc_gate *gate, struct qc_error *error)
{
    int status = open_guarded(gate, error);

    if (status)
        return status;
    status = qc_lock_take(gate->fd, TURN_BYTE, QC_LOCK_EXCLUSIVE);
    if (status == QC_ERR_BUSY && qc_lock_test(gate->fd, LOCK_BYTE, QC_LOCK_SHARED) == 1)
        return qc_error_set(error, QC_ERR_RETIRED, 0, "%s: another process creates the segment", gate->path);
    if (status)
        return qc_error_set(error, status, errno, "%s can't be locked", gate->path);
    return take_guarded(gate, QC_LOCK_EXCLUSIVE, error);
}

int qc_gate_seize(struct qc_gate *gate, unsigned wait_ms, struct qc_error *error)
{
    uint64_t deadline = qc_time_monotonic_us() + (uint64_t)wait_ms * 1000;
    int status;

    for (;;) {
        qc_fork_guard_enter(&gate->guard);
        status = seize_guarded(gate, error);
        qc_fork_guard_leave(&gate->guard);
        if (status != QC_ERR_BUSY || qc_time_monotonic_us() >= deadline)
            return status;
        qc_time_wait_us(PAUSE_US);
    }
}
