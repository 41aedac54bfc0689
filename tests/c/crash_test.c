/* Processes that die or stop while they write: no mark is lost, no count is wrong. PROTOCOL sections 1 and 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <signal.h>
#include <string.h>

#include "place.h"
#include "plat/time.h"

#define SESSION "postgresql 7 alice 4711"
#define KILLED (128 + SIGKILL)

/* What a child is to do. */
struct task {
    struct place *place;
    const char *session, *failpoint;
};

static const uint32_t task_cells[] = {3, 4, 200};

static struct qc_segment *open_in_child(struct place *place)
{
    struct qc_segment *segment = NULL;

    CHECK(qc_segment_open(place->path, &place->options, &segment, &place->error) == QC_OK);
    return segment;
}

/* Marks, says so, and dies of a signal with the write in flight. */
static void mark_and_hang(struct child *self, void *context)
{
    struct task *task = context;
    struct qc_segment *segment = open_in_child(task->place);
    struct qc_write write;
    char word;

    CHECK(qc_write_begin(segment, task_cells, 3, task->session, strlen(task->session), &write, NULL) == QC_OK);
    child_tell(self, 'm');
    (void)child_hear(self, &word);
}

static void kill_writer(struct place *place, const char *session)
{
    struct task task = {.place = place, .session = session};
    struct child child;

    child_start(&child, mark_and_hang, &task);
    child_await(&child, 'm');
    child_kill(&child);
}

static uint32_t slots_used(struct qc_segment *segment)
{
    struct qc_segment_info info;

    qc_segment_info(segment, &info);
    return info.slots_used;
}

static void test_dead_writer_without_session_is_settled_by_who_looks(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_slot_info slots[PLACE_SLOTS];
    uint64_t before = qc_clock(segment);

    kill_writer(place, "");
    assert_false(valid(segment, 3, QC_STAMP_MAX));
    assert_int_equal(slots_used(segment), 1);
    assert_int_equal(slots_in_use(segment, slots), 0);
    assert_false(valid(segment, 3, before) || valid(segment, 200, before));
    assert_true(valid(segment, 3, qc_clock(segment)) && valid(segment, 200, qc_clock(segment)));
    must_be_sound(segment);
    qc_segment_close(segment);
}

static void test_dead_writer_without_session_is_settled_by_who_opens(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place), *newcomer;

    kill_writer(place, "");
    assert_int_equal(slots_used(segment), 1);
    newcomer = must_open(place);
    assert_false(created(newcomer));
    assert_int_equal(slots_used(segment), 0);
    qc_segment_close(newcomer);
    qc_segment_close(segment);
}

static void test_dead_writers_make_room_for_the_living(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct task task = {.place = place, .session = ""};
    struct child children[PLACE_SLOTS];

    for (uint32_t i = 0; i < PLACE_SLOTS; i++) {
        child_start(&children[i], mark_and_hang, &task);
        child_await(&children[i], 'm');
    }
    for (uint32_t i = 0; i < PLACE_SLOTS; i++)
        child_kill(&children[i]);
    assert_int_equal(slots_used(segment), PLACE_SLOTS);
    (void)must_end(segment, must_mark(segment, 5));
    assert_int_equal(slots_used(segment), 0);
    must_be_sound(segment);
    qc_segment_close(segment);
}

static void test_dead_writer_with_session_stays_marked_until_proved_over(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_slot_info slots[PLACE_SLOTS];

    kill_writer(place, SESSION);
    qc_segment_close(must_open(place));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(slots_in_use(segment, slots), 1);
        assert_int_equal(slots[0].state, QC_SLOT_WRITING);
        assert_false(slots[0].owner_alive);
        assert_false(valid(segment, 3, QC_STAMP_MAX));
    }
    assert_int_equal(qc_slot_settle(segment, slots[0].write, false, &place->error), QC_OK);
    assert_true(valid(segment, 3, qc_clock(segment)));
    must_be_sound(segment);
    qc_segment_close(segment);
}

static void test_dead_writer_stands_in_no_successors_way(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);

    kill_writer(place, "");
    qc_segment_retire(segment);
    assert_true(is_replaced(place));
    qc_segment_close(segment);
}

#ifdef QC_FAILPOINTS

