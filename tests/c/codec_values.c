#include "codec_values.h"

#include <math.h>
#include <string.h>

struct qc_value value_sized(enum qc_type type, const void *data, size_t size)
{
    struct qc_value value = {.type = type};

    value.as.bytes.data = data;
    value.as.bytes.size = size;
    return value;
}

struct qc_value value_text(enum qc_type type, const char *text)
{
    return value_sized(type, text, strlen(text));
}

struct qc_value value_integer(int64_t number)
{
    return (struct qc_value){.type = QC_TYPE_INT, .as.integer = number};
}

struct qc_value value_real(double number)
{
    return (struct qc_value){.type = QC_TYPE_FLOAT, .as.real = number};
}

struct qc_value value_moment(enum qc_type type, struct qc_moment fields)
{
    return (struct qc_value){.type = type, .as.moment = fields};
}

struct qc_value value_delta(int32_t days, int32_t seconds, int32_t microseconds)
{
    return (struct qc_value){.type = QC_TYPE_TIMEDELTA, .as.delta = {days, seconds, microseconds}};
}

struct qc_value value_head(enum qc_type type, size_t count)
{
    return (struct qc_value){.type = type, .as.count = count};
}

static size_t numbers(struct qc_value *out)
{
    static const uint8_t big[] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0};                         /* 2**63 */
    static const uint8_t low[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff}; /* -2**63 - 1 */
    static const uint8_t huge[40] = {[39] = 1};
    size_t n = 0;

    out[n++] = (struct qc_value){.type = QC_TYPE_NULL};
    out[n++] = (struct qc_value){.type = QC_TYPE_FALSE};
    out[n++] = (struct qc_value){.type = QC_TYPE_TRUE};
    for (int64_t number = -3; number <= 3; number++)
        out[n++] = value_integer(number);
    out[n++] = value_integer(INT64_MAX);
    out[n++] = value_integer(INT64_MIN);
    out[n++] = value_sized(QC_TYPE_BIGINT, big, sizeof big);
    out[n++] = value_sized(QC_TYPE_BIGINT, low, sizeof low);
    out[n++] = value_sized(QC_TYPE_BIGINT, huge, sizeof huge);
    out[n++] = value_real(0.0);
    out[n++] = value_real(-0.0);
    out[n++] = value_real(1.0);
    out[n++] = value_real((double)INFINITY);
    out[n++] = value_real(5e-324);
    out[n++] = value_real((double)NAN);
    return n;
}

static size_t texts_and_bytes(struct qc_value *out)
{
    static const uint8_t zeros[16], ones[16] = {1};
    static const char *texts[] = {"", "1", "1.0", "True", "\xc3\xa9", "\xf0\x9f\x90\x98", "a\xe2\x82\xac"};
    static const char *decimals[] = {"1",    "1.0",  "-0",   "0",        "0.00",      "1E+3", "1.5E-7", "NaN",
                                     "NaN1", "sNaN", "-NaN", "Infinity", "-Infinity", "0E+3", "0E-7"};
    size_t n = 0;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        out[n++] = value_text(QC_TYPE_TEXT, texts[i]);
        out[n++] = value_text(QC_TYPE_BYTES, texts[i]);
    }
    for (size_t i = 0; i < sizeof decimals / sizeof *decimals; i++)
        out[n++] = value_text(QC_TYPE_DECIMAL, decimals[i]);
    out[n++] = value_sized(QC_TYPE_BYTES, "\xff\x00\x80", 3);
    out[n++] = value_sized(QC_TYPE_UUID, zeros, 16);
    out[n++] = value_sized(QC_TYPE_UUID, ones, 16);
    out[n++] = value_sized(QC_TYPE_BYTES, zeros, 16);
    return n;
}

static size_t moments(struct qc_value *out)
{
    const struct qc_moment noon = {.year = 2024, .month = 2, .day = 29, .hour = 12, .microsecond = 999999};
    struct qc_moment other = noon;
    size_t n = 0;

    out[n++] = value_moment(QC_TYPE_DATE, (struct qc_moment){.year = 1, .month = 1, .day = 1});
    out[n++] = value_moment(QC_TYPE_DATE, (struct qc_moment){.year = 9999, .month = 12, .day = 31});
    out[n++] = value_moment(QC_TYPE_TIME, (struct qc_moment){.hour = 23, .minute = 59, .second = 59, .microsecond = 1});
    out[n++] = value_moment(QC_TYPE_DATETIME, noon);
    out[n++] = value_moment(QC_TYPE_DATE, (struct qc_moment){.year = 2024, .month = 2, .day = 29});
    other.fold = 1;
    out[n++] = value_moment(QC_TYPE_DATETIME, other);
    other.zone = QC_ZONE_UTC;
    out[n++] = value_moment(QC_TYPE_DATETIME, other);
    other.zone = QC_ZONE_OFFSET;
    other.offset_s = 1;
    out[n++] = value_moment(QC_TYPE_DATETIME, other);
    other.offset_s = -1;
    out[n++] = value_moment(QC_TYPE_DATETIME, other);
    other.offset_us = 999999;
    out[n++] = value_moment(QC_TYPE_DATETIME, other);
    other.offset_s = 0;
    out[n++] = value_moment(QC_TYPE_DATETIME, other);
    other.offset_s = -86399;
    out[n++] = value_moment(QC_TYPE_DATETIME, other);
    other.offset_s = 86399;
    out[n++] = value_moment(QC_TYPE_DATETIME, other);
    return n;
}

size_t value_samples(struct qc_value out[VALUE_SAMPLES_MAX])
{
    size_t n = numbers(out);

    n += texts_and_bytes(&out[n]);
    n += moments(&out[n]);
    out[n++] = value_delta(0, 0, 0);
    out[n++] = value_delta(-999999999, 0, 0);
    out[n++] = value_delta(999999999, 86399, 999999);
    out[n++] = value_head(QC_TYPE_LIST, 0);
    out[n++] = value_head(QC_TYPE_TUPLE, 0);
    out[n++] = value_head(QC_TYPE_DICT, 0);
    return n;
}

int value_encode(const struct qc_value *value, struct qc_encoder *encoder)
{
    qc_encoder_init(encoder, VALUE_CAP);
    return qc_encode(encoder, value);
}

int value_decode(const void *data, size_t size)
{
    struct qc_decoder decoder;
    struct qc_value value;
    int status;

    qc_decoder_init(&decoder, data, size);
    status = qc_decode(&decoder, &value);
    if (status == QC_OK && decoder.at != decoder.end)
        return QC_ERR_ARGUMENT; /* the case is wrong */
    return status;
}
