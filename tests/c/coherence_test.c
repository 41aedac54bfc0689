/* Clock, cells and slots in the hands of processes that live. PROTOCOL sections 1 to 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "place.h"
#include "plat/time.h"

#define THREADS 4
#define ROUNDS 300
#define TABLES 200

static void test_tables_have_cells_of_their_own(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment, *again, *other;
    unsigned hits[PLACE_CELLS] = {0}, used = 0, moved = 0;
    char name[32];

    segment = must_open(place);
    again = must_open(place);
    assert_int_equal(qc_segment_private(&place->options, &other, &place->error), QC_OK);
    for (int i = 0; i < TABLES; i++) {
        int size = snprintf(name, sizeof name, "app_table%d", i);
        uint32_t cell = qc_cell_of(segment, name, (size_t)size);

        assert_in_range(cell, 1, PLACE_CELLS - 1);
        assert_int_equal(cell, qc_cell_of(again, name, (size_t)size));
        moved += cell != qc_cell_of(other, name, (size_t)size);
        used += hits[cell]++ == 0;
    }
    /* 200 in 255 cells hit about 139 of them; nearly all fall elsewhere under another key. */
    assert_in_range(used, 110, 170);
    assert_true(moved > TABLES * 9 / 10);
    qc_segment_close(other);
    qc_segment_close(again);
    qc_segment_close(segment);
}

static void test_nothing_is_valid_from_mark_to_settle(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint32_t cells[] = {3, 200};
    uint64_t before = qc_clock(segment), stamp;
    struct qc_write write;

    assert_true(valid(segment, 3, before));
    write = must_begin(segment, cells, 2, "");
    assert_false(valid(segment, 3, before) || valid(segment, 200, before));
    assert_false(valid(segment, 3, qc_clock(segment)));
    assert_false(valid(segment, 3, QC_STAMP_MAX));
    assert_true(valid(segment, 4, before));
    assert_int_equal(writers_of(segment, 3), 1);
    stamp = must_end(segment, write);
    assert_true(stamp > before);
    assert_int_equal(stamp, qc_clock(segment));
    assert_false(valid(segment, 3, before) || valid(segment, 200, before) || valid(segment, 3, stamp - 1));
    assert_true(valid(segment, 3, stamp) && valid(segment, 200, stamp));
    assert_true(valid(segment, 4, before));
    must_be_sound(segment);
    qc_segment_close(segment);
}

static void test_validity_looks_at_every_cell_and_bound(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint32_t cells[] = {1, 2, 3}, outside[] = {1, PLACE_CELLS}, far[] = {UINT32_MAX};
    uint64_t then = qc_clock(segment), now;

    assert_true(qc_cells_valid(segment, cells, 3, then, QC_NO_LIMIT));
    assert_true(qc_cells_valid(segment, cells, 0, then, QC_NO_LIMIT));
    for (int i = 0; i < 3; i++) {
        now = must_end(segment, must_begin(segment, &cells[i], 1, ""));
        assert_false(qc_cells_valid(segment, cells, 3, now - 1, QC_NO_LIMIT));
        assert_true(qc_cells_valid(segment, cells, 3, now, QC_NO_LIMIT));
        assert_true(qc_cells_valid(segment, cells, 3, now, now));
        /* A snapshot older than the write hides it. */
        assert_false(qc_cells_valid(segment, cells, 3, now, now - 1));
    }
    assert_false(qc_cells_valid(segment, outside, 2, qc_clock(segment), QC_NO_LIMIT));
    assert_false(qc_cells_valid(segment, far, 1, qc_clock(segment), QC_NO_LIMIT));
    /* No time is so late that it would pass a writer in flight. */
    assert_false(qc_cells_valid(segment, cells, 3, QC_STAMP_MAX + 1, QC_NO_LIMIT));
    assert_false(qc_cells_valid(segment, cells, 3, QC_NO_LIMIT, QC_NO_LIMIT));
    qc_segment_retire(segment);
    assert_false(qc_cells_valid(segment, cells, 3, qc_clock(segment), QC_NO_LIMIT));
    qc_segment_close(segment);
}

static void test_writers_of_a_cell_are_counted(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_write writes[3];

    for (unsigned i = 0; i < 3; i++) {
        writes[i] = must_mark(segment, 5);
        assert_int_equal(writers_of(segment, 5), i + 1);
    }
    for (unsigned i = 0; i < 3; i++) {
        uint64_t stamp = must_end(segment, writes[i]);

        assert_int_equal(writers_of(segment, 5), 2 - i);
        assert_int_equal(valid(segment, 5, stamp), i == 2);
    }
    must_be_sound(segment);
    qc_segment_close(segment);
}

static void test_cells_listed_twice_are_marked_once(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint32_t cells[] = {9, 8, 9, 9, 8};
    struct qc_slot_info slots[PLACE_SLOTS];
    struct qc_write write = must_begin(segment, cells, 5, "");

    assert_int_equal(slots_in_use(segment, slots), 1);
    assert_int_equal(slots[0].cell_count, 2);
    assert_int_equal(writers_of(segment, 9), 1);
    assert_int_equal(writers_of(segment, 8), 1);
    (void)must_end(segment, write);
    assert_int_equal(writers_of(segment, 9) + writers_of(segment, 8), 0);
    qc_segment_close(segment);
}

