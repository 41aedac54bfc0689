#include "store/shard.h"

#include <string.h>

#include "base/atomics.h"

void qc_shard_view(const struct qc_geometry *geometry, uint8_t *region, uint32_t number, struct qc_shard *shard)
{
    uint8_t *at = region + sizeof(struct qc_store_header) + number * geometry->stride;

    shard->header = (struct qc_shard_header *)(void *)at;
    at += sizeof(struct qc_shard_header);
    shard->index.slots = (uint64_t *)(void *)at;
    shard->index.mask = geometry->index_slots - 1;
    shard->log = at + geometry->index_slots * sizeof(uint64_t);
    shard->log_size = geometry->log_size;
    shard->record_max = geometry->record_max;
}

void qc_shard_set_locked(struct qc_shard *shard, uint64_t head, uint64_t used, uint64_t entries)
{
    shard->head = head;
    shard->used = used;
    shard->entries = entries;
    qc_store_relaxed(&shard->header->head, head);
    qc_store_relaxed(&shard->header->used, used);
    qc_store_relaxed(&shard->header->entries, entries);
}

void qc_shard_empty_locked(struct qc_shard *shard)
{
    memset(shard->index.slots, 0, ((size_t)shard->index.mask + 1) * sizeof(uint64_t));
    qc_shard_set_locked(shard, 0, 0, 0);
}

int qc_shard_format(struct qc_shard *shard)
{
    memset(shard->header, 0, sizeof *shard->header);
    qc_shard_empty_locked(shard);
    return qc_mutex_init(&shard->header->mutex);
}

bool qc_shard_load_locked(struct qc_shard *shard)
{
    shard->head = qc_load_relaxed(&shard->header->head);
    shard->used = qc_load_relaxed(&shard->header->used);
    shard->entries = qc_load_relaxed(&shard->header->entries);
    return shard->head < shard->log_size && shard->head % 8 == 0 && shard->used <= shard->log_size &&
           shard->used % 8 == 0 && shard->entries <= shard->index.mask;
}

void qc_shard_condemn_locked(struct qc_shard *shard)
{
    qc_shard_empty_locked(shard);
    qc_add_relaxed(&shard->header->damaged, 1);
}

int qc_shard_lock_raw(struct qc_shard *shard, unsigned wait_ms)
{
    struct qc_mutex *mutex = &shard->header->mutex;
    int status = wait_ms == 0 ? qc_mutex_try(mutex) : qc_mutex_lock(mutex, wait_ms);

    if (status != QC_MUTEX_DIED)
        return status;
    /* Whatever its owner was at, an empty shard is a whole one. Dying in here leaves it to the next. */
    qc_shard_empty_locked(shard);
    status = qc_mutex_consistent(mutex);
    if (status != QC_OK)
        qc_mutex_unlock(mutex);
    return status;
}

int qc_shard_lock(struct qc_shard *shard, unsigned wait_ms)
{
    int status = qc_shard_lock_raw(shard, wait_ms);

    if (status == QC_OK && !qc_shard_load_locked(shard))
        qc_shard_condemn_locked(shard);
    return status;
}

void qc_shard_unlock(struct qc_shard *shard)
{
    qc_mutex_unlock(&shard->header->mutex);
}

uint64_t qc_shard_tail_locked(const struct qc_shard *shard)
{
    return shard->head >= shard->used ? shard->head - shard->used : shard->head + shard->log_size - shard->used;
}

/* Whether a record may begin at an offset that came out of shared memory: between tail and head. */
static bool in_use_locked(const struct qc_shard *shard, uint64_t offset)
{
    uint64_t tail = qc_shard_tail_locked(shard);
    uint64_t behind;

    if (offset >= shard->log_size)
        return false;
    behind = offset >= tail ? offset - tail : offset + shard->log_size - tail;
    return behind < shard->used;
}

static bool read_live_locked(const struct qc_shard *shard, uint64_t offset, struct qc_record *record)
{
    return in_use_locked(shard, offset) &&
           qc_record_read(shard->log + offset, shard->log_size - offset, record) == QC_OK &&
           qc_record_kind(record) == QC_RECORD_LIVE;
}

/* Whole: a clash of hashes, even a made one, can't serve another's rows. */
static bool key_is(const uint8_t *at, const struct qc_record *record, const void *key, size_t key_size)
{
    return record->key_size == key_size && (key_size == 0 || memcmp(qc_record_key(at, record), key, key_size) == 0);
}

int qc_shard_search_locked(const struct qc_shard *shard, uint64_t hash, const void *key, size_t key_size,
                           struct qc_place *place)
{
    struct qc_probe probe = {0};

    while (qc_index_next_locked(&shard->index, hash, &probe)) {
        if (!read_live_locked(shard, probe.offset, &place->record))
            return QC_ERR_CORRUPT;
        if (place->record.hash != hash || !key_is(shard->log + probe.offset, &place->record, key, key_size))
            continue;
        place->slot = probe.place;
        place->offset = probe.offset;
        return QC_OK;
    }
    return QC_MISS;
}

bool qc_shard_find_locked(struct qc_shard *shard, uint64_t hash, const void *key, size_t key_size,
                          struct qc_place *place)
{
    int status = qc_shard_search_locked(shard, hash, key, key_size, place);

    if (status == QC_ERR_CORRUPT)
        qc_shard_condemn_locked(shard);
    return status == QC_OK;
}

void qc_shard_drop_locked(struct qc_shard *shard, const struct qc_place *place)
{
    qc_index_remove_locked(&shard->index, place->slot);
    qc_record_mark(shard->log + place->offset, &place->record, QC_RECORD_DEAD);
    qc_shard_set_locked(shard, shard->head, shard->used, shard->entries > 0 ? shard->entries - 1 : 0);
}

void qc_shard_hit_locked(struct qc_shard *shard, const struct qc_place *place)
{
    /* Mostly set already: then the line is only read. */
    if (!qc_record_hit(&place->record))
        qc_record_mark(shard->log + place->offset, &place->record, QC_RECORD_LIVE | QC_RECORD_HIT);
}
