#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qcache/store.h"
#include "store/handle.h"

#define MAX_ENTRY 2048u
#define REGION_SIZE (1024u * 1024u)

static const uint8_t hash_key[16] = "0123456789abcdef";

/* A store in shared anonymous memory. */
struct fixture {
    uint8_t *region;
    size_t size;
    struct qc_store *store;
    struct qc_entry entry;
};

static void fixture_open_sized(struct fixture *fixture, size_t size, uint32_t max_entry)
{
    struct qc_error error;

    memset(fixture, 0, sizeof *fixture);
    fixture->size = size;
    fixture->region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(fixture->region != MAP_FAILED);
    assert_int_equal(qc_store_format(fixture->region, size, max_entry, hash_key, &error), QC_OK);
    assert_int_equal(qc_store_attach(fixture->region, size, &fixture->store, &error), QC_OK);
}

static void fixture_open(struct fixture *fixture)
{
    fixture_open_sized(fixture, REGION_SIZE, MAX_ENTRY);
}

/* One shard only, so that its order is the store's. */
static void fixture_open_small(struct fixture *fixture)
{
    fixture_open_sized(fixture, qc_store_size_min(MAX_ENTRY), MAX_ENTRY);
    assert_int_equal(fixture->store->geometry.shards, 1);
}

static void fixture_close(struct fixture *fixture)
{
    qc_entry_release(&fixture->entry);
    qc_store_detach(fixture->store);
    munmap(fixture->region, fixture->size);
}

static void print_finding(void *context, const char *finding)
{
    (void)context;
    print_message("%s\n", finding);
}

static size_t findings(struct fixture *fixture)
{
    return qc_store_verify(fixture->store, print_finding, NULL);
}

static int put(struct fixture *fixture, const char *key, const char *value)
{
    static const uint32_t cells[] = {3, 5};

    return qc_store_put(fixture->store, key, strlen(key), 7, 0, cells, 2, value, strlen(value), NULL);
}

static int get(struct fixture *fixture, const char *key)
{
    return qc_store_get(fixture->store, key, strlen(key), 0, NULL, &fixture->entry);
}

static bool holds(struct fixture *fixture, const char *key, const char *value)
{
    return get(fixture, key) == QC_OK && fixture->entry.value_size == strlen(value) &&
           memcmp(fixture->entry.value, value, strlen(value)) == 0;
}

static struct qc_store_info info_of(struct fixture *fixture)
{
    struct qc_store_info info;

    qc_store_info(fixture->store, &info);
    return info;
}

static void test_entry_comes_back_with_its_cells_and_stamp(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    assert_int_equal(get(&fixture, "key"), QC_MISS);
    assert_int_equal(put(&fixture, "key", "value"), QC_OK);
    assert_true(holds(&fixture, "key", "value"));
    assert_int_equal(fixture.entry.stamp, 7);
    assert_int_equal(fixture.entry.cell_count, 2);
    assert_int_equal(fixture.entry.cells[0], 3);
    assert_int_equal(fixture.entry.cells[1], 5);
    assert_int_equal(get(&fixture, "ke"), QC_MISS);
    assert_int_equal(get(&fixture, "keyy"), QC_MISS);
    assert_int_equal(findings(&fixture), 0);
    fixture_close(&fixture);
}

static void test_empty_parts_are_allowed(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    assert_int_equal(qc_store_put(fixture.store, NULL, 0, 1, 0, NULL, 0, NULL, 0, NULL), QC_OK);
    assert_int_equal(qc_store_get(fixture.store, NULL, 0, 0, NULL, &fixture.entry), QC_OK);
    assert_int_equal(fixture.entry.value_size, 0);
    assert_int_equal(fixture.entry.cell_count, 0);
    assert_int_equal(findings(&fixture), 0);
    fixture_close(&fixture);
}

