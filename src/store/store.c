#include <stdlib.h>
#include <string.h>

#include "base/atomics.h"
#include "base/hash.h"
#include "plat/failpoint.h"
#include "store/handle.h"

#define PUT_WAIT_MS 2u
#define GET_ROUNDS 4 /* an entry may have grown each time room was made for it */
#define MEMORY_STEP 4096u

static uint64_t header_checksum(const struct qc_store_header *header)
{
    return qc_checksum(header, offsetof(struct qc_store_header, checksum));
}

static struct qc_store_header header_for(const struct qc_geometry *geometry, const uint8_t *hash_key)
{
    struct qc_store_header header = {.magic = QC_STORE_MAGIC,
                                     .version = QC_STORE_VERSION,
                                     .shards = geometry->shards,
                                     .max_entry = geometry->max_entry,
                                     .index_slots = geometry->index_slots,
                                     .log_size = geometry->log_size,
                                     .region_size = geometry->region_size};

    memcpy(header.hash_key, hash_key, sizeof header.hash_key);
    header.checksum = header_checksum(&header);
    return header;
}

bool qc_store_header_sound(const uint8_t *region, const struct qc_geometry *geometry, struct qc_store_header *header)
{
    struct qc_store_header expected;

    memcpy(header, region, sizeof *header);
    expected = header_for(geometry, header->hash_key);
    return memcmp(header, &expected, sizeof expected) == 0;
}

int qc_store_format(void *region, size_t size, uint32_t max_entry, const uint8_t hash_key[16], struct qc_error *error)
{
    struct qc_geometry geometry;
    struct qc_store_header header;

    if (qc_geometry_compute(size, max_entry, &geometry) != QC_OK)
        return qc_error_set(error, QC_ERR_ARGUMENT, 0, "%zu bytes can't hold a store with entries of %lu bytes", size,
                            (unsigned long)max_entry);
    for (uint32_t i = 0; i < geometry.shards; i++) {
        struct qc_shard shard;

        qc_shard_view(&geometry, region, i, &shard);
        if (qc_shard_format(&shard) != QC_OK)
            return qc_error_set(error, QC_ERR_SYSTEM, 0, "no robust mutex for shard %lu", (unsigned long)i);
    }
    header = header_for(&geometry, hash_key);
    memcpy(region, &header, sizeof header);
    return QC_OK;
}

int qc_store_attach(void *region, size_t size, struct qc_store **out, struct qc_error *error)
{
    struct qc_store_header header;
    struct qc_geometry geometry;
    struct qc_store *store;

    if (size < sizeof header)
        return qc_error_set(error, QC_ERR_CORRUPT, 0, "%zu bytes can't hold a store", size);
    memcpy(&header, region, sizeof header);
    if (header.magic == QC_STORE_MAGIC && header.version != QC_STORE_VERSION)
        return qc_error_set(error, QC_ERR_VERSION, 0, "store version %lu, not %lu", (unsigned long)header.version,
                            (unsigned long)QC_STORE_VERSION);
    /* Everything else follows from the size and this one number, which the checksum guards. */
    if (qc_geometry_compute(size, header.max_entry, &geometry) != QC_OK ||
        !qc_store_header_sound(region, &geometry, &header))
        return qc_error_set(error, QC_ERR_CORRUPT, 0, "the store's header is damaged");
    store = calloc(1, sizeof *store);
    if (store == NULL)
        return qc_error_set(error, QC_ERR_MEMORY, 0, "no memory for the store's handle");
    store->region = region;
    store->geometry = geometry;
    memcpy(store->hash_key, header.hash_key, sizeof store->hash_key);
    *out = store;
    return QC_OK;
}

void qc_store_detach(struct qc_store *store)
{
    free(store);
}

/* By the high half of the hash; the index uses the low one. */
uint32_t qc_store_shard_of(const struct qc_store *store, uint64_t hash)
{
    return (uint32_t)(((hash >> 32) * store->geometry.shards) >> 32);
}

