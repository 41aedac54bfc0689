/* Fork: a child inherits no slot, no kernel lock and no ticket, and goes on with the segment all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "place.h"
#include "plat/fork.h"
#include "plat/time.h"

#define THREADS 3
#define FORKS 40

struct family {
    struct place *place;
    struct qc_segment *segment;
    struct qc_write write;
    uint64_t clock; /* when it was marked */
};

static void hang(struct child *self, void *context)
{
    char word;

    (void)context;
    child_tell(self, 'r');
    (void)child_hear(self, &word);
}

/* Has a write in flight, and a child of its own that lives on when it is killed. */
static void mark_and_fork(struct child *self, void *context)
{
    struct family *family = context;
    struct place *place = family->place;
    struct qc_segment *segment;
    struct qc_write mark;
    struct child heir;

    CHECK(qc_segment_open(place->path, &place->options, &segment, NULL) == QC_OK);
    CHECK(qc_write_begin(segment, (const uint32_t[]){3}, 1, NULL, 0, &mark, NULL) == QC_OK);
    child_start(&heir, hang, NULL);
    child_await(&heir, 'r');
    CHECK(write(self->out, &heir.pid, sizeof heir.pid) == sizeof heir.pid);
    hang(self, NULL);
}

static void test_child_does_not_keep_its_parents_slot_alive(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct family family = {.place = place};
    struct qc_slot_info slots[PLACE_SLOTS];
    struct child parent;
    pid_t heir;

    child_start(&parent, mark_and_fork, &family);
    assert_int_equal(read(parent.in, &heir, sizeof heir), sizeof heir);
    child_await(&parent, 'r');
    assert_int_equal(slots_in_use(segment, slots), 1);
    assert_true(slots[0].owner_alive);
    child_kill(&parent);
    assert_int_equal(kill(heir, 0), 0); /* lives, else this shows nothing */
    assert_int_equal(slots_in_use(segment, slots), 0);
    must_be_sound(segment);
    /* Nor does it hold the lock file. */
    qc_segment_retire(segment);
    assert_true(is_replaced(place));
    assert_int_equal(kill(heir, SIGKILL), 0);
    qc_segment_close(segment);
}

static void end_the_parents_write(struct child *self, void *context)
{
    struct family *family = context;

    (void)self;
    CHECK(qc_write_end(family->segment, family->write, NULL, NULL) == QC_ERR_ARGUMENT);
    CHECK(qc_write_abandon(family->segment, family->write, NULL) == QC_ERR_ARGUMENT);
    CHECK(qc_slot_settle(family->segment, family->write, false, NULL) == QC_ERR_ARGUMENT);
}

static void test_child_can_not_end_its_parents_write(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct family family = {.place = place, .segment = segment, .write = must_mark(segment, 3)};
    struct qc_slot_info slots[PLACE_SLOTS];
    struct child child;

    child_start(&child, end_the_parents_write, &family);
    assert_int_equal(child_end(&child), 0);
    assert_int_equal(slots_in_use(segment, slots), 1);
    assert_true(slots[0].owner_alive);
    (void)must_end(segment, family.write);
    qc_segment_close(segment);
}

static void write_and_hang(struct child *self, void *context)
{
    struct family *family = context;
    struct qc_segment *segment = family->segment;
    struct qc_write write;

    for (uint32_t cell = 4; cell < 7; cell++) {
        CHECK(qc_write_begin(segment, &cell, 1, NULL, 0, &write, NULL) == QC_OK);
        CHECK(qc_write_end(segment, write, NULL, NULL) == QC_OK);
    }
    CHECK(qc_write_begin(segment, (const uint32_t[]){4}, 1, NULL, 0, &write, NULL) == QC_OK);
    hang(self, NULL);
    CHECK(qc_write_end(segment, write, NULL, NULL) == QC_OK);
}

static void test_child_writes_with_a_slot_of_its_own(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct family family = {.place = place, .segment = segment, .write = must_mark(segment, 3)};
    struct qc_slot_info slots[PLACE_SLOTS];
    struct child child;

    for (int killed = 0; killed < 2; killed++) {
        child_start(&child, write_and_hang, &family);
        child_await(&child, 'r');
        assert_int_equal(slots_in_use(segment, slots), 2);
        assert_true(slots[0].owner_alive && slots[1].owner_alive);
        assert_true(slots[0].pid == child.pid || slots[1].pid == child.pid);
        if (killed) {
            child_kill(&child);
        } else {
            child_tell(&child, 'g');
            assert_int_equal(child_end(&child), 0);
        }
        assert_int_equal(slots_in_use(segment, slots), 1);
        assert_int_equal(slots[0].pid, getpid());
        must_be_sound(segment);
    }
    (void)must_end(segment, family.write);
    qc_segment_close(segment);
}

