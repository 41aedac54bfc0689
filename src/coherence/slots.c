/* Writes in flight as others see them: listed, and settled once they are proved over. PROTOCOL 2.5. */
#include <string.h>

#include "coherence/slot.h"

static void tell(const struct qc_segment *segment, uint32_t slot, const struct qc_slot *copy, struct qc_slot_info *info)
{
    memset(info, 0, sizeof *info);
    info->write.slot = slot;
    info->write.generation = copy->generation;
    info->state = copy->state == QC_SLOT_WRITING ? QC_SLOT_WRITING : QC_SLOT_UNKNOWN;
    info->owner_alive = qc_slot_owned_locked(segment, slot);
    info->pid = copy->pid;
    info->since_us = copy->since_us;
    info->cell_count = copy->cell_count;
    memcpy(info->cells, copy->cells, copy->cell_count * sizeof copy->cells[0]);
    info->session_size = copy->session_size;
    memcpy(info->session, copy->session, copy->session_size);
}

static int list_locked(struct qc_segment *segment, struct qc_slot_info *out, size_t room, size_t *found,
                       struct qc_error *error)
{
    uint32_t settled = 0;
    int status = segment->inspected ? QC_OK : qc_slot_settle_dead_locked(segment, &settled, error);

    for (uint32_t i = 0; !status && i < segment->layout.slots && *found < room; i++) {
        struct qc_slot copy;

        if (qc_slot_state(segment, i) == QC_SLOT_FREE)
            continue;
        if (qc_slot_read_locked(segment, i, &copy))
            tell(segment, i, &copy, &out[(*found)++]);
        else if (!segment->inspected)
            status = qc_segment_give_up(segment, "a slot is damaged", error);
    }
    return status;
}

int qc_slots(struct qc_segment *segment, struct qc_slot_info *out, size_t room, size_t *found, struct qc_error *error)
{
    int status;

    *found = 0;
    status = qc_segment_lock(segment, QC_LOOK_WAIT_MS, error);
    if (status)
        return status;
    status = list_locked(segment, out, room, found, error);
    qc_segment_unlock(segment);
    return status;
}

static int settle_locked(struct qc_segment *segment, struct qc_write write, bool force, bool *ours,
                         struct qc_error *error)
{
    uint32_t state = qc_slot_state(segment, write.slot);
    uint64_t stamp;
    int status;

    if (state == QC_SLOT_FREE || segment->slots[write.slot].generation != write.generation)
        return qc_error_set(error, QC_ERR_ARGUMENT, 0, "the write has been settled by another");
    if (!force && state == QC_SLOT_WRITING && qc_slot_owned_locked(segment, write.slot))
        return qc_error_set(error, QC_ERR_ARGUMENT, 0, "the write is in flight and its owner lives");
    status = qc_slot_settle_locked(segment, write.slot, &stamp, error);
    /* One that is WRITING still counts as in flight: its qc_write_end knows what to do. */
    *ours = !status && state == QC_SLOT_UNKNOWN && qc_claims_take(&segment->claims, write) == QC_CLAIM_IN_FLIGHT;
    if (*ours)
        qc_slot_release_locked(segment, write.slot);
    return status;
}

int qc_slot_settle(struct qc_segment *segment, struct qc_write write, bool force, struct qc_error *error)
{
    bool ours = false;
    int status;

    if (write.slot >= segment->layout.slots)
        return qc_error_set(error, QC_ERR_ARGUMENT, 0, "slot %u of %u", write.slot, segment->layout.slots);
    status = qc_segment_lock(segment, QC_WRITE_WAIT_MS, error);
    if (status)
        return status;
    status = settle_locked(segment, write, force, &ours, error);
    qc_segment_unlock(segment);
    if (ours && segment->gate)
        qc_gate_leave(segment->gate);
    return status;
}
