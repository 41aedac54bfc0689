/* Clock, cells and slots: how a write is seen by every reader before it can matter. PROTOCOL.md has the rules; the
 * names W1..W3 and F1..F3 are its steps.
 *
 * Threads: all functions may be called from many threads and processes at once.
 */
#ifndef QCACHE_COHERENCE_H
#define QCACHE_COHERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qcache/error.h"
#include "qcache/segment.h"

#define QC_CELL_DATABASE 0u      /* the database's own cell: whatever may touch everything */
#define QC_SLOT_CELLS 60u        /* cells a slot can list; a longer list becomes the database's cell */
#define QC_SESSION_MAX 704u      /* bytes of a slot's session text */
#define QC_SESSION_BIRTH "birth" /* of the slot that marks a segment born for a client-server database (PROTOCOL 2.6) */
#define QC_NO_LIMIT UINT64_MAX

/* The cell of a table: the last part of its name, already case folded. Never QC_CELL_DATABASE. */
uint32_t qc_cell_of(const struct qc_segment *segment, const char *name, size_t size);

/* F1: the clock, to be read before the statement is sent. */
uint64_t qc_clock(const struct qc_segment *segment);

/* Whether an entry read at `time` is what the database holds: every cell <= min(time, limit) and the segment is not
 * retired. `limit` is a snapshot transaction's own clock value, or QC_NO_LIMIT. One acquire load a cell; no lock.
 * A cell number out of range makes it false. */
bool qc_cells_valid(const struct qc_segment *segment, const uint32_t *cells, size_t count, uint64_t time,
                    uint64_t limit);

/* One write in flight. Plain value; stays good in the process that began it only. */
struct qc_write {
    uint32_t slot;
    uint32_t generation; /* of the slot: a ticket used twice is refused */
};

/* W1: lists the cells in a slot and raises their writers. `session` (may be empty) says who can prove the write over:
 * server session, user, start; empty means that the write is over when the process is. Holds the lock file shared until
 * qc_write_end or qc_write_abandon (see there). Duplicate cells are folded. Waits at most one second for the mutex.
 * QC_ERR_FULL / QC_ERR_RETIRED / QC_ERR_BUSY / QC_ERR_SYSTEM: nothing is marked and *the segment has been retired*
 * (but for QC_ERR_ARGUMENT), so that the write may run. */
int qc_write_begin(struct qc_segment *segment, const uint32_t *cells, size_t count, const void *session,
                   size_t session_size, struct qc_write *out, struct qc_error *error) QC_MUST_USE;

/* W3, for a known outcome: a new stamp on each cell, writers - 1, the slot emptied. `*stamp` (may be NULL) gets it.
 * QC_ERR_ARGUMENT: no such write. A failure to get the mutex retires the segment. */
int qc_write_end(struct qc_segment *segment, struct qc_write write, uint64_t *stamp,
                 struct qc_error *error) QC_MUST_USE;

/* An unknown outcome: the cells stay marked. With a session text the slot and the lock file are let go, for whoever
 * proves the session gone; without one both stay with the process until it dies, or until qc_write_end or
 * qc_slot_settle: no new segment may take the place of one that has such a write. Done twice it does nothing. */
int qc_write_abandon(struct qc_segment *segment, struct qc_write write, struct qc_error *error) QC_MUST_USE;

enum qc_slot_state { QC_SLOT_FREE = 0, QC_SLOT_WRITING = 1, QC_SLOT_UNKNOWN = 2 };

/* A slot in use, as seen under the mutex. */
struct qc_slot_info {
    struct qc_write write;
    enum qc_slot_state state;
    bool owner_alive;  /* the kernel lock on the slot's byte is held (always false for UNKNOWN with a session) */
    int32_t pid;       /* for people; never proof */
    uint64_t since_us; /* CLOCK_BOOTTIME at begin */
    uint32_t cell_count;
    uint32_t cells[QC_SLOT_CELLS];
    uint32_t session_size;
    uint8_t session[QC_SESSION_MAX];
};

/* Copies out up to `room` slots in use. Slots without a session whose owner is dead are settled on the way (PROTOCOL 2.5:
 * SQLite, the process is gone) and not listed. `*found` gets the number written. */
int qc_slots(struct qc_segment *segment, struct qc_slot_info *out, size_t room, size_t *found,
             struct qc_error *error) QC_MUST_USE;

/* Settles another's write that has been proved over. QC_ERR_ARGUMENT when the slot has moved on (somebody else did it)
 * or its owner is alive and WRITING. `force`: the operator's command, settles whatever it is. */
int qc_slot_settle(struct qc_segment *segment, struct qc_write write, bool force, struct qc_error *error) QC_MUST_USE;

/* The last settled write of a cell. False when there was none in this segment's life. */
struct qc_cell_info {
    uint64_t word; /* writers << 48 | stamp */
    uint64_t writes;
    int64_t realtime_ms; /* for people */
    int32_t pid;
};
bool qc_cell_last(const struct qc_segment *segment, uint32_t cell, struct qc_cell_info *info);

/* Writes every cell (api.invalidate() of everything): the database's cell is marked and settled. Use qc_write_begin/end. */

#endif
