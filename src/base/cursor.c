#include "base/cursor.h"

#include <string.h>

void qc_reader_init(struct qc_reader *reader, const void *data, size_t size)
{
    static const uint8_t nothing[1];

    /* NULL + 0 is undefined in C: an empty input gets an address all the same. */
    reader->at = data != NULL ? data : nothing;
    reader->end = reader->at + (data != NULL ? size : 0);
}

size_t qc_reader_left(const struct qc_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

int qc_reader_take_bytes(struct qc_reader *reader, size_t size, const uint8_t **data)
{
    if (size > qc_reader_left(reader))
        return QC_ERR_CORRUPT;
    *data = reader->at;
    reader->at += size;
    return QC_OK;
}

static int take_number(struct qc_reader *reader, unsigned size, uint64_t *value)
{
    const uint8_t *data;
    uint64_t number = 0;
    int status = qc_reader_take_bytes(reader, size, &data);

    if (status != QC_OK)
        return status;
    for (unsigned i = 0; i < size; i++)
        number |= (uint64_t)data[i] << (8 * i);
    *value = number;
    return QC_OK;
}

int qc_reader_take_u8(struct qc_reader *reader, uint8_t *value)
{
    if (reader->at == reader->end)
        return QC_ERR_CORRUPT;
    *value = *reader->at++;
    return QC_OK;
}

int qc_reader_take_u16(struct qc_reader *reader, uint16_t *value)
{
    uint64_t number;
    int status = take_number(reader, sizeof *value, &number);

    if (status == QC_OK)
        *value = (uint16_t)number;
    return status;
}

int qc_reader_take_u32(struct qc_reader *reader, uint32_t *value)
{
    uint64_t number;
    int status = take_number(reader, sizeof *value, &number);

    if (status == QC_OK)
        *value = (uint32_t)number;
    return status;
}

int qc_reader_take_u64(struct qc_reader *reader, uint64_t *value)
{
    return take_number(reader, sizeof *value, value);
}

int qc_reader_take_varint(struct qc_reader *reader, uint64_t *value)
{
    const uint8_t *at = reader->at;
    uint64_t number = 0;

    for (unsigned shift = 0; at < reader->end && shift < 7 * QC_VARINT_MAX; shift += 7) {
        uint8_t byte = *at++;

        if (shift == 63 && byte > 1)
            return QC_ERR_CORRUPT; /* past 64 bits */
        number |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        if (byte == 0 && shift > 0)
            return QC_ERR_CORRUPT; /* a shorter form says the same */
        reader->at = at;
        *value = number;
        return QC_OK;
    }
    return QC_ERR_CORRUPT;
}

int qc_reader_take_signed(struct qc_reader *reader, int64_t *value)
{
    uint64_t number;
    int status = qc_reader_take_varint(reader, &number);

    if (status == QC_OK)
        *value = (int64_t)((number >> 1) ^ (~(number & 1) + 1));
    return status;
}

void qc_writer_init(struct qc_writer *writer, void *data, size_t size)
{
    static uint8_t nothing[1]; /* never written: its cursor has no room */

    writer->at = data != NULL ? data : nothing;
    writer->end = writer->at + (data != NULL ? size : 0);
}

size_t qc_writer_left(const struct qc_writer *writer)
{
    return (size_t)(writer->end - writer->at);
}

int qc_writer_put_bytes(struct qc_writer *writer, const void *data, size_t size)
{
    if (size > qc_writer_left(writer))
        return QC_ERR_TOO_LARGE;
    if (size > 0)
        memcpy(writer->at, data, size);
    writer->at += size;
    return QC_OK;
}

static int put_number(struct qc_writer *writer, unsigned size, uint64_t value)
{
    if (size > qc_writer_left(writer))
        return QC_ERR_TOO_LARGE;
    for (unsigned i = 0; i < size; i++)
        *writer->at++ = (uint8_t)(value >> (8 * i));
    return QC_OK;
}

int qc_writer_put_u8(struct qc_writer *writer, uint8_t value)
{
    return put_number(writer, sizeof value, value);
}

int qc_writer_put_u16(struct qc_writer *writer, uint16_t value)
{
    return put_number(writer, sizeof value, value);
}

int qc_writer_put_u32(struct qc_writer *writer, uint32_t value)
{
    return put_number(writer, sizeof value, value);
}

int qc_writer_put_u64(struct qc_writer *writer, uint64_t value)
{
    return put_number(writer, sizeof value, value);
}

int qc_writer_put_varint(struct qc_writer *writer, uint64_t value)
{
    uint8_t bytes[QC_VARINT_MAX];
    size_t size = 0;

    while (value > 0x7f) {
        bytes[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[size++] = (uint8_t)value;
    return qc_writer_put_bytes(writer, bytes, size);
}

int qc_writer_put_signed(struct qc_writer *writer, int64_t value)
{
    uint64_t number = (uint64_t)value;

    return qc_writer_put_varint(writer, (number << 1) ^ (~(number >> 63) + 1));
}
