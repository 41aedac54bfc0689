/* The closed set of typed values, and their bytes (docs/format.md).
 *
 * An encoder writes a value after the other; a container is written as its head with the number of children, followed by
 * the children (a dict: key, value, key, value ...). A decoder reads them back in the same order. No recursion here: the
 * caller's own depth is bounded by QC_DEPTH_MAX, which both sides count.
 * Threads: an encoder or decoder belongs to one thread.
 */
#ifndef QCACHE_CODEC_H
#define QCACHE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qcache/error.h"

#define QC_DEPTH_MAX 64

enum qc_type {
    QC_TYPE_NULL = 0,
    QC_TYPE_FALSE = 1,
    QC_TYPE_TRUE = 2,
    QC_TYPE_INT = 3,    /* fits in int64 */
    QC_TYPE_BIGINT = 4, /* two's complement, little endian, shortest form, does not fit in int64 */
    QC_TYPE_FLOAT = 5,  /* IEEE 754 double, bit for bit */
    QC_TYPE_TEXT = 6,   /* UTF-8, lone surrogates refused */
    QC_TYPE_BYTES = 7,
    QC_TYPE_DECIMAL = 8, /* its exact text: sign, digits, exponent, NaN payload */
    QC_TYPE_DATE = 9,
    QC_TYPE_TIME = 10,
    QC_TYPE_DATETIME = 11,
    QC_TYPE_TIMEDELTA = 12,
    QC_TYPE_UUID = 13,
    QC_TYPE_LIST = 14,
    QC_TYPE_TUPLE = 15,
    QC_TYPE_DICT = 16
};

enum qc_zone { QC_ZONE_NONE = 0, QC_ZONE_UTC = 1, QC_ZONE_OFFSET = 2 };

struct qc_moment { /* DATE, TIME, DATETIME */
    int16_t year;
    uint8_t month, day, hour, minute, second, fold;
    uint32_t microsecond;
    uint8_t zone;       /* enum qc_zone */
    int32_t offset_s;   /* QC_ZONE_OFFSET: seconds east of UTC, |x| < 86400 */
    uint32_t offset_us; /* and microseconds, as Python allows */
};

struct qc_delta { /* normalised as Python's */
    int32_t days, seconds, microseconds;
};

struct qc_value {
    enum qc_type type;
    union {
        int64_t integer;
        double real;
        struct {
            const uint8_t *data;
            size_t size;
        } bytes; /* BIGINT, TEXT, BYTES, DECIMAL; UUID: 16 bytes. Points into the input */
        struct qc_moment moment;
        struct qc_delta delta;
        size_t count; /* LIST, TUPLE: children; DICT: pairs */
    } as;
};

/* A growing buffer with a cap. Zero-initialise with qc_encoder_init, free with qc_encoder_release. */
struct qc_encoder {
    uint8_t *data;
    size_t size, room, cap;
};
void qc_encoder_init(struct qc_encoder *encoder, size_t cap);
void qc_encoder_release(struct qc_encoder *encoder);

/* Appends one value (for a container: its head). QC_ERR_TOO_LARGE past the cap, QC_ERR_MEMORY, QC_ERR_ARGUMENT for a value
 * outside its type's range. After a failure the encoder may only be released or reset. */
int qc_encode(struct qc_encoder *encoder, const struct qc_value *value) QC_MUST_USE;

/* Shortcuts for what rows mostly hold; same results as qc_encode. */
int qc_encode_int(struct qc_encoder *encoder, int64_t value) QC_MUST_USE;
int qc_encode_sized(struct qc_encoder *encoder, enum qc_type type, const void *data, size_t size) QC_MUST_USE;
int qc_encode_head(struct qc_encoder *encoder, enum qc_type type, size_t count) QC_MUST_USE;

/* Reads values one after the other from bytes it does not own. */
struct qc_decoder {
    const uint8_t *at, *end;
};
void qc_decoder_init(struct qc_decoder *decoder, const void *data, size_t size);

/* The next value; containers give their head only. QC_ERR_CORRUPT for anything the encoder would not have written that
 * way (range, shortest form, a count larger than the bytes left could hold). */
int qc_decode(struct qc_decoder *decoder, struct qc_value *value) QC_MUST_USE;

/* Result sets: a head (format version, number of rows, number of columns) before the rows' values, row by row. */
int qc_encode_rows(struct qc_encoder *encoder, size_t rows, size_t columns) QC_MUST_USE;
int qc_decode_rows(struct qc_decoder *decoder, size_t *rows, size_t *columns) QC_MUST_USE;

#endif
