/* Where things lie in a store's region, as a pure function of its size and of the largest entry.
 *
 *     store header | shard 0 | shard 1 | ...        each shard: header | index | log
 *
 * The region's own header only repeats this: a process works with its own copy, so that damaged bytes can't send it
 * outside the region. docs/format.md has the picture byte by byte.
 */
#ifndef QC_STORE_GEOMETRY_H
#define QC_STORE_GEOMETRY_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "plat/mutex.h"
#include "qcache/error.h"
#include "qcache/store.h"

#define QC_STORE_MAGIC UINT64_C(0x3165726f74736371) /* "qcstore1" */
#define QC_SHARDS_MAX 64u
#define QC_MAX_ENTRY_LIMIT (UINT32_C(1) << 30)

/* At the start of the region; constant after qc_store_format. */
struct qc_store_header {
    uint64_t magic;
    uint32_t version, shards;
    uint32_t max_entry, index_slots; /* slots of one shard's index */
    uint64_t log_size;               /* bytes of one shard's log */
    uint64_t region_size;
    uint8_t hash_key[16];
    uint64_t checksum; /* of all above */
    uint8_t unused[64];
};
static_assert(sizeof(struct qc_store_header) == 128, "the store header's layout is part of the format");
static_assert(offsetof(struct qc_store_header, checksum) == 56, "the store header's layout is part of the format");

/* Guarded by the mutex, but for `refused`, which is raised without it. */
struct qc_shard_header {
    struct qc_mutex mutex;
    uint64_t head; /* offset in the log where the next record goes */
    uint64_t used; /* bytes of records before it, the oldest at head - used */
    uint64_t entries;
    uint64_t evicted, reinserted, refused, damaged;
    uint64_t unused;
};
static_assert(sizeof(struct qc_shard_header) == 128, "the shard header's layout is part of the format");
static_assert(offsetof(struct qc_shard_header, head) == 64, "the shard header's layout is part of the format");

struct qc_geometry {
    uint64_t region_size;
    uint32_t max_entry;
    uint32_t record_max; /* bytes of the largest record: header, cells, key and value */
    uint32_t shards;
    uint32_t index_slots; /* a power of two */
    uint64_t log_size;    /* a multiple of 8, at least two of the largest records */
    uint64_t stride;      /* from one shard to the next, a multiple of 64 */
};

/* QC_ERR_ARGUMENT when not even one shard fits, or max_entry is 0 or past QC_MAX_ENTRY_LIMIT. */
int qc_geometry_compute(uint64_t region_size, uint32_t max_entry, struct qc_geometry *geometry) QC_MUST_USE;

#endif
