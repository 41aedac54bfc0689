#include "coherence/slot.h"

#include <errno.h>
#include <string.h>

#include "base/atomics.h"
#include "plat/failpoint.h"
#include "plat/lock.h"
#include "plat/time.h"

uint32_t qc_slot_state(const struct qc_segment *segment, uint32_t slot)
{
    return qc_load_acquire(&segment->slots[slot].state);
}

bool qc_slot_read_locked(const struct qc_segment *segment, uint32_t slot, struct qc_slot *copy)
{
    memcpy(copy, &segment->slots[slot], sizeof *copy);
    if ((copy->state != QC_SLOT_WRITING && copy->state != QC_SLOT_UNKNOWN) || copy->generation == 0 ||
        copy->cell_count == 0 || copy->cell_count > QC_SLOT_CELLS || copy->session_size > QC_SESSION_MAX)
        return false;
    for (uint32_t i = 0; i < copy->cell_count; i++)
        if (copy->cells[i] >= segment->layout.cells)
            return false;
    return true;
}

static uint64_t byte_of(const struct qc_segment *segment, uint32_t slot)
{
    return segment->layout.slots_offset + (uint64_t)slot * sizeof(struct qc_slot);
}

/* 0, QC_ERR_BUSY: not to be had now, QC_ERR_SYSTEM. */
static int claim_one(struct qc_segment *segment, uint32_t slot)
{
    /* An operator may have emptied the slot of a write that this process has in flight: its byte is ours, not free. */
    if (qc_slot_state(segment, slot) != QC_SLOT_FREE || qc_claims_in_flight(&segment->claims, slot))
        return QC_ERR_BUSY;
    if (segment->is_private)
        return QC_OK;
    if (segment->claims.spare == slot) {
        segment->claims.spare = QC_NO_SLOT;
        return QC_OK;
    }
    return qc_lock_take(segment->claims.fd, byte_of(segment, slot), QC_LOCK_EXCLUSIVE);
}

int qc_slot_claim_locked(struct qc_segment *segment, uint32_t *slot, struct qc_error *error)
{
    uint32_t count = segment->layout.slots, first = qc_load_relaxed(&segment->claims.last), settled = 0;
    int status;

    do {
        for (uint32_t i = 0; i < count; i++) {
            *slot = (first + i) % count;
            status = claim_one(segment, *slot);
            if (status == QC_OK)
                return QC_OK;
            if (status != QC_ERR_BUSY)
                return qc_error_set(error, status, errno, "%s: a slot can't be locked", segment->path);
        }
        settled = 0;
        status = qc_slot_settle_dead_locked(segment, &settled, error);
        if (status)
            return status;
    } while (settled);
    return qc_error_set(error, QC_ERR_FULL, 0, "%s: all %u slots are in use", segment->path ? segment->path : "memory",
                        count);
}

static bool writers_in_range(const struct qc_segment *segment, const struct qc_cell_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (qc_word_writers(qc_load_relaxed(&segment->cells[list->cells[i]])) >= segment->layout.slots)
            return false;
    return true;
}

/* Lists the cells. The state is stored last: a slot that its owner did not finish is free. */
static void list_cells(struct qc_segment *segment, uint32_t slot, const struct qc_cell_list *list, const void *session,
                       size_t session_size)
{
    struct qc_slot *at = &segment->slots[slot];

    at->generation = at->generation + 1 ? at->generation + 1 : 1;
    at->pid = segment->claims.pid;
    at->since_us = qc_time_boot_us();
    at->cell_count = list->count;
    memcpy(at->cells, list->cells, list->count * sizeof list->cells[0]);
    at->session_size = (uint32_t)session_size;
    if (session_size)
        memcpy(at->session, session, session_size);
    qc_store_release(&at->state, (uint32_t)QC_SLOT_WRITING); /* W1: the list */
}

int qc_slot_mark_locked(struct qc_segment *segment, uint32_t slot, const struct qc_cell_list *list, const void *session,
                        size_t session_size, struct qc_write *out, struct qc_error *error)
{
    if (!writers_in_range(segment, list))
        return qc_segment_give_up(segment, "a cell's count of writers is damaged", error);
    /* W1: first the list, so that whoever finds us dead between the two knows what to count; then the counts. */
    list_cells(segment, slot, list, session, session_size);
    QC_FAILPOINT("after-list");
    for (uint32_t i = 0; i < list->count; i++) {
        uint64_t *cell = &segment->cells[list->cells[i]];

        /* W1: from this store on no entry is valid; release, because the list above must be there when it is seen. */
        qc_store_release(cell, qc_load_relaxed(cell) + qc_word(1, 0));
        QC_FAILPOINT("mid-mark");
    }
    out->slot = slot;
    out->generation = segment->slots[slot].generation;
    return QC_OK;
}

