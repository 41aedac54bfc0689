#include "store/geometry.h"

#include <stdbool.h>

#include "store/record.h"

#define BYTES_PER_SLOT 128u /* the index has room for entries of about this size */
#define INDEX_SLOTS_MIN 64u
#define LOG_SIZE_MAX (UINT64_C(1) << 34) /* an index slot's 32 bits count steps of 8 bytes; half of that */

static uint64_t floor_to(uint64_t x, uint64_t step)
{
    return x - x % step;
}

static uint32_t slots_for(uint64_t bytes)
{
    uint32_t slots = INDEX_SLOTS_MIN;

    while (slots < bytes / BYTES_PER_SLOT && slots < (UINT32_C(1) << 30))
        slots *= 2;
    return slots;
}

static bool shards_fit(struct qc_geometry *geometry, uint32_t shards)
{
    uint64_t room, index_size;

    geometry->shards = shards;
    geometry->stride = floor_to((geometry->region_size - sizeof(struct qc_store_header)) / shards, 64);
    if (geometry->stride <= sizeof(struct qc_shard_header))
        return false;
    room = geometry->stride - sizeof(struct qc_shard_header);
    geometry->index_slots = slots_for(room);
    index_size = (uint64_t)geometry->index_slots * sizeof(uint64_t);
    if (room <= index_size)
        return false;
    geometry->log_size = floor_to(room - index_size, 8);
    if (geometry->log_size > LOG_SIZE_MAX)
        geometry->log_size = LOG_SIZE_MAX;
    /* Two, so that the largest record goes in whatever the rest at the log's end is. */
    return geometry->log_size >= 2 * (uint64_t)geometry->record_max;
}

int qc_geometry_compute(uint64_t region_size, uint32_t max_entry, struct qc_geometry *geometry)
{
    *geometry = (struct qc_geometry){.region_size = region_size, .max_entry = max_entry};
    if (max_entry == 0 || max_entry > QC_MAX_ENTRY_LIMIT || region_size <= sizeof(struct qc_store_header))
        return QC_ERR_ARGUMENT;
    geometry->record_max = (uint32_t)qc_record_size(QC_ENTRY_CELLS_MAX, max_entry, 0);
    for (uint32_t shards = QC_SHARDS_MAX; shards > 0; shards--)
        if (shards_fit(geometry, shards))
            return QC_OK;
    return QC_ERR_ARGUMENT;
}

size_t qc_store_size_min(uint32_t max_entry)
{
    uint64_t log_size = 2 * qc_record_size(QC_ENTRY_CELLS_MAX, max_entry, 0);
    /* The index takes at most an eighth of a shard (slots_for doubles past bytes / 128), or its least size. */
    uint64_t room = log_size + log_size / 7 + INDEX_SLOTS_MIN * sizeof(uint64_t) + 64;

    return (size_t)(sizeof(struct qc_store_header) + sizeof(struct qc_shard_header) + room);
}
