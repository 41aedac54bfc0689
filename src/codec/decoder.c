#include <string.h>

#include "base/cursor.h"
#include "codec/bigint.h"
#include "codec/decimal.h"
#include "codec/moment.h"
#include "codec/rows.h"
#include "codec/utf8.h"
#include "qcache/codec.h"

void qc_decoder_init(struct qc_decoder *decoder, const void *data, size_t size)
{
    struct qc_reader reader;

    qc_reader_init(&reader, data, size);
    decoder->at = reader.at;
    decoder->end = reader.end;
}

static int take_sized(struct qc_reader *reader, struct qc_value *value)
{
    const uint8_t *data;
    uint64_t size = QC_UUID_SIZE;
    bool valid = true;

    if (value->type != QC_TYPE_UUID && qc_reader_take_varint(reader, &size) != QC_OK)
        return QC_ERR_CORRUPT;
    if (size > qc_reader_left(reader) || qc_reader_take_bytes(reader, (size_t)size, &data) != QC_OK)
        return QC_ERR_CORRUPT;
    if (value->type == QC_TYPE_TEXT)
        valid = qc_utf8_valid(data, (size_t)size);
    else if (value->type == QC_TYPE_BIGINT)
        valid = qc_bigint_valid(data, (size_t)size);
    else if (value->type == QC_TYPE_DECIMAL)
        valid = qc_decimal_valid(data, (size_t)size);
    value->as.bytes.data = data;
    value->as.bytes.size = (size_t)size;
    return valid ? QC_OK : QC_ERR_CORRUPT;
}

static int take_float(struct qc_reader *reader, double *value)
{
    uint64_t bits;
    int status = qc_reader_take_u64(reader, &bits);

    if (status == QC_OK)
        memcpy(value, &bits, sizeof bits);
    return status;
}

/* A count that the bytes left can't hold is a lie, and would have the caller make room for it. */
static int take_count(struct qc_reader *reader, unsigned bytes_each, size_t *count)
{
    uint64_t number;

    if (qc_reader_take_varint(reader, &number) != QC_OK || number > qc_reader_left(reader) / bytes_each)
        return QC_ERR_CORRUPT;
    *count = (size_t)number;
    return QC_OK;
}

static int take_value(struct qc_reader *reader, struct qc_value *value)
{
    switch (value->type) {
    case QC_TYPE_NULL:
    case QC_TYPE_FALSE:
    case QC_TYPE_TRUE:
        return QC_OK;
    case QC_TYPE_INT:
        return qc_reader_take_signed(reader, &value->as.integer);
    case QC_TYPE_FLOAT:
        return take_float(reader, &value->as.real);
    case QC_TYPE_BIGINT:
    case QC_TYPE_TEXT:
    case QC_TYPE_BYTES:
    case QC_TYPE_DECIMAL:
    case QC_TYPE_UUID:
        return take_sized(reader, value);
    case QC_TYPE_DATE:
    case QC_TYPE_TIME:
    case QC_TYPE_DATETIME:
        return qc_moment_take(reader, value->type, &value->as.moment);
    case QC_TYPE_TIMEDELTA:
        return qc_delta_take(reader, &value->as.delta);
    case QC_TYPE_LIST:
    case QC_TYPE_TUPLE:
        return take_count(reader, 1, &value->as.count);
    case QC_TYPE_DICT:
        return take_count(reader, 2, &value->as.count);
    }
    return QC_ERR_CORRUPT;
}

int qc_decode(struct qc_decoder *decoder, struct qc_value *value)
{
    struct qc_reader reader = {decoder->at, decoder->end};
    uint8_t tag;
    int status;

    if (qc_reader_take_u8(&reader, &tag) != QC_OK)
        return QC_ERR_CORRUPT;
    value->type = (enum qc_type)tag; /* one that doesn't exist is refused by take_value */
    status = take_value(&reader, value);
    if (status == QC_OK)
        decoder->at = reader.at;
    return status;
}

int qc_decode_rows(struct qc_decoder *decoder, size_t *rows, size_t *columns)
{
    struct qc_reader reader = {decoder->at, decoder->end};
    uint64_t row_count, column_count;
    uint8_t version;

    if (qc_reader_take_u8(&reader, &version) != QC_OK || version != QC_ROWS_VERSION)
        return QC_ERR_CORRUPT;
    if (qc_reader_take_varint(&reader, &row_count) != QC_OK || qc_reader_take_varint(&reader, &column_count) != QC_OK)
        return QC_ERR_CORRUPT;
    if (!qc_rows_valid(row_count, column_count))
        return QC_ERR_CORRUPT;
    if (column_count > 0 && row_count > qc_reader_left(&reader) / column_count)
        return QC_ERR_CORRUPT; /* a value takes a byte at least */
    *rows = (size_t)row_count;
    *columns = (size_t)column_count;
    decoder->at = reader.at;
    return QC_OK;
}