/* W3: s = ++clock. The complement follows, so that a clock set back by damage is seen before it is used. */
static int draw_stamp(struct qc_segment *segment, uint64_t *stamp, struct qc_error *error)
{
    struct qc_header *header = segment->header;
    uint64_t clock = qc_load_relaxed(&header->clock);

    if (clock != ~qc_load_relaxed(&header->clock_complement) || clock >= QC_STAMP_MAX)
        return qc_segment_give_up(segment, "its clock is damaged", error);
    *stamp = clock + 1;
    qc_store_release(&header->clock, *stamp);
    QC_FAILPOINT("between-clock-and-stamp");
    qc_store_release(&header->clock_complement, ~*stamp);
    return QC_OK;
}

static void note_write(struct qc_segment *segment, uint32_t cell, int32_t pid)
{
    struct qc_note *note = &segment->notes[cell];

    qc_store_relaxed(&note->pid, pid);
    qc_store_relaxed(&note->realtime_ms, qc_time_real_ms());
    qc_store_relaxed(&note->writes, qc_load_relaxed(&note->writes) + 1);
}

int qc_slot_settle_locked(struct qc_segment *segment, uint32_t slot, uint64_t *stamp, struct qc_error *error)
{
    struct qc_slot copy;
    int status;

    if (!qc_slot_read_locked(segment, slot, &copy))
        return qc_segment_give_up(segment, "a slot is damaged", error);
    status = draw_stamp(segment, stamp, error);
    if (status)
        return status;
    for (uint32_t i = 0; i < copy.cell_count; i++) {
        uint64_t *cell = &segment->cells[copy.cells[i]];
        uint64_t writers = qc_word_writers(qc_load_relaxed(cell));

        if (writers == 0)
            return qc_segment_give_up(segment, "a cell's count of writers is damaged", error);
        note_write(segment, copy.cells[i], copy.pid);
        /* W3: stamp and unmark are this one store. */
        qc_store_release(cell, qc_word(writers - 1, *stamp));
        QC_FAILPOINT("mid-settle");
    }
    /* W3: the slot is emptied when all its cells are settled, not before. */
    qc_store_release(&segment->slots[slot].state, (uint32_t)QC_SLOT_FREE);
    return QC_OK;
}

int qc_cell_stamp_locked(struct qc_segment *segment, uint32_t cell, uint64_t *stamp, struct qc_error *error)
{
    int status = draw_stamp(segment, stamp, error);
    uint64_t word = qc_load_relaxed(&segment->cells[cell]);

    if (status)
        return status;
    note_write(segment, cell, segment->claims.pid);
    qc_store_release(&segment->cells[cell], qc_word(qc_word_writers(word), *stamp));
    return QC_OK;
}

/* Two system calls less for a process that writes again. Only where slots are many: whoever keeps one keeps it from
 * others. */
void qc_slot_spare_locked(struct qc_segment *segment, uint32_t slot)
{
    if (segment->layout.slots < QC_SLOTS_PLENTY || segment->claims.spare != QC_NO_SLOT)
        qc_slot_release_locked(segment, slot);
    else if (!segment->is_private)
        segment->claims.spare = slot;
}

void qc_slot_release_locked(struct qc_segment *segment, uint32_t slot)
{
    if (!segment->is_private)
        qc_lock_drop(segment->claims.fd, byte_of(segment, slot));
}

bool qc_slot_owned_locked(const struct qc_segment *segment, uint32_t slot)
{
    const struct qc_slot *at = &segment->slots[slot];

    if (segment->is_private)
        return qc_slot_state(segment, slot) == QC_SLOT_WRITING || at->session_size == 0;
    /* Asked through the mapped file's descriptor, on which nobody locks: so our own claims count too. */
    return qc_lock_test(segment->fd, byte_of(segment, slot), QC_LOCK_EXCLUSIVE) != 0;
}

int qc_slot_settle_dead_locked(struct qc_segment *segment, uint32_t *settled, struct qc_error *error)
{
    uint64_t stamp;

    for (uint32_t i = 0; i < segment->layout.slots; i++) {
        if (qc_slot_state(segment, i) == QC_SLOT_FREE || segment->slots[i].session_size > 0 ||
            qc_slot_owned_locked(segment, i))
            continue;
        if (qc_slot_settle_locked(segment, i, &stamp, error))
            return QC_ERR_RETIRED;
        ++*settled;
    }
    return QC_OK;
}
