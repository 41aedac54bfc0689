/* A segment in its users' hands: noticed when it goes, replaced when nobody can be misled. PROTOCOL section 6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "coherence/header.h"
#include "place.h"
#include "plat/time.h"

#define CREATORS 6

static uint64_t clock_at(struct place *place)
{
    struct qc_segment *segment = must_open(place);
    uint64_t clock = qc_clock(segment);

    qc_segment_close(segment);
    return clock;
}

static void test_retired_segment_is_replaced_by_a_later_one(void **state)
{
    struct place *place = *state;
    struct qc_segment *old = must_open(place), *new;
    const uint32_t cells[] = {3, 7};
    uint64_t then;

    for (int i = 0; i < 5; i++)
        write_once(old);
    then = qc_clock(old);
    assert_true(qc_cells_valid(old, cells, 2, then, QC_NO_LIMIT));
    qc_segment_retire(old);
    assert_false(qc_segment_usable(old));
    assert_false(qc_cells_valid(old, cells, 2, then, QC_NO_LIMIT));
    new = must_open(place);
    assert_true(created(new));
    assert_memory_not_equal(qc_segment_unique(old), qc_segment_unique(new), QC_UNIQUE_SIZE);
    /* What was read in the old one's time fails in the new one by itself. */
    assert_true(qc_clock(new) > then);
    assert_false(qc_cells_valid(new, cells, 2, then, QC_NO_LIMIT));
    assert_true(qc_cells_valid(new, cells, 2, qc_clock(new), QC_NO_LIMIT));
    assert_false(qc_segment_linked(old));
    assert_true(qc_segment_linked(new));
    qc_segment_close(new);
    qc_segment_close(old);
}

static void test_clock_of_a_fast_segment_is_passed_on(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    uint64_t fast = qc_clock(segment) + UINT64_C(1000000000000), complement = ~fast;

    file_write(place->path, offsetof(struct qc_header, clock), &fast, sizeof fast);
    file_write(place->path, offsetof(struct qc_header, clock_complement), &complement, sizeof complement);
    assert_int_equal(qc_clock(segment), fast);
    qc_segment_retire(segment);
    qc_segment_close(segment);
    assert_true(clock_at(place) > fast);
}

static void test_nothing_is_replaced_under_a_writer(void **state)
{
    struct place *place = *state;
    struct qc_segment *old = must_open(place), *new;
    const uint32_t cells[] = {3};
    struct qc_write write;

    assert_int_equal(qc_write_begin(old, cells, 1, NULL, 0, &write, &place->error), QC_OK);
    qc_segment_retire(old);
    must_be_refused(place, QC_ERR_BUSY);
    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(try_open(place, &new), QC_ERR_BUSY);
    assert_false(file_exists(place->path) || file_exists(place->new));
    assert_int_equal(qc_write_end(old, write, NULL, &place->error), QC_OK);
    new = must_open(place);
    assert_true(created(new));
    qc_segment_close(new);
    qc_segment_close(old);
}

static void test_newcomer_waits_two_check_periods(void **state)
{
    struct place *place = *state;
    uint64_t before = qc_time_monotonic_us();

    qc_segment_close(must_open(place));
    assert_true(qc_time_monotonic_us() - before >= 20000);
}

static void create_when_told(struct child *self, void *context)
{
    struct place *place = context;
    struct qc_segment *segment;
    char word;
    int status;

    child_tell(self, 'r');
    CHECK(child_hear(self, &word));
    status = try_open(place, &segment);
    CHECK(status == QC_OK);
    CHECK(write(self->out, qc_segment_unique(segment), QC_UNIQUE_SIZE) == QC_UNIQUE_SIZE);
    child_tell(self, created(segment) ? 'c' : 'o');
    qc_segment_close(segment);
}

static void race_creators(struct place *place)
{
    struct child children[CREATORS];
    uint8_t uniques[CREATORS][QC_UNIQUE_SIZE];
    int creators = 0;
    char word;

    for (int i = 0; i < CREATORS; i++) {
        child_start(&children[i], create_when_told, place);
        child_await(&children[i], 'r');
    }
    for (int i = 0; i < CREATORS; i++)
        child_tell(&children[i], 'g');
    for (int i = 0; i < CREATORS; i++) {
        assert_int_equal(read(children[i].in, uniques[i], QC_UNIQUE_SIZE), QC_UNIQUE_SIZE);
        assert_true(child_hear(&children[i], &word));
        creators += word == 'c';
        assert_memory_equal(uniques[0], uniques[i], QC_UNIQUE_SIZE);
        assert_int_equal(child_end(&children[i]), 0);
    }
    assert_int_equal(creators, 1);
}

