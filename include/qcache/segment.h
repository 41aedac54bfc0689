/* The memory-mapped file that all processes using one database share: header, cells, slots, store.
 *
 * Threads: a struct qc_segment may be used by many threads at once; open and close may not race with its other uses.
 * Fork: a child may go on using the segment; it inherits no slot and no lock descriptor (they are closed in the child
 * by a pthread_atfork handler and opened anew at its first write).
 */
#ifndef QCACHE_SEGMENT_H
#define QCACHE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qcache/error.h"

struct qc_segment;
struct qc_store;

/* Sizes count only for the creator: an existing segment's own sizes win. */
struct qc_segment_options {
    uint64_t size;      /* bytes of the whole file */
    uint32_t cells;     /* 64-bit words, the database's own (number 0) included */
    uint32_t slots;     /* writes in flight at once, at most 65535 */
    uint32_t max_entry; /* bytes of one entry, key and rows together */
    uint32_t mode;      /* permission bits of the files */
    int64_t group;      /* group of the files, or -1: the process's */
    bool born_marked;   /* a client-server database: born with its own cell marked (PROTOCOL 2.6) */
    const void
        *identity; /* what names the database: kept in the header (at most QC_IDENTITY_MAX bytes), compared on open */
    size_t identity_size;
};

#define QC_IDENTITY_MAX 1024
#define QC_UNIQUE_SIZE 16

/* Opens the segment at `path`, creating it where it is missing, retired, of another boot, or ours and merely unusable
 * (truncated, damaged header, older frozen layout). Creation holds an exclusive lock on `path`.lock, waits 20 ms
 * (PROTOCOL section 6) and renames into place. `*out` is owned by the caller: qc_segment_close.
 * Fails: QC_ERR_BUSY (a writer is in flight on what is to be replaced), QC_ERR_FOREIGN, QC_ERR_NAMESPACE,
 * QC_ERR_UNSUPPORTED (network file system), QC_ERR_SYSTEM (ENOSPC, EACCES, ...), QC_ERR_ARGUMENT (sizes too small).
 * A segment of another store version opens: qc_segment_store() is NULL then. */
int qc_segment_open(const char *path, const struct qc_segment_options *options, struct qc_segment **out,
                    struct qc_error *error) QC_MUST_USE;

/* A segment in private anonymous memory, for a database no other process can see. After fork the child's is a copy. */
int qc_segment_private(const struct qc_segment_options *options, struct qc_segment **out,
                       struct qc_error *error) QC_MUST_USE;

/* Maps an existing segment to look at it (the qcache command). Never creates or repairs, ignores `retired` and boot id. */
int qc_segment_inspect(const char *path, struct qc_segment **out, struct qc_error *error) QC_MUST_USE;

/* Unmaps and closes. No write of this process may be in flight in it. NULL is allowed. */
void qc_segment_close(struct qc_segment *segment);

/* False when no one may hit it any more: retired, or (looked at every 10 ms at most) no longer linked in the file
 * system. No system call but for that look. */
bool qc_segment_usable(struct qc_segment *segment);

/* Looks now whether the file is still linked (one fstat). A private segment always is. */
bool qc_segment_linked(const struct qc_segment *segment);

/* Sets the flag that every hit checks. Never fails, never waits. */
void qc_segment_retire(struct qc_segment *segment);

/* The store inside, or NULL (another store version). Owned by the segment. */
struct qc_store *qc_segment_store(const struct qc_segment *segment);

/* 16 random bytes drawn at creation: names this segment's life, unlike its path. Valid as long as the segment. */
const uint8_t *qc_segment_unique(const struct qc_segment *segment);

/* What a person or a program may want to know about it. */
struct qc_segment_info {
    uint64_t size;
    uint32_t cells, slots, max_entry, shards;
    uint32_t frozen_version, store_version;
    uint64_t clock;
    uint64_t hits, misses, fills, writes; /* since creation, all processes */
    uint32_t slots_used, cells_marked;
    bool retired, is_private, created_here; /* created_here: by the qc_segment_open that returned it */
    size_t identity_size;
    uint8_t identity[QC_IDENTITY_MAX];
};
void qc_segment_info(const struct qc_segment *segment, struct qc_segment_info *info);

/* Adds to the shared counters; relaxed, striped by process. */
enum qc_counter { QC_COUNTER_HIT, QC_COUNTER_MISS, QC_COUNTER_FILL, QC_COUNTER_WRITE, QC_COUNTERS };
void qc_segment_count(struct qc_segment *segment, enum qc_counter counter);

/* Checks every structure; calls `report` once a finding. Returns the number of findings. Takes the locks it needs, with
 * a bound on the wait; a lock that can't be had is a finding. */
size_t qc_segment_verify(struct qc_segment *segment, void (*report)(void *context, const char *finding), void *context);

/* A write while no segment can be had (QC_ERR_BUSY, vanished): holds `path`.lock shared, so that none is created
 * meanwhile, after two check periods (20 ms) in which users of an old one notice. QC_ERR_ARGUMENT when a usable segment
 * is in place (open it instead). End with qc_bypass_end, which frees it. */
struct qc_bypass;
int qc_bypass_begin(const char *path, const struct qc_segment_options *options, struct qc_bypass **out,
                    struct qc_error *error) QC_MUST_USE;
void qc_bypass_end(struct qc_bypass *bypass);

#endif
