#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qcache/codec.h"

#define CAP 100000

static struct qc_value sized(enum qc_type type, const void *data, size_t size)
{
    struct qc_value value = {.type = type};

    value.as.bytes.data = data;
    value.as.bytes.size = size;
    return value;
}

static struct qc_value text_of(enum qc_type type, const char *text)
{
    return sized(type, text, strlen(text));
}

static struct qc_value integer(int64_t number)
{
    return (struct qc_value){.type = QC_TYPE_INT, .as.integer = number};
}

static struct qc_value real(double number)
{
    return (struct qc_value){.type = QC_TYPE_FLOAT, .as.real = number};
}

static struct qc_value moment(enum qc_type type, struct qc_moment fields)
{
    return (struct qc_value){.type = type, .as.moment = fields};
}

static struct qc_value delta(int32_t days, int32_t seconds, int32_t microseconds)
{
    return (struct qc_value){.type = QC_TYPE_TIMEDELTA, .as.delta = {days, seconds, microseconds}};
}

static struct qc_value head(enum qc_type type, size_t count)
{
    return (struct qc_value){.type = type, .as.count = count};
}

static int encode_alone(const struct qc_value *value, struct qc_encoder *encoder)
{
    qc_encoder_init(encoder, CAP);
    return qc_encode(encoder, value);
}

static int status_of(struct qc_value value)
{
    struct qc_encoder encoder;
    int status = encode_alone(&value, &encoder);

    qc_encoder_release(&encoder);
    return status;
}

static int decode_bytes(const void *data, size_t size)
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

#define DECODE(literal) decode_bytes(literal, sizeof(literal) - 1)

/* Every value of the set at its edges; no two are the same. */
static size_t samples(struct qc_value out[96])
{
    static const uint8_t big[] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0};                         /* 2**63 */
    static const uint8_t low[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff}; /* -2**63 - 1 */
    static const uint8_t huge[40] = {[39] = 1};
    static const uint8_t zeros[16], ones[16] = {1};
    static const char *texts[] = {"", "1", "1.0", "True", "\xc3\xa9", "\xf0\x9f\x90\x98", "a\xe2\x82\xac"};
    static const char *decimals[] = {"1",    "1.0",  "-0",   "0",        "0.00",      "1E+3", "1.5E-7", "NaN",
                                     "NaN1", "sNaN", "-NaN", "Infinity", "-Infinity", "0E+3", "0E-7"};
    const struct qc_moment noon = {.year = 2024, .month = 2, .day = 29, .hour = 12, .microsecond = 999999};
    struct qc_moment other = noon;
    size_t n = 0;

    out[n++] = (struct qc_value){.type = QC_TYPE_NULL};
    out[n++] = (struct qc_value){.type = QC_TYPE_FALSE};
    out[n++] = (struct qc_value){.type = QC_TYPE_TRUE};
    for (int64_t number = -3; number <= 3; number++)
        out[n++] = integer(number);
    out[n++] = integer(INT64_MAX);
    out[n++] = integer(INT64_MIN);
    out[n++] = sized(QC_TYPE_BIGINT, big, sizeof big);
    out[n++] = sized(QC_TYPE_BIGINT, low, sizeof low);
    out[n++] = sized(QC_TYPE_BIGINT, huge, sizeof huge);
    out[n++] = real(0.0);
    out[n++] = real(-0.0);
    out[n++] = real(1.0);
    out[n++] = real((double)INFINITY);
    out[n++] = real(5e-324);
    out[n++] = real((double)NAN);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        out[n++] = text_of(QC_TYPE_TEXT, texts[i]);
        out[n++] = text_of(QC_TYPE_BYTES, texts[i]);
    }
    for (size_t i = 0; i < sizeof decimals / sizeof *decimals; i++)
        out[n++] = text_of(QC_TYPE_DECIMAL, decimals[i]);
    out[n++] = sized(QC_TYPE_BYTES, "\xff\x00\x80", 3);
    out[n++] = sized(QC_TYPE_UUID, zeros, 16);
    out[n++] = sized(QC_TYPE_UUID, ones, 16);
    out[n++] = sized(QC_TYPE_BYTES, zeros, 16);
    out[n++] = moment(QC_TYPE_DATE, (struct qc_moment){.year = 1, .month = 1, .day = 1});
    out[n++] = moment(QC_TYPE_DATE, (struct qc_moment){.year = 9999, .month = 12, .day = 31});
    out[n++] = moment(QC_TYPE_TIME, (struct qc_moment){.hour = 23, .minute = 59, .second = 59, .microsecond = 1});
    out[n++] = moment(QC_TYPE_DATETIME, noon);
    out[n++] = moment(QC_TYPE_DATE, (struct qc_moment){.year = 2024, .month = 2, .day = 29});
    other.fold = 1;
    out[n++] = moment(QC_TYPE_DATETIME, other);
    other.zone = QC_ZONE_UTC;
    out[n++] = moment(QC_TYPE_DATETIME, other);
    other.zone = QC_ZONE_OFFSET;
    other.offset_s = 1;
    out[n++] = moment(QC_TYPE_DATETIME, other);
    other.offset_s = -1;
    out[n++] = moment(QC_TYPE_DATETIME, other);
    other.offset_us = 999999;
    out[n++] = moment(QC_TYPE_DATETIME, other);
    other.offset_s = 0;
    out[n++] = moment(QC_TYPE_DATETIME, other);
    other.offset_s = -86399;
    out[n++] = moment(QC_TYPE_DATETIME, other);
    other.offset_s = 86399;
    out[n++] = moment(QC_TYPE_DATETIME, other);
    out[n++] = delta(0, 0, 0);
    out[n++] = delta(-999999999, 0, 0);
    out[n++] = delta(999999999, 86399, 999999);
    out[n++] = head(QC_TYPE_LIST, 0);
    out[n++] = head(QC_TYPE_TUPLE, 0);
    out[n++] = head(QC_TYPE_DICT, 0);
    return n;
}

