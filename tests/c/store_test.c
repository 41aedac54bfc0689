#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <stdlib.h>
#include <string.h>

#include "store_fixture.h"

static void test_entry_comes_back_with_its_cells_and_stamp(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    assert_int_equal(fixture_get(&fixture, "key"), QC_MISS);
    assert_int_equal(fixture_put(&fixture, "key", "value"), QC_OK);
    assert_true(fixture_holds(&fixture, "key", "value"));
    assert_int_equal(fixture.entry.stamp, 7);
    assert_int_equal(fixture.entry.cell_count, 2);
    assert_int_equal(fixture.entry.cells[0], 3);
    assert_int_equal(fixture.entry.cells[1], 5);
    assert_int_equal(fixture_get(&fixture, "ke"), QC_MISS);
    assert_int_equal(fixture_get(&fixture, "keyy"), QC_MISS);
    assert_int_equal(fixture_verify(&fixture), 0);
    fixture_close(&fixture);
}

static void test_empty_parts_are_allowed(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    assert_int_equal(qc_store_put(fixture.store, NULL, 0, 1, 0, NULL, 0, NULL, 0, NULL), QC_OK);
    assert_int_equal(qc_store_get(fixture.store, NULL, 0, 0, NULL, &fixture.entry), QC_OK);
    assert_int_equal(fixture.entry.value_size, 0);
    assert_int_equal(fixture.entry.cell_count, 0);
    assert_int_equal(fixture_verify(&fixture), 0);
    fixture_close(&fixture);
}

static void test_second_put_replaces_the_first(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    assert_int_equal(fixture_put(&fixture, "key", "first"), QC_OK);
    assert_int_equal(fixture_put(&fixture, "key", "second and longer"), QC_OK);
    assert_true(fixture_holds(&fixture, "key", "second and longer"));
    assert_int_equal(fixture_info(&fixture).entries, 1);
    assert_int_equal(fixture_verify(&fixture), 0);
    fixture_close(&fixture);
}

static void test_another_handle_sees_the_entry(void **state)
{
    struct fixture fixture;
    struct qc_store *other;
    struct qc_error error;

    (void)state;
    fixture_open(&fixture);
    assert_int_equal(fixture_put(&fixture, "key", "value"), QC_OK);
    assert_int_equal(qc_store_attach(fixture.region, fixture.size, &other, &error), QC_OK);
    assert_int_equal(qc_store_get(other, "key", 3, 0, NULL, &fixture.entry), QC_OK);
    qc_store_detach(other);
    fixture_close(&fixture);
}

static void test_caps_are_exact(void **state)
{
    static char value[FIXTURE_MAX_ENTRY + 1];
    static uint32_t cells[QC_ENTRY_CELLS_MAX + 1];
    struct fixture fixture;
    struct qc_store *store;

    (void)state;
    fixture_open_small(&fixture);
    store = fixture.store;
    assert_int_equal(qc_store_put(store, "k", 1, 1, 0, cells, QC_ENTRY_CELLS_MAX, value, FIXTURE_MAX_ENTRY - 1, NULL),
                     QC_OK);
    assert_int_equal(qc_store_get(store, "k", 1, 0, NULL, &fixture.entry), QC_OK);
    assert_int_equal(fixture.entry.value_size, FIXTURE_MAX_ENTRY - 1);
    assert_int_equal(fixture.entry.cell_count, QC_ENTRY_CELLS_MAX);
    assert_int_equal(qc_store_put(store, "k", 1, 1, 0, NULL, 0, value, FIXTURE_MAX_ENTRY, NULL), QC_ERR_TOO_LARGE);
    assert_int_equal(qc_store_put(store, value, FIXTURE_MAX_ENTRY + 1, 1, 0, NULL, 0, NULL, 0, NULL), QC_ERR_TOO_LARGE);
    assert_int_equal(qc_store_put(store, value, 1, 1, 0, NULL, 0, NULL, SIZE_MAX, NULL), QC_ERR_TOO_LARGE);
    assert_int_equal(qc_store_put(store, "k", 1, 1, 0, cells, QC_ENTRY_CELLS_MAX + 1, "", 0, NULL), QC_ERR_TOO_LARGE);
    assert_int_equal(fixture_info(&fixture).refused, 4);
    assert_int_equal(fixture_verify(&fixture), 0);
    fixture_close(&fixture);
}

