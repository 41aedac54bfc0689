#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/atomics.h"
#include "store_fixture.h"
#include "store_world.h"

#define WORDS_MAX 300u
#define CELLS_MAX 12u
#define ENTRY_MAX (WORDS_MAX * 8 + 8)

unsigned world_setting(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);

    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

unsigned world_draw(struct world *world, unsigned limit)
{
    world->seed = world->seed * 1664525u + 1013904223u;
    return (unsigned)(((uint64_t)(world->seed >> 4) * limit) >> 28);
}

void world_format(struct world *world)
{
    assert_int_equal(qc_store_format(world->region, world->size, ENTRY_MAX, fixture_hash_key, NULL), QC_OK);
}

void world_open(struct world *world, size_t size, unsigned keys)
{
    memset(world, 0, sizeof *world);
    world->keys = keys;
    world->seed = world_setting("QC_TORTURE_SEED", (unsigned)time(NULL));
    print_message("QC_TORTURE_SEED=%u\n", world->seed);
    world->shared = fixture_map(sizeof *world->shared);
    world->size = size > 0 ? size : qc_store_size_min(ENTRY_MAX);
    world->region = fixture_map(world->size);
    world_format(world);
    assert_int_equal(qc_store_attach(world->region, world->size, &world->store, NULL), QC_OK);
}

void world_close(struct world *world)
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

    if (world->suicide_of > 0 && world_draw(world, world->suicide_of) == 0) {
        qc_add_relaxed(&world->shared->deaths_inside, 1);
        raise(SIGKILL);
    }
    for (size_t i = 0; i < count; i++)
        if (cells[i] >= WORLD_KEYS_MAX || qc_load_acquire(&world->shared->cells[cells[i]]) > stamp)
            return false;
    return true;
}

/* Writes a row (sometimes), reads it and stores it. */
void world_put(struct world *world, uint32_t number)
{
    const struct qc_validity validity = {valid, world};
    uint64_t words[WORDS_MAX], stamp;
    uint32_t cells[CELLS_MAX];

    if (world_draw(world, 3) == 0) {
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

bool world_is_right(const struct qc_entry *entry, uint32_t number)
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
    return world->entry.stamp >= written && world_is_right(&world->entry, number);
}

bool world_step(struct world *world)
{
    uint32_t number = world_draw(world, world->keys);

    if (world_draw(world, 4) > 0)
        return look_up(world, number);
    world_put(world, number);
    return true;
}

/* A place that matters: a shard's header, its index, a record, or anywhere. */
static size_t place_to_damage(struct world *world, bool locks)
{
    const struct qc_geometry *geometry = &world->store->geometry;
    size_t shard = sizeof(struct qc_store_header) + world_draw(world, geometry->shards) * (size_t)geometry->stride;

    switch (world_draw(world, locks ? 9 : 8)) {
    case 0:
        return world_draw(world, sizeof(struct qc_store_header));
    case 1:
        return shard + sizeof(struct qc_mutex) + world_draw(world, 64);
    case 2:
    case 3:
        return shard + sizeof(struct qc_shard_header) + world_draw(world, geometry->index_slots * 8);
    case 4:
        return shard + sizeof(struct qc_shard_header) + geometry->index_slots * 8 + world_draw(world, 64);
    case 8:
        return shard + world_draw(world, sizeof(struct qc_mutex));
    default:
        return shard + sizeof(struct qc_shard_header) +
               world_draw(world, geometry->index_slots * 8 + (unsigned)geometry->log_size);
    }
}

void world_damage(struct world *world, bool locks)
{
    size_t at = place_to_damage(world, locks);
    uint8_t *byte = &world->region[at];

    switch (world_draw(world, 8)) {
    case 0:
        *byte = (uint8_t)world_draw(world, 256);
        break;
    case 1:
        *byte = 0;
        break;
    case 2: /* a whole word, from elsewhere */
        memcpy(&world->region[at & ~(size_t)7], &world->region[place_to_damage(world, false) & ~(size_t)7], 8);
        break;
    case 3: /* a small number */
        *byte = (uint8_t)world_draw(world, 9);
        break;
    default:
        *byte ^= (uint8_t)(1u << world_draw(world, 8));
        break;
    }
}