/* Equality in the sense of the codec, written without it. */
static void assert_same(const struct qc_value *one, const struct qc_value *other)
{
    assert_int_equal(one->type, other->type);
    switch (one->type) {
    case QC_TYPE_INT:
        assert_true(one->as.integer == other->as.integer);
        break;
    case QC_TYPE_FLOAT:
        assert_memory_equal(&one->as.real, &other->as.real, sizeof(double));
        break;
    case QC_TYPE_BIGINT:
    case QC_TYPE_TEXT:
    case QC_TYPE_BYTES:
    case QC_TYPE_DECIMAL:
    case QC_TYPE_UUID:
        assert_int_equal(one->as.bytes.size, other->as.bytes.size);
        if (one->as.bytes.size > 0)
            assert_memory_equal(one->as.bytes.data, other->as.bytes.data, one->as.bytes.size);
        break;
    case QC_TYPE_DATE:
    case QC_TYPE_TIME:
    case QC_TYPE_DATETIME:
        assert_int_equal(one->as.moment.year, other->as.moment.year);
        assert_int_equal(one->as.moment.month, other->as.moment.month);
        assert_int_equal(one->as.moment.day, other->as.moment.day);
        assert_int_equal(one->as.moment.hour, other->as.moment.hour);
        assert_int_equal(one->as.moment.minute, other->as.moment.minute);
        assert_int_equal(one->as.moment.second, other->as.moment.second);
        assert_int_equal(one->as.moment.fold, other->as.moment.fold);
        assert_int_equal(one->as.moment.microsecond, other->as.moment.microsecond);
        assert_int_equal(one->as.moment.zone, other->as.moment.zone);
        assert_int_equal(one->as.moment.offset_s, other->as.moment.offset_s);
        assert_int_equal(one->as.moment.offset_us, other->as.moment.offset_us);
        break;
    case QC_TYPE_TIMEDELTA:
        assert_int_equal(one->as.delta.days, other->as.delta.days);
        assert_int_equal(one->as.delta.seconds, other->as.delta.seconds);
        assert_int_equal(one->as.delta.microseconds, other->as.delta.microseconds);
        break;
    case QC_TYPE_LIST:
    case QC_TYPE_TUPLE:
    case QC_TYPE_DICT:
        assert_int_equal(one->as.count, other->as.count);
        break;
    default:
        break;
    }
}

