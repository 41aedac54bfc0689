/* What a process knows of a store it has attached: the parts of the library share it, users don't see it. */
#ifndef QC_STORE_HANDLE_H
#define QC_STORE_HANDLE_H

#include "store/shard.h"

struct qc_store {
    uint8_t *region;
    struct qc_geometry geometry; /* checked at attach; never read from the region again */
    uint8_t hash_key[16];
    uint32_t stuck[QC_SHARDS_MAX]; /* a put waited in vain: the next ones only try (relaxed) */
};

/* Whether the region's header is the one that qc_store_format wrote for this geometry. The hash key is in `*header`. */
bool qc_store_header_sound(const uint8_t *region, const struct qc_geometry *geometry, struct qc_store_header *header);

/* The number of the shard that keys of this hash are in. */
uint32_t qc_store_shard_of(const struct qc_store *store, uint64_t hash);

#endif
