/* The one bounded way to read and to write bytes. Numbers are little endian.
 *
 * A cursor that fails has not moved. Threads: a cursor belongs to one thread.
 */
#ifndef QC_BASE_CURSOR_H
#define QC_BASE_CURSOR_H

#include <stddef.h>
#include <stdint.h>

#include "qcache/error.h"

#define QC_VARINT_MAX 10u /* bytes of the longest varint */

/* Reads from bytes it does not own. All takes return 0 or QC_ERR_CORRUPT. */
struct qc_reader {
    const uint8_t *at, *end;
};

void qc_reader_init(struct qc_reader *reader, const void *data, size_t size);
size_t qc_reader_left(const struct qc_reader *reader);
int qc_reader_take_u8(struct qc_reader *reader, uint8_t *value) QC_MUST_USE;
int qc_reader_take_u16(struct qc_reader *reader, uint16_t *value) QC_MUST_USE;
int qc_reader_take_u32(struct qc_reader *reader, uint32_t *value) QC_MUST_USE;
int qc_reader_take_u64(struct qc_reader *reader, uint64_t *value) QC_MUST_USE;

/* LEB128; a longer form than needed is refused, so that a number has one spelling. */
int qc_reader_take_varint(struct qc_reader *reader, uint64_t *value) QC_MUST_USE;

/* A varint of the zigzag form: 0, -1, 1, -2, ... */
int qc_reader_take_signed(struct qc_reader *reader, int64_t *value) QC_MUST_USE;

/* `*data` points into the input. */
int qc_reader_take_bytes(struct qc_reader *reader, size_t size, const uint8_t **data) QC_MUST_USE;

/* Writes into room it does not own. All puts return 0 or QC_ERR_TOO_LARGE. */
struct qc_writer {
    uint8_t *at, *end;
};

void qc_writer_init(struct qc_writer *writer, void *data, size_t size);
size_t qc_writer_left(const struct qc_writer *writer);
int qc_writer_put_u8(struct qc_writer *writer, uint8_t value) QC_MUST_USE;
int qc_writer_put_u16(struct qc_writer *writer, uint16_t value) QC_MUST_USE;
int qc_writer_put_u32(struct qc_writer *writer, uint32_t value) QC_MUST_USE;
int qc_writer_put_u64(struct qc_writer *writer, uint64_t value) QC_MUST_USE;
int qc_writer_put_varint(struct qc_writer *writer, uint64_t value) QC_MUST_USE;
int qc_writer_put_signed(struct qc_writer *writer, int64_t value) QC_MUST_USE;
int qc_writer_put_bytes(struct qc_writer *writer, const void *data, size_t size) QC_MUST_USE;

#endif