static void test_every_value_comes_back(void **state)
{
    struct qc_value values[96];
    size_t count = samples(values);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct qc_encoder encoder;
        struct qc_decoder decoder;
        struct qc_value back;

        assert_int_equal(encode_alone(&values[i], &encoder), QC_OK);
        qc_decoder_init(&decoder, encoder.data, encoder.size);
        assert_int_equal(qc_decode(&decoder, &back), QC_OK);
        assert_ptr_equal(decoder.at, decoder.end);
        assert_same(&values[i], &back);
        qc_encoder_release(&encoder);
    }
}

static void test_different_values_have_different_bytes(void **state)
{
    struct qc_value values[96];
    struct qc_encoder encoders[96];
    size_t count = samples(values);

    (void)state;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(encode_alone(&values[i], &encoders[i]), QC_OK);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            size_t shorter = encoders[i].size < encoders[j].size ? encoders[i].size : encoders[j].size;

            /* Not even a prefix: values stay apart when others follow them. */
            assert_int_not_equal(memcmp(encoders[i].data, encoders[j].data, shorter), 0);
        }
    }
    for (size_t i = 0; i < count; i++)
        qc_encoder_release(&encoders[i]);
}

static void test_no_prefix_of_a_value_decodes(void **state)
{
    struct qc_value values[96];
    size_t count = samples(values);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct qc_encoder encoder;

        assert_int_equal(encode_alone(&values[i], &encoder), QC_OK);
        for (size_t size = 0; size < encoder.size; size++) {
            uint8_t *cut = malloc(size > 0 ? size : 1); /* its own block, so that a sanitizer sees a byte too far */

            memcpy(cut, encoder.data, size);
            assert_int_equal(decode_bytes(cut, size), QC_ERR_CORRUPT);
            free(cut);
        }
        qc_encoder_release(&encoder);
    }
}

/* Whatever decodes must be what the encoder writes for that value: else equal values would have two spellings. */
static void test_what_decodes_encodes_to_the_same_bytes(void **state)
{
    struct qc_value values[96];
    size_t count = samples(values), decoded = 0;

    (void)state;
    srand(7);
    for (size_t round = 0; round < 300000; round++) {
        struct qc_encoder encoder, again;
        struct qc_decoder decoder;
        struct qc_value value;

        assert_int_equal(encode_alone(&values[round % count], &encoder), QC_OK);
        for (int flips = rand() % 3; flips >= 0; flips--)
            encoder.data[(size_t)rand() % encoder.size] ^= (uint8_t)(1 << rand() % 8);
        qc_decoder_init(&decoder, encoder.data, encoder.size);
        if (qc_decode(&decoder, &value) == QC_OK) {
            size_t used = (size_t)(decoder.at - encoder.data);

            decoded++;
            assert_int_equal(encode_alone(&value, &again), QC_OK);
            assert_int_equal(again.size, used);
            assert_memory_equal(again.data, encoder.data, used);
            qc_encoder_release(&again);
        }
        qc_encoder_release(&encoder);
    }
    assert_true(decoded > 50000); /* the test would prove little otherwise */
}

