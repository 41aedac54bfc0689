/* Many processes use one store while they are killed, or while its bytes are damaged. Every value says what it is, so
 * that a wrong one is known for wrong.
 *
 * QC_TORTURE_PROCS (8) and QC_TORTURE_SECONDS (2) make it longer; QC_TORTURE_SEED repeats a run's damage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/atomics.h"
#include "store/handle.h"

#define KEYS 600u
#define WORDS_MAX 300u
#define CELLS_MAX 12u
#define PROCS_MAX 128u
#define HANG_SECONDS 60u /* more than anything here may take once it was told to stop */

enum { EXIT_WRONG = 2 };

static const uint8_t hash_key[16] = "fedcba9876543210";

/* Shared by all processes of a test. */
struct shared {
    uint64_t clock;
    uint64_t cells[KEYS]; /* stamp of the last write: an older entry must not be served */
    uint64_t gets, hits, puts, deaths_inside;
    uint32_t stop;
};

struct world {
    struct shared *shared;
    uint8_t *region;
    size_t size;
    struct qc_store *store;
    unsigned seed, keys;
    unsigned suicide_of; /* dies in one of so many callbacks, which run inside a shard's lock; 0: never */
    struct qc_entry entry;
};

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static unsigned draw(struct world *world, unsigned limit)
{
    world->seed = world->seed * 1664525u + 1013904223u;
    return (unsigned)(((uint64_t)(world->seed >> 4) * limit) >> 28);
}

static void *map_shared(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(memory != MAP_FAILED);
    return memory;
}

static void world_format(struct world *world)
{
    assert_int_equal(qc_store_format(world->region, world->size, WORDS_MAX * 8 + 8, hash_key, NULL), QC_OK);
}

static void world_open(struct world *world, size_t size, unsigned keys)
{
    memset(world, 0, sizeof *world);
    world->keys = keys;
    world->seed = setting("QC_TORTURE_SEED", (unsigned)time(NULL));
    print_message("QC_TORTURE_SEED=%u\n", world->seed);
    world->shared = map_shared(sizeof *world->shared);
    world->size = size;
    world->region = map_shared(size);
    world_format(world);
    assert_int_equal(qc_store_attach(world->region, size, &world->store, NULL), QC_OK);
}

static void world_close(struct world *world)
{
    qc_entry_release(&world->entry);
    qc_store_detach(world->store);
    munmap(world->region, world->size);
    munmap(world->shared, sizeof *world->shared);
}

/* Word `i` of the value that was stored for a key with this stamp. */
static uint64_t witness(uint64_t number, uint64_t stamp, uint64_t i)
{
    return (number * UINT64_C(0x9e3779b97f4a7c15) ^ stamp) * UINT64_C(0xff51afd7ed558ccd) + i;
}

static size_t words_of(uint64_t number, uint64_t stamp)
{
    return 1 + (size_t)(witness(number, stamp, 7) >> 33) % (stamp % 8 == 0 ? WORDS_MAX : 40);
}

static size_t cells_of(uint64_t stamp)
{
    return 1 + (size_t)stamp % CELLS_MAX;
}

static bool valid(void *context, const uint32_t *cells, size_t count, uint64_t stamp)
{
    struct world *world = context;

    if (world->suicide_of > 0 && draw(world, world->suicide_of) == 0) {
        qc_add_relaxed(&world->shared->deaths_inside, 1);
        raise(SIGKILL);
    }
    for (size_t i = 0; i < count; i++)
        if (cells[i] >= KEYS || qc_load_acquire(&world->shared->cells[cells[i]]) > stamp)
            return false;
    return true;
}