static void test_memory_grows_with_the_entry(void **state)
{
    static uint32_t cells[QC_ENTRY_CELLS_MAX];
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    for (size_t count = 0; count <= QC_ENTRY_CELLS_MAX; count += 512) {
        for (size_t i = 0; i < count; i++)
            cells[i] = (uint32_t)(i ^ count);
        assert_int_equal(qc_store_put(fixture.store, "k", 1, count, 0, cells, count, "v", 1, NULL), QC_OK);
        assert_int_equal(qc_store_get(fixture.store, "k", 1, 0, NULL, &fixture.entry), QC_OK);
        assert_int_equal(fixture.entry.cell_count, count);
        if (count > 0)
            assert_memory_equal(fixture.entry.cells, cells, count * sizeof *cells);
        assert_int_equal(fixture.entry.value[0], 'v');
    }
    fixture_close(&fixture);
}

static void test_expired_entry_is_dropped(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    assert_int_equal(qc_store_put(fixture.store, "k", 1, 1, 1000, NULL, 0, "v", 1, NULL), QC_OK);
    assert_int_equal(qc_store_get(fixture.store, "k", 1, 999, NULL, &fixture.entry), QC_OK);
    assert_int_equal(qc_store_get(fixture.store, "k", 1, 1000, NULL, &fixture.entry), QC_MISS);
    assert_int_equal(fixture_info(&fixture).entries, 0);
    assert_int_equal(qc_store_get(fixture.store, "k", 1, 999, NULL, &fixture.entry), QC_MISS);
    assert_int_equal(fixture_verify(&fixture), 0);
    fixture_close(&fixture);
}

/* Refuses what depends on one cell. */
struct judge {
    uint32_t bad_cell;
    unsigned calls;
    uint64_t stamp;
    size_t count;
};

static bool judged(void *context, const uint32_t *cells, size_t count, uint64_t stamp)
{
    struct judge *judge = context;

    judge->calls++;
    judge->stamp = stamp;
    judge->count = count;
    for (size_t i = 0; i < count; i++)
        if (cells[i] == judge->bad_cell)
            return false;
    return true;
}

static void test_refused_entry_is_dropped(void **state)
{
    struct judge judge = {.bad_cell = 99};
    const struct qc_validity validity = {judged, &judge};
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    assert_int_equal(fixture_put(&fixture, "key", "value"), QC_OK);
    assert_int_equal(qc_store_get(fixture.store, "key", 3, 0, &validity, &fixture.entry), QC_OK);
    assert_int_equal(judge.calls, 1);
    assert_int_equal(judge.stamp, 7);
    assert_int_equal(judge.count, 2);
    judge.bad_cell = 5;
    assert_int_equal(qc_store_get(fixture.store, "key", 3, 0, &validity, &fixture.entry), QC_MISS);
    assert_int_equal(fixture_get(&fixture, "key"), QC_MISS);
    assert_int_equal(fixture_info(&fixture).entries, 0);
    assert_int_equal(fixture_verify(&fixture), 0);
    fixture_close(&fixture);
}

static void test_oldest_are_pushed_out_first(void **state)
{
    struct fixture fixture;
    unsigned next;
    char key[16];

    (void)state;
    fixture_open_small(&fixture);
    next = fixture_fill(&fixture);
    fixture_put_more(&fixture, next, 10);
    assert_int_equal(fixture_get(&fixture, "key 0"), QC_MISS);
    assert_int_equal(fixture_get(&fixture, "key 1"), QC_MISS);
    fixture_name(key, next + 9);
    assert_int_equal(fixture_get(&fixture, key), QC_OK);
    fixture_name(key, next - 1);
    assert_int_equal(fixture_get(&fixture, key), QC_OK);
    assert_true(fixture_info(&fixture).evicted >= 8);
    assert_int_equal(fixture_info(&fixture).reinserted, 0);
    assert_int_equal(fixture_verify(&fixture), 0);
    fixture_close(&fixture);
}

static void test_entry_hit_since_it_was_written_survives_once(void **state)
{
    struct fixture fixture;
    unsigned next;

    (void)state;
    fixture_open_small(&fixture);
    next = fixture_fill(&fixture);
    assert_int_equal(fixture_get(&fixture, "key 1"), QC_OK);
    fixture_put_more(&fixture, next, 10);
    assert_int_equal(fixture_info(&fixture).reinserted, 1);
    fixture_put_more(&fixture, next + 10, next - 20); /* nearly a round: it has moved, and is not gone yet */
    assert_int_equal(fixture_get(&fixture, "key 2"), QC_MISS);
    assert_int_equal(fixture_info(&fixture).reinserted, 1);
    fixture_put_more(&fixture, 2 * next, 20); /* its bit was cleared when it moved */
    assert_int_equal(fixture_info(&fixture).reinserted, 1);
    assert_int_equal(fixture_get(&fixture, "key 1"), QC_MISS);
    assert_int_equal(fixture_verify(&fixture), 0);
    fixture_close(&fixture);
}

