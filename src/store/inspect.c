/* Looking at a whole store: each shard is copied under its lock and read from the copy, so that no one waits for it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomics.h"
#include "base/hash.h"
#include "store/handle.h"

#define LOCK_WAIT_MS 1000u

/* A private copy of a shard's index and log. */
struct snapshot {
    uint8_t *memory;
    size_t size;
    struct qc_shard shard; /* its header is NULL */
    int lock_status;       /* of the last copy */
    bool sane;             /* head, used and entries are in range */
};

static int snapshot_prepare(struct qc_store *store, struct snapshot *snapshot)
{
    const struct qc_geometry *geometry = &store->geometry;

    snapshot->size = (size_t)(geometry->index_slots * sizeof(uint64_t) + geometry->log_size);
    snapshot->memory = malloc(snapshot->size);
    return snapshot->memory != NULL ? QC_OK : QC_ERR_MEMORY;
}

static void snapshot_take(struct qc_store *store, uint32_t number, struct snapshot *snapshot)
{
    struct qc_shard *shard = &snapshot->shard;

    qc_shard_view(&store->geometry, store->region, number, shard);
    snapshot->lock_status = qc_shard_lock_raw(shard, LOCK_WAIT_MS);
    if (snapshot->lock_status != QC_OK)
        return;
    snapshot->sane = qc_shard_load_locked(shard);
    memcpy(snapshot->memory, shard->index.slots, snapshot->size);
    qc_shard_unlock(shard);
    shard->header = NULL;
    shard->index.slots = (uint64_t *)(void *)snapshot->memory;
    shard->log = snapshot->memory + ((size_t)shard->index.mask + 1) * sizeof(uint64_t);
}

/* A walk over the records of a shard from the oldest to the newest. Start from {0}. */
struct walk {
    uint64_t done;   /* bytes of `used` passed */
    uint64_t offset; /* of the record given */
    struct qc_record record;
};

/* 0, QC_MISS at the end, QC_ERR_CORRUPT. */
static int walk_next(const struct qc_shard *shard, struct walk *walk)
{
    if (walk->done == shard->used)
        return QC_MISS;
    walk->offset = (qc_shard_tail_locked(shard) + walk->done) % shard->log_size;
    if (qc_record_read(shard->log + walk->offset, shard->log_size - walk->offset, &walk->record) != QC_OK ||
        walk->record.size > shard->used - walk->done)
        return QC_ERR_CORRUPT;
    walk->done += walk->record.size;
    return QC_OK;
}

static bool walk_live(const struct walk *walk)
{
    return qc_record_kind(&walk->record) == QC_RECORD_LIVE;
}

static bool visit_shard(const struct qc_shard *shard,
                        bool (*visit)(void *context, const void *key, size_t key_size, const struct qc_entry *entry),
                        void *context)
{
    struct walk walk = {0};

    while (walk_next(shard, &walk) == QC_OK) {
        const uint8_t *at = shard->log + walk.offset;
        struct qc_entry entry = {.stamp = walk.record.stamp,
                                 .cells = (const uint32_t *)(const void *)qc_record_cells(at),
                                 .cell_count = walk.record.cell_count,
                                 .value = qc_record_value(at, &walk.record),
                                 .value_size = walk.record.value_size};

        if (walk_live(&walk) && qc_record_sound(at, &walk.record) &&
            !visit(context, qc_record_key(at, &walk.record), walk.record.key_size, &entry))
            return false;
    }
    return true;
}

int qc_store_visit(struct qc_store *store,
                   bool (*visit)(void *context, const void *key, size_t key_size, const struct qc_entry *entry),
                   void *context)
{
    struct snapshot snapshot = {0};
    bool more = true;

    if (snapshot_prepare(store, &snapshot) != QC_OK)
        return QC_ERR_MEMORY;
    for (uint32_t i = 0; more && i < store->geometry.shards; i++) {
        snapshot_take(store, i, &snapshot);
        if (snapshot.lock_status == QC_OK && snapshot.sane)
            more = visit_shard(&snapshot.shard, visit, context);
    }
    free(snapshot.memory);
    return QC_OK;
}