static void test_of_many_creators_one_creates(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment;

    race_creators(place);
    segment = must_open(place);
    qc_segment_retire(segment);
    race_creators(place);
    qc_segment_close(segment);
}

static void test_what_a_dead_creator_left_is_overwritten(void **state)
{
    struct place *place = *state;
    int fd = open(place->new, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, "half", 4), 4);
    assert_int_equal(close(fd), 0);
    assert_true(is_replaced(place));
    assert_false(file_exists(place->new));
}

/* Waits until a look is due, by the clock that usable() goes by. */
static void pass_check_period(void)
{
    uint64_t now = qc_time_coarse_ms();

    while (qc_time_coarse_ms() - now < 10)
        qc_time_wait_us(1000);
}

static void test_removed_file_is_noticed_within_a_check_period(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint32_t cells[] = {3};
    struct qc_write write;

    assert_true(qc_segment_usable(segment) && qc_segment_linked(segment));
    assert_int_equal(unlink(place->path), 0);
    assert_false(qc_segment_linked(segment));
    pass_check_period();
    assert_false(qc_segment_usable(segment));
    /* For good, whatever is put in its place. */
    qc_segment_close(must_open(place));
    pass_check_period();
    assert_false(qc_segment_usable(segment));
    assert_int_equal(qc_write_begin(segment, cells, 1, NULL, 0, &write, &place->error), QC_ERR_RETIRED);
    qc_segment_close(segment);
}

static void test_writer_sees_at_once_that_the_file_is_gone(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint32_t cells[] = {3};
    struct qc_write write;

    assert_int_equal(unlink(place->path), 0);
    assert_int_equal(qc_write_begin(segment, cells, 1, NULL, 0, &write, &place->error), QC_ERR_RETIRED);
    assert_false(qc_segment_usable(segment));
    qc_segment_close(segment);
}

static void test_shrunk_file_is_as_good_as_gone(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);

    assert_int_equal(truncate(place->path, PLACE_SIZE - QC_PAGE), 0);
    assert_false(qc_segment_linked(segment));
    pass_check_period();
    assert_false(qc_segment_usable(segment));
    /* For good: what was cut off is zeros now. */
    assert_int_equal(truncate(place->path, PLACE_SIZE), 0);
    pass_check_period();
    assert_false(qc_segment_usable(segment));
    qc_segment_close(segment);
}

static void test_relative_path_means_the_same_after_chdir(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment;
    char before[512];

    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(place->folder.path), 0);
    assert_int_equal(qc_segment_open("a.segment", &place->options, &segment, &place->error), QC_OK);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(unlink(place->lock), 0);
    write_once(segment);
    assert_true(file_exists(place->lock));
    assert_false(is_replaced(place));
    qc_segment_close(segment);
    assert_int_equal(chdir(before), 0);
}

static void test_removed_lock_file_excludes_nobody(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint32_t cells[] = {3};
    struct qc_write first, second;

    write_once(segment);
    assert_int_equal(unlink(place->lock), 0);
    /* Nobody holds it: the next writer makes another. */
    write_once(segment);
    assert_true(file_exists(place->lock));
    /* With a writer on the one that was removed, others can't tell whom they exclude. */
    assert_int_equal(qc_write_begin(segment, cells, 1, NULL, 0, &first, &place->error), QC_OK);
    assert_int_equal(unlink(place->lock), 0);
    assert_int_equal(qc_write_begin(segment, cells, 1, NULL, 0, &second, &place->error), QC_ERR_RETIRED);
    assert_false(qc_segment_usable(segment));
    assert_int_equal(qc_write_end(segment, first, NULL, &place->error), QC_OK);
    assert_true(is_replaced(place));
    qc_segment_close(segment);
}

static void test_inspection_creates_and_repairs_nothing(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment;
    struct qc_constants constants;
    const uint32_t cells[] = {3};
    struct qc_write write;

    assert_int_equal(qc_segment_inspect(place->path, &segment, &place->error), QC_ERR_SYSTEM);
    assert_int_equal(place->error.os_errno, ENOENT);
    assert_false(file_exists(place->path) || file_exists(place->lock));
    constants = read_constants(place);
    constants.boot_id[3] ^= 1;
    forge(place, &constants);
    assert_int_equal(qc_segment_inspect(place->path, &segment, &place->error), QC_OK);
    assert_false(created(segment));
    assert_int_equal(qc_segment_verify(segment, NULL, NULL), 0);
    assert_int_equal(qc_write_begin(segment, cells, 1, NULL, 0, &write, &place->error), QC_ERR_ARGUMENT);
    assert_true(qc_segment_usable(segment));
    qc_segment_retire(segment);
    qc_segment_close(segment);
    assert_int_equal(qc_segment_inspect(place->path, &segment, &place->error), QC_OK);
    assert_false(qc_segment_usable(segment));
    qc_segment_close(segment);
    constants.checksum = 1;
    file_write(place->path, 0, &constants, sizeof constants);
    assert_int_equal(qc_segment_inspect(place->path, &segment, &place->error), QC_ERR_CORRUPT);
}