static void test_second_put_replaces_the_first(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    assert_int_equal(put(&fixture, "key", "first"), QC_OK);
    assert_int_equal(put(&fixture, "key", "second and longer"), QC_OK);
    assert_true(holds(&fixture, "key", "second and longer"));
    assert_int_equal(info_of(&fixture).entries, 1);
    assert_int_equal(findings(&fixture), 0);
    fixture_close(&fixture);
}

static void test_another_handle_sees_the_entry(void **state)
{
    struct fixture fixture;
    struct qc_store *other;
    struct qc_error error;

    (void)state;
    fixture_open(&fixture);
    assert_int_equal(put(&fixture, "key", "value"), QC_OK);
    assert_int_equal(qc_store_attach(fixture.region, fixture.size, &other, &error), QC_OK);
    assert_int_equal(qc_store_get(other, "key", 3, 0, NULL, &fixture.entry), QC_OK);
    qc_store_detach(other);
    fixture_close(&fixture);
}

static void test_caps_are_exact(void **state)
{
    static char value[MAX_ENTRY + 1];
    static uint32_t cells[QC_ENTRY_CELLS_MAX + 1];
    struct fixture fixture;
    struct qc_store *store;

    (void)state;
    fixture_open_small(&fixture);
    store = fixture.store;
    assert_int_equal(qc_store_put(store, "k", 1, 1, 0, cells, QC_ENTRY_CELLS_MAX, value, MAX_ENTRY - 1, NULL), QC_OK);
    assert_int_equal(qc_store_get(store, "k", 1, 0, NULL, &fixture.entry), QC_OK);
    assert_int_equal(fixture.entry.value_size, MAX_ENTRY - 1);
    assert_int_equal(fixture.entry.cell_count, QC_ENTRY_CELLS_MAX);
    assert_int_equal(qc_store_put(store, "k", 1, 1, 0, NULL, 0, value, MAX_ENTRY, NULL), QC_ERR_TOO_LARGE);
    assert_int_equal(qc_store_put(store, value, MAX_ENTRY + 1, 1, 0, NULL, 0, NULL, 0, NULL), QC_ERR_TOO_LARGE);
    assert_int_equal(qc_store_put(store, value, 1, 1, 0, NULL, 0, NULL, SIZE_MAX, NULL), QC_ERR_TOO_LARGE);
    assert_int_equal(qc_store_put(store, "k", 1, 1, 0, cells, QC_ENTRY_CELLS_MAX + 1, "", 0, NULL), QC_ERR_TOO_LARGE);
    assert_int_equal(info_of(&fixture).refused, 4);
    assert_int_equal(findings(&fixture), 0);
    fixture_close(&fixture);
}

static void test_expired_entry_is_dropped(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    assert_int_equal(qc_store_put(fixture.store, "k", 1, 1, 1000, NULL, 0, "v", 1, NULL), QC_OK);
    assert_int_equal(qc_store_get(fixture.store, "k", 1, 999, NULL, &fixture.entry), QC_OK);
    assert_int_equal(qc_store_get(fixture.store, "k", 1, 1000, NULL, &fixture.entry), QC_MISS);
    assert_int_equal(info_of(&fixture).entries, 0);
    assert_int_equal(qc_store_get(fixture.store, "k", 1, 999, NULL, &fixture.entry), QC_MISS);
    assert_int_equal(findings(&fixture), 0);
    fixture_close(&fixture);
}

/* Refuses what depends on one cell. */
struct judge {
    uint32_t bad_cell;
    unsigned calls;
    uint64_t stamp;
    size_t count;
};

static bool judged(void *context, const uint32_t *cells, size_t count, uint64_t stamp)
{
    struct judge *judge = context;

    judge->calls++;
    judge->stamp = stamp;
    judge->count = count;
    for (size_t i = 0; i < count; i++)
        if (cells[i] == judge->bad_cell)
            return false;
    return true;
}