static void test_bytes_of_the_format(void **state)
{
    const struct qc_moment when = {.year = 2024,
                                   .month = 2,
                                   .day = 29,
                                   .hour = 1,
                                   .minute = 2,
                                   .second = 3,
                                   .fold = 1,
                                   .microsecond = 300,
                                   .zone = QC_ZONE_OFFSET,
                                   .offset_s = -60};
    struct qc_value values[] = {integer(-2),
                                real(1.0),
                                text_of(QC_TYPE_TEXT, "a"),
                                text_of(QC_TYPE_DECIMAL, "1.0"),
                                moment(QC_TYPE_DATETIME, when),
                                delta(-1, 300, 0),
                                head(QC_TYPE_DICT, 0)};
    static const char bytes[] = "\x01\x02\x01" /* rows: version, 2, 1 */
                                "\x03\x03"
                                "\x05\x00\x00\x00\x00\x00\x00\xf0\x3f"
                                "\x06\x01"
                                "a"
                                "\x08\x03"
                                "1.0"
                                "\x0b\xe8\x07\x02\x1d\x06\x01\x02\x03\xac\x02\x77\x00"
                                "\x0c\x01\xac\x02\x00"
                                "\x10\x00";
    struct qc_encoder encoder;

    (void)state;
    qc_encoder_init(&encoder, CAP);
    assert_int_equal(qc_encode_rows(&encoder, 2, 1), QC_OK);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_int_equal(qc_encode(&encoder, &values[i]), QC_OK);
    assert_int_equal(encoder.size, sizeof bytes - 1);
    assert_memory_equal(encoder.data, bytes, sizeof bytes - 1);
    qc_encoder_release(&encoder);
}

static void test_shortcuts_write_the_same(void **state)
{
    struct qc_value values[] = {integer(300), text_of(QC_TYPE_TEXT, "abc"), head(QC_TYPE_TUPLE, 3)};
    struct qc_encoder one, other;

    (void)state;
    qc_encoder_init(&one, CAP);
    qc_encoder_init(&other, CAP);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(qc_encode(&one, &values[i]), QC_OK);
    assert_int_equal(qc_encode_int(&other, 300), QC_OK);
    assert_int_equal(qc_encode_sized(&other, QC_TYPE_TEXT, "abc", 3), QC_OK);
    assert_int_equal(qc_encode_head(&other, QC_TYPE_TUPLE, 3), QC_OK);
    assert_int_equal(one.size, other.size);
    assert_memory_equal(one.data, other.data, one.size);
    assert_int_equal(qc_encode_sized(&other, QC_TYPE_LIST, "abc", 3), QC_ERR_ARGUMENT);
    assert_int_equal(qc_encode_head(&other, QC_TYPE_TEXT, 3), QC_ERR_ARGUMENT);
    qc_encoder_release(&one);
    qc_encoder_release(&other);
}

