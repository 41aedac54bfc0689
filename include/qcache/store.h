/* Entries in shards: a circular log each, with FIFO reinsertion, bounded by construction.
 *
 * Threads and processes: all functions may run at once anywhere. A reader only tries a shard's lock: busy is a miss.
 * Crash: an owner that died inside a shard leaves it to be emptied by the next one. Everything read from the region is
 * bounds-checked and the entry's checksum is checked after copy-out; keys are compared whole.
 */
#ifndef QCACHE_STORE_H
#define QCACHE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qcache/error.h"

#define QC_STORE_VERSION 1u
#define QC_ENTRY_CELLS_MAX 4096u

struct qc_store;

/* Bytes that qc_store_format needs at least for entries of up to max_entry bytes. */
size_t qc_store_size_min(uint32_t max_entry);

/* Lays out an empty store in `region` (64-byte aligned, owned by the caller, shared or not). */
int qc_store_format(void *region, size_t size, uint32_t max_entry, const uint8_t hash_key[16],
                    struct qc_error *error) QC_MUST_USE;

/* A process's handle on a formatted region, which must outlive it. Freed by qc_store_detach. */
int qc_store_attach(void *region, size_t size, struct qc_store **out, struct qc_error *error) QC_MUST_USE;
void qc_store_detach(struct qc_store *store);

/* Tells whether an entry with these cells and stamp may still be served; called under a shard's lock, must not block. */
struct qc_validity {
    bool (*valid)(void *context, const uint32_t *cells, size_t count, uint64_t stamp);
    void *context;
};

/* A copy of an entry; its parts lie in `memory`. Start from a zeroed struct, reuse it, free with qc_entry_release. */
struct qc_entry {
    uint64_t stamp;
    const uint32_t *cells;
    size_t cell_count;
    const uint8_t *value;
    size_t value_size;
    void *memory;
    size_t memory_size;
};
void qc_entry_release(struct qc_entry *entry);

/* Copies the entry of `key` out. An entry that `validity` refuses is dropped and is a miss; so are an expired one
 * (`now_ms` past its expiry), a busy shard and a damaged entry. Returns 0, QC_MISS or QC_ERR_MEMORY. */
int qc_store_get(struct qc_store *store, const void *key, size_t key_size, uint64_t now_ms,
                 const struct qc_validity *validity, struct qc_entry *entry) QC_MUST_USE;

/* Stores or replaces. `expires_ms` 0: never. QC_ERR_TOO_LARGE, QC_ERR_BUSY: not stored. Entries pushed out are lost but
 * for those hit since they were written, which move to the head once. */
int qc_store_put(struct qc_store *store, const void *key, size_t key_size, uint64_t stamp, uint64_t expires_ms,
                 const uint32_t *cells, size_t cell_count, const void *value, size_t value_size,
                 const struct qc_validity *validity) QC_MUST_USE;

/* Empties every shard it can lock within `wait_ms` each; QC_ERR_BUSY if one could not be locked. */
int qc_store_clear(struct qc_store *store, unsigned wait_ms) QC_MUST_USE;

struct qc_store_info {
    uint32_t shards;
    uint64_t capacity, used; /* bytes of log */
    uint64_t entries, evicted, reinserted, refused, damaged;
};
void qc_store_info(struct qc_store *store, struct qc_store_info *info);

/* Calls `visit` for each entry (a copy) of each shard that can be locked; stops when it returns false. */
int qc_store_visit(struct qc_store *store,
                   bool (*visit)(void *context, const void *key, size_t key_size, const struct qc_entry *entry),
                   void *context) QC_MUST_USE;

/* Checks every shard's structures. Returns the number of findings. */
size_t qc_store_verify(struct qc_store *store, void (*report)(void *context, const char *finding), void *context);

#endif
