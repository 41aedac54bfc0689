/* Slots: writes in flight as others see them, and outcomes that nobody knows. PROTOCOL 2.4 to 2.6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <string.h>
#include <unistd.h>

#include "place.h"
#include "plat/time.h"

#define SESSION "postgresql 7 alice 4711"

static void test_slots_tell_who_writes_what(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_slot_info slots[PLACE_SLOTS];
    const uint32_t cells[] = {7, 3};
    uint64_t before = qc_time_boot_us();
    struct qc_write write = must_begin(segment, cells, 2, SESSION);

    assert_int_equal(slots_in_use(segment, slots), 1);
    assert_int_equal(slots[0].write.slot, write.slot);
    assert_int_equal(slots[0].write.generation, write.generation);
    assert_int_equal(slots[0].state, QC_SLOT_WRITING);
    assert_true(slots[0].owner_alive);
    assert_int_equal(slots[0].pid, getpid());
    assert_in_range(slots[0].since_us, before, qc_time_boot_us());
    assert_int_equal(slots[0].cell_count, 2);
    assert_int_equal(slots[0].cells[0], 7);
    assert_int_equal(slots[0].cells[1], 3);
    assert_int_equal(slots[0].session_size, strlen(SESSION));
    assert_memory_equal(slots[0].session, SESSION, strlen(SESSION));
    (void)must_end(segment, write);
    assert_int_equal(slots_in_use(segment, slots), 0);
    qc_segment_close(segment);
}

static void test_unknown_outcome_stays_marked_until_proved_over(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place), *prover = must_open(place);
    struct qc_slot_info slots[PLACE_SLOTS];
    const uint32_t cells[] = {3};
    struct qc_write write = must_begin(segment, cells, 1, SESSION);
    uint64_t before = qc_clock(segment);

    assert_int_equal(qc_slot_settle(prover, write, false, &place->error), QC_ERR_ARGUMENT);
    assert_int_equal(qc_write_abandon(segment, write, &place->error), QC_OK);
    assert_int_equal(qc_write_abandon(segment, write, &place->error), QC_OK);
    assert_int_equal(slots_in_use(prover, slots), 1);
    assert_int_equal(slots[0].state, QC_SLOT_UNKNOWN);
    assert_false(slots[0].owner_alive);
    assert_false(valid(segment, 3, QC_STAMP_MAX));
    assert_int_equal(qc_slot_settle(prover, write, false, &place->error), QC_OK);
    assert_false(valid(segment, 3, before));
    assert_true(valid(segment, 3, qc_clock(segment)));
    assert_int_equal(qc_slot_settle(prover, write, false, &place->error), QC_ERR_ARGUMENT);
    assert_int_equal(qc_write_end(segment, write, NULL, &place->error), QC_ERR_ARGUMENT);
    must_be_sound(segment);
    qc_segment_close(prover);
    qc_segment_close(segment);
}

static void test_proof_of_an_earlier_write_settles_no_later_one(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_write first = must_begin(segment, (const uint32_t[]){3}, 1, SESSION), second;

    assert_int_equal(qc_write_abandon(segment, first, &place->error), QC_OK);
    assert_int_equal(qc_slot_settle(segment, first, false, &place->error), QC_OK);
    second = must_begin(segment, (const uint32_t[]){3}, 1, SESSION);
    assert_int_equal(second.slot, first.slot); /* else this shows nothing */
    assert_int_equal(qc_write_abandon(segment, second, &place->error), QC_OK);
    assert_int_equal(qc_slot_settle(segment, first, false, &place->error), QC_ERR_ARGUMENT);
    assert_int_equal(qc_slot_settle(segment, first, true, &place->error), QC_ERR_ARGUMENT);
    first.slot = PLACE_SLOTS;
    assert_int_equal(qc_slot_settle(segment, first, true, &place->error), QC_ERR_ARGUMENT);
    assert_false(valid(segment, 3, QC_STAMP_MAX));
    assert_int_equal(qc_slot_settle(segment, second, false, &place->error), QC_OK);
    qc_segment_close(segment);
}

static void test_later_reply_ends_an_unknown_outcome(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const char *const sessions[] = {SESSION, ""};

    for (int i = 0; i < 2; i++) {
        struct qc_write write = must_begin(segment, (const uint32_t[]){3}, 1, sessions[i]);

        assert_int_equal(qc_write_abandon(segment, write, &place->error), QC_OK);
        assert_false(valid(segment, 3, QC_STAMP_MAX));
        assert_true(valid(segment, 3, must_end(segment, write)));
        assert_int_equal(qc_write_end(segment, write, NULL, &place->error), QC_ERR_ARGUMENT);
    }
    must_be_sound(segment);
    /* The lock file has been let go as often as it was taken. */
    qc_segment_retire(segment);
    assert_true(is_replaced(place));
    qc_segment_close(segment);
}