static void test_too_many_cells_become_the_databases(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    uint32_t cells[2 * QC_SLOT_CELLS];
    struct qc_slot_info slots[PLACE_SLOTS];
    struct qc_write write;

    for (uint32_t i = 0; i < 2 * QC_SLOT_CELLS; i++)
        cells[i] = 1 + i % QC_SLOT_CELLS;
    write = must_begin(segment, cells, 2 * QC_SLOT_CELLS, "");
    assert_int_equal(slots_in_use(segment, slots), 1);
    assert_int_equal(slots[0].cell_count, QC_SLOT_CELLS);
    (void)must_end(segment, write);
    cells[2 * QC_SLOT_CELLS - 1] = 100;
    write = must_begin(segment, cells, 2 * QC_SLOT_CELLS, "");
    assert_int_equal(slots_in_use(segment, slots), 1);
    assert_int_equal(slots[0].cell_count, 1);
    assert_int_equal(slots[0].cells[0], QC_CELL_DATABASE);
    assert_int_equal(writers_of(segment, QC_CELL_DATABASE), 1);
    assert_int_equal(writers_of(segment, 1), 0);
    (void)must_end(segment, write);
    must_be_sound(segment);
    qc_segment_close(segment);
}

static void test_mistakes_of_the_caller_retire_nothing(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint32_t cells[] = {3, PLACE_CELLS};
    static char session[QC_SESSION_MAX + 1];
    struct qc_write write;

    assert_int_equal(qc_write_begin(segment, cells, 0, NULL, 0, &write, &place->error), QC_ERR_ARGUMENT);
    assert_int_equal(qc_write_begin(segment, cells, 2, NULL, 0, &write, &place->error), QC_ERR_ARGUMENT);
    assert_int_equal(qc_write_begin(segment, cells, 1, session, sizeof session, &write, &place->error),
                     QC_ERR_ARGUMENT);
    assert_true(qc_segment_usable(segment));
    assert_int_equal(writers_of(segment, 3), 0);
    assert_int_equal(qc_write_begin(segment, cells, 1, session, sizeof session - 1, &write, &place->error), QC_OK);
    (void)must_end(segment, write);
    qc_segment_close(segment);
}

static void test_ticket_is_good_once(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_write first = must_mark(segment, 3), second, wrong;

    (void)must_end(segment, first);
    assert_int_equal(qc_write_end(segment, first, NULL, &place->error), QC_ERR_ARGUMENT);
    assert_int_equal(qc_write_abandon(segment, first, &place->error), QC_ERR_ARGUMENT);
    second = must_mark(segment, 3);
    assert_int_equal(second.slot, first.slot); /* else this shows nothing */
    assert_int_equal(qc_write_end(segment, first, NULL, &place->error), QC_ERR_ARGUMENT);
    wrong = (struct qc_write){.slot = PLACE_SLOTS, .generation = 1};
    assert_int_equal(qc_write_end(segment, wrong, NULL, &place->error), QC_ERR_ARGUMENT);
    wrong = (struct qc_write){.slot = second.slot, .generation = 0};
    assert_int_equal(qc_write_end(segment, wrong, NULL, &place->error), QC_ERR_ARGUMENT);
    assert_int_equal(writers_of(segment, 3), 1);
    (void)must_end(segment, second);
    must_be_sound(segment);
    qc_segment_close(segment);
}

static void test_last_write_of_a_cell_is_told(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_cell_info info;
    int64_t before = qc_time_real_ms();
    uint64_t stamp;

    assert_false(qc_cell_last(segment, 3, &info));
    assert_false(qc_cell_last(segment, PLACE_CELLS, &info));
    (void)must_end(segment, must_mark(segment, 3));
    stamp = must_end(segment, must_mark(segment, 3));
    assert_true(qc_cell_last(segment, 3, &info));
    assert_int_equal(info.word, stamp);
    assert_int_equal(info.writes, 2);
    assert_int_equal(info.pid, getpid());
    assert_in_range(info.realtime_ms, before, qc_time_real_ms());
    qc_segment_close(segment);
}

static void test_clock_set_back_is_never_used(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    uint64_t clock = qc_clock(segment), ahead = clock + 64, behind = clock - 64;
    struct qc_write write = must_mark(segment, 3);

    /* A fill that took its time from a clock set ahead would outlive the next writes. */
    file_write(place->path, offsetof(struct qc_header, clock), &ahead, sizeof ahead);
    assert_int_equal(qc_clock(segment), 0);
    file_write(place->path, offsetof(struct qc_header, clock), &clock, sizeof clock);
    assert_int_equal(qc_clock(segment), clock);
    /* A stamp drawn from a clock set back would let older entries pass. */
    file_write(place->path, offsetof(struct qc_header, clock), &behind, sizeof behind);
    assert_int_equal(qc_write_end(segment, write, NULL, &place->error), QC_ERR_RETIRED);
    assert_false(qc_segment_usable(segment));
    assert_false(valid(segment, 3, clock));
    assert_true(is_replaced(place));
    assert_false(is_replaced(place));
    qc_segment_close(segment);
}

