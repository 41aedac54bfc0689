/* A store that is used at random, by one process or by many. Every value says what it is, so that a wrong one is known
 * for wrong; rows are "written" now and then, so that a stale one is, too.
 *
 * QC_TORTURE_SEED repeats a run's choices.
 */
#ifndef QC_TEST_STORE_WORLD_H
#define QC_TEST_STORE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/handle.h"

#define WORLD_KEYS_MAX 600u
#define WORLD_HANG_SECONDS 60u /* more than anything may take once it was told to stop */

/* Shared by all processes of a test. */
struct world_shared {
    uint64_t clock;
    uint64_t cells[WORLD_KEYS_MAX]; /* stamp of the last write: an older entry must not be served */
    uint64_t gets, hits, puts, deaths_inside;
    uint32_t stop;
};

struct world {
    struct world_shared *shared;
    uint8_t *region;
    size_t size;
    struct qc_store *store;
    unsigned seed, keys;
    unsigned suicide_of; /* dies in one of so many callbacks, which run inside a shard's lock; 0: never */
    struct qc_entry entry;
};

/* A number from the environment. */
unsigned world_setting(const char *name, unsigned otherwise);

/* The least size, one shard, when `size` is 0. */
void world_open(struct world *world, size_t size, unsigned keys);
void world_format(struct world *world);
void world_close(struct world *world);

/* A number below `limit`. */
unsigned world_draw(struct world *world, unsigned limit);

/* A put, or a get. False: a wrong or a stale value was served. */
bool world_step(struct world *world);
void world_put(struct world *world, uint32_t number);

/* Whether it is what was stored for this key, to the last byte. */
bool world_is_right(const struct qc_entry *entry, uint32_t number);

/* Changes bytes where it may hurt; in a lock only with `locks`. */
void world_damage(struct world *world, bool locks);

#endif
