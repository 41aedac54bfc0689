#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

static void test_siphash_gives_its_published_vectors(void **state)
{
    static const struct {
        size_t size;
        uint64_t hash;
    } vectors[] = {{0, UINT64_C(0x726fdb47dd0e0e31)}, {1, UINT64_C(0x74f839c593dc67fd)},
                   {2, UINT64_C(0x0d6c8009d9a94f5a)}, {3, UINT64_C(0x85676696d7fb7e2d)},
                   {4, UINT64_C(0xcf2794e0277187b7)}, {5, UINT64_C(0x18765564cd99a68d)},
                   {6, UINT64_C(0xcbc9466e58fee3ce)}, {7, UINT64_C(0xab0200f58b01d137)},
                   {8, UINT64_C(0x93f5f5799a932462)}, {15, UINT64_C(0xa129ca6149be45e5)}};
    uint8_t key[16], message[15];

    (void)state;
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        assert_int_equal(qc_hash(key, message, vectors[i].size), vectors[i].hash);
}

static void test_hash_depends_on_the_key(void **state)
{
    uint8_t one[16] = {1}, other[16] = {2};

    (void)state;
    assert_int_not_equal(qc_hash(one, "abc", 3), qc_hash(other, "abc", 3));
}

static void test_checksum_sees_every_single_bit(void **state)
{
    enum { SIZE = 203 }; /* whole blocks, whole words and a tail */
    uint8_t data[SIZE];
    uint64_t sound;

    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(i * 7);
    sound = qc_checksum(data, SIZE);
    for (size_t i = 0; i < SIZE * 8; i++) {
        data[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_not_equal(qc_checksum(data, SIZE), sound);
        data[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    assert_int_equal(qc_checksum(data, SIZE), sound);
}

static void test_checksum_sees_lengths_swaps_and_double_flips(void **state)
{
    uint8_t data[256] = {0};
    uint64_t sums[256], sound;

    (void)state;
    for (size_t i = 0; i < 256; i++) {
        sums[i] = qc_checksum(data, i);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(sums[i], sums[j]);
    }
    for (size_t i = 0; i < 256; i++)
        data[i] = (uint8_t)i;
    sound = qc_checksum(data, 256);
    for (size_t i = 0; i + 8 < 256; i += 8) { /* neighbours change places */
        uint8_t word[8];

        memcpy(word, data + i, 8);
        memmove(data + i, data + i + 8, 8);
        memcpy(data + i + 8, word, 8);
        assert_int_not_equal(qc_checksum(data, 256), sound);
        memmove(data + i + 8, data + i, 8);
        memcpy(data + i, word, 8);
    }
    srand(1);
    for (int round = 0; round < 200000; round++) {
        size_t one = (size_t)rand() % 256, two = (size_t)rand() % 256;

        if (one == two)
            continue;
        data[one] ^= 0x10;
        data[two] ^= 0x10;
        assert_int_not_equal(qc_checksum(data, 256), sound);
        data[one] ^= 0x10;
        data[two] ^= 0x10;
    }
}

static void test_checksum_has_a_fixed_value(void **state)
{
    (void)state;
    /* Part of the store's format: a change here needs a new QC_STORE_VERSION. */
    assert_int_equal(qc_checksum("the quick brown fox jumps over the lazy dog", 43), UINT64_C(0xf8609c816174893a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_siphash_gives_its_published_vectors),
        cmocka_unit_test(test_hash_depends_on_the_key),
        cmocka_unit_test(test_checksum_sees_every_single_bit),
        cmocka_unit_test(test_checksum_sees_lengths_swaps_and_double_flips),
        cmocka_unit_test(test_checksum_has_a_fixed_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