static void test_damaged_counts_retire_the_segment(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint32_t cells[] = {3};
    const uint64_t offset = QC_PAGE + 3 * sizeof(uint64_t), none = qc_clock(segment), many = UINT64_MAX;
    struct qc_write write = must_mark(segment, 3);

    file_write(place->path, offset, &none, sizeof none);
    assert_int_equal(qc_write_end(segment, write, NULL, &place->error), QC_ERR_RETIRED);
    assert_false(qc_segment_usable(segment));
    qc_segment_close(segment);

    segment = must_open(place);
    file_write(place->path, offset, &many, sizeof many);
    assert_int_equal(qc_write_begin(segment, cells, 1, NULL, 0, &write, &place->error), QC_ERR_RETIRED);
    assert_false(qc_segment_usable(segment));
    qc_segment_close(segment);
}

static void test_private_segment_needs_no_file(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment;
    struct qc_segment_info info;

    assert_int_equal(qc_segment_private(&place->options, &segment, &place->error), QC_OK);
    qc_segment_info(segment, &info);
    assert_true(info.is_private);
    assert_true(qc_segment_linked(segment) && qc_segment_usable(segment));
    assert_non_null(qc_segment_store(segment));
    write_once(segment);
    assert_int_equal(qc_segment_verify(segment, NULL, NULL), 0);
    assert_false(file_exists(place->path) || file_exists(place->lock));
    qc_segment_close(segment);
    place->options.size = 4096;
    assert_int_equal(qc_segment_private(&place->options, &segment, &place->error), QC_ERR_ARGUMENT);
}

struct team {
    struct qc_segment *segment;
    uint64_t rows[PLACE_CELLS]; /* atomic: the database */
};

/* Writes, and reads as a cache does: what is valid must be what the database holds. */
static void *work(void *context)
{
    struct team *team = context;
    struct qc_slot_info slots[PLACE_SLOTS];
    size_t found;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t cells[] = {1 + i % 5, 1 + i % 7};
        uint64_t time = qc_clock(team->segment);
        uint64_t row = __atomic_load_n(&team->rows[cells[0]], __ATOMIC_SEQ_CST), now;
        struct qc_write write;

        CHECK(qc_write_begin(team->segment, cells, 2, NULL, 0, &write, NULL) == QC_OK);
        (void)__atomic_add_fetch(&team->rows[cells[0]], 1, __ATOMIC_SEQ_CST);
        CHECK(!qc_cells_valid(team->segment, cells, 2, time, QC_NO_LIMIT));
        CHECK(qc_write_end(team->segment, write, NULL, NULL) == QC_OK);
        time = qc_clock(team->segment);
        row = __atomic_load_n(&team->rows[cells[0]], __ATOMIC_SEQ_CST);
        now = __atomic_load_n(&team->rows[cells[0]], __ATOMIC_SEQ_CST);
        CHECK(!qc_cells_valid(team->segment, cells, 1, time, QC_NO_LIMIT) || now == row);
        if (i % 16 == 0)
            CHECK(qc_slots(team->segment, slots, PLACE_SLOTS, &found, NULL) != QC_ERR_RETIRED);
        CHECK(qc_segment_usable(team->segment));
    }
    return NULL;
}

static void run_team(struct qc_segment *segment)
{
    struct team team = {.segment = segment};
    pthread_t threads[THREADS];
    struct qc_segment_info info;

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &team), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    qc_segment_info(segment, &info);
    assert_int_equal(info.writes, THREADS * ROUNDS);
    assert_int_equal(info.slots_used + info.cells_marked, 0);
    must_be_sound(segment);
}

static void test_threads_share_a_private_segment(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment;

    assert_int_equal(qc_segment_private(&place->options, &segment, &place->error), QC_OK);
    run_team(segment);
    qc_segment_close(segment);
}

static void test_threads_share_a_mapped_segment(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);

    run_team(segment);
    qc_segment_retire(segment);
    assert_true(is_replaced(place));
    qc_segment_close(segment);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, place_make, place_unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tables_have_cells_of_their_own),         TEST(test_nothing_is_valid_from_mark_to_settle),
        TEST(test_validity_looks_at_every_cell_and_bound), TEST(test_writers_of_a_cell_are_counted),
        TEST(test_cells_listed_twice_are_marked_once),     TEST(test_too_many_cells_become_the_databases),
        TEST(test_mistakes_of_the_caller_retire_nothing),  TEST(test_ticket_is_good_once),
        TEST(test_last_write_of_a_cell_is_told),           TEST(test_clock_set_back_is_never_used),
        TEST(test_damaged_counts_retire_the_segment),      TEST(test_private_segment_needs_no_file),
        TEST(test_threads_share_a_private_segment),        TEST(test_threads_share_a_mapped_segment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