/* The file that the segment was opened from is not at its path any more; the child must not lock what is. */
static void test_child_locks_the_file_that_is_mapped(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place), *other;
    struct family family = {.place = place, .segment = segment};
    struct qc_slot_info slots[PLACE_SLOTS];
    char moved[128];
    struct child child;

    folder_file(&place->folder, "moved", moved, sizeof moved);
    assert_int_equal(rename(place->path, moved), 0);
    other = must_open(place);
    assert_true(created(other));
    child_start(&child, write_and_hang, &family);
    child_await(&child, 'r');
    assert_int_equal(slots_in_use(segment, slots), 1);
    assert_true(slots[0].owner_alive);
    child_kill(&child);
    assert_int_equal(slots_in_use(segment, slots), 0);
    assert_int_equal(slots_in_use(other, slots), 0);
    qc_segment_close(other);
    qc_segment_close(segment);
}

static void be_elsewhere(struct child *self, void *context)
{
    struct family *family = context;
    struct place *place = family->place;
    struct qc_segment *segment;
    struct qc_write write;

    (void)self;
    CHECK(!qc_segment_usable(family->segment));
    CHECK(qc_write_begin(family->segment, (const uint32_t[]){3}, 1, NULL, 0, &write, NULL) == QC_ERR_RETIRED);
    CHECK(qc_segment_open(place->path, &place->options, &segment, NULL) == QC_ERR_NAMESPACE);
}

static void fork_elsewhere(struct child *self, void *context)
{
    struct child child;

    (void)self;
    if (unshare(CLONE_NEWPID))
        return; /* for root only, which the machines that test this are */
    child_start(&child, be_elsewhere, context);
    CHECK(child_end(&child) == 0);
}

static void test_child_in_another_pid_namespace_leaves_the_segment_alone(void **state)
{
    struct place *place = *state;
    struct family family = {.place = place, .segment = must_open(place)};
    struct child child;

    child_start(&child, fork_elsewhere, &family);
    assert_int_equal(child_end(&child), 0);
    qc_segment_close(family.segment);
}

struct inside {
    struct qc_fork_guard guard;
    uint32_t entered, half_done; /* atomic */
};

static void *change_slowly(void *context)
{
    struct inside *inside = context;
    uint64_t start = qc_time_monotonic_us();

    qc_fork_guard_enter(&inside->guard);
    __atomic_store_n(&inside->half_done, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&inside->entered, 1, __ATOMIC_SEQ_CST);
    while (qc_time_monotonic_us() - start < 50000)
        continue;
    __atomic_store_n(&inside->half_done, 0, __ATOMIC_SEQ_CST);
    qc_fork_guard_leave(&inside->guard);
    return NULL;
}

static void check_whole(struct child *self, void *context)
{
    struct inside *inside = context;

    (void)self;
    CHECK(!__atomic_load_n(&inside->half_done, __ATOMIC_SEQ_CST));
    qc_fork_guard_enter(&inside->guard);
    qc_fork_guard_leave(&inside->guard);
}

static void do_nothing(void *context)
{
    (void)context;
}