static void test_encoder_refuses_what_is_out_of_range(void **state)
{
    struct qc_moment zoned = {.hour = 1, .zone = QC_ZONE_OFFSET};

    (void)state;
    assert_int_equal(status_of((struct qc_value){.type = (enum qc_type)17}), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(text_of(QC_TYPE_TEXT, "\xed\xa0\x80")), QC_ERR_ARGUMENT); /* a lone surrogate */
    assert_int_equal(status_of(text_of(QC_TYPE_TEXT, "\xc0\x80")), QC_ERR_ARGUMENT);     /* overlong */
    assert_int_equal(status_of(text_of(QC_TYPE_TEXT, "\xe0\x80\x80")), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(text_of(QC_TYPE_TEXT, "\xf0\x80\x80\x80")), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(text_of(QC_TYPE_TEXT, "\xf4\x90\x80\x80")), QC_ERR_ARGUMENT); /* past U+10FFFF */
    assert_int_equal(status_of(text_of(QC_TYPE_TEXT, "12345678\xc3")), QC_ERR_ARGUMENT);     /* cut */
    assert_int_equal(status_of(text_of(QC_TYPE_BIGINT, "12345678")), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(sized(QC_TYPE_BIGINT, "12345678\0", 9)), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(sized(QC_TYPE_UUID, "12345678", 8)), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(moment(QC_TYPE_DATE, (struct qc_moment){.year = 2023, .month = 2, .day = 29})),
                     QC_ERR_ARGUMENT);
    assert_int_equal(status_of(moment(QC_TYPE_DATE, (struct qc_moment){.year = 1900, .month = 2, .day = 29})),
                     QC_ERR_ARGUMENT);
    assert_int_equal(status_of(moment(QC_TYPE_DATE, (struct qc_moment){.year = 0, .month = 1, .day = 1})),
                     QC_ERR_ARGUMENT);
    assert_int_equal(status_of(moment(QC_TYPE_DATE, (struct qc_moment){.year = 1, .month = 13, .day = 1})),
                     QC_ERR_ARGUMENT);
    assert_int_equal(status_of(moment(QC_TYPE_TIME, (struct qc_moment){.hour = 24})), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(moment(QC_TYPE_TIME, (struct qc_moment){.fold = 2})), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(moment(QC_TYPE_TIME, (struct qc_moment){.microsecond = 1000000})), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(moment(QC_TYPE_TIME, (struct qc_moment){.zone = 3})), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(moment(QC_TYPE_TIME, zoned)), QC_ERR_ARGUMENT); /* no offset: that is UTC */
    zoned.offset_s = 86400;
    assert_int_equal(status_of(moment(QC_TYPE_TIME, zoned)), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(delta(1000000000, 0, 0)), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(delta(0, 86400, 0)), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(delta(0, 0, -1)), QC_ERR_ARGUMENT);
}

