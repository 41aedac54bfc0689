/* The circular log of a shard: records are appended at the head and pushed out at the tail. */
#include <string.h>

#include "base/atomics.h"
#include "base/cursor.h"
#include "plat/failpoint.h"
#include "store/shard.h"

#define REINSERTED_MAX 16u /* records that one append may move */
#define CELLS_AT_ONCE 64u

/* A record is never split: what it would leave at the log's end becomes padding. */
static uint64_t padding_before(const struct qc_shard *shard, uint64_t size)
{
    uint64_t end_room = shard->log_size - shard->head;

    return size > end_room ? end_room : 0;
}

static bool has_room(const struct qc_shard *shard, uint64_t size)
{
    return padding_before(shard, size) + size <= shard->log_size - shard->used;
}

/* Linear probing wants gaps: at most three quarters of the slots are used. */
static bool index_has_room(const struct qc_shard *shard)
{
    return shard->entries < ((uint64_t)shard->index.mask + 1) / 4 * 3;
}

static void advance(struct qc_shard *shard, uint64_t size)
{
    uint64_t head = shard->head + size;

    qc_shard_set_locked(shard, head == shard->log_size ? 0 : head, shard->used + size, shard->entries);
}

/* The place of the next record, for which has_room holds. */
static uint64_t claim(struct qc_shard *shard, uint64_t size)
{
    uint64_t padding = padding_before(shard, size);
    uint64_t offset;

    if (padding > 0) {
        qc_record_pad(shard->log + shard->head, padding);
        advance(shard, padding);
    }
    offset = shard->head;
    advance(shard, size);
    return offset;
}

/* Makes the record at `offset` findable. */
static bool publish(struct qc_shard *shard, uint64_t hash, uint64_t offset)
{
    if (!qc_index_insert_locked(&shard->index, hash, offset))
        return false;
    qc_shard_set_locked(shard, shard->head, shard->used, shard->entries + 1);
    return true;
}

static void add_to(uint64_t *counter)
{
    qc_store_relaxed(counter, qc_load_relaxed(counter) + 1);
}

/* Whether `validity` grants the record's cells. In pieces: each is copied out of shared memory before it is judged. */
static bool granted(const struct qc_validity *validity, const uint8_t *at, const struct qc_record *record)
{
    uint32_t cells[CELLS_AT_ONCE];

    if (validity == NULL)
        return true;
    for (uint32_t done = 0; done < record->cell_count; done += CELLS_AT_ONCE) {
        uint32_t count = record->cell_count - done;

        if (count > CELLS_AT_ONCE)
            count = CELLS_AT_ONCE;
        memcpy(cells, qc_record_cells(at) + done * sizeof *cells, count * sizeof *cells);
        if (!validity->valid(validity->context, cells, count, record->stamp))
            return false;
    }
    return true;
}

/* Moves the record that was just popped at the tail to the head, its hit bit cleared. */
static bool reinsert(struct qc_shard *shard, uint64_t from, const struct qc_record *record)
{
    uint64_t to;

    if (!has_room(shard, record->size))
        return false;
    /* Source and destination may overlap; a padding may not: it fits before the source, or there would be no room. */
    to = claim(shard, record->size);
    memmove(shard->log + to, shard->log + from, record->size);
    if (!publish(shard, record->hash, to)) {
        qc_record_mark(shard->log + to, record, QC_RECORD_DEAD);
        return false;
    }
    qc_record_mark(shard->log + to, record, QC_RECORD_LIVE);
    add_to(&shard->header->reinserted);
    return true;
}

/* What one append may still spend on records that were hit. */
struct budget {
    unsigned records;
    uint64_t bytes;
};

/* Takes the oldest record out. False: the log or the index is damaged. */
static bool pop(struct qc_shard *shard, const struct qc_validity *validity, struct budget *budget)
{
    struct qc_place place = {.offset = qc_shard_tail_locked(shard)};
    struct qc_record *record = &place.record;
    struct qc_probe probe;
    const uint8_t *at = shard->log + place.offset;

    if (qc_record_read(at, shard->log_size - place.offset, record) != QC_OK || record->size > shard->used)
        return false;
    if (qc_record_kind(record) != QC_RECORD_LIVE) {
        qc_shard_set_locked(shard, shard->head, shard->used - record->size, shard->entries);
        return true;
    }
    if (!qc_index_find_locked(&shard->index, record->hash, place.offset, &probe))
        return false;
    place.slot = probe.place;
    qc_shard_drop_locked(shard, &place);
    qc_shard_set_locked(shard, shard->head, shard->used - record->size, shard->entries);
    if (qc_record_hit(record) && budget->records > 0 && record->size <= budget->bytes &&
        granted(validity, at, record) && reinsert(shard, place.offset, record)) {
        budget->records--;
        budget->bytes -= record->size;
    } else {
        add_to(&shard->header->evicted);
    }
    return true;
}

/* Each round takes a record's bytes off `used` for good or spends from the budget: it ends. */
static bool make_room(struct qc_shard *shard, uint64_t size, const struct qc_validity *validity)
{
    struct budget budget = {REINSERTED_MAX, shard->record_max};

    while (!has_room(shard, size) || !index_has_room(shard)) {
        if (shard->used == 0) {
            if (shard->head == 0)
                return false; /* empty, and still no room: `entries` lies */
            qc_shard_empty_locked(shard);
            continue;
        }
        if (!pop(shard, validity, &budget))
            return false;
    }
    return true;
}

static int write_parts(uint8_t *at, const struct qc_draft *draft)
{
    struct qc_writer writer;
    int status;

    qc_writer_init(&writer, at + QC_RECORD_HEADER, draft->record.size - QC_RECORD_HEADER);
    status = qc_writer_put_bytes(&writer, draft->cells, draft->record.cell_count * sizeof(uint32_t));
    if (status == QC_OK)
        status = qc_writer_put_bytes(&writer, draft->key, draft->record.key_size);
    if (status == QC_OK)
        status = qc_writer_put_bytes(&writer, draft->value, draft->record.value_size);
    return status;
}

void qc_shard_append_locked(struct qc_shard *shard, const struct qc_draft *draft, const struct qc_validity *validity)
{
    struct qc_record record = draft->record;
    struct qc_place old;
    uint64_t offset;

    if (qc_shard_find_locked(shard, record.hash, draft->key, record.key_size, &old))
        qc_shard_drop_locked(shard, &old);
    if (!make_room(shard, record.size, validity))
        qc_shard_condemn_locked(shard); /* and there is room in an empty one */
    offset = claim(shard, record.size);
    record.flags = QC_RECORD_LIVE;
    qc_record_write(shard->log + offset, &record);
    QC_FAILPOINT("in-fill");
    if (write_parts(shard->log + offset, draft) != QC_OK || !publish(shard, record.hash, offset))
        qc_shard_condemn_locked(shard);
}