static void view(const struct qc_store *store, uint32_t number, struct qc_shard *shard)
{
    qc_shard_view(&store->geometry, store->region, number, shard);
}

void qc_entry_release(struct qc_entry *entry)
{
    free(entry->memory);
    *entry = (struct qc_entry){0};
}

/* A query being looked up. */
struct request {
    uint64_t hash;
    const void *key;
    size_t key_size;
    uint64_t now_ms;
    const struct qc_validity *validity;
};

static void point_into(struct qc_entry *entry, const struct qc_record *record)
{
    const uint8_t *at = entry->memory;

    entry->stamp = record->stamp;
    entry->cells = (const uint32_t *)(const void *)qc_record_cells(at);
    entry->cell_count = record->cell_count;
    entry->value = qc_record_value(at, record);
    entry->value_size = record->value_size;
}

static bool grant(const struct qc_validity *validity, const struct qc_entry *entry)
{
    return validity == NULL || validity->valid(validity->context, entry->cells, entry->cell_count, entry->stamp);
}

/* QC_ERR_TOO_LARGE: `entry` needs record->size bytes of memory. */
static int copy_out_locked(struct qc_shard *shard, const struct request *request, struct qc_entry *entry,
                           struct qc_record *record)
{
    struct qc_place place;

    if (!qc_shard_find_locked(shard, request->hash, request->key, request->key_size, &place))
        return QC_MISS;
    *record = place.record;
    if (record->expires_ms != 0 && request->now_ms >= record->expires_ms) {
        qc_shard_drop_locked(shard, &place);
        return QC_MISS;
    }
    if (entry->memory_size < record->size)
        return QC_ERR_TOO_LARGE;
    memcpy(entry->memory, shard->log + place.offset, record->size);
    point_into(entry, record);
    /* Judged by the copy: what is granted is what is served, even if someone scribbles over the original. */
    if (!grant(request->validity, entry)) {
        qc_shard_drop_locked(shard, &place);
        return QC_MISS;
    }
    qc_shard_hit_locked(shard, &place);
    return QC_OK;
}

static int make_memory(struct qc_entry *entry, size_t size)
{
    size_t room = (size + MEMORY_STEP - 1) / MEMORY_STEP * MEMORY_STEP;
    void *memory = realloc(entry->memory, room);

    if (memory == NULL)
        return QC_ERR_MEMORY;
    entry->memory = memory;
    entry->memory_size = room;
    return QC_OK;
}

static int copy_out(struct qc_store *store, const struct request *request, struct qc_entry *entry,
                    struct qc_record *record)
{
    struct qc_shard shard;
    int status = QC_MISS;

    view(store, qc_store_shard_of(store, request->hash), &shard);
    for (int round = 0; round < GET_ROUNDS; round++) {
        if (qc_shard_lock(&shard, 0) != QC_OK)
            return QC_MISS; /* a reader never waits */
        QC_FAILPOINT("in-shard");
        status = copy_out_locked(&shard, request, entry, record);
        qc_shard_unlock(&shard);
        if (status != QC_ERR_TOO_LARGE)
            return status;
        status = make_memory(entry, record->size); /* not under the lock: it may take its time */
        if (status != QC_OK)
            return status;
    }
    return QC_MISS;
}

/* Takes a damaged entry out, unless another has done so, or replaced it. */
static void discard(struct qc_store *store, const struct request *request)
{
    struct qc_shard shard;
    struct qc_place place;

    view(store, qc_store_shard_of(store, request->hash), &shard);
    if (qc_shard_lock(&shard, 0) != QC_OK)
        return; /* it will be found again */
    if (qc_shard_find_locked(&shard, request->hash, request->key, request->key_size, &place) &&
        !qc_record_sound(shard.log + place.offset, &place.record)) {
        qc_shard_drop_locked(&shard, &place);
        qc_add_relaxed(&shard.header->damaged, 1);
    }
    qc_shard_unlock(&shard);
}