/* Writes once; the failpoint ends it on the way. */
static void write_at_failpoint(struct child *self, void *context)
{
    struct task *task = context;
    struct qc_segment *segment = open_in_child(task->place);
    struct qc_write write;

    (void)self;
    set_failpoint(task->failpoint);
    CHECK(qc_write_begin(segment, task_cells, 3, task->session, strlen(task->session), &write, NULL) == QC_OK);
    CHECK(qc_write_end(segment, write, NULL, NULL) == QC_OK);
}

static void die_at(struct place *place, const char *failpoint, const char *session)
{
    struct task task = {.place = place, .session = session, .failpoint = failpoint};
    struct child child;

    child_start(&child, write_at_failpoint, &task);
    assert_int_equal(child_end(&child), KILLED);
}

/* Where a writer can die, and whether its cells are marked, or count as such for who finds it. */
static const struct {
    const char *failpoint;
    bool marked;
} deaths[] = {
    {"before-mark=kill", false}, {"in-mutex=1:kill", false},  {"after-list=kill", true},
    {"mid-mark=1:kill", true},   {"mid-mark=2:kill", true},   {"mid-mark=3:kill", true},
    {"after-mark=kill", true},   {"in-mutex=2:kill", true},   {"between-clock-and-stamp=kill", true},
    {"mid-settle=1:kill", true}, {"mid-settle=2:kill", true}, {"mid-settle=3:kill", true},
};

#define DEATHS (sizeof deaths / sizeof deaths[0])

/* No entry from before the write may be a hit at any moment, found or not, if the write may have run. */
static void must_not_hit_older(struct qc_segment *segment, uint64_t before)
{
    for (size_t i = 0; i < 3; i++)
        assert_false(valid(segment, task_cells[i], before));
}

static void test_death_anywhere_loses_no_mark(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_slot_info slots[PLACE_SLOTS];

    for (size_t i = 0; i < DEATHS; i++) {
        struct qc_write other = must_mark(segment, 4);
        uint64_t before = qc_clock(segment);

        die_at(place, deaths[i].failpoint, SESSION);
        if (deaths[i].marked && strncmp(deaths[i].failpoint, "after-list", 10) != 0 &&
            strncmp(deaths[i].failpoint, "mid-mark", 8) != 0)
            must_not_hit_older(segment, before);
        assert_int_equal(slots_in_use(segment, slots), deaths[i].marked ? 2 : 1);
        assert_true(qc_clock(segment) >= before);
        must_be_sound(segment);
        assert_int_equal(writers_of(segment, 3), deaths[i].marked);
        assert_int_equal(writers_of(segment, 4), 1 + deaths[i].marked);
        assert_int_equal(writers_of(segment, 200), deaths[i].marked);
        (void)must_end(segment, other);
        assert_int_equal(writers_of(segment, 4), deaths[i].marked);
        if (deaths[i].marked) {
            must_not_hit_older(segment, before);
            assert_int_equal(slots_in_use(segment, slots), 1);
            assert_int_equal(qc_slot_settle(segment, slots[0].write, false, &place->error), QC_OK);
            must_not_hit_older(segment, before);
        }
        assert_true(valid(segment, 3, qc_clock(segment)));
        must_be_sound(segment);
        assert_true(qc_segment_usable(segment));
    }
    qc_segment_close(segment);
}

static void test_death_anywhere_without_session_is_settled(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_slot_info slots[PLACE_SLOTS];

    for (size_t i = 0; i < DEATHS; i++) {
        struct qc_write other = must_mark(segment, 4);
        uint64_t before = qc_clock(segment);

        die_at(place, deaths[i].failpoint, "");
        assert_int_equal(slots_in_use(segment, slots), 1);
        assert_int_equal(slots[0].write.slot, other.slot);
        assert_int_equal(writers_of(segment, 4), 1);
        must_be_sound(segment);
        if (deaths[i].marked)
            assert_false(valid(segment, 3, before) || valid(segment, 200, before));
        assert_true(valid(segment, 3, qc_clock(segment)) && valid(segment, 200, qc_clock(segment)));
        (void)must_end(segment, other);
        must_be_sound(segment);
    }
    qc_segment_close(segment);
}