static void test_entry_hit_every_round_stays(void **state)
{
    struct fixture fixture;
    unsigned next;

    (void)state;
    fixture_open_small(&fixture);
    next = fixture_fill(&fixture);
    for (unsigned round = 1; round < 20; round++) {
        assert_int_equal(fixture_get(&fixture, "key 0"), QC_OK);
        fixture_put_more(&fixture, round * 1000, next - 10);
    }
    assert_int_equal(fixture_get(&fixture, "key 0"), QC_OK);
    assert_int_equal(fixture_verify(&fixture), 0);
    fixture_close(&fixture);
}

/* Fills the log, hits the five oldest, then pushes them out under this judge. Returns how many were moved. */
static uint64_t moved_under(uint32_t bad_cell)
{
    struct judge judge = {.bad_cell = bad_cell};
    const struct qc_validity validity = {judged, &judge};
    struct fixture fixture;
    uint64_t moved;
    char key[16];
    unsigned next;

    fixture_open_small(&fixture);
    next = fixture_fill(&fixture);
    for (unsigned i = 0; i < 5; i++) {
        fixture_name(key, i);
        assert_int_equal(fixture_get(&fixture, key), QC_OK);
    }
    for (unsigned i = 0; i < 100; i++) {
        fixture_name(key, next + i);
        assert_int_equal(qc_store_put(fixture.store, key, strlen(key), 7, 0, NULL, 0, fixture_hash_key, 16, &validity),
                         QC_OK);
    }
    assert_true(fixture_info(&fixture).evicted > 5);
    assert_int_equal(fixture_verify(&fixture), 0);
    moved = fixture_info(&fixture).reinserted;
    fixture_close(&fixture);
    return moved;
}

static void test_stale_entry_is_not_moved(void **state)
{
    (void)state;
    assert_int_equal(moved_under(99), 5);
    assert_int_equal(moved_under(5), 0);
}

static void test_work_of_a_put_is_bounded_when_all_were_hit(void **state)
{
    struct fixture fixture;
    uint64_t before;
    unsigned next;
    char key[16];

    (void)state;
    fixture_open_small(&fixture);
    next = fixture_fill(&fixture);
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < next + round; i++) {
            fixture_name(key, i);
            (void)!fixture_get(&fixture, key);
        }
        before = fixture_info(&fixture).reinserted;
        fixture_put_more(&fixture, next + round, 1);
        assert_true(fixture_info(&fixture).reinserted - before <= 16);
    }
    assert_true(fixture_info(&fixture).evicted > 0);
    assert_int_equal(fixture_verify(&fixture), 0);
    fixture_close(&fixture);
}

/* Sizes of every kind over many rounds of the log: paddings, overlapping moves, full index. */
static void test_long_random_use_stays_sound(void **state)
{
    static uint8_t value[FIXTURE_MAX_ENTRY];
    struct fixture fixture;
    uint32_t latest[400] = {0};

    (void)state;
    fixture_open_small(&fixture);
    srand(3);
    for (uint32_t round = 1; round < 60000; round++) {
        uint32_t number = (uint32_t)rand() % 400, cells[8] = {number};
        size_t size = (size_t)rand() % (rand() % 8 ? 100 : FIXTURE_MAX_ENTRY - 64);

        if (rand() % 2) {
            memset(value, (uint8_t)round, size);
            assert_int_equal(qc_store_put(fixture.store, &number, sizeof number, round, 0, cells, (size_t)rand() % 8,
                                          value, size, NULL),
                             QC_OK);
            latest[number] = round;
        } else if (qc_store_get(fixture.store, &number, sizeof number, 0, NULL, &fixture.entry) == QC_OK) {
            assert_int_equal(fixture.entry.stamp, latest[number]);
            for (size_t i = 0; i < fixture.entry.value_size; i++)
                assert_int_equal(fixture.entry.value[i], (uint8_t)latest[number]);
        }
        if (round % 500 == 0)
            assert_int_equal(fixture_verify(&fixture), 0);
    }
    assert_true(fixture_info(&fixture).reinserted > 1000);
    assert_int_equal(fixture_info(&fixture).damaged, 0);
    fixture_close(&fixture);
}

static void test_index_never_overflows(void **state)
{
    struct fixture fixture;
    struct qc_store_info info;

    (void)state;
    fixture_open_small(&fixture);
    for (uint32_t number = 0; number < 20000; number++)
        assert_int_equal(qc_store_put(fixture.store, &number, sizeof number, 1, 0, NULL, 0, NULL, 0, NULL), QC_OK);
    info = fixture_info(&fixture);
    assert_true(info.entries <= fixture.store->geometry.index_slots / 4 * 3);
    assert_int_equal(info.damaged, 0);
    assert_int_equal(info.evicted, 20000 - info.entries);
    assert_int_equal(fixture_verify(&fixture), 0);
    fixture_close(&fixture);
}