int qc_store_get(struct qc_store *store, const void *key, size_t key_size, uint64_t now_ms,
                 const struct qc_validity *validity, struct qc_entry *entry)
{
    const struct request request = {.hash = qc_hash(store->hash_key, key, key_size),
                                    .key = key,
                                    .key_size = key_size,
                                    .now_ms = now_ms,
                                    .validity = validity};
    struct qc_record record;
    int status;

    *entry = (struct qc_entry){.memory = entry->memory, .memory_size = entry->memory_size};
    status = copy_out(store, &request, entry, &record);
    if (status != QC_OK)
        return status;
    if (qc_record_sound(entry->memory, &record))
        return QC_OK;
    discard(store, &request);
    return QC_MISS;
}

/* Waits a little for a busy shard. Where that was in vain the next ones don't: a lock whose word is damaged looks held
 * for ever. */
static int lock_for_put(struct qc_store *store, uint32_t number, struct qc_shard *shard)
{
    uint32_t *stuck = &store->stuck[number];
    int status;

    view(store, number, shard);
    status = qc_shard_lock(shard, qc_load_relaxed(stuck) ? 0 : PUT_WAIT_MS);
    if (qc_load_relaxed(stuck) != (status != QC_OK))
        qc_store_relaxed(stuck, status != QC_OK);
    if (status != QC_OK)
        qc_add_relaxed(&shard->header->refused, 1);
    return status == QC_OK ? QC_OK : QC_ERR_BUSY;
}

int qc_store_put(struct qc_store *store, const void *key, size_t key_size, uint64_t stamp, uint64_t expires_ms,
                 const uint32_t *cells, size_t cell_count, const void *value, size_t value_size,
                 const struct qc_validity *validity)
{
    struct qc_draft draft = {.cells = cells, .key = key, .value = value};
    struct qc_record *record = &draft.record;
    struct qc_shard shard;
    int status;

    record->hash = qc_hash(store->hash_key, key, key_size);
    if (cell_count > QC_ENTRY_CELLS_MAX || key_size > store->geometry.max_entry ||
        value_size > store->geometry.max_entry - key_size) {
        view(store, qc_store_shard_of(store, record->hash), &shard);
        qc_add_relaxed(&shard.header->refused, 1);
        return QC_ERR_TOO_LARGE;
    }
    record->size = (uint32_t)qc_record_size(cell_count, key_size, value_size);
    record->stamp = stamp;
    record->expires_ms = expires_ms;
    record->key_size = (uint32_t)key_size;
    record->cell_count = (uint32_t)cell_count;
    record->value_size = (uint32_t)value_size;
    record->checksum = qc_record_checksum(record, cells, key, value);
    status = lock_for_put(store, qc_store_shard_of(store, record->hash), &shard);
    if (status != QC_OK)
        return status;
    QC_FAILPOINT("in-shard");
    qc_shard_append_locked(&shard, &draft, validity);
    qc_shard_unlock(&shard);
    return QC_OK;
}

int qc_store_clear(struct qc_store *store, unsigned wait_ms)
{
    int result = QC_OK;

    for (uint32_t i = 0; i < store->geometry.shards; i++) {
        struct qc_shard shard;

        view(store, i, &shard);
        if (qc_shard_lock(&shard, wait_ms) != QC_OK) {
            result = QC_ERR_BUSY;
            continue;
        }
        qc_shard_empty_locked(&shard);
        qc_shard_unlock(&shard);
    }
    return result;
}

void qc_store_info(struct qc_store *store, struct qc_store_info *info)
{
    *info = (struct qc_store_info){.shards = store->geometry.shards,
                                   .capacity = store->geometry.shards * store->geometry.log_size};
    for (uint32_t i = 0; i < store->geometry.shards; i++) {
        struct qc_shard shard;

        view(store, i, &shard);
        info->used += qc_load_relaxed(&shard.header->used);
        info->entries += qc_load_relaxed(&shard.header->entries);
        info->evicted += qc_load_relaxed(&shard.header->evicted);
        info->reinserted += qc_load_relaxed(&shard.header->reinserted);
        info->refused += qc_load_relaxed(&shard.header->refused);
        info->damaged += qc_load_relaxed(&shard.header->damaged);
    }
}
