#include "store/record.h"

#include <assert.h>

#include "base/atomics.h"
#include "base/hash.h"
#include "qcache/store.h"

enum { WORD_FIRST, WORD_HASH, WORD_STAMP, WORD_EXPIRES, WORD_COUNTS, WORD_VALUE, WORD_CHECKSUM, WORDS };
static_assert(WORDS * sizeof(uint64_t) == QC_RECORD_HEADER, "the record's layout is part of the format");

uint32_t qc_record_kind(const struct qc_record *record)
{
    return record->flags & ~QC_RECORD_HIT;
}

bool qc_record_hit(const struct qc_record *record)
{
    return (record->flags & QC_RECORD_HIT) != 0;
}

uint64_t qc_record_size(uint64_t cell_count, uint64_t key_size, uint64_t value_size)
{
    return (QC_RECORD_HEADER + cell_count * sizeof(uint32_t) + key_size + value_size + 7) & ~UINT64_C(7);
}

static uint64_t pair(uint32_t low, uint32_t high)
{
    return low | (uint64_t)high << 32;
}

static int check_size(const struct qc_record *record, uint64_t room)
{
    if (record->cell_count > QC_ENTRY_CELLS_MAX || record->size > room)
        return QC_ERR_CORRUPT;
    if (record->size != qc_record_size(record->cell_count, record->key_size, record->value_size))
        return QC_ERR_CORRUPT;
    return QC_OK;
}

int qc_record_read(const uint8_t *at, uint64_t room, struct qc_record *record)
{
    const uint64_t *words = (const uint64_t *)(const void *)at;
    uint64_t word;

    if (room < sizeof *words)
        return QC_ERR_CORRUPT;
    *record = (struct qc_record){0};
    word = qc_load_relaxed(&words[WORD_FIRST]);
    record->size = (uint32_t)word;
    record->flags = (uint32_t)(word >> 32);
    if (record->flags == QC_RECORD_PAD)
        return record->size == room ? QC_OK : QC_ERR_CORRUPT;
    if (qc_record_kind(record) != QC_RECORD_LIVE && qc_record_kind(record) != QC_RECORD_DEAD)
        return QC_ERR_CORRUPT;
    if (room < QC_RECORD_HEADER)
        return QC_ERR_CORRUPT;
    record->hash = qc_load_relaxed(&words[WORD_HASH]);
    record->stamp = qc_load_relaxed(&words[WORD_STAMP]);
    record->expires_ms = qc_load_relaxed(&words[WORD_EXPIRES]);
    word = qc_load_relaxed(&words[WORD_COUNTS]);
    record->key_size = (uint32_t)word;
    record->cell_count = (uint32_t)(word >> 32);
    word = qc_load_relaxed(&words[WORD_VALUE]);
    record->value_size = (uint32_t)word;
    record->checksum = qc_load_relaxed(&words[WORD_CHECKSUM]);
    return word >> 32 == 0 ? check_size(record, room) : QC_ERR_CORRUPT;
}

void qc_record_write(uint8_t *at, const struct qc_record *record)
{
    uint64_t *words = (uint64_t *)(void *)at;

    qc_store_relaxed(&words[WORD_FIRST], pair(record->size, record->flags));
    qc_store_relaxed(&words[WORD_HASH], record->hash);
    qc_store_relaxed(&words[WORD_STAMP], record->stamp);
    qc_store_relaxed(&words[WORD_EXPIRES], record->expires_ms);
    qc_store_relaxed(&words[WORD_COUNTS], pair(record->key_size, record->cell_count));
    qc_store_relaxed(&words[WORD_VALUE], record->value_size);
    qc_store_relaxed(&words[WORD_CHECKSUM], record->checksum);
}

void qc_record_mark(uint8_t *at, const struct qc_record *record, uint32_t flags)
{
    qc_store_relaxed((uint64_t *)(void *)at, pair(record->size, flags));
}

void qc_record_pad(uint8_t *at, uint64_t size)
{
    qc_store_relaxed((uint64_t *)(void *)at, pair((uint32_t)size, QC_RECORD_PAD));
}

const uint8_t *qc_record_cells(const uint8_t *at)
{
    return at + QC_RECORD_HEADER;
}

const uint8_t *qc_record_key(const uint8_t *at, const struct qc_record *record)
{
    return at + QC_RECORD_HEADER + record->cell_count * sizeof(uint32_t);
}

const uint8_t *qc_record_value(const uint8_t *at, const struct qc_record *record)
{
    return qc_record_key(at, record) + record->key_size;
}

uint64_t qc_record_checksum(const struct qc_record *record, const void *cells, const void *key, const void *value)
{
    /* Each part by itself, so that a writer can sum them where they are, before it holds a lock. */
    const uint64_t sums[] = {record->size,
                             record->hash,
                             record->stamp,
                             record->expires_ms,
                             pair(record->key_size, record->cell_count),
                             record->value_size,
                             qc_checksum(cells, record->cell_count * sizeof(uint32_t)),
                             qc_checksum(key, record->key_size),
                             qc_checksum(value, record->value_size)};

    return qc_checksum(sums, sizeof sums);
}

bool qc_record_sound(const uint8_t *at, const struct qc_record *record)
{
    return qc_record_checksum(record, qc_record_cells(at), qc_record_key(at, record), qc_record_value(at, record)) ==
           record->checksum;
}
