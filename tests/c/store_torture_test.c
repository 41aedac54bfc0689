/* Many processes use one store while they are killed, or while its bytes are damaged.
 *
 * QC_TORTURE_PROCS (8) and QC_TORTURE_SECONDS (2) make it longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/atomics.h"
#include "store_fixture.h"
#include "store_world.h"

#define PROCS_MAX 128u

enum { EXIT_WRONG = 2 };

static pid_t start_worker(struct world *world)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child > 0)
        return child;
    alarm(0);
    world->seed ^= (unsigned)getpid() * 2654435761u;
    while (qc_load_relaxed(&world->shared->stop) == 0)
        if (!world_step(world))
            _exit(EXIT_WRONG);
    _exit(0);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Random moments, in place of a schedule. */
static void pause_us(unsigned us)
{
    const struct timespec pause = {0, (long)us * 1000};

    (void)nanosleep(&pause, NULL);
}

static void assert_killed_or_done(int status)
{
    if (WIFSIGNALED(status))
        assert_int_equal(WTERMSIG(status), SIGKILL);
    else
        assert_int_equal(WEXITSTATUS(status), 0); /* EXIT_WRONG: a wrong value */
}

static size_t reap_and_restart(struct world *world, pid_t *workers, unsigned procs)
{
    size_t died = 0;

    for (unsigned i = 0; i < procs; i++) {
        int status;

        if (waitpid(workers[i], &status, WNOHANG) != workers[i])
            continue;
        assert_killed_or_done(status);
        died++;
        world->seed++;
        workers[i] = start_worker(world);
    }
    return died;
}

static void stop_all(struct world *world, const pid_t *workers, unsigned procs)
{
    qc_store_relaxed(&world->shared->stop, 1);
    for (unsigned i = 0; i < procs; i++) {
        int status;

        assert_int_equal(waitpid(workers[i], &status, 0), workers[i]);
        assert_killed_or_done(status);
    }
}

static void test_processes_killed_at_random_leave_a_sound_store(void **state)
{
    const unsigned procs = world_setting("QC_TORTURE_PROCS", 8) % PROCS_MAX,
                   seconds = world_setting("QC_TORTURE_SECONDS", 2);
    const uint64_t end = now_ms() + seconds * UINT64_C(1000);
    struct qc_store_info info;
    struct world world;
    pid_t workers[PROCS_MAX];
    size_t died = 0;

    (void)state;
    world_open(&world, 256 * 1024, WORLD_KEYS_MAX);
    world.suicide_of = 5000;
    alarm(seconds + WORLD_HANG_SECONDS); /* kills this test when something hangs */
    for (unsigned i = 0; i < procs; i++)
        workers[i] = start_worker(&world);
    while (now_ms() < end) {
        pause_us(world_draw(&world, 3000));
        (void)kill(workers[world_draw(&world, procs)], SIGKILL);
        died += reap_and_restart(&world, workers, procs);
    }
    stop_all(&world, workers, procs);
    assert_int_equal(qc_store_verify(world.store, fixture_print, NULL), 0);
    qc_store_info(world.store, &info);
    print_message("%zu died, %llu of them inside a shard; %llu gets, %llu hits, %llu puts; %llu moved, %llu evicted\n",
                  died, (unsigned long long)world.shared->deaths_inside, (unsigned long long)world.shared->gets,
                  (unsigned long long)world.shared->hits, (unsigned long long)world.shared->puts,
                  (unsigned long long)info.reinserted, (unsigned long long)info.evicted);
    assert_true(died > 10 && world.shared->deaths_inside > 0 && world.shared->hits > 1000);
    assert_int_equal(info.damaged, 0); /* a death is not damage */
    alarm(0);
    world_close(&world);
}

/* Not only between operations: a process scribbles all the while. */
static void test_damage_during_operations_is_a_miss(void **state)
{
    enum { WORKERS = 3 };
    const uint64_t end = now_ms() + world_setting("QC_TORTURE_SECONDS", 2) * UINT64_C(500);
    pid_t workers[WORKERS];
    struct world world;

    (void)state;
    world_open(&world, 128 * 1024, WORLD_KEYS_MAX / 10);
    alarm(WORLD_HANG_SECONDS + world_setting("QC_TORTURE_SECONDS", 2));
    for (unsigned i = 0; i < WORKERS; i++)
        workers[i] = start_worker(&world);
    for (unsigned round = 0; now_ms() < end; round++) {
        world_damage(&world, round % 4000 == 0);
        if (round % 16 == 0)
            pause_us(50);
    }
    stop_all(&world, workers, WORKERS);
    print_message("%llu gets, %llu hits, %llu puts\n", (unsigned long long)world.shared->gets,
                  (unsigned long long)world.shared->hits, (unsigned long long)world.shared->puts);
    assert_true(world.shared->hits > 100);
    alarm(0);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_processes_killed_at_random_leave_a_sound_store),
        cmocka_unit_test(test_damage_during_operations_is_a_miss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
