/* Slots and what they do to cells and clock, under the segment's mutex. PROTOCOL sections 1 and 2. */
#ifndef QC_COHERENCE_SLOT_H
#define QC_COHERENCE_SLOT_H

#include "coherence/segment.h"

/* The distinct cells of one write. */
struct qc_cell_list {
    uint32_t count;
    uint32_t cells[QC_SLOT_CELLS];
};

/* A slot's state as anybody may read it, without the mutex. */
uint32_t qc_slot_state(const struct qc_segment *segment, uint32_t slot);

/* Copies a slot in use out and tells whether it holds what a writer of ours could have put there. Only the copy may be
 * gone by: the slot itself may be damaged the next moment. */
bool qc_slot_read_locked(const struct qc_segment *segment, uint32_t slot, struct qc_slot *copy);

/* Finds a free slot that this process may have and takes the kernel lock on its byte. QC_ERR_FULL, QC_ERR_SYSTEM. */
int qc_slot_claim_locked(struct qc_segment *segment, uint32_t *slot, struct qc_error *error) QC_MUST_USE;

/* W1. Lists the cells in a claimed slot, then raises their writers. QC_ERR_RETIRED: the cells are damaged. */
int qc_slot_mark_locked(struct qc_segment *segment, uint32_t slot, const struct qc_cell_list *list, const void *session,
                        size_t session_size, struct qc_write *out, struct qc_error *error) QC_MUST_USE;

/* W3. A new stamp and one writer less on each cell, in one store each; then the slot is emptied. */
int qc_slot_settle_locked(struct qc_segment *segment, uint32_t slot, uint64_t *stamp,
                          struct qc_error *error) QC_MUST_USE;

/* A new stamp on one cell whose writers stay: for a write that is not listed any more. */
int qc_cell_stamp_locked(struct qc_segment *segment, uint32_t cell, uint64_t *stamp,
                         struct qc_error *error) QC_MUST_USE;

/* Lets go of the kernel lock on a slot that this process has claimed. */
void qc_slot_release_locked(struct qc_segment *segment, uint32_t slot);

/* The same, but may keep the lock for this process's next write where there are QC_SLOTS_PLENTY. */
#define QC_SLOTS_PLENTY 256u
void qc_slot_spare_locked(struct qc_segment *segment, uint32_t slot);

/* Whether the owner of a slot in use lives: the kernel lock on its byte is held. True when that can't be told. */
bool qc_slot_owned_locked(const struct qc_segment *segment, uint32_t slot);

/* Settles every slot without a session whose owner is dead (PROTOCOL 2.5: the process is gone); `*settled` counts. */
int qc_slot_settle_dead_locked(struct qc_segment *segment, uint32_t *settled, struct qc_error *error) QC_MUST_USE;

#endif