/* Writes a row (sometimes), reads it and stores it. */
static void store_one(struct world *world, uint32_t number)
{
    const struct qc_validity validity = {valid, world};
    uint64_t words[WORDS_MAX], stamp;
    uint32_t cells[CELLS_MAX];

    if (draw(world, 3) == 0) {
        stamp = __atomic_add_fetch(&world->shared->clock, 1, __ATOMIC_ACQ_REL);
        qc_store_release(&world->shared->cells[number], stamp);
    }
    stamp = qc_load_acquire(&world->shared->clock);
    for (size_t i = 0; i < words_of(number, stamp); i++)
        words[i] = witness(number, stamp, i);
    for (size_t i = 0; i < cells_of(stamp); i++)
        cells[i] = number;
    (void)!qc_store_put(world->store, &number, sizeof number, stamp, 0, cells, cells_of(stamp), words,
                        words_of(number, stamp) * sizeof *words, &validity);
    qc_add_relaxed(&world->shared->puts, 1);
}

static bool is_right(const struct qc_entry *entry, uint32_t number)
{
    if (entry->value_size != words_of(number, entry->stamp) * sizeof(uint64_t) ||
        entry->cell_count != cells_of(entry->stamp))
        return false;
    for (size_t i = 0; i < entry->cell_count; i++)
        if (entry->cells[i] != number)
            return false;
    for (size_t i = 0; i < words_of(number, entry->stamp); i++) {
        uint64_t word;

        memcpy(&word, entry->value + i * sizeof word, sizeof word);
        if (word != witness(number, entry->stamp, i))
            return false;
    }
    return true;
}

/* False: a wrong or a stale value was served. */
static bool look_up(struct world *world, uint32_t number)
{
    const struct qc_validity validity = {valid, world};
    uint64_t written = qc_load_acquire(&world->shared->cells[number]);
    int status = qc_store_get(world->store, &number, sizeof number, 0, &validity, &world->entry);

    qc_add_relaxed(&world->shared->gets, 1);
    if (status != QC_OK)
        return status == QC_MISS;
    qc_add_relaxed(&world->shared->hits, 1);
    return world->entry.stamp >= written && is_right(&world->entry, number);
}

static bool step(struct world *world)
{
    uint32_t number = draw(world, world->keys);

    if (draw(world, 4) > 0)
        return look_up(world, number);
    store_one(world, number);
    return true;
}

static pid_t start_worker(struct world *world)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child > 0)
        return child;
    alarm(0);
    world->seed ^= (unsigned)getpid() * 2654435761u;
    while (qc_load_relaxed(&world->shared->stop) == 0)
        if (!step(world))
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