static void test_clear_empties_every_shard(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    fixture_put_more(&fixture, 0, 300);
    assert_int_equal(fixture_info(&fixture).entries, 300);
    assert_int_equal(qc_store_clear(fixture.store, 100), QC_OK);
    assert_int_equal(fixture_info(&fixture).entries, 0);
    assert_int_equal(fixture_get(&fixture, "key 5"), QC_MISS);
    assert_int_equal(fixture_verify(&fixture), 0);
    fixture_close(&fixture);
}

static bool count_visit(void *context, const void *key, size_t key_size, const struct qc_entry *entry)
{
    unsigned *left = context;

    assert_memory_equal(key, "key ", 4);
    assert_true(key_size > 4 && entry->value_size == 499 && entry->stamp == 7 && entry->cells[1] == 5);
    return --*left > 0;
}

static void test_visit_sees_each_entry_and_stops_when_told(void **state)
{
    struct fixture fixture;
    unsigned left = 1000;

    (void)state;
    fixture_open(&fixture);
    fixture_put_more(&fixture, 0, 300);
    assert_int_equal(qc_store_visit(fixture.store, count_visit, &left), QC_OK);
    assert_int_equal(left, 700);
    left = 5;
    assert_int_equal(qc_store_visit(fixture.store, count_visit, &left), QC_OK);
    assert_int_equal(left, 0);
    fixture_close(&fixture);
}

static void test_sizes_that_hold_no_store_are_refused(void **state)
{
    static alignas(64) uint8_t region[4096];
    struct qc_error error;

    (void)state;
    assert_int_equal(qc_store_format(region, sizeof region, FIXTURE_MAX_ENTRY, fixture_hash_key, &error),
                     QC_ERR_ARGUMENT);
    assert_int_equal(qc_store_format(region, 10, 10, fixture_hash_key, &error), QC_ERR_ARGUMENT);
    assert_int_equal(qc_store_format(region, SIZE_MAX / 2, 0, fixture_hash_key, &error), QC_ERR_ARGUMENT);
    assert_int_equal(qc_store_format(region, SIZE_MAX / 2, UINT32_MAX, fixture_hash_key, &error), QC_ERR_ARGUMENT);
}

static void test_least_size_is_enough_and_bytes_are_used(void **state)
{
    static const uint32_t entries[] = {1, 100, 4096, 65536, 1u << 20, 1u << 30};
    struct qc_geometry geometry;

    (void)state;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        for (uint64_t more = 0; more < 200; more += 8)
            assert_int_equal(qc_geometry_compute(qc_store_size_min(entries[i]) + more, entries[i], &geometry), QC_OK);
    for (uint64_t size = UINT64_C(1) << 20; size < UINT64_C(1) << 36; size += size / 3) {
        assert_int_equal(qc_geometry_compute(size, 65536, &geometry), QC_OK);
        assert_true(geometry.shards >= 1 && geometry.shards <= 64);
        assert_true(geometry.log_size >= 2 * (uint64_t)geometry.record_max);
        assert_true(geometry.shards * geometry.log_size > size - size / 6);
        assert_true(sizeof(struct qc_store_header) + geometry.shards * geometry.stride <= size);
    }
    assert_int_equal(geometry.shards, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry_comes_back_with_its_cells_and_stamp),
        cmocka_unit_test(test_empty_parts_are_allowed),
        cmocka_unit_test(test_second_put_replaces_the_first),
        cmocka_unit_test(test_another_handle_sees_the_entry),
        cmocka_unit_test(test_caps_are_exact),
        cmocka_unit_test(test_memory_grows_with_the_entry),
        cmocka_unit_test(test_expired_entry_is_dropped),
        cmocka_unit_test(test_refused_entry_is_dropped),
        cmocka_unit_test(test_oldest_are_pushed_out_first),
        cmocka_unit_test(test_entry_hit_since_it_was_written_survives_once),
        cmocka_unit_test(test_entry_hit_every_round_stays),
        cmocka_unit_test(test_stale_entry_is_not_moved),
        cmocka_unit_test(test_work_of_a_put_is_bounded_when_all_were_hit),
        cmocka_unit_test(test_long_random_use_stays_sound),
        cmocka_unit_test(test_index_never_overflows),
        cmocka_unit_test(test_clear_empties_every_shard),
        cmocka_unit_test(test_visit_sees_each_entry_and_stops_when_told),
        cmocka_unit_test(test_sizes_that_hold_no_store_are_refused),
        cmocka_unit_test(test_least_size_is_enough_and_bytes_are_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
