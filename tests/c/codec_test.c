#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <stdlib.h>
#include <string.h>

#include "codec_values.h"

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
    struct qc_value values[VALUE_SAMPLES_MAX];
    size_t count = value_samples(values);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct qc_encoder encoder;
        struct qc_decoder decoder;
        struct qc_value back;

        assert_int_equal(value_encode(&values[i], &encoder), QC_OK);
        qc_decoder_init(&decoder, encoder.data, encoder.size);
        assert_int_equal(qc_decode(&decoder, &back), QC_OK);
        assert_ptr_equal(decoder.at, decoder.end);
        assert_same(&values[i], &back);
        qc_encoder_release(&encoder);
    }
}

static void test_different_values_have_different_bytes(void **state)
{
    struct qc_value values[VALUE_SAMPLES_MAX];
    struct qc_encoder encoders[VALUE_SAMPLES_MAX];
    size_t count = value_samples(values);

    (void)state;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(value_encode(&values[i], &encoders[i]), QC_OK);
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
    struct qc_value values[VALUE_SAMPLES_MAX];
    size_t count = value_samples(values);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct qc_encoder encoder;

        assert_int_equal(value_encode(&values[i], &encoder), QC_OK);
        for (size_t size = 0; size < encoder.size; size++) {
            uint8_t *cut = malloc(size > 0 ? size : 1); /* its own block, so that a sanitizer sees a byte too far */

            memcpy(cut, encoder.data, size);
            assert_int_equal(value_decode(cut, size), QC_ERR_CORRUPT);
            free(cut);
        }
        qc_encoder_release(&encoder);
    }
}

/* Whatever decodes must be what the encoder writes for that value: else equal values would have two spellings. */
static void test_what_decodes_encodes_to_the_same_bytes(void **state)
{
    struct qc_value values[VALUE_SAMPLES_MAX];
    size_t count = value_samples(values), decoded = 0;

    (void)state;
    srand(7);
    for (size_t round = 0; round < 300000; round++) {
        struct qc_encoder encoder, again;
        struct qc_decoder decoder;
        struct qc_value value;

        assert_int_equal(value_encode(&values[round % count], &encoder), QC_OK);
        for (int flips = rand() % 3; flips >= 0; flips--)
            encoder.data[(size_t)rand() % encoder.size] ^= (uint8_t)(1 << rand() % 8);
        qc_decoder_init(&decoder, encoder.data, encoder.size);
        if (qc_decode(&decoder, &value) == QC_OK) {
            size_t used = (size_t)(decoder.at - encoder.data);

            decoded++;
            assert_int_equal(value_encode(&value, &again), QC_OK);
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
    struct qc_value values[] = {value_integer(-2),
                                value_real(1.0),
                                value_text(QC_TYPE_TEXT, "a"),
                                value_text(QC_TYPE_DECIMAL, "1.0"),
                                value_moment(QC_TYPE_DATETIME, when),
                                value_delta(-1, 300, 0),
                                value_head(QC_TYPE_DICT, 0)};
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
    qc_encoder_init(&encoder, VALUE_CAP);
    assert_int_equal(qc_encode_rows(&encoder, 2, 1), QC_OK);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        assert_int_equal(qc_encode(&encoder, &values[i]), QC_OK);
    assert_int_equal(encoder.size, sizeof bytes - 1);
    assert_memory_equal(encoder.data, bytes, sizeof bytes - 1);
    qc_encoder_release(&encoder);
}

static void test_shortcuts_write_the_same(void **state)
{
    struct qc_value values[] = {value_integer(300), value_text(QC_TYPE_TEXT, "abc"), value_head(QC_TYPE_TUPLE, 3)};
    struct qc_encoder one, other;

    (void)state;
    qc_encoder_init(&one, VALUE_CAP);
    qc_encoder_init(&other, VALUE_CAP);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_value_comes_back),
        cmocka_unit_test(test_different_values_have_different_bytes),
        cmocka_unit_test(test_no_prefix_of_a_value_decodes),
        cmocka_unit_test(test_what_decodes_encodes_to_the_same_bytes),
        cmocka_unit_test(test_bytes_of_the_format),
        cmocka_unit_test(test_shortcuts_write_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
