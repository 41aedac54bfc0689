#include "coherence/claims.h"

#include <stdlib.h>
#include <string.h>

#include "base/atomics.h"
#include "plat/file.h"
#include "plat/host.h"

static uint64_t ticket_of(struct qc_write write, bool in_flight)
{
    return (uint64_t)write.generation << 1 | in_flight;
}

static void close_in_child(void *context)
{
    struct qc_claims *claims = context;

    if (claims->fd >= 0)
        qc_file_close(claims->fd);
    claims->fd = -1;
    claims->pid = qc_host_pid();
    claims->spare = QC_NO_SLOT;
    memset(claims->tickets, 0, claims->count * sizeof *claims->tickets);
    if (claims->in_child)
        claims->in_child(claims->context);
}

int qc_claims_init(struct qc_claims *claims, uint32_t slots, void (*in_child)(void *context), void *context,
                   struct qc_error *error)
{
    claims->fd = -1;
    claims->pid = qc_host_pid();
    claims->count = slots;
    claims->spare = QC_NO_SLOT;
    claims->last = (uint32_t)claims->pid % slots;
    claims->in_child = in_child;
    claims->context = context;
    claims->tickets = calloc(slots, sizeof *claims->tickets);
    if (!claims->tickets)
        return qc_error_set(error, QC_ERR_MEMORY, 0, "no memory");
    if (qc_fork_guard_init(&claims->guard, close_in_child, claims)) {
        free(claims->tickets);
        claims->tickets = NULL;
        return qc_error_set(error, QC_ERR_MEMORY, 0, "no memory");
    }
    return QC_OK;
}

void qc_claims_release(struct qc_claims *claims)
{
    if (!claims->tickets)
        return;
    qc_fork_guard_enter(&claims->guard);
    if (claims->fd >= 0)
        qc_file_close(claims->fd);
    claims->fd = -1;
    qc_fork_guard_leave(&claims->guard);
    qc_fork_guard_destroy(&claims->guard);
    free(claims->tickets);
}

int qc_claims_open(struct qc_claims *claims, int mapped, const char *path, struct qc_error *error)
{
    int status = QC_OK;

    qc_fork_guard_enter(&claims->guard);
    if (claims->fd < 0)
        status = qc_file_reopen(mapped, path, &claims->fd, error);
    qc_fork_guard_leave(&claims->guard);
    return status;
}

enum qc_claim qc_claims_find(const struct qc_claims *claims, struct qc_write write)
{
    uint64_t ticket;

    if (write.slot >= claims->count || write.generation == 0)
        return QC_CLAIM_NONE;
    ticket = qc_load_relaxed(&claims->tickets[write.slot]);
    if (ticket >> 1 != write.generation)
        return QC_CLAIM_NONE;
    return ticket & 1 ? QC_CLAIM_IN_FLIGHT : QC_CLAIM_LET_GO;
}

bool qc_claims_in_flight(const struct qc_claims *claims, uint32_t slot)
{
    return qc_load_relaxed(&claims->tickets[slot]) & 1;
}

void qc_claims_note(struct qc_claims *claims, struct qc_write write)
{
    qc_store_relaxed(&claims->tickets[write.slot], ticket_of(write, true));
    qc_store_relaxed(&claims->last, write.slot);
}

static enum qc_claim change(struct qc_claims *claims, struct qc_write write, uint64_t to)
{
    enum qc_claim found = qc_claims_find(claims, write);
    uint64_t expected = ticket_of(write, found == QC_CLAIM_IN_FLIGHT);

    if (found == QC_CLAIM_NONE || !qc_exchange_if(&claims->tickets[write.slot], &expected, to))
        return QC_CLAIM_NONE;
    return found;
}

enum qc_claim qc_claims_take(struct qc_claims *claims, struct qc_write write)
{
    return change(claims, write, 0);
}

enum qc_claim qc_claims_let_go(struct qc_claims *claims, struct qc_write write)
{
    return change(claims, write, ticket_of(write, false));
}
