/* Writes while no segment can be had. PROTOCOL section 6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include "place.h"
#include "plat/time.h"

#define WRITERS 6

static void test_bypass_keeps_segments_from_being_made(void **state)
{
    struct place *place = *state;
    struct qc_segment_options plain = {.mode = 0600, .group = -1};
    struct qc_bypass *bypass;
    struct qc_segment *segment;
    uint64_t before = qc_time_monotonic_us();

    assert_int_equal(qc_bypass_begin(place->path, &plain, &bypass, &place->error), QC_OK);
    assert_true(qc_time_monotonic_us() - before >= 20000);
    assert_int_equal(try_open(place, &segment), QC_ERR_BUSY);
    assert_false(file_exists(place->path));
    qc_bypass_end(bypass);
    segment = must_open(place);
    assert_int_equal(qc_bypass_begin(place->path, &plain, &bypass, &place->error), QC_ERR_ARGUMENT);
    qc_segment_retire(segment);
    assert_int_equal(qc_bypass_begin(place->path, &plain, &bypass, &place->error), QC_OK);
    must_be_refused(place, QC_ERR_BUSY);
    qc_bypass_end(bypass);
    assert_true(is_replaced(place));
    qc_segment_close(segment);
    qc_bypass_end(NULL);
}

static void test_bypass_runs_beside_writers(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint32_t cells[] = {3};
    struct qc_write write;
    struct qc_bypass *bypass;

    assert_int_equal(qc_write_begin(segment, cells, 1, NULL, 0, &write, &place->error), QC_OK);
    qc_segment_retire(segment);
    assert_int_equal(qc_bypass_begin(place->path, &place->options, &bypass, &place->error), QC_OK);
    assert_int_equal(qc_write_end(segment, write, NULL, &place->error), QC_OK);
    must_be_refused(place, QC_ERR_BUSY);
    qc_bypass_end(bypass);
    assert_true(is_replaced(place));
    qc_segment_close(segment);
}

static void bypass_on_and_on(struct child *self, void *context)
{
    struct place *place = context;
    struct qc_bypass *bypass;
    int status;

    child_tell(self, 'r');
    do {
        status = qc_bypass_begin(place->path, &place->options, &bypass, &place->error);
        if (!status) {
            qc_time_wait_us(3000);
            qc_bypass_end(bypass);
        }
    } while (!status);
    /* There is a segment again. */
    CHECK(status == QC_ERR_ARGUMENT);
}

static void test_writers_that_bypass_let_a_new_segment_be_made(void **state)
{
    struct place *place = *state;
    struct child children[WRITERS];
    struct qc_segment *segment = NULL;
    int tries = 0;

    for (int i = 0; i < WRITERS; i++)
        child_start(&children[i], bypass_on_and_on, place);
    for (int i = 0; i < WRITERS; i++)
        child_await(&children[i], 'r');
    while (try_open(place, &segment) == QC_ERR_BUSY && tries < 20)
        tries++;
    for (int i = 0; i < WRITERS && !segment; i++)
        child_kill(&children[i]);
    assert_non_null(segment);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(child_end(&children[i]), 0);
    qc_segment_close(segment);
}

static void test_bypass_of_a_foreign_file_is_refused(void **state)
{
    struct place *place = *state;
    struct qc_constants constants = read_constants(place);
    struct qc_bypass *bypass;

    constants.pid_namespace++;
    forge(place, &constants);
    assert_int_equal(qc_bypass_begin(place->path, &place->options, &bypass, &place->error), QC_ERR_NAMESPACE);
}

static void wait_for_a_word(struct child *self, void *context)
{
    char word;

    (void)context;
    child_tell(self, 'r');
    (void)child_hear(self, &word);
}

static void test_child_does_not_hold_the_parents_bypass(void **state)
{
    struct place *place = *state;
    struct qc_bypass *bypass;
    struct child child;

    assert_int_equal(qc_bypass_begin(place->path, &place->options, &bypass, &place->error), QC_OK);
    child_start(&child, wait_for_a_word, NULL);
    child_await(&child, 'r');
    qc_bypass_end(bypass);
    assert_true(is_replaced(place));
    child_tell(&child, 'g');
    assert_int_equal(child_end(&child), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, place_make, place_unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bypass_keeps_segments_from_being_made),         TEST(test_bypass_runs_beside_writers),
        TEST(test_writers_that_bypass_let_a_new_segment_be_made), TEST(test_bypass_of_a_foreign_file_is_refused),
        TEST(test_child_does_not_hold_the_parents_bypass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