static void test_decimal_has_python_s_spelling_only(void **state)
{
    static const char *wrong[] = {"",         "+1",     "01",         "1.",    ".5",
                                  "1e5",      "1E5",    "1E+05",      "1E+0",  "12E+3",
                                  "0.0E+3",   "1.5E-3", "nan",        "NaN0",  "NaN01",
                                  "Inf",      "--1",    "-",          "1 ",    "Infinity0",
                                  "0E+0",     "0E-6",   "0.00000001", "1.0E+", "1E+2000000000000000000",
                                  "0.0000000"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(status_of(text_of(QC_TYPE_DECIMAL, wrong[i])), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(text_of(QC_TYPE_DECIMAL, "0.000001")), QC_OK);
    assert_int_equal(status_of(text_of(QC_TYPE_DECIMAL, "1E-1999999999999999997")), QC_OK);
}

static void test_decoder_refuses_what_no_encoder_wrote(void **state)
{
    (void)state;
    assert_int_equal(DECODE(""), QC_ERR_CORRUPT);
    assert_int_equal(DECODE("\x11"), QC_ERR_CORRUPT);          /* no such type */
    assert_int_equal(DECODE("\x03\x80\x00"), QC_ERR_CORRUPT);  /* a longer zero */
    assert_int_equal(DECODE("\x06\x81\x00x"), QC_ERR_CORRUPT); /* a longer length */
    assert_int_equal(DECODE("\x06\x02x"), QC_ERR_CORRUPT);     /* cut */
    assert_int_equal(DECODE("\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), QC_ERR_CORRUPT);
    assert_int_equal(DECODE("\x06\x01\xff"), QC_ERR_CORRUPT);     /* not UTF-8 */
    assert_int_equal(DECODE("\x04\x08zzzzzzzz"), QC_ERR_CORRUPT); /* fits in 64 bits */
    assert_int_equal(DECODE("\x08\x02"
                            "01"),
                     QC_ERR_CORRUPT);
    assert_int_equal(DECODE("\x09\xe7\x07\x02\x1d"), QC_ERR_CORRUPT);             /* 29 February 2023 */
    assert_int_equal(DECODE("\x0a\x08\x01\x01\x01\x00"), QC_ERR_CORRUPT);         /* an unknown flag */
    assert_int_equal(DECODE("\x0a\x02\x01\x01\x01\x00\x00\x00"), QC_ERR_CORRUPT); /* UTC as an offset */
    assert_int_equal(DECODE("\x0e\x01"), QC_ERR_CORRUPT);                         /* one child in no bytes */
    assert_int_equal(DECODE("\x10\x01\x00"), QC_ERR_CORRUPT);                     /* one pair in one byte */
    assert_int_equal(DECODE("\x0e\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), QC_ERR_CORRUPT);
}

static int rows_of(const char *bytes, size_t size, size_t *rows, size_t *columns)
{
    struct qc_decoder decoder;

    qc_decoder_init(&decoder, bytes, size);
    return qc_decode_rows(&decoder, rows, columns);
}

static void test_rows_head(void **state)
{
    struct qc_encoder encoder;
    size_t rows = 9, columns = 9;

    (void)state;
    qc_encoder_init(&encoder, CAP);
    assert_int_equal(qc_encode_rows(&encoder, 0, 0), QC_OK);
    assert_int_equal(rows_of((const char *)encoder.data, encoder.size, &rows, &columns), QC_OK);
    assert_true(rows == 0 && columns == 0);
    encoder.size = 0;
    assert_int_equal(qc_encode_rows(&encoder, 3, 1), QC_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(qc_encode_int(&encoder, i), QC_OK);
    assert_int_equal(rows_of((const char *)encoder.data, encoder.size, &rows, &columns), QC_OK);
    assert_true(rows == 3 && columns == 1);
    assert_int_equal(qc_encode_rows(&encoder, 1, 0), QC_ERR_ARGUMENT);
    assert_int_equal(qc_encode_rows(&encoder, 1, 65536), QC_ERR_ARGUMENT);
    assert_int_equal(rows_of("\x02\x00\x00", 3, &rows, &columns), QC_ERR_CORRUPT);         /* another version */
    assert_int_equal(rows_of("\x01\x03\x01\x00\x00", 5, &rows, &columns), QC_ERR_CORRUPT); /* 3 values in 2 bytes */
    assert_int_equal(rows_of("\x01\x03\x00", 3, &rows, &columns), QC_ERR_CORRUPT);
    assert_int_equal(rows_of("\x01", 1, &rows, &columns), QC_ERR_CORRUPT);
    qc_encoder_release(&encoder);
}

static void test_cap_is_never_passed(void **state)
{
    struct qc_encoder encoder;
    static char text[700];

    (void)state;
    memset(text, 'x', sizeof text);
    qc_encoder_init(&encoder, 703);
    assert_int_equal(qc_encode_sized(&encoder, QC_TYPE_TEXT, text, sizeof text), QC_OK); /* tag, two of length */
    assert_int_equal(encoder.size, 703);
    assert_true(encoder.room <= 703);
    assert_int_equal(qc_encode_int(&encoder, 1), QC_ERR_TOO_LARGE);
    encoder.size = 1;
    assert_int_equal(qc_encode_sized(&encoder, QC_TYPE_TEXT, text, sizeof text), QC_ERR_TOO_LARGE);
    qc_encoder_release(&encoder);
    assert_null(encoder.data);
    qc_encoder_init(&encoder, 0);
    assert_int_equal(qc_encode_int(&encoder, 1), QC_ERR_TOO_LARGE);
    qc_encoder_release(&encoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_value_comes_back),
        cmocka_unit_test(test_different_values_have_different_bytes),
        cmocka_unit_test(test_no_prefix_of_a_value_decodes),
        cmocka_unit_test(test_what_decodes_encodes_to_the_same_bytes),
        cmocka_unit_test(test_bytes_of_the_format),
        cmocka_unit_test(test_shortcuts_write_the_same),
        cmocka_unit_test(test_encoder_refuses_what_is_out_of_range),
        cmocka_unit_test(test_decimal_has_python_s_spelling_only),
        cmocka_unit_test(test_decoder_refuses_what_no_encoder_wrote),
        cmocka_unit_test(test_rows_head),
        cmocka_unit_test(test_cap_is_never_passed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
