/* Many processes write and read one segment while they are killed: a hit is never older than the database.
 *
 * QC_TORTURE_SECONDS (1) makes it longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "place.h"
#include "plat/time.h"

#define WORKERS 4
#define TABLES 12u

struct torture {
    struct place *place;
    uint64_t rows[TABLES]; /* atomic: the database, where a row only grows */
    uint64_t writes, hits;
};

static void torture_write(struct torture *torture, struct qc_segment *segment, unsigned *seed)
{
    uint32_t first = (uint32_t)rand_r(seed) % TABLES, cells[3];
    size_t count = 1 + (size_t)rand_r(seed) % 3;
    struct qc_write write;

    for (size_t i = 0; i < count; i++)
        cells[i] = 1 + (first + (uint32_t)i) % TABLES;
    CHECK(qc_write_begin(segment, cells, count, NULL, 0, &write, NULL) == QC_OK);
    for (size_t i = 0; i < count; i++)
        (void)__atomic_add_fetch(&torture->rows[cells[i] - 1], 1, __ATOMIC_SEQ_CST);
    CHECK(qc_write_end(segment, write, NULL, NULL) == QC_OK);
    (void)__atomic_add_fetch(&torture->writes, 1, __ATOMIC_RELAXED);
}

/* Fills, then asks a few times whether it may still be served. The row that the database held when the question was
 * put is the least that a right answer could be. */
static void torture_read(struct torture *torture, struct qc_segment *segment, unsigned *seed)
{
    uint32_t table = (uint32_t)rand_r(seed) % TABLES, cell = 1 + table;
    uint64_t time = qc_clock(segment);
    uint64_t row = __atomic_load_n(&torture->rows[table], __ATOMIC_SEQ_CST);

    for (int i = 0; i < 20; i++) {
        uint64_t now = __atomic_load_n(&torture->rows[table], __ATOMIC_SEQ_CST);

        if (!qc_cells_valid(segment, &cell, 1, time, QC_NO_LIMIT))
            return;
        CHECK(now == row);
        (void)__atomic_add_fetch(&torture->hits, 1, __ATOMIC_RELAXED);
    }
}

static void torture_work(struct child *self, void *context)
{
    struct torture *torture = context;
    struct place *place = torture->place;
    struct qc_segment *segment = NULL;
    unsigned seed = (unsigned)getpid();
    struct qc_slot_info slots[PLACE_SLOTS];
    size_t found;

    CHECK(qc_segment_open(place->path, &place->options, &segment, NULL) == QC_OK);
    child_tell(self, 'r');
    for (;;) {
        uint64_t clock = qc_clock(segment);

        torture_write(torture, segment, &seed);
        for (int i = 0; i < 5; i++)
            torture_read(torture, segment, &seed);
        CHECK(qc_slots(segment, slots, PLACE_SLOTS, &found, NULL) != QC_ERR_RETIRED);
        CHECK(qc_clock(segment) > clock);
        CHECK(qc_segment_usable(segment));
    }
}

static void kill_at_random(struct torture *torture)
{
    struct child workers[WORKERS];
    const char *seconds = getenv("QC_TORTURE_SECONDS");
    uint64_t end = qc_time_monotonic_us() + (seconds ? strtoul(seconds, NULL, 10) : 1) * 1000000;
    unsigned seed = 1;

    for (int i = 0; i < WORKERS; i++)
        child_start(&workers[i], torture_work, torture);
    while (qc_time_monotonic_us() < end) {
        struct child *victim = &workers[rand_r(&seed) % WORKERS];

        child_await(victim, 'r');
        qc_time_wait_us((uint64_t)rand_r(&seed) % 4000);
        child_kill(victim);
        child_start(victim, torture_work, torture);
    }
    for (int i = 0; i < WORKERS; i++)
        child_kill(&workers[i]);
}

static void test_processes_killed_at_random_never_show_an_older_row(void **state)
{
    struct place *place = *state;
    struct torture *torture = mmap(NULL, sizeof *torture, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct qc_segment *segment = must_open(place);
    struct qc_slot_info slots[PLACE_SLOTS];

    assert_ptr_not_equal(torture, MAP_FAILED);
    torture->place = place;
    kill_at_random(torture);
    assert_int_equal(slots_in_use(segment, slots), 0);
    must_be_sound(segment);
    assert_true(qc_segment_usable(segment));
    /* Both happened, else nothing was shown. */
    assert_true(torture->writes > 100 && torture->hits > 100);
    qc_segment_close(segment);
    assert_int_equal(munmap(torture, sizeof *torture), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_processes_killed_at_random_never_show_an_older_row, place_make,
                                        place_unmake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
