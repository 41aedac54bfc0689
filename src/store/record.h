/* One record of a log: an entry, or the padding before the log's end.
 *
 *     7 words of header | cells, 4 bytes each | key | value | 0 to 7 bytes up to a multiple of 8
 *
 * Headers are read from shared memory once, word by word, into a struct of the reader's own, and checked there.
 */
#ifndef QC_STORE_RECORD_H
#define QC_STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qcache/error.h"

#define QC_RECORD_HEADER 56u /* bytes */

/* The kind fills the flags but for the one bit that changes: damaged flags are no kind. */
#define QC_RECORD_LIVE UINT32_C(0x51a70010)
#define QC_RECORD_DEAD UINT32_C(0x51a70020) /* replaced or dropped: no longer in the index */
#define QC_RECORD_PAD UINT32_C(0x51a70040)  /* up to the end of the log; has its first word only */
#define QC_RECORD_HIT UINT32_C(1)           /* was hit since it was written */

struct qc_record {
    uint32_t size; /* of the whole record, a multiple of 8 */
    uint32_t flags;
    uint64_t hash, stamp, expires_ms;
    uint32_t key_size, cell_count, value_size;
    uint64_t checksum;
};

uint32_t qc_record_kind(const struct qc_record *record);
bool qc_record_hit(const struct qc_record *record);

/* Bytes of a record with these parts. */
uint64_t qc_record_size(uint64_t cell_count, uint64_t key_size, uint64_t value_size);

/* Reads the header at `at`, which has `room` bytes up to the log's end. QC_ERR_CORRUPT for anything that
 * qc_record_write or qc_record_pad would not have left there. */
int qc_record_read(const uint8_t *at, uint64_t room, struct qc_record *record) QC_MUST_USE;

/* Writes the header; the parts are the caller's. */
void qc_record_write(uint8_t *at, const struct qc_record *record);

/* Changes the first word only. */
void qc_record_mark(uint8_t *at, const struct qc_record *record, uint32_t flags);
void qc_record_pad(uint8_t *at, uint64_t size);

/* Where the parts lie in the record at `at`. */
const uint8_t *qc_record_cells(const uint8_t *at);
const uint8_t *qc_record_key(const uint8_t *at, const struct qc_record *record);
const uint8_t *qc_record_value(const uint8_t *at, const struct qc_record *record);

/* Over everything but the flags and the checksum itself. */
uint64_t qc_record_checksum(const struct qc_record *record, const void *cells, const void *key, const void *value);

/* The same over the parts of the record at `at`. */
bool qc_record_sound(const uint8_t *at, const struct qc_record *record);

#endif
