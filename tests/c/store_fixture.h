/* A store in shared anonymous memory, and short ways to use it. All of it asserts. */
#ifndef QC_TEST_STORE_FIXTURE_H
#define QC_TEST_STORE_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qcache/store.h"
#include "store/handle.h"

#define FIXTURE_MAX_ENTRY 2048u

extern const uint8_t fixture_hash_key[16];

struct fixture {
    uint8_t *region;
    size_t size;
    struct qc_store *store;
    struct qc_entry entry;
};

void *fixture_map(size_t size);
void fixture_open(struct fixture *fixture);

/* One shard only, so that its order is the store's. */
void fixture_open_small(struct fixture *fixture);
void fixture_close(struct fixture *fixture);

/* A report for qc_store_verify. */
void fixture_print(void *context, const char *finding);

/* The number of findings, which are printed. */
size_t fixture_verify(struct fixture *fixture);

/* Cells 3 and 5, stamp 7. */
int fixture_put(struct fixture *fixture, const char *key, const char *value);
int fixture_get(struct fixture *fixture, const char *key);
bool fixture_holds(struct fixture *fixture, const char *key, const char *value);
struct qc_store_info fixture_info(struct fixture *fixture);

/* The view of the shard that the key is in. */
struct qc_shard fixture_shard(struct fixture *fixture, const char *key);

/* Entries named "key <number>" with 499 bytes each. */
void fixture_name(char key[16], unsigned number);
void fixture_put_more(struct fixture *fixture, unsigned from, unsigned count);

/* Puts them from 0 on until the oldest is about to be pushed out; the next number. */
unsigned fixture_fill(struct fixture *fixture);

#endif