static void test_unknown_outcome_without_session_keeps_the_segment_in_place(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_slot_info slots[PLACE_SLOTS];
    struct qc_write write = must_mark(segment, 3);

    assert_int_equal(qc_write_abandon(segment, write, &place->error), QC_OK);
    assert_int_equal(slots_in_use(segment, slots), 1);
    assert_int_equal(slots[0].state, QC_SLOT_UNKNOWN);
    assert_true(slots[0].owner_alive);
    qc_segment_retire(segment);
    must_be_refused(place, QC_ERR_BUSY);
    assert_int_equal(qc_slot_settle(segment, write, false, &place->error), QC_OK);
    assert_true(is_replaced(place));
    qc_segment_close(segment);
}

static void test_operator_may_settle_anything_and_the_writer_makes_all_fall(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place), *operator= must_open(place);
    struct qc_write write = must_mark(segment, 3), next;
    uint64_t between;

    assert_int_equal(qc_slot_settle(operator, write, true, &place->error), QC_OK);
    between = qc_clock(segment);
    assert_true(valid(segment, 3, between));
    /* The slot is not given to another thread while its first owner has yet to come back. */
    next = must_mark(segment, 4);
    assert_int_not_equal(next.slot, write.slot);
    (void)must_end(segment, next);
    assert_true(valid(segment, QC_CELL_DATABASE, between));
    (void)must_end(segment, write);
    assert_false(valid(segment, QC_CELL_DATABASE, between));
    must_be_sound(segment);

    /* An outcome that nobody will ever know can't be marked any more: the segment goes. */
    write = must_mark(segment, 3);
    assert_int_equal(qc_slot_settle(operator, write, true, &place->error), QC_OK);
    assert_int_equal(qc_write_abandon(segment, write, &place->error), QC_ERR_RETIRED);
    assert_false(qc_segment_usable(segment));
    assert_true(is_replaced(place));
    qc_segment_close(operator);
    qc_segment_close(segment);
}

static void test_no_free_slot_retires_the_segment(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint32_t cells[] = {4};
    struct qc_write writes[PLACE_SLOTS], more;

    for (uint32_t i = 0; i < PLACE_SLOTS; i++)
        writes[i] = must_mark(segment, 3);
    assert_true(qc_segment_usable(segment));
    assert_int_equal(qc_write_begin(segment, cells, 1, NULL, 0, &more, &place->error), QC_ERR_FULL);
    assert_false(qc_segment_usable(segment));
    assert_int_equal(writers_of(segment, 4), 0);
    must_be_refused(place, QC_ERR_BUSY);
    for (uint32_t i = 0; i < PLACE_SLOTS; i++)
        (void)must_end(segment, writes[i]);
    assert_true(is_replaced(place));
    qc_segment_close(segment);
}

static void test_nothing_is_marked_in_a_retired_segment(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint32_t cells[] = {4};
    struct qc_write write;

    qc_segment_retire(segment);
    assert_int_equal(qc_write_begin(segment, cells, 1, NULL, 0, &write, &place->error), QC_ERR_RETIRED);
    assert_int_equal(writers_of(segment, 4), 0);
    assert_true(is_replaced(place));
    qc_segment_close(segment);
}

static void test_segment_of_a_server_is_born_marked(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment;
    struct qc_slot_info slots[PLACE_SLOTS];

    place->options.born_marked = true;
    segment = must_open(place);
    assert_false(valid(segment, QC_CELL_DATABASE, QC_STAMP_MAX));
    assert_true(valid(segment, 1, qc_clock(segment)));
    assert_int_equal(slots_in_use(segment, slots), 1);
    assert_int_equal(slots[0].state, QC_SLOT_UNKNOWN);
    assert_false(slots[0].owner_alive);
    assert_int_equal(slots[0].session_size, strlen(QC_SESSION_BIRTH));
    assert_memory_equal(slots[0].session, QC_SESSION_BIRTH, strlen(QC_SESSION_BIRTH));
    must_be_sound(segment);
    assert_int_equal(qc_slot_settle(segment, slots[0].write, false, &place->error), QC_OK);
    assert_true(valid(segment, QC_CELL_DATABASE, qc_clock(segment)));
    must_be_sound(segment);
    qc_segment_close(segment);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, place_make, place_unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_slots_tell_who_writes_what),
        TEST(test_unknown_outcome_stays_marked_until_proved_over),
        TEST(test_proof_of_an_earlier_write_settles_no_later_one),
        TEST(test_later_reply_ends_an_unknown_outcome),
        TEST(test_unknown_outcome_without_session_keeps_the_segment_in_place),
        TEST(test_operator_may_settle_anything_and_the_writer_makes_all_fall),
        TEST(test_no_free_slot_retires_the_segment),
        TEST(test_nothing_is_marked_in_a_retired_segment),
        TEST(test_segment_of_a_server_is_born_marked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