static void test_refused_entry_is_dropped(void **state)
{
    struct judge judge = {.bad_cell = 99};
    const struct qc_validity validity = {judged, &judge};
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    assert_int_equal(put(&fixture, "key", "value"), QC_OK);
    assert_int_equal(qc_store_get(fixture.store, "key", 3, 0, &validity, &fixture.entry), QC_OK);
    assert_int_equal(judge.calls, 1);
    assert_int_equal(judge.stamp, 7);
    assert_int_equal(judge.count, 2);
    judge.bad_cell = 5;
    assert_int_equal(qc_store_get(fixture.store, "key", 3, 0, &validity, &fixture.entry), QC_MISS);
    assert_int_equal(get(&fixture, "key"), QC_MISS);
    assert_int_equal(info_of(&fixture).entries, 0);
    assert_int_equal(findings(&fixture), 0);
    fixture_close(&fixture);
}

static void name_key(char key[16], unsigned number)
{
    (void)snprintf(key, 16, "key %u", number);
}

/* Puts numbered entries of 500 bytes until `first` is about to be pushed out; returns the next number. */
static unsigned fill_log(struct fixture *fixture)
{
    static char value[500];
    struct qc_store_info info;
    unsigned number = 0;
    char key[16];

    memset(value, 'v', sizeof value - 1);
    do {
        name_key(key, number++);
        assert_int_equal(put(fixture, key, value), QC_OK);
        info = info_of(fixture);
    } while (info.used + 1200 < info.capacity);
    assert_int_equal(info.evicted, 0);
    return number;
}

static void put_more(struct fixture *fixture, unsigned from, unsigned count)
{
    static char value[500];
    char key[16];

    memset(value, 'v', sizeof value - 1);
    for (unsigned i = 0; i < count; i++) {
        name_key(key, from + i);
        assert_int_equal(put(fixture, key, value), QC_OK);
    }
}

static void test_oldest_are_pushed_out_first(void **state)
{
    struct fixture fixture;
    unsigned next;
    char key[16];

    (void)state;
    fixture_open_small(&fixture);
    next = fill_log(&fixture);
    put_more(&fixture, next, 10);
    assert_int_equal(get(&fixture, "key 0"), QC_MISS);
    assert_int_equal(get(&fixture, "key 1"), QC_MISS);
    name_key(key, next + 9);
    assert_int_equal(get(&fixture, key), QC_OK);
    name_key(key, next - 1);
    assert_int_equal(get(&fixture, key), QC_OK);
    assert_true(info_of(&fixture).evicted >= 8);
    assert_int_equal(info_of(&fixture).reinserted, 0);
    assert_int_equal(findings(&fixture), 0);
    fixture_close(&fixture);
}

static void test_entry_hit_since_it_was_written_survives_once(void **state)
{
    struct fixture fixture;
    unsigned next;

    (void)state;
    fixture_open_small(&fixture);
    next = fill_log(&fixture);
    assert_int_equal(get(&fixture, "key 1"), QC_OK);
    put_more(&fixture, next, 10);
    assert_int_equal(info_of(&fixture).reinserted, 1);
    put_more(&fixture, next + 10, next - 20); /* nearly a round: it has moved, and is not gone yet */
    assert_int_equal(get(&fixture, "key 2"), QC_MISS);
    assert_int_equal(info_of(&fixture).reinserted, 1);
    put_more(&fixture, 2 * next, 20); /* its bit was cleared when it moved */
    assert_int_equal(info_of(&fixture).reinserted, 1);
    assert_int_equal(get(&fixture, "key 1"), QC_MISS);
    assert_int_equal(findings(&fixture), 0);
    fixture_close(&fixture);
}

static void test_entry_hit_every_round_stays(void **state)
{
    struct fixture fixture;
    unsigned next;

    (void)state;
    fixture_open_small(&fixture);
    next = fill_log(&fixture);
    for (unsigned round = 1; round < 20; round++) {
        assert_int_equal(get(&fixture, "key 0"), QC_OK);
        put_more(&fixture, round * 1000, next - 10);
    }
    assert_int_equal(get(&fixture, "key 0"), QC_OK);
    assert_int_equal(findings(&fixture), 0);
    fixture_close(&fixture);
}

