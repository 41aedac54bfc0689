/* The mutex, and what its owner left half done when it died inside (PROTOCOL section 1). */
#include "coherence/recovery.h"

#include <stdlib.h>

#include "base/atomics.h"
#include "coherence/slot.h"
#include "plat/failpoint.h"

int qc_segment_give_up(struct qc_segment *segment, const char *why, struct qc_error *error)
{
    qc_segment_retire(segment);
    return qc_error_set(error, QC_ERR_RETIRED, 0, "%s: %s", segment->path ? segment->path : "memory", why);
}

/* How many slots list each cell. False: a slot can't be believed. */
static bool count_writers(const struct qc_segment *segment, uint16_t *writers)
{
    for (uint32_t i = 0; i < segment->layout.slots; i++) {
        struct qc_slot slot;

        if (qc_slot_state(segment, i) == QC_SLOT_FREE)
            continue;
        if (!qc_slot_read_locked(segment, i, &slot))
            return false;
        for (uint32_t n = 0; n < slot.cell_count; n++)
            writers[slot.cells[n]]++;
    }
    return true;
}

/* The owner may have died between the two stores of a stamp's drawing. The clock itself is never lowered. */
static bool mend_clock(struct qc_header *header)
{
    uint64_t clock = qc_load_relaxed(&header->clock);
    uint64_t shadow = ~qc_load_relaxed(&header->clock_complement);

    if (clock != shadow && clock != shadow + 1)
        return false;
    qc_store_release(&header->clock_complement, ~clock);
    return true;
}

static int rebuild_locked(struct qc_segment *segment, struct qc_error *error)
{
    uint16_t *writers = calloc(segment->layout.cells, sizeof *writers);

    if (!writers)
        return qc_segment_give_up(segment, "no memory to count its writers anew", error);
    if (!count_writers(segment, writers) || !mend_clock(segment->header)) {
        free(writers);
        return qc_segment_give_up(segment, "damaged where its mutex's owner died", error);
    }
    for (uint32_t i = 0; i < segment->layout.cells; i++) {
        uint64_t word = qc_load_relaxed(&segment->cells[i]);
        uint64_t rebuilt = qc_word(writers[i], qc_word_stamp(word));

        /* Final values only: a cell that is zero on the way is valid to a reader just then. */
        if (rebuilt != word)
            qc_store_release(&segment->cells[i], rebuilt);
        QC_FAILPOINT("mid-rebuild");
    }
    free(writers);
    return QC_OK;
}

static int recover(struct qc_segment *segment, struct qc_error *error)
{
    int status = rebuild_locked(segment, error);

    if (!status && qc_mutex_consistent(&segment->header->mutex))
        status = qc_segment_give_up(segment, "its mutex can't be recovered", error);
    if (status)
        qc_mutex_unlock(&segment->header->mutex);
    return status;
}

int qc_segment_lock(struct qc_segment *segment, unsigned wait_ms, struct qc_error *error)
{
    int status = qc_mutex_lock(&segment->header->mutex, wait_ms);

    if (status == QC_MUTEX_DIED)
        status = recover(segment, error);
    else if (status == QC_ERR_BUSY)
        status = qc_error_set(error, status, 0, "%s: its mutex was not to be had in %u ms",
                              segment->path ? segment->path : "memory", wait_ms);
    else if (status)
        status = qc_segment_give_up(segment, "its mutex is damaged", error);
    if (!status)
        QC_FAILPOINT("in-mutex");
    return status;
}

void qc_segment_unlock(struct qc_segment *segment)
{
    qc_mutex_unlock(&segment->header->mutex);
}

int qc_recovery_settle_dead(struct qc_segment *segment, struct qc_error *error)
{
    uint32_t slot = 0, settled = 0;
    int status;

    while (slot < segment->layout.slots && qc_slot_state(segment, slot) == QC_SLOT_FREE)
        slot++;
    if (slot == segment->layout.slots)
        return QC_OK;
    status = qc_segment_lock(segment, QC_LOOK_WAIT_MS, error);
    if (status)
        /* What can't be done now is done by a later miss, or by a writer that finds no slot. */
        return status == QC_ERR_BUSY ? QC_OK : status;
    status = qc_slot_settle_dead_locked(segment, &settled, error);
    qc_segment_unlock(segment);
    return status;
}
