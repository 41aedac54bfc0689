/* The robust mutex: between processes, after deaths, and over damaged bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plat/mutex.h"
#include "plat/time.h"
#include "support.h"

#define THREADS 4
#define ROUNDS 2000
#define DAMAGES 3000
#define WAIT_MS 120u

struct shared {
    struct qc_mutex mutex;
    uint64_t counter;
};

static struct shared *map_shared(void)
{
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    CHECK(shared != MAP_FAILED);
    CHECK(qc_mutex_init(&shared->mutex) == QC_OK);
    return shared;
}

static int make(void **state)
{
    *state = map_shared();
    return 0;
}

static int unmake(void **state)
{
    return munmap(*state, sizeof(struct shared));
}

static void hold_until_told(struct child *self, void *context)
{
    struct shared *shared = context;
    char word;

    CHECK(qc_mutex_lock(&shared->mutex, 1000) == QC_OK);
    child_tell(self, 'h');
    (void)child_hear(self, &word);
    qc_mutex_unlock(&shared->mutex);
}

static void test_free_mutex_is_had_at_once(void **state)
{
    struct shared *shared = *state;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(qc_mutex_try(&shared->mutex), QC_OK);
        qc_mutex_unlock(&shared->mutex);
    }
}

static void test_mutex_of_another_process_is_busy(void **state)
{
    struct shared *shared = *state;
    struct child child;
    uint64_t before;

    child_start(&child, hold_until_told, shared);
    child_await(&child, 'h');
    assert_int_equal(qc_mutex_try(&shared->mutex), QC_ERR_BUSY);
    before = qc_time_monotonic_us();
    assert_int_equal(qc_mutex_lock(&shared->mutex, WAIT_MS), QC_ERR_BUSY);
    assert_true(qc_time_monotonic_us() - before >= WAIT_MS * 1000);
    child_tell(&child, 'g');
    assert_int_equal(qc_mutex_lock(&shared->mutex, 10000), QC_OK);
    qc_mutex_unlock(&shared->mutex);
    assert_int_equal(child_end(&child), 0);
}

static void kill_owner(struct shared *shared)
{
    struct child child;

    child_start(&child, hold_until_told, shared);
    child_await(&child, 'h');
    child_kill(&child);
}

static void test_death_of_the_owner_is_told_once(void **state)
{
    struct shared *shared = *state;

    kill_owner(shared);
    assert_int_equal(qc_mutex_lock(&shared->mutex, 1000), QC_MUTEX_DIED);
    assert_int_equal(qc_mutex_consistent(&shared->mutex), QC_OK);
    qc_mutex_unlock(&shared->mutex);
    assert_int_equal(qc_mutex_try(&shared->mutex), QC_OK);
    qc_mutex_unlock(&shared->mutex);
}

static void test_mutex_given_up_stays_given_up(void **state)
{
    struct shared *shared = *state;

    kill_owner(shared);
    assert_int_equal(qc_mutex_try(&shared->mutex), QC_MUTEX_DIED);
    qc_mutex_unlock(&shared->mutex);
    assert_int_equal(qc_mutex_try(&shared->mutex), QC_ERR_CORRUPT);
    assert_int_equal(qc_mutex_lock(&shared->mutex, WAIT_MS), QC_ERR_CORRUPT);
}

static void die_repairing(struct child *self, void *context)
{
    struct shared *shared = context;
    char word;

    CHECK(qc_mutex_lock(&shared->mutex, 1000) == QC_MUTEX_DIED);
    child_tell(self, 'h');
    (void)child_hear(self, &word);
}

static void test_death_of_the_repairer_is_told_too(void **state)
{
    struct shared *shared = *state;
    struct child child;

    kill_owner(shared);
    child_start(&child, die_repairing, shared);
    child_await(&child, 'h');
    child_kill(&child);
    assert_int_equal(qc_mutex_lock(&shared->mutex, 1000), QC_MUTEX_DIED);
    assert_int_equal(qc_mutex_consistent(&shared->mutex), QC_OK);
    qc_mutex_unlock(&shared->mutex);
}

static void *count(void *context)
{
    struct shared *shared = context;

    for (int i = 0; i < ROUNDS; i++) {
        CHECK(qc_mutex_lock(&shared->mutex, 30000) == QC_OK);
        shared->counter++;
        qc_mutex_unlock(&shared->mutex);
    }
    return NULL;
}

static void test_threads_exclude_one_another(void **state)
{
    struct shared *shared = *state;
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, shared), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(shared->counter, THREADS * ROUNDS);
}

static void damage(struct qc_mutex *mutex, unsigned *seed)
{
    switch (rand_r(seed) % 3) {
    case 0:
        mutex->bytes[rand_r(seed) % (int)sizeof mutex->bytes] ^= (unsigned char)(1 << rand_r(seed) % 8);
        break;
    case 1:
        memset(mutex->bytes, rand_r(seed), sizeof mutex->bytes);
        break;
    default:
        for (size_t i = 0; i < sizeof mutex->bytes; i++)
            mutex->bytes[i] = (unsigned char)rand_r(seed);
    }
}

/* Dies of a signal if any of it is ever believed. */
static void use_damaged(struct child *self, void *context)
{
    unsigned seed = 1;

    (void)self;
    (void)context;
    for (int i = 0; i < DAMAGES; i++) {
        struct shared *damaged = map_shared(), *sound = map_shared();
        int status;

        damage(&damaged->mutex, &seed);
        status = qc_mutex_try(&damaged->mutex);
        if (status == QC_MUTEX_DIED)
            (void)!qc_mutex_consistent(&damaged->mutex);
        if (status >= 0) {
            damage(&damaged->mutex, &seed);
            qc_mutex_unlock(&damaged->mutex);
        }
        /* What a thread holds is in a list of the C library's: nothing of the damaged one may be left in it. */
        CHECK(munmap(damaged, sizeof *damaged) == 0);
        CHECK(qc_mutex_try(&sound->mutex) == QC_OK);
        qc_mutex_unlock(&sound->mutex);
        CHECK(munmap(sound, sizeof *sound) == 0);
    }
}

static void test_damaged_bytes_never_crash(void **state)
{
    struct child child;

    (void)state;
    child_start(&child, use_damaged, NULL);
    assert_int_equal(child_end(&child), 0);
}

static void test_other_kinds_of_mutex_are_refused(void **state)
{
    struct shared *shared = *state;

    memset(shared->mutex.bytes, 0, sizeof shared->mutex.bytes); /* a plain one, whose owner's death is never told */
    assert_int_equal(qc_mutex_try(&shared->mutex), QC_ERR_CORRUPT);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_free_mutex_is_had_at_once),         TEST(test_mutex_of_another_process_is_busy),
        TEST(test_death_of_the_owner_is_told_once),   TEST(test_mutex_given_up_stays_given_up),
        TEST(test_death_of_the_repairer_is_told_too), TEST(test_threads_exclude_one_another),
        TEST(test_damaged_bytes_never_crash),         TEST(test_other_kinds_of_mutex_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