static void print_finding(void *context, const char *finding)
{
    (void)context;
    print_message("%s\n", finding);
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
    const unsigned procs = setting("QC_TORTURE_PROCS", 8) % PROCS_MAX, seconds = setting("QC_TORTURE_SECONDS", 2);
    const uint64_t end = now_ms() + seconds * UINT64_C(1000);
    struct qc_store_info info;
    struct world world;
    pid_t workers[PROCS_MAX];
    size_t died = 0;

    (void)state;
    world_open(&world, 256 * 1024, KEYS);
    world.suicide_of = 5000;
    alarm(seconds + HANG_SECONDS); /* kills this test when something hangs */
    for (unsigned i = 0; i < procs; i++)
        workers[i] = start_worker(&world);
    while (now_ms() < end) {
        pause_us(draw(&world, 3000));
        (void)kill(workers[draw(&world, procs)], SIGKILL);
        died += reap_and_restart(&world, workers, procs);
    }
    stop_all(&world, workers, procs);
    assert_int_equal(qc_store_verify(world.store, print_finding, NULL), 0);
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

/* A place that matters: a shard's header, its index, a record, or anywhere. */
static size_t place_to_damage(struct world *world, bool locks)
{
    const struct qc_geometry *geometry = &world->store->geometry;
    size_t shard = sizeof(struct qc_store_header) + draw(world, geometry->shards) * (size_t)geometry->stride;

    switch (draw(world, locks ? 9 : 8)) {
    case 0:
        return draw(world, sizeof(struct qc_store_header));
    case 1:
        return shard + sizeof(struct qc_mutex) + draw(world, 64);
    case 2:
    case 3:
        return shard + sizeof(struct qc_shard_header) + draw(world, geometry->index_slots * 8);
    case 4:
        return shard + sizeof(struct qc_shard_header) + geometry->index_slots * 8 + draw(world, 64);
    case 8:
        return shard + draw(world, sizeof(struct qc_mutex));
    default:
        return shard + sizeof(struct qc_shard_header) +
               draw(world, geometry->index_slots * 8 + (unsigned)geometry->log_size);
    }
}

static void damage(struct world *world, bool locks)
{
    size_t at = place_to_damage(world, locks);
    uint8_t *byte = &world->region[at];

    switch (draw(world, 8)) {
    case 0:
        *byte = (uint8_t)draw(world, 256);
        break;
    case 1:
        *byte = 0;
        break;
    case 2: /* a whole word, from elsewhere */
        if (at + 8 <= world->size)
            memcpy(byte, &world->region[place_to_damage(world, false) & ~(size_t)7], 8);
        break;
    case 3: /* a small number */
        *byte = (uint8_t)draw(world, 9);
        break;
    default:
        *byte ^= (uint8_t)(1u << draw(world, 8));
        break;
    }
}

static void test_damage_between_operations_is_a_miss(void **state)
{
    struct qc_store_info info;
    struct world world;
    uint64_t damaged = 0, hits;

    (void)state;
    world_open(&world, 128 * 1024, KEYS / 10);
    alarm(HANG_SECONDS * 2);
    for (unsigned round = 0; round < 60000; round++) {
        if (round % 100 == 0) { /* or else the locks would all be out of use before long */
            qc_store_info(world.store, &info);
            damaged += info.damaged < 1000 ? info.damaged : 0; /* the counter itself may be hit */
            world_format(&world);
        }
        damage(&world, round % 16 == 0);
        for (unsigned i = 0; i < 4; i++)
            assert_true(step(&world));
    }
    hits = world.shared->hits;
    print_message("%llu gets, %llu hits; %llu times damage was found\n", (unsigned long long)world.shared->gets,
                  (unsigned long long)hits, (unsigned long long)damaged);
    assert_true(hits > 1000 && damaged > 1000);
    alarm(0);
    world_close(&world);
}

static bool see_entry(void *context, const void *key, size_t key_size, const struct qc_entry *entry)
{
    uint32_t number;

    (void)context;
    assert_int_equal(key_size, sizeof number);
    memcpy(&number, key, sizeof number);
    assert_true(is_right(entry, number));
    return true;
}

static void test_looking_at_a_damaged_store_is_safe(void **state)
{
    struct world world;
    size_t found = 0;

    (void)state;
    world_open(&world, 128 * 1024, KEYS / 10);
    alarm(HANG_SECONDS * 2);
    for (unsigned round = 0; round < 1500; round++) {
        world_format(&world);
        for (unsigned i = 0; i < 60; i++)
            store_one(&world, draw(&world, world.keys));
        assert_int_equal(qc_store_verify(world.store, print_finding, NULL), 0);
        damage(&world, false); /* a lock that looks held would cost the check a second */
        found += qc_store_verify(world.store, NULL, NULL) > 0;
        assert_int_equal(qc_store_visit(world.store, see_entry, NULL), QC_OK);
    }
    print_message("%zu of 1500 damages were found\n", found);
    assert_true(found > 300);
    alarm(0);
    world_close(&world);
}

/* Not only between operations: a process scribbles all the while. */
static void test_damage_during_operations_is_a_miss(void **state)
{
    enum { WORKERS = 3 };
    const uint64_t end = now_ms() + setting("QC_TORTURE_SECONDS", 2) * UINT64_C(500);
    pid_t workers[WORKERS];
    struct world world;

    (void)state;
    world_open(&world, 128 * 1024, KEYS / 10);
    alarm(HANG_SECONDS + setting("QC_TORTURE_SECONDS", 2));
    for (unsigned i = 0; i < WORKERS; i++)
        workers[i] = start_worker(&world);
    for (unsigned round = 0; now_ms() < end; round++) {
        damage(&world, round % 4000 == 0);
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
        cmocka_unit_test(test_damage_between_operations_is_a_miss),
        cmocka_unit_test(test_looking_at_a_damaged_store_is_safe),
        cmocka_unit_test(test_damage_during_operations_is_a_miss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