static void test_fork_waits_for_what_is_half_changed(void **state)
{
    struct inside inside = {.entered = 0};
    struct child child;
    pthread_t thread;

    (void)state;
    assert_int_equal(qc_fork_guard_init(&inside.guard, do_nothing, NULL), QC_OK);
    assert_int_equal(pthread_create(&thread, NULL, change_slowly, &inside), 0);
    while (!__atomic_load_n(&inside.entered, __ATOMIC_SEQ_CST))
        continue;
    child_start(&child, check_whole, &inside);
    assert_int_equal(child_end(&child), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    qc_fork_guard_destroy(&inside.guard);
}

struct team {
    struct qc_segment *segment;
    uint32_t stop; /* atomic */
};

static void *write_on(void *context)
{
    struct team *team = context;
    uint32_t cell = 9;
    struct qc_write write;

    while (!__atomic_load_n(&team->stop, __ATOMIC_ACQUIRE)) {
        CHECK(qc_write_begin(team->segment, &cell, 1, NULL, 0, &write, NULL) == QC_OK);
        CHECK(qc_write_end(team->segment, write, NULL, NULL) == QC_OK);
    }
    return NULL;
}

static void write_a_little(struct child *self, void *context)
{
    struct team *team = context;
    uint32_t cell = 10;
    struct qc_write write;

    (void)self;
    for (int i = 0; i < 3; i++) {
        CHECK(qc_write_begin(team->segment, &cell, 1, NULL, 0, &write, NULL) == QC_OK);
        CHECK(!qc_cells_valid(team->segment, &cell, 1, QC_STAMP_MAX, QC_NO_LIMIT));
        CHECK(qc_write_end(team->segment, write, NULL, NULL) == QC_OK);
        CHECK(qc_cells_valid(team->segment, &cell, 1, qc_clock(team->segment), QC_NO_LIMIT));
    }
}

/* Forks while other threads are inside every lock there is. */
static void fork_amid_writes(struct qc_segment *segment)
{
    struct team team = {.segment = segment};
    pthread_t threads[THREADS];
    struct child child;

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_on, &team), 0);
    for (int i = 0; i < FORKS; i++) {
        child_start(&child, write_a_little, &team);
        assert_int_equal(child_end(&child), 0);
    }
    __atomic_store_n(&team.stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(qc_segment_usable(segment));
    must_be_sound(segment);
}

static void test_fork_amid_writes_of_other_threads(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_slot_info slots[PLACE_SLOTS];

    fork_amid_writes(segment);
    assert_int_equal(slots_in_use(segment, slots), 0);
    qc_segment_retire(segment);
    assert_true(is_replaced(place));
    qc_segment_close(segment);
}

static void test_fork_amid_writes_in_private_memory(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment;

    assert_int_equal(qc_segment_private(&place->options, &segment, &place->error), QC_OK);
    fork_amid_writes(segment);
    qc_segment_close(segment);
}

static void use_private_copy(struct child *self, void *context)
{
    struct family *family = context;
    struct qc_segment *segment = family->segment;
    struct qc_slot_info slots[PLACE_SLOTS];
    const uint32_t cells[] = {3};
    size_t found;

    (void)self;
    CHECK(qc_slots(segment, slots, PLACE_SLOTS, &found, NULL) == QC_OK && found == 0);
    CHECK(qc_segment_verify(segment, NULL, NULL) == 0);
    /* What the parent's write was about to change falls; nothing stays marked by a thread that isn't here. */
    CHECK(!qc_cells_valid(segment, cells, 1, family->clock, QC_NO_LIMIT));
    CHECK(qc_cells_valid(segment, cells, 1, qc_clock(segment), QC_NO_LIMIT));
    for (int i = 0; i < 20; i++)
        write_once(segment);
    CHECK(qc_write_end(segment, family->write, NULL, NULL) == QC_ERR_ARGUMENT);
}

static void test_private_memory_of_a_child_is_its_own(void **state)
{
    struct place *place = *state;
    struct family family = {.place = place};
    struct qc_slot_info slots[PLACE_SLOTS];
    struct child child;

    assert_int_equal(qc_segment_private(&place->options, &family.segment, &place->error), QC_OK);
    write_once(family.segment);
    family.write = must_mark(family.segment, 3);
    family.clock = qc_clock(family.segment);
    child_start(&child, use_private_copy, &family);
    assert_int_equal(child_end(&child), 0);
    assert_int_equal(qc_clock(family.segment), family.clock);
    assert_int_equal(slots_in_use(family.segment, slots), 1);
    assert_true(must_end(family.segment, family.write) > family.clock);
    must_be_sound(family.segment);
    qc_segment_close(family.segment);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, place_make, place_unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_child_does_not_keep_its_parents_slot_alive),
        TEST(test_child_can_not_end_its_parents_write),
        TEST(test_child_writes_with_a_slot_of_its_own),
        TEST(test_child_locks_the_file_that_is_mapped),
        TEST(test_child_in_another_pid_namespace_leaves_the_segment_alone),
        TEST(test_fork_waits_for_what_is_half_changed),
        TEST(test_fork_amid_writes_of_other_threads),
        TEST(test_fork_amid_writes_in_private_memory),
        TEST(test_private_memory_of_a_child_is_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
