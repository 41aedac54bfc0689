/* One write in flight: W1, W3, and the unknown outcome between. PROTOCOL section 2. */
#include "base/atomics.h"
#include "coherence/slot.h"
#include "plat/failpoint.h"

/* Folds what is listed twice; a list too long for a slot becomes the database's cell. */
static int fold(const struct qc_segment *segment, const uint32_t *cells, size_t count, struct qc_cell_list *list,
                struct qc_error *error)
{
    bool whole = false;

    list->count = 0;
    if (count == 0)
        return qc_error_set(error, QC_ERR_ARGUMENT, 0, "a write without cells");
    for (size_t i = 0; i < count; i++) {
        uint32_t n = 0;

        if (cells[i] >= segment->layout.cells)
            return qc_error_set(error, QC_ERR_ARGUMENT, 0, "cell %u of %u", cells[i], segment->layout.cells);
        while (n < list->count && list->cells[n] != cells[i])
            n++;
        if (n < list->count || whole)
            continue;
        whole = n == QC_SLOT_CELLS;
        if (!whole)
            list->cells[list->count++] = cells[i];
    }
    if (whole) {
        list->cells[0] = QC_CELL_DATABASE;
        list->count = 1;
    }
    return QC_OK;
}

/* Makes sure that no other segment takes this one's place while the write is in flight. */
static int enter(struct qc_segment *segment, struct qc_error *error)
{
    int status;

    if (segment->is_private)
        return QC_OK;
    status = qc_gate_enter(segment->gate, QC_WRITE_WAIT_MS, error);
    if (status)
        return status;
    if (qc_load_relaxed(&segment->gone) || !qc_segment_linked(segment))
        status = qc_segment_give_up(segment, "no longer there", error);
    if (!status)
        status = qc_claims_open(&segment->claims, segment->fd, segment->path, error);
    if (status)
        qc_gate_leave(segment->gate);
    return status;
}

static void leave(struct qc_segment *segment)
{
    if (segment->gate)
        qc_gate_leave(segment->gate);
}

static int mark_locked(struct qc_segment *segment, const struct qc_cell_list *list, const void *session,
                       size_t session_size, struct qc_write *out, struct qc_error *error)
{
    uint32_t slot;
    int status;

    /* Looked at under the gate: who retired it before we came may be replaced by a new segment, who does after can't. */
    if (qc_segment_retired(segment))
        return qc_error_set(error, QC_ERR_RETIRED, 0, "%s is retired", segment->path ? segment->path : "memory");
    status = qc_slot_claim_locked(segment, &slot, error);
    if (status)
        return status;
    status = qc_slot_mark_locked(segment, slot, list, session, session_size, out, error);
    if (status)
        qc_slot_release_locked(segment, slot);
    else
        qc_claims_note(&segment->claims, *out);
    return status;
}

int qc_write_begin(struct qc_segment *segment, const uint32_t *cells, size_t count, const void *session,
                   size_t session_size, struct qc_write *out, struct qc_error *error)
{
    struct qc_cell_list list;
    int status = fold(segment, cells, count, &list, error);

    if (status)
        return status;
    if (session_size > QC_SESSION_MAX)
        return qc_error_set(error, QC_ERR_ARGUMENT, 0, "a session of %zu bytes: at most %u are possible", session_size,
                            QC_SESSION_MAX);
    if (segment->inspected)
        return qc_error_set(error, QC_ERR_ARGUMENT, 0, "%s is open to be looked at only", segment->path);
    QC_FAILPOINT("before-mark");
    status = enter(segment, error);
    if (!status) {
        status = qc_segment_lock(segment, QC_WRITE_WAIT_MS, error);
        if (!status) {
            status = mark_locked(segment, &list, session, session_size, out, error); /* W1 */
            qc_segment_unlock(segment);
        }
        if (status)
            leave(segment);
    }
    /* Never an unmarked write that somebody could miss (PROTOCOL section 6): nobody hits this segment from here on. */
    if (status)
        qc_segment_retire(segment);
    else
        QC_FAILPOINT("after-mark");
    return status;
}

static bool listed_locked(const struct qc_segment *segment, struct qc_write write)
{
    return qc_slot_state(segment, write.slot) != QC_SLOT_FREE &&
           segment->slots[write.slot].generation == write.generation;
}

/* W3 for a write that this process has taken its ticket of. */
static int end_locked(struct qc_segment *segment, struct qc_write write, enum qc_claim claim, uint64_t *stamp,
                      struct qc_error *error)
{
    int status;

    if (listed_locked(segment, write))
        status = qc_slot_settle_locked(segment, write.slot, stamp, error); /* W3 */
    else if (claim == QC_CLAIM_IN_FLIGHT)
        /* An operator settled it while it ran. What it wrote since is unknown here, so everything falls. */
        status = qc_cell_stamp_locked(segment, QC_CELL_DATABASE, stamp, error);
    else
        status = qc_error_set(error, QC_ERR_ARGUMENT, 0, "the write has been settled by another");
    if (claim == QC_CLAIM_IN_FLIGHT)
        qc_slot_spare_locked(segment, write.slot);
    return status;
}

int qc_write_end(struct qc_segment *segment, struct qc_write write, uint64_t *stamp, struct qc_error *error)
{
    enum qc_claim claim = qc_claims_take(&segment->claims, write);
    uint64_t drawn = 0;
    int status;

    if (claim == QC_CLAIM_NONE)
        return qc_error_set(error, QC_ERR_ARGUMENT, 0, "no write of this process has this ticket");
    status = qc_segment_lock(segment, QC_WRITE_WAIT_MS, error);
    if (!status) {
        status = end_locked(segment, write, claim, &drawn, error);
        qc_segment_unlock(segment);
    } else {
        qc_segment_retire(segment);
    }
    if (claim == QC_CLAIM_IN_FLIGHT)
        leave(segment);
    if (!status) {
        qc_segment_count(segment, QC_COUNTER_WRITE);
        if (stamp)
            *stamp = drawn;
    }
    return status;
}

/* `*kept`: the claim stays, because there is no session whose end could be proved instead of the process's. */
static int abandon_locked(struct qc_segment *segment, struct qc_write write, bool *kept, struct qc_error *error)
{
    struct qc_slot *slot = &segment->slots[write.slot];

    *kept = false;
    if (!listed_locked(segment, write)) {
        qc_slot_release_locked(segment, write.slot);
        return qc_segment_give_up(segment, "an operator settled a write whose outcome is unknown", error);
    }
    qc_store_release(&slot->state, (uint32_t)QC_SLOT_UNKNOWN);
    *kept = slot->session_size == 0;
    if (!*kept)
        qc_slot_release_locked(segment, write.slot);
    return QC_OK;
}

int qc_write_abandon(struct qc_segment *segment, struct qc_write write, struct qc_error *error)
{
    enum qc_claim claim = qc_claims_find(&segment->claims, write);
    bool kept = false;
    int status;

    if (claim == QC_CLAIM_NONE)
        return qc_error_set(error, QC_ERR_ARGUMENT, 0, "no write of this process has this ticket");
    if (claim == QC_CLAIM_LET_GO)
        return QC_OK;
    status = qc_segment_lock(segment, QC_WRITE_WAIT_MS, error);
    if (status) {
        qc_segment_retire(segment);
        return status; /* as marked as before, and ours until the process ends */
    }
    status = abandon_locked(segment, write, &kept, error);
    if (!kept)
        claim = qc_claims_let_go(&segment->claims, write);
    qc_segment_unlock(segment);
    if (!kept && claim == QC_CLAIM_IN_FLIGHT)
        leave(segment);
    return status;
}