/* Where findings go. */
struct findings {
    void (*report)(void *context, const char *finding);
    void *context;
    size_t count;
    uint32_t shard;
};

static void note(struct findings *findings, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct findings *findings, const char *format, ...)
{
    char text[240];
    int start = snprintf(text, sizeof text, "store shard %lu: ", (unsigned long)findings->shard);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text + start, sizeof text - (size_t)start, format, arguments);
    va_end(arguments);
    findings->count++;
    if (findings->report != NULL)
        findings->report(findings->context, text);
}

static void verify_entry(const struct qc_store *store, const struct qc_shard *shard, const struct walk *walk,
                         struct findings *findings)
{
    const struct qc_record *record = &walk->record;
    const uint8_t *at = shard->log + walk->offset, *key = qc_record_key(at, record);
    const unsigned long long offset = walk->offset;
    struct qc_place place;
    struct qc_probe probe;

    if (!qc_record_sound(at, record))
        note(findings, "the entry at %llu fails its checksum", offset);
    else if (record->hash != qc_hash(store->hash_key, key, record->key_size))
        note(findings, "the entry at %llu has another key's hash", offset);
    else if (qc_store_shard_of(store, record->hash) != findings->shard)
        note(findings, "the entry at %llu belongs to another shard", offset);
    else if (!qc_index_find_locked(&shard->index, record->hash, walk->offset, &probe))
        note(findings, "the entry at %llu is not in the index", offset);
    else if (qc_shard_search_locked(shard, record->hash, key, record->key_size, &place) != QC_OK ||
             place.offset != walk->offset)
        note(findings, "the entry at %llu is hidden by another of its key", offset);
}

static uint64_t slots_used(const struct qc_shard *shard)
{
    uint64_t used = 0;

    for (uint64_t i = 0; i <= shard->index.mask; i++)
        used += shard->index.slots[i] != 0;
    return used;
}

static void verify_shard(const struct qc_store *store, const struct snapshot *snapshot, struct findings *findings)
{
    const struct qc_shard *shard = &snapshot->shard;
    const unsigned long long indexed = slots_used(shard);
    unsigned long long live = 0;
    struct walk walk = {0};
    int status;

    if (!snapshot->sane) {
        note(findings, "head %llu, used %llu or entries %llu out of range", (unsigned long long)shard->head,
             (unsigned long long)shard->used, (unsigned long long)shard->entries);
        return;
    }
    while ((status = walk_next(shard, &walk)) == QC_OK) {
        if (!walk_live(&walk))
            continue;
        live++;
        verify_entry(store, shard, &walk, findings);
    }
    if (status != QC_MISS)
        note(findings, "no record at %llu, where one should be", (unsigned long long)walk.offset);
    else if (live != indexed || live != shard->entries)
        note(findings, "%llu live entries, %llu in the index, %llu counted", live, indexed,
             (unsigned long long)shard->entries);
}

size_t qc_store_verify(struct qc_store *store, void (*report)(void *context, const char *finding), void *context)
{
    struct findings findings = {.report = report, .context = context};
    struct snapshot snapshot = {0};
    struct qc_store_header header;

    if (!qc_store_header_sound(store->region, &store->geometry, &header)) {
        findings.count++;
        if (report != NULL)
            report(context, "store: the header is damaged");
    }
    if (snapshot_prepare(store, &snapshot) != QC_OK) {
        note(&findings, "no memory to check it");
        return findings.count;
    }
    for (; findings.shard < store->geometry.shards; findings.shard++) {
        snapshot_take(store, findings.shard, &snapshot);
        if (snapshot.lock_status == QC_ERR_BUSY)
            note(&findings, "its lock was held for %u ms", LOCK_WAIT_MS);
        else if (snapshot.lock_status != QC_OK)
            note(&findings, "its lock is damaged");
        else
            verify_shard(store, &snapshot, &findings);
    }
    free(snapshot.memory);
    return findings.count;
}