/* Fills the log, hits the five oldest, then pushes them out under this judge. Returns how many were moved. */
static uint64_t moved_under(uint32_t bad_cell)
{
    struct judge judge = {.bad_cell = bad_cell};
    const struct qc_validity validity = {judged, &judge};
    struct fixture fixture;
    uint64_t moved;
    char key[16];
    unsigned next;

    fixture_open_small(&fixture);
    next = fill_log(&fixture);
    for (unsigned i = 0; i < 5; i++) {
        name_key(key, i);
        assert_int_equal(get(&fixture, key), QC_OK);
    }
    for (unsigned i = 0; i < 100; i++) {
        name_key(key, next + i);
        assert_int_equal(qc_store_put(fixture.store, key, strlen(key), 7, 0, NULL, 0, hash_key, 16, &validity), QC_OK);
    }
    assert_true(info_of(&fixture).evicted > 5);
    assert_int_equal(findings(&fixture), 0);
    moved = info_of(&fixture).reinserted;
    fixture_close(&fixture);
    return moved;
}

static void test_stale_entry_is_not_moved(void **state)
{
    (void)state;
    assert_int_equal(moved_under(99), 5);
    assert_int_equal(moved_under(5), 0);
}

static void test_work_of_a_put_is_bounded_when_all_were_hit(void **state)
{
    struct fixture fixture;
    uint64_t before;
    unsigned next;
    char key[16];

    (void)state;
    fixture_open_small(&fixture);
    next = fill_log(&fixture);
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < next + round; i++) {
            name_key(key, i);
            (void)!get(&fixture, key);
        }
        before = info_of(&fixture).reinserted;
        put_more(&fixture, next + round, 1);
        assert_true(info_of(&fixture).reinserted - before <= 16);
    }
    assert_true(info_of(&fixture).evicted > 0);
    assert_int_equal(findings(&fixture), 0);
    fixture_close(&fixture);
}

/* Sizes of every kind over many rounds of the log: paddings, overlapping moves, full index. */
static void test_long_random_use_stays_sound(void **state)
{
    static uint8_t value[MAX_ENTRY];
    struct fixture fixture;
    uint32_t latest[400] = {0};

    (void)state;
    fixture_open_small(&fixture);
    srand(3);
    for (uint32_t round = 1; round < 60000; round++) {
        uint32_t number = (uint32_t)rand() % 400, cells[8] = {number};
        size_t size = (size_t)rand() % (rand() % 8 ? 100 : MAX_ENTRY - 64);

        if (rand() % 2) {
            memset(value, (uint8_t)round, size);
            assert_int_equal(qc_store_put(fixture.store, &number, sizeof number, round, 0, cells, (size_t)rand() % 8,
                                          value, size, NULL),
                             QC_OK);
            latest[number] = round;
        } else if (qc_store_get(fixture.store, &number, sizeof number, 0, NULL, &fixture.entry) == QC_OK) {
            assert_int_equal(fixture.entry.stamp, latest[number]);
            for (size_t i = 0; i < fixture.entry.value_size; i++)
                assert_int_equal(fixture.entry.value[i], (uint8_t)latest[number]);
        }
        if (round % 500 == 0)
            assert_int_equal(findings(&fixture), 0);
    }
    assert_true(info_of(&fixture).reinserted > 1000);
    assert_int_equal(info_of(&fixture).damaged, 0);
    fixture_close(&fixture);
}

static void test_index_never_overflows(void **state)
{
    struct fixture fixture;
    struct qc_store_info info;

    (void)state;
    fixture_open_small(&fixture);
    for (uint32_t number = 0; number < 20000; number++)
        assert_int_equal(qc_store_put(fixture.store, &number, sizeof number, 1, 0, NULL, 0, NULL, 0, NULL), QC_OK);
    info = info_of(&fixture);
    assert_true(info.entries <= fixture.store->geometry.index_slots / 4 * 3);
    assert_int_equal(info.damaged, 0);
    assert_int_equal(info.evicted, 20000 - info.entries);
    assert_int_equal(findings(&fixture), 0);
    fixture_close(&fixture);
}

