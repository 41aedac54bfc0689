/* What the encoder won't write, and the decoder won't read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <stdlib.h>
#include <string.h>

#include "codec_values.h"

static int status_of(struct qc_value value)
{
    struct qc_encoder encoder;
    int status = value_encode(&value, &encoder);

    qc_encoder_release(&encoder);
    return status;
}

#define DECODE(literal) value_decode(literal, sizeof(literal) - 1)

static void test_encoder_refuses_what_is_out_of_range(void **state)
{
    struct qc_moment zoned = {.hour = 1, .zone = QC_ZONE_OFFSET};

    (void)state;
    assert_int_equal(status_of((struct qc_value){.type = (enum qc_type)17}), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_text(QC_TYPE_TEXT, "\xed\xa0\x80")), QC_ERR_ARGUMENT); /* a lone surrogate */
    assert_int_equal(status_of(value_text(QC_TYPE_TEXT, "\xc0\x80")), QC_ERR_ARGUMENT);     /* overlong */
    assert_int_equal(status_of(value_text(QC_TYPE_TEXT, "\xe0\x80\x80")), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_text(QC_TYPE_TEXT, "\xf0\x80\x80\x80")), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_text(QC_TYPE_TEXT, "\xf4\x90\x80\x80")), QC_ERR_ARGUMENT); /* past U+10FFFF */
    assert_int_equal(status_of(value_text(QC_TYPE_TEXT, "12345678\xc3")), QC_ERR_ARGUMENT);     /* cut */
    assert_int_equal(status_of(value_text(QC_TYPE_BIGINT, "12345678")), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_sized(QC_TYPE_BIGINT, "12345678\0", 9)), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_sized(QC_TYPE_UUID, "12345678", 8)), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_moment(QC_TYPE_DATE, (struct qc_moment){.year = 2023, .month = 2, .day = 29})),
                     QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_moment(QC_TYPE_DATE, (struct qc_moment){.year = 1900, .month = 2, .day = 29})),
                     QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_moment(QC_TYPE_DATE, (struct qc_moment){.year = 0, .month = 1, .day = 1})),
                     QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_moment(QC_TYPE_DATE, (struct qc_moment){.year = 1, .month = 13, .day = 1})),
                     QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_moment(QC_TYPE_TIME, (struct qc_moment){.hour = 24})), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_moment(QC_TYPE_TIME, (struct qc_moment){.fold = 2})), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_moment(QC_TYPE_TIME, (struct qc_moment){.microsecond = 1000000})),
                     QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_moment(QC_TYPE_TIME, (struct qc_moment){.zone = 3})), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_moment(QC_TYPE_TIME, zoned)), QC_ERR_ARGUMENT); /* no offset: that is UTC */
    zoned.offset_s = 86400;
    assert_int_equal(status_of(value_moment(QC_TYPE_TIME, zoned)), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_delta(1000000000, 0, 0)), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_delta(0, 86400, 0)), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_delta(0, 0, -1)), QC_ERR_ARGUMENT);
}

/* Each in a block of its own, so that a sanitizer sees a byte read too far. */
static void test_cut_utf8_is_refused_without_a_look_behind(void **state)
{
    static const char *whole[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\x98"};

    (void)state;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        for (size_t size = 1; size < strlen(whole[i]); size++) {
            char *cut = malloc(size);

            assert_non_null(cut);
            memcpy(cut, whole[i], size);
            assert_int_equal(status_of(value_sized(QC_TYPE_TEXT, cut, size)), QC_ERR_ARGUMENT);
            free(cut);
        }
    }
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
        assert_int_equal(status_of(value_text(QC_TYPE_DECIMAL, wrong[i])), QC_ERR_ARGUMENT);
    assert_int_equal(status_of(value_text(QC_TYPE_DECIMAL, "0.000001")), QC_OK);
    assert_int_equal(status_of(value_text(QC_TYPE_DECIMAL, "1E-1999999999999999997")), QC_OK);
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
    qc_encoder_init(&encoder, VALUE_CAP);
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
    qc_encoder_init(&encoder, 100);
    assert_int_equal(qc_encode_int(&encoder, 1), QC_OK);
    assert_true(encoder.room <= 100);
    qc_encoder_release(&encoder);
    qc_encoder_init(&encoder, 0);
    assert_int_equal(qc_encode_int(&encoder, 1), QC_ERR_TOO_LARGE);
    qc_encoder_release(&encoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoder_refuses_what_is_out_of_range),
        cmocka_unit_test(test_cut_utf8_is_refused_without_a_look_behind),
        cmocka_unit_test(test_decimal_has_python_s_spelling_only),
        cmocka_unit_test(test_decoder_refuses_what_no_encoder_wrote),
        cmocka_unit_test(test_rows_head),
        cmocka_unit_test(test_cap_is_never_passed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
