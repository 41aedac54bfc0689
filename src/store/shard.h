/* One shard: its lock, its index and its log together.
 *
 * A struct qc_shard is one process's view, with sizes of the process's own; only the memory behind it is shared.
 * Functions named _locked need the shard's lock. When one of them finds what no writer of ours leaves behind, it
 * empties the shard and counts it as damaged: all of it is only a cache.
 */
#ifndef QC_STORE_SHARD_H
#define QC_STORE_SHARD_H

#include "store/geometry.h"
#include "store/index.h"
#include "store/record.h"

struct qc_shard {
    struct qc_shard_header *header;
    uint64_t head, used, entries; /* read and checked when the lock was got; set by qc_shard_set_locked */
    struct qc_index index;
    uint8_t *log;
    uint64_t log_size;
    uint32_t record_max;
};

/* Where a record was found. */
struct qc_place {
    uint32_t slot;   /* of the index */
    uint64_t offset; /* in the log */
    struct qc_record record;
};

/* A record to be written, its parts where the caller has them. `record` is filled but for the flags. */
struct qc_draft {
    struct qc_record record;
    const void *cells, *key, *value;
};

/* The view of shard `number` of the region. */
void qc_shard_view(const struct qc_geometry *geometry, uint8_t *region, uint32_t number, struct qc_shard *shard);

/* A new, empty shard; nobody else may use it meanwhile. */
int qc_shard_format(struct qc_shard *shard) QC_MUST_USE;

/* Locks; `wait_ms` 0 only tries. A shard whose owner died inside, or whose head is nonsense, is emptied first.
 * QC_ERR_BUSY; QC_ERR_CORRUPT: the lock itself is damaged, the shard is out of use. */
int qc_shard_lock(struct qc_shard *shard, unsigned wait_ms) QC_MUST_USE;

/* The same, but leaves damage as it is, for a look at it. An owner's death is not damage. */
int qc_shard_lock_raw(struct qc_shard *shard, unsigned wait_ms) QC_MUST_USE;
void qc_shard_unlock(struct qc_shard *shard);

/* Reads head, used and entries. False: they are out of range. */
bool qc_shard_load_locked(struct qc_shard *shard);

/* Writes them, here and in the shared header. */
void qc_shard_set_locked(struct qc_shard *shard, uint64_t head, uint64_t used, uint64_t entries);

/* Offset of the oldest record. */
uint64_t qc_shard_tail_locked(const struct qc_shard *shard);

void qc_shard_empty_locked(struct qc_shard *shard);

/* Empties it for damage, and counts that. */
void qc_shard_condemn_locked(struct qc_shard *shard);

/* The live record of this key, compared whole. 0, QC_MISS, or QC_ERR_CORRUPT and nothing changed. */
int qc_shard_search_locked(const struct qc_shard *shard, uint64_t hash, const void *key, size_t key_size,
                           struct qc_place *place) QC_MUST_USE;

/* The same; damage empties the shard and finds nothing. */
bool qc_shard_find_locked(struct qc_shard *shard, uint64_t hash, const void *key, size_t key_size,
                          struct qc_place *place);

/* Takes a record found out of the index; its bytes are free when the tail comes by. */
void qc_shard_drop_locked(struct qc_shard *shard, const struct qc_place *place);

/* Notes that the record was hit. */
void qc_shard_hit_locked(struct qc_shard *shard, const struct qc_place *place);

/* Writes a record at the head, in place of any older one of its key. Those that are pushed out are lost, but for a
 * bounded number that were hit and that `validity` (may be NULL) grants: these go to the head once more. */
void qc_shard_append_locked(struct qc_shard *shard, const struct qc_draft *draft, const struct qc_validity *validity);

#endif
