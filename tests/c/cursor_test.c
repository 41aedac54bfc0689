#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <string.h>

#include "base/cursor.h"

static void test_numbers_come_back(void **state)
{
    static const uint64_t numbers[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, INT64_MAX, UINT64_MAX};
    uint8_t bytes[64];

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct qc_writer writer;
        struct qc_reader reader;
        uint64_t varint, fixed;
        int64_t number;
        uint32_t word;
        uint16_t half;
        uint8_t byte;

        qc_writer_init(&writer, bytes, sizeof bytes);
        assert_int_equal(qc_writer_put_varint(&writer, numbers[i]), QC_OK);
        assert_int_equal(qc_writer_put_signed(&writer, (int64_t)numbers[i]), QC_OK);
        assert_int_equal(qc_writer_put_u64(&writer, numbers[i]), QC_OK);
        assert_int_equal(qc_writer_put_u32(&writer, (uint32_t)numbers[i]), QC_OK);
        assert_int_equal(qc_writer_put_u16(&writer, (uint16_t)numbers[i]), QC_OK);
        assert_int_equal(qc_writer_put_u8(&writer, (uint8_t)numbers[i]), QC_OK);
        qc_reader_init(&reader, bytes, (size_t)(writer.at - bytes));
        assert_int_equal(qc_reader_take_varint(&reader, &varint), QC_OK);
        assert_int_equal(qc_reader_take_signed(&reader, &number), QC_OK);
        assert_int_equal(qc_reader_take_u64(&reader, &fixed), QC_OK);
        assert_int_equal(qc_reader_take_u32(&reader, &word), QC_OK);
        assert_int_equal(qc_reader_take_u16(&reader, &half), QC_OK);
        assert_int_equal(qc_reader_take_u8(&reader, &byte), QC_OK);
        assert_int_equal(qc_reader_left(&reader), 0);
        assert_true(varint == numbers[i] && number == (int64_t)numbers[i] && fixed == numbers[i]);
        assert_true(word == (uint32_t)numbers[i] && half == (uint16_t)numbers[i] && byte == (uint8_t)numbers[i]);
    }
}

static void test_numbers_are_little_endian_and_signs_zigzag(void **state)
{
    uint8_t bytes[16];
    struct qc_writer writer;

    (void)state;
    qc_writer_init(&writer, bytes, sizeof bytes);
    assert_int_equal(qc_writer_put_u32(&writer, 0x01020304), QC_OK);
    assert_int_equal(qc_writer_put_varint(&writer, 300), QC_OK);
    assert_int_equal(qc_writer_put_signed(&writer, -1), QC_OK);
    assert_int_equal(qc_writer_put_signed(&writer, 1), QC_OK);
    assert_memory_equal(bytes, "\x04\x03\x02\x01\xac\x02\x01\x02", 8);
}

static int take_varint(const char *bytes, size_t size)
{
    struct qc_reader reader;
    uint64_t value;
    int status;

    qc_reader_init(&reader, bytes, size);
    status = qc_reader_take_varint(&reader, &value);
    if (status != QC_OK)
        assert_int_equal(qc_reader_left(&reader), size); /* a failure has not moved it */
    return status;
}

static void test_varint_has_one_spelling(void **state)
{
    (void)state;
    assert_int_equal(take_varint("\x80\x01", 2), QC_OK);
    assert_int_equal(take_varint("\x80\x00", 2), QC_ERR_CORRUPT);
    assert_int_equal(take_varint("\x80", 1), QC_ERR_CORRUPT);
    assert_int_equal(take_varint("", 0), QC_ERR_CORRUPT);
    assert_int_equal(take_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10), QC_OK);
    assert_int_equal(take_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10), QC_ERR_CORRUPT);
    assert_int_equal(take_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11), QC_ERR_CORRUPT);
}

static void test_nothing_is_read_past_the_end(void **state)
{
    struct qc_reader reader;
    const uint8_t *data;
    uint64_t value;
    uint32_t word;

    (void)state;
    qc_reader_init(&reader, "1234567", 7);
    assert_int_equal(qc_reader_take_u64(&reader, &value), QC_ERR_CORRUPT);
    assert_int_equal(qc_reader_take_bytes(&reader, 8, &data), QC_ERR_CORRUPT);
    assert_int_equal(qc_reader_take_bytes(&reader, SIZE_MAX, &data), QC_ERR_CORRUPT);
    assert_int_equal(qc_reader_take_bytes(&reader, 7, &data), QC_OK);
    assert_int_equal(qc_reader_take_u32(&reader, &word), QC_ERR_CORRUPT);
    assert_int_equal(qc_reader_take_bytes(&reader, 0, &data), QC_OK);
    qc_reader_init(&reader, NULL, 5);
    assert_int_equal(qc_reader_left(&reader), 0);
}

static void test_nothing_is_written_past_the_end(void **state)
{
    uint8_t bytes[8] = {0};
    struct qc_writer writer;

    (void)state;
    qc_writer_init(&writer, bytes, 7);
    assert_int_equal(qc_writer_put_u64(&writer, UINT64_MAX), QC_ERR_TOO_LARGE);
    assert_int_equal(qc_writer_put_varint(&writer, UINT64_MAX), QC_ERR_TOO_LARGE);
    assert_int_equal(qc_writer_put_bytes(&writer, "12345678", 8), QC_ERR_TOO_LARGE);
    assert_int_equal(qc_writer_left(&writer), 7);
    assert_int_equal(qc_writer_put_bytes(&writer, "1234567", 7), QC_OK);
    assert_int_equal(qc_writer_put_u8(&writer, 1), QC_ERR_TOO_LARGE);
    assert_int_equal(bytes[7], 0);
    qc_writer_init(&writer, NULL, 5);
    assert_int_equal(qc_writer_put_u8(&writer, 1), QC_ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_come_back),
        cmocka_unit_test(test_numbers_are_little_endian_and_signs_zigzag),
        cmocka_unit_test(test_varint_has_one_spelling),
        cmocka_unit_test(test_nothing_is_read_past_the_end),
        cmocka_unit_test(test_nothing_is_written_past_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