static void test_counters_add_up(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place), *other = must_open(place);
    struct qc_segment_info info;

    for (int i = 0; i < 3; i++)
        qc_segment_count(segment, QC_COUNTER_HIT);
    qc_segment_count(other, QC_COUNTER_HIT);
    qc_segment_count(segment, QC_COUNTER_MISS);
    qc_segment_count(other, QC_COUNTER_FILL);
    write_once(other);
    qc_segment_info(segment, &info);
    assert_int_equal(info.hits, 4);
    assert_int_equal(info.misses, 1);
    assert_int_equal(info.fills, 1);
    assert_int_equal(info.writes, 1);
    qc_segment_close(other);
    qc_segment_close(segment);
    qc_segment_close(NULL);
}

static void count_finding(void *context, const char *finding)
{
    assert_true(strlen(finding) > 0);
    ++*(size_t *)context;
}

static size_t findings_of(struct qc_segment *segment)
{
    size_t reported = 0, found = qc_segment_verify(segment, count_finding, &reported);

    assert_int_equal(found, reported);
    return found;
}

static void test_verification_finds_damage(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint64_t cell_offset = QC_PAGE + 9 * sizeof(uint64_t), clock_offset = offsetof(struct qc_header, clock);
    uint64_t cell, bad, clock;
    struct qc_constants constants;
    uint8_t byte;

    file_read(place->path, 0, &constants, sizeof constants);
    assert_int_equal(findings_of(segment), 0);

    file_read(place->path, cell_offset, &cell, sizeof cell);
    bad = cell + (UINT64_C(1) << 48);
    file_write(place->path, cell_offset, &bad, sizeof bad);
    assert_int_equal(findings_of(segment), 1);
    bad = qc_clock(segment) + 1;
    file_write(place->path, cell_offset, &bad, sizeof bad);
    assert_int_equal(findings_of(segment), 1);
    file_write(place->path, cell_offset, &cell, sizeof cell);
    assert_int_equal(findings_of(segment), 0);

    clock = qc_clock(segment);
    bad = clock ^ 64;
    file_write(place->path, clock_offset, &bad, sizeof bad);
    assert_true(findings_of(segment) > 0);
    file_write(place->path, clock_offset, &clock, sizeof clock);

    bad = 77; /* a state that there isn't */
    file_write(place->path, constants.slots_offset, &bad, sizeof bad);
    assert_int_equal(findings_of(segment), 1);
    bad = 0;
    file_write(place->path, constants.slots_offset, &bad, sizeof bad);

    byte = (uint8_t)(constants.hash_key[0] ^ 1);
    file_write(place->path, offsetof(struct qc_constants, hash_key), &byte, 1);
    assert_int_equal(findings_of(segment), 1);
    file_write(place->path, 0, &constants, sizeof constants);

    byte = 1;
    file_write(place->path, offsetof(struct qc_header, life), &byte, 1);
    assert_int_equal(findings_of(segment), 1);
    assert_false(qc_segment_usable(segment));
    qc_segment_close(segment);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, place_make, place_unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_retired_segment_is_replaced_by_a_later_one),
        TEST(test_clock_of_a_fast_segment_is_passed_on),
        TEST(test_nothing_is_replaced_under_a_writer),
        TEST(test_newcomer_waits_two_check_periods),
        TEST(test_of_many_creators_one_creates),
        TEST(test_what_a_dead_creator_left_is_overwritten),
        TEST(test_removed_file_is_noticed_within_a_check_period),
        TEST(test_writer_sees_at_once_that_the_file_is_gone),
        TEST(test_shrunk_file_is_as_good_as_gone),
        TEST(test_relative_path_means_the_same_after_chdir),
        TEST(test_removed_lock_file_excludes_nobody),
        TEST(test_inspection_creates_and_repairs_nothing),
        TEST(test_counters_add_up),
        TEST(test_verification_finds_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
