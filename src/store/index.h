/* A shard's index: open addressing with linear probing, no tombstones. A slot is 0 when free, else the low half of the
 * key's hash above, and the record's offset in the log, in steps of 8 bytes and plus one, below.
 *
 * The caller holds the shard's lock. Every loop ends after one round, whatever the slots hold.
 */
#ifndef QC_STORE_INDEX_H
#define QC_STORE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

struct qc_index {
    uint64_t *slots;
    uint32_t mask; /* number of slots - 1 */
};

/* One walk over the slots that a hash may be in. Start from {0}. */
struct qc_probe {
    uint32_t step;   /* slots looked at */
    uint32_t place;  /* of the slot found */
    uint64_t offset; /* what it says; not checked */
};

/* The next slot of this hash. False: no more. */
bool qc_index_next_locked(const struct qc_index *index, uint64_t hash, struct qc_probe *probe);

/* The slot with this hash and offset. */
bool qc_index_find_locked(const struct qc_index *index, uint64_t hash, uint64_t offset, struct qc_probe *probe);

/* False: no free slot. */
bool qc_index_insert_locked(struct qc_index *index, uint64_t hash, uint64_t offset);

/* Empties the slot at `place`; those behind it move up, so that no walk meets a gap. */
void qc_index_remove_locked(struct qc_index *index, uint32_t place);

#endif