/* Finds a dead owner's mutex, and dies putting its cells right. */
static void look_at_failpoint(struct child *self, void *context)
{
    struct task *task = context;
    struct qc_segment *segment = NULL;
    struct qc_slot_info slots[PLACE_SLOTS];
    size_t found;

    (void)self;
    CHECK(qc_segment_inspect(task->place->path, &segment, NULL) == QC_OK);
    set_failpoint(task->failpoint);
    (void)!qc_slots(segment, slots, PLACE_SLOTS, &found, NULL);
}

static void test_death_of_the_recoverer_loses_nothing_either(void **state)
{
    struct place *place = *state;
    const char *const failpoints[] = {"mid-rebuild=1:kill", "mid-rebuild=4:kill", "mid-rebuild=201:kill",
                                      "in-mutex=1:kill"};
    struct qc_slot_info slots[PLACE_SLOTS];
    struct child child;

    for (size_t i = 0; i < DEATHS; i++) {
        struct qc_segment *segment = must_open(place);
        uint64_t before = qc_clock(segment);
        struct qc_write other = must_mark(segment, 4);

        if (!deaths[i].marked || strcmp(deaths[i].failpoint, "after-mark=kill") == 0) {
            (void)must_end(segment, other);
            qc_segment_close(segment);
            continue;
        }
        die_at(place, deaths[i].failpoint, SESSION);
        for (size_t n = 0; n < sizeof failpoints / sizeof failpoints[0]; n++) {
            struct task task = {.place = place, .failpoint = failpoints[n]};

            child_start(&child, look_at_failpoint, &task);
            assert_int_equal(child_end(&child), KILLED);
        }
        assert_int_equal(slots_in_use(segment, slots), 2);
        must_be_sound(segment);
        must_not_hit_older(segment, before);
        assert_true(qc_clock(segment) >= before);
        (void)must_end(segment, other);
        assert_int_equal(slots_in_use(segment, slots), 1);
        assert_int_equal(qc_slot_settle(segment, slots[0].write, false, &place->error), QC_OK);
        must_be_sound(segment);
        qc_segment_close(segment);
    }
}

/* A reader sees each word of a rebuild: none may look as if nothing were being written. */
static void test_rebuild_shows_final_values_only(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_write other = must_mark(segment, 4);
    struct task task = {.place = place, .failpoint = "mid-rebuild=1:kill"};
    struct child child;

    die_at(place, "mid-mark=1:kill", SESSION);
    child_start(&child, look_at_failpoint, &task);
    assert_int_equal(child_end(&child), KILLED);
    /* Died after cell 0 of 256: those behind it are as they were, marked. */
    assert_int_equal(writers_of(segment, 3), 1);
    assert_int_equal(writers_of(segment, 4), 1);
    (void)must_end(segment, other);
    assert_int_equal(writers_of(segment, 4), 1);
    qc_segment_close(segment);
}

static void test_damage_found_after_a_death_retires_the_segment(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint32_t cells[] = {3};
    struct qc_write write;
    struct qc_constants constants;
    uint32_t count = QC_SLOT_CELLS + 1;

    kill_writer(place, SESSION);
    file_read(place->path, 0, &constants, sizeof constants);
    for (uint32_t i = 0; i < PLACE_SLOTS; i++)
        file_write(place->path,
                   constants.slots_offset + i * sizeof(struct qc_slot) + offsetof(struct qc_slot, cell_count), &count,
                   sizeof count);
    die_at(place, "in-mutex=1:kill", SESSION);
    assert_int_equal(qc_write_begin(segment, cells, 1, NULL, 0, &write, &place->error), QC_ERR_RETIRED);
    assert_false(qc_segment_usable(segment));
    assert_true(is_replaced(place));
    qc_segment_close(segment);
}

static void test_damaged_clock_found_after_a_death_retires_the_segment(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint32_t cells[] = {3};
    uint64_t behind = qc_clock(segment) - 64;
    struct qc_write write;

    die_at(place, "in-mutex=1:kill", SESSION);
    file_write(place->path, offsetof(struct qc_header, clock), &behind, sizeof behind);
    assert_int_equal(qc_write_begin(segment, cells, 1, NULL, 0, &write, &place->error), QC_ERR_RETIRED);
    assert_true(is_replaced(place));
    qc_segment_close(segment);
}

