#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "codec/bigint.h"
#include "codec/decimal.h"
#include "codec/moment.h"
#include "codec/rows.h"
#include "codec/utf8.h"
#include "qcache/codec.h"

#define ROOM_FIRST 256u
#define SMALL_MAX 32u /* no value's tag, numbers and length together take more */

void qc_encoder_init(struct qc_encoder *encoder, size_t cap)
{
    *encoder = (struct qc_encoder){.cap = cap};
}

void qc_encoder_release(struct qc_encoder *encoder)
{
    free(encoder->data);
    *encoder = (struct qc_encoder){.cap = encoder->cap};
}

/* Room for `more` bytes, by doubling up to the cap. */
static int grow(struct qc_encoder *encoder, size_t more)
{
    size_t need, room = encoder->room;
    uint8_t *data;

    if (encoder->size > encoder->cap || more > encoder->cap - encoder->size)
        return QC_ERR_TOO_LARGE;
    need = encoder->size + more;
    if (need <= room)
        return QC_OK;
    if (room < ROOM_FIRST)
        room = ROOM_FIRST;
    while (room < need)
        room = room > encoder->cap / 2 ? encoder->cap : room * 2;
    if (room > encoder->cap)
        room = encoder->cap;
    data = realloc(encoder->data, room);
    if (data == NULL)
        return QC_ERR_MEMORY;
    encoder->data = data;
    encoder->room = room;
    return QC_OK;
}

static int append(struct qc_encoder *encoder, const void *data, size_t size)
{
    struct qc_writer writer;
    int status = grow(encoder, size);

    if (status != QC_OK)
        return status;
    qc_writer_init(&writer, encoder->data + encoder->size, encoder->room - encoder->size);
    status = qc_writer_put_bytes(&writer, data, size);
    encoder->size += size;
    return status;
}

/* A tag and one unsigned number. */
static int append_head(struct qc_encoder *encoder, uint8_t tag, uint64_t number)
{
    uint8_t bytes[SMALL_MAX];
    struct qc_writer writer;
    int status;

    qc_writer_init(&writer, bytes, sizeof bytes);
    status = qc_writer_put_u8(&writer, tag);
    if (status == QC_OK)
        status = qc_writer_put_varint(&writer, number);
    return status == QC_OK ? append(encoder, bytes, (size_t)(writer.at - bytes)) : status;
}

int qc_encode_int(struct qc_encoder *encoder, int64_t value)
{
    uint8_t bytes[SMALL_MAX];
    struct qc_writer writer;
    int status;

    qc_writer_init(&writer, bytes, sizeof bytes);
    status = qc_writer_put_u8(&writer, QC_TYPE_INT);
    if (status == QC_OK)
        status = qc_writer_put_signed(&writer, value);
    return status == QC_OK ? append(encoder, bytes, (size_t)(writer.at - bytes)) : status;
}

static bool sized_in_range(enum qc_type type, const uint8_t *data, size_t size)
{
    switch (type) {
    case QC_TYPE_BIGINT:
        return qc_bigint_valid(data, size);
    case QC_TYPE_TEXT:
        return qc_utf8_valid(data, size);
    case QC_TYPE_BYTES:
        return true;
    case QC_TYPE_DECIMAL:
        return qc_decimal_valid(data, size);
    case QC_TYPE_UUID:
        return size == QC_UUID_SIZE;
    default:
        return false;
    }
}

int qc_encode_sized(struct qc_encoder *encoder, enum qc_type type, const void *data, size_t size)
{
    uint8_t tag = QC_TYPE_UUID;
    int status;

    if (!sized_in_range(type, data, size))
        return QC_ERR_ARGUMENT;
    if (type == QC_TYPE_UUID)
        status = append(encoder, &tag, sizeof tag);
    else
        status = append_head(encoder, (uint8_t)type, size);
    return status == QC_OK ? append(encoder, data, size) : status;
}

int qc_encode_head(struct qc_encoder *encoder, enum qc_type type, size_t count)
{
    if (type != QC_TYPE_LIST && type != QC_TYPE_TUPLE && type != QC_TYPE_DICT)
        return QC_ERR_ARGUMENT;
    return append_head(encoder, (uint8_t)type, count);
}

static int encode_float(struct qc_encoder *encoder, double value)
{
    uint8_t bytes[SMALL_MAX];
    struct qc_writer writer;
    uint64_t bits;
    int status;

    memcpy(&bits, &value, sizeof bits);
    qc_writer_init(&writer, bytes, sizeof bytes);
    status = qc_writer_put_u8(&writer, QC_TYPE_FLOAT);
    if (status == QC_OK)
        status = qc_writer_put_u64(&writer, bits);
    return status == QC_OK ? append(encoder, bytes, (size_t)(writer.at - bytes)) : status;
}

static int encode_moment(struct qc_encoder *encoder, const struct qc_value *value)
{
    uint8_t bytes[SMALL_MAX];
    struct qc_writer writer;
    int status;

    qc_writer_init(&writer, bytes, sizeof bytes);
    status = qc_writer_put_u8(&writer, (uint8_t)value->type);
    if (status != QC_OK)
        return status;
    if (value->type == QC_TYPE_TIMEDELTA)
        status = qc_delta_put(&writer, &value->as.delta);
    else
        status = qc_moment_put(&writer, value->type, &value->as.moment);
    return status == QC_OK ? append(encoder, bytes, (size_t)(writer.at - bytes)) : status;
}

int qc_encode(struct qc_encoder *encoder, const struct qc_value *value)
{
    uint8_t tag = (uint8_t)value->type;

    switch (value->type) {
    case QC_TYPE_NULL:
    case QC_TYPE_FALSE:
    case QC_TYPE_TRUE:
        return append(encoder, &tag, sizeof tag);
    case QC_TYPE_INT:
        return qc_encode_int(encoder, value->as.integer);
    case QC_TYPE_FLOAT:
        return encode_float(encoder, value->as.real);
    case QC_TYPE_BIGINT:
    case QC_TYPE_TEXT:
    case QC_TYPE_BYTES:
    case QC_TYPE_DECIMAL:
    case QC_TYPE_UUID:
        return qc_encode_sized(encoder, value->type, value->as.bytes.data, value->as.bytes.size);
    case QC_TYPE_DATE:
    case QC_TYPE_TIME:
    case QC_TYPE_DATETIME:
    case QC_TYPE_TIMEDELTA:
        return encode_moment(encoder, value);
    case QC_TYPE_LIST:
    case QC_TYPE_TUPLE:
    case QC_TYPE_DICT:
        return qc_encode_head(encoder, value->type, value->as.count);
    }
    return QC_ERR_ARGUMENT;
}

int qc_encode_rows(struct qc_encoder *encoder, size_t rows, size_t columns)
{
    uint8_t bytes[SMALL_MAX];
    struct qc_writer writer;
    int status;

    if (!qc_rows_valid(rows, columns))
        return QC_ERR_ARGUMENT;
    qc_writer_init(&writer, bytes, sizeof bytes);
    status = qc_writer_put_u8(&writer, QC_ROWS_VERSION);
    if (status == QC_OK)
        status = qc_writer_put_varint(&writer, rows);
    if (status == QC_OK)
        status = qc_writer_put_varint(&writer, columns);
    return status == QC_OK ? append(encoder, bytes, (size_t)(writer.at - bytes)) : status;
}