static void test_clear_empties_every_shard(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    put_more(&fixture, 0, 300);
    assert_int_equal(info_of(&fixture).entries, 300);
    assert_int_equal(qc_store_clear(fixture.store, 100), QC_OK);
    assert_int_equal(info_of(&fixture).entries, 0);
    assert_int_equal(get(&fixture, "key 5"), QC_MISS);
    assert_int_equal(findings(&fixture), 0);
    fixture_close(&fixture);
}

static bool count_visit(void *context, const void *key, size_t key_size, const struct qc_entry *entry)
{
    unsigned *left = context;

    assert_memory_equal(key, "key ", 4);
    assert_true(key_size > 4 && entry->value_size == 499 && entry->stamp == 7 && entry->cells[1] == 5);
    return --*left > 0;
}

static void test_visit_sees_each_entry_and_stops_when_told(void **state)
{
    struct fixture fixture;
    unsigned left = 1000;

    (void)state;
    fixture_open(&fixture);
    put_more(&fixture, 0, 300);
    assert_int_equal(qc_store_visit(fixture.store, count_visit, &left), QC_OK);
    assert_int_equal(left, 700);
    left = 5;
    assert_int_equal(qc_store_visit(fixture.store, count_visit, &left), QC_OK);
    assert_int_equal(left, 0);
    fixture_close(&fixture);
}

static void test_sizes_that_hold_no_store_are_refused(void **state)
{
    static alignas(64) uint8_t region[4096];
    struct qc_error error;

    (void)state;
    assert_int_equal(qc_store_format(region, sizeof region, MAX_ENTRY, hash_key, &error), QC_ERR_ARGUMENT);
    assert_int_equal(qc_store_format(region, 10, 10, hash_key, &error), QC_ERR_ARGUMENT);
    assert_int_equal(qc_store_format(region, SIZE_MAX / 2, 0, hash_key, &error), QC_ERR_ARGUMENT);
    assert_int_equal(qc_store_format(region, SIZE_MAX / 2, UINT32_MAX, hash_key, &error), QC_ERR_ARGUMENT);
}

static void test_least_size_is_enough_and_bytes_are_used(void **state)
{
    static const uint32_t entries[] = {1, 100, 4096, 65536, 1u << 20, 1u << 30};
    struct qc_geometry geometry;

    (void)state;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        for (uint64_t more = 0; more < 200; more += 8)
            assert_int_equal(qc_geometry_compute(qc_store_size_min(entries[i]) + more, entries[i], &geometry), QC_OK);
    for (uint64_t size = UINT64_C(1) << 20; size < UINT64_C(1) << 36; size += size / 3) {
        assert_int_equal(qc_geometry_compute(size, 65536, &geometry), QC_OK);
        assert_true(geometry.shards >= 1 && geometry.shards <= 64);
        assert_true(geometry.log_size >= 2 * (uint64_t)geometry.record_max);
        assert_true(geometry.shards * geometry.log_size > size - size / 6);
        assert_true(sizeof(struct qc_store_header) + geometry.shards * geometry.stride <= size);
    }
    assert_int_equal(geometry.shards, 64);
}