/* A fill may have taken its time from it: what is stamped later must be later. */
static void test_stamp_drawn_by_a_dead_writer_is_not_drawn_again(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    uint64_t drawn, before = qc_clock(segment);

    die_at(place, "between-clock-and-stamp=kill", "");
    drawn = qc_clock(segment);
    assert_true(drawn > before);
    assert_true(must_end(segment, must_mark(segment, 5)) > drawn);
    must_be_sound(segment);
    qc_segment_close(segment);
}

static void stop_in_mutex(struct place *place, struct child *child)
{
    static struct task task;

    task = (struct task){.place = place, .session = "", .failpoint = "in-mutex=1:stop"};
    child_start(child, write_at_failpoint, &task);
    child_wait_stopped(child);
}

static void test_stopped_owner_of_the_mutex_retires_the_segment_in_a_second(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    const uint32_t cells[] = {3};
    struct qc_slot_info slots[PLACE_SLOTS];
    struct qc_write write;
    struct child child;
    uint64_t before;
    size_t found;

    stop_in_mutex(place, &child);
    /* Who only looks does not wait for it, and takes nothing from those who can still hit. */
    before = qc_time_monotonic_us();
    assert_int_equal(qc_slots(segment, slots, PLACE_SLOTS, &found, &place->error), QC_ERR_BUSY);
    assert_true(qc_time_monotonic_us() - before < 900000);
    assert_true(qc_segment_usable(segment));
    before = qc_time_monotonic_us();
    assert_int_equal(qc_write_begin(segment, cells, 1, NULL, 0, &write, &place->error), QC_ERR_BUSY);
    assert_in_range(qc_time_monotonic_us() - before, 1000000, 3000000);
    assert_false(qc_segment_usable(segment));
    /* It is a writer still: nothing is made in this one's place. */
    must_be_refused(place, QC_ERR_BUSY);
    child_kill(&child);
    assert_true(is_replaced(place));
    qc_segment_close(segment);
}

static void test_settling_behind_a_stopped_owner_retires_the_segment(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_write write = must_mark(segment, 3);
    struct child child;

    stop_in_mutex(place, &child);
    assert_int_equal(qc_write_end(segment, write, NULL, &place->error), QC_ERR_BUSY);
    assert_false(qc_segment_usable(segment));
    child_kill(&child);
    assert_true(is_replaced(place));
    qc_segment_close(segment);
}

static void create_at_failpoint(struct child *self, void *context)
{
    (void)self;
    set_failpoint("in-create=kill");
    (void)open_in_child(context);
}

static void test_dead_creator_stands_in_nobodys_way(void **state)
{
    struct place *place = *state;
    struct child child;

    child_start(&child, create_at_failpoint, place);
    assert_int_equal(child_end(&child), KILLED);
    assert_false(file_exists(place->path));
    assert_true(file_exists(place->new));
    assert_true(is_replaced(place));
    assert_false(file_exists(place->new));
}

#endif

#define TEST(function) cmocka_unit_test_setup_teardown(function, place_make, place_unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dead_writer_without_session_is_settled_by_who_looks),
        TEST(test_dead_writer_without_session_is_settled_by_who_opens),
        TEST(test_dead_writers_make_room_for_the_living),
        TEST(test_dead_writer_with_session_stays_marked_until_proved_over),
        TEST(test_dead_writer_stands_in_no_successors_way),
#ifdef QC_FAILPOINTS
        TEST(test_death_anywhere_loses_no_mark),
        TEST(test_death_anywhere_without_session_is_settled),
        TEST(test_death_of_the_recoverer_loses_nothing_either),
        TEST(test_rebuild_shows_final_values_only),
        TEST(test_damage_found_after_a_death_retires_the_segment),
        TEST(test_damaged_clock_found_after_a_death_retires_the_segment),
        TEST(test_stamp_drawn_by_a_dead_writer_is_not_drawn_again),
        TEST(test_stopped_owner_of_the_mutex_retires_the_segment_in_a_second),
        TEST(test_settling_behind_a_stopped_owner_retires_the_segment),
        TEST(test_dead_creator_stands_in_nobodys_way),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