static void test_other_or_damaged_header_is_refused(void **state)
{
    struct fixture fixture;
    struct qc_store *other;
    struct qc_error error;

    (void)state;
    fixture_open(&fixture);
    assert_int_equal(qc_store_attach(fixture.region, fixture.size - 64, &other, &error), QC_ERR_CORRUPT);
    assert_int_equal(qc_store_attach(fixture.region, 5, &other, &error), QC_ERR_CORRUPT);
    for (size_t bit = 0; bit < sizeof(struct qc_store_header) * 8; bit++) {
        int status;

        fixture.region[bit / 8] ^= (uint8_t)(1 << bit % 8);
        status = qc_store_attach(fixture.region, fixture.size, &other, &error);
        assert_true(status == QC_ERR_CORRUPT || status == QC_ERR_VERSION);
        assert_int_equal(qc_store_verify(fixture.store, NULL, NULL), 1);
        fixture.region[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ((struct qc_store_header *)(void *)fixture.region)->version = QC_STORE_VERSION + 1;
    assert_int_equal(qc_store_attach(fixture.region, fixture.size, &other, &error), QC_ERR_VERSION);
    fixture_close(&fixture);
}

/* Two keys of one hash: the second must not be served the first's rows. Made by hand, as SipHash gives none away. */
static void test_clash_of_hashes_serves_no_other_key(void **state)
{
    struct fixture fixture;
    struct qc_shard shard;
    struct qc_draft draft = {.key = "other key", .value = "wrong"};
    struct qc_place place;
    uint64_t hash;

    (void)state;
    fixture_open_small(&fixture);
    assert_int_equal(put(&fixture, "right key", "right"), QC_OK);
    qc_shard_view(&fixture.store->geometry, fixture.region, 0, &shard);
    assert_int_equal(qc_shard_lock(&shard, 100), QC_OK);
    hash = ((const uint64_t *)(const void *)shard.log)[1];
    draft.record = (struct qc_record){.hash = hash, .key_size = 9, .value_size = 5};
    draft.record.size = (uint32_t)qc_record_size(0, 9, 5);
    draft.record.checksum = qc_record_checksum(&draft.record, NULL, draft.key, draft.value);
    qc_shard_append_locked(&shard, &draft, NULL);
    assert_true(qc_shard_find_locked(&shard, hash, "other key", 9, &place));
    assert_false(qc_shard_find_locked(&shard, hash, "third key", 9, &place));
    qc_shard_unlock(&shard);
    assert_true(holds(&fixture, "right key", "right"));
    fixture_close(&fixture);
}

/* Takes a shard's lock in a child and dies with it. */
static void die_inside(struct fixture *fixture, uint32_t number)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct qc_shard shard;

        qc_shard_view(&fixture->store->geometry, fixture->region, number, &shard);
        if (qc_shard_lock(&shard, 1000) != QC_OK)
            _exit(1);
        memset(shard.log, 0xee, 4096); /* halfway through something */
        memset(shard.index.slots, 0x77, 64);
        shard.header->used += 64;
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_shard_whose_owner_died_is_emptied(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open_small(&fixture);
    put_more(&fixture, 0, 20);
    die_inside(&fixture, 0);
    assert_int_equal(get(&fixture, "key 3"), QC_MISS);
    assert_int_equal(info_of(&fixture).entries, 0);
    put_more(&fixture, 0, 20);
    die_inside(&fixture, 0);
    put_more(&fixture, 30, 20); /* a put finds it, too */
    assert_int_equal(info_of(&fixture).entries, 20);
    die_inside(&fixture, 0);
    assert_int_equal(findings(&fixture), 0); /* death is no damage */
    assert_int_equal(info_of(&fixture).damaged, 0);
    fixture_close(&fixture);
}

/* Holds a shard's lock in another thread until told. */
struct holder {
    struct fixture *fixture;
    pthread_barrier_t held, release;
    pthread_t thread;
};

static void *hold(void *context)
{
    struct holder *holder = context;
    struct qc_shard shard;

    qc_shard_view(&holder->fixture->store->geometry, holder->fixture->region, 0, &shard);
    if (qc_shard_lock(&shard, 1000) != QC_OK)
        abort();
    (void)pthread_barrier_wait(&holder->held);
    (void)pthread_barrier_wait(&holder->release);
    qc_shard_unlock(&shard);
    return NULL;
}

static void test_busy_shard_is_a_miss_and_refuses_puts(void **state)
{
    struct fixture fixture;
    struct holder holder = {.fixture = &fixture};

    (void)state;
    fixture_open_small(&fixture);
    assert_int_equal(put(&fixture, "key", "value"), QC_OK);
    assert_int_equal(pthread_barrier_init(&holder.held, NULL, 2), 0);
    assert_int_equal(pthread_barrier_init(&holder.release, NULL, 2), 0);
    assert_int_equal(pthread_create(&holder.thread, NULL, hold, &holder), 0);
    (void)pthread_barrier_wait(&holder.held);
    assert_int_equal(get(&fixture, "key"), QC_MISS);
    assert_int_equal(put(&fixture, "key", "new"), QC_ERR_BUSY);
    assert_int_equal(put(&fixture, "key", "new"), QC_ERR_BUSY); /* without a wait now */
    assert_int_equal(qc_store_clear(fixture.store, 1), QC_ERR_BUSY);
    assert_int_equal(info_of(&fixture).refused, 2);
    (void)pthread_barrier_wait(&holder.release);
    assert_int_equal(pthread_join(holder.thread, NULL), 0);
    assert_true(holds(&fixture, "key", "value"));
    assert_int_equal(put(&fixture, "key", "new"), QC_OK);
    assert_true(holds(&fixture, "key", "new"));
    pthread_barrier_destroy(&holder.held);
    pthread_barrier_destroy(&holder.release);
    fixture_close(&fixture);
}

static void *use_randomly(void *context)
{
    struct fixture *fixture = context;
    struct qc_entry entry = {0};
    unsigned seed = (unsigned)(uintptr_t)&entry;

    for (int round = 0; round < 20000; round++) {
        uint32_t number = (uint32_t)rand_r(&seed) % 200;
        uint32_t words[32];

        for (size_t i = 0; i < 32; i++)
            words[i] = number;
        if (rand_r(&seed) % 3 == 0) {
            if (qc_store_put(fixture->store, &number, sizeof number, 1, 0, &number, 1, words, sizeof words, NULL) ==
                QC_ERR_TOO_LARGE)
                abort();
        } else if (qc_store_get(fixture->store, &number, sizeof number, 0, NULL, &entry) == QC_OK) {
            if (entry.value_size != sizeof words || memcmp(entry.value, words, sizeof words) != 0)
                abort();
        }
    }
    qc_entry_release(&entry);
    return NULL;
}

static void test_threads_share_a_handle(void **state)
{
    struct fixture fixture;
    pthread_t threads[4];

    (void)state;
    fixture_open_small(&fixture);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_randomly, &fixture), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(findings(&fixture), 0);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry_comes_back_with_its_cells_and_stamp),
        cmocka_unit_test(test_empty_parts_are_allowed),
        cmocka_unit_test(test_second_put_replaces_the_first),
        cmocka_unit_test(test_another_handle_sees_the_entry),
        cmocka_unit_test(test_caps_are_exact),
        cmocka_unit_test(test_expired_entry_is_dropped),
        cmocka_unit_test(test_refused_entry_is_dropped),
        cmocka_unit_test(test_oldest_are_pushed_out_first),
        cmocka_unit_test(test_entry_hit_since_it_was_written_survives_once),
        cmocka_unit_test(test_entry_hit_every_round_stays),
        cmocka_unit_test(test_stale_entry_is_not_moved),
        cmocka_unit_test(test_work_of_a_put_is_bounded_when_all_were_hit),
        cmocka_unit_test(test_long_random_use_stays_sound),
        cmocka_unit_test(test_index_never_overflows),
        cmocka_unit_test(test_clear_empties_every_shard),
        cmocka_unit_test(test_visit_sees_each_entry_and_stops_when_told),
        cmocka_unit_test(test_sizes_that_hold_no_store_are_refused),
        cmocka_unit_test(test_least_size_is_enough_and_bytes_are_used),
        cmocka_unit_test(test_other_or_damaged_header_is_refused),
        cmocka_unit_test(test_clash_of_hashes_serves_no_other_key),
        cmocka_unit_test(test_shard_whose_owner_died_is_emptied),
        cmocka_unit_test(test_busy_shard_is_a_miss_and_refuses_puts),
        cmocka_unit_test(test_threads_share_a_handle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
