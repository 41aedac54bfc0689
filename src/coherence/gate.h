/* The lock file beside a segment: writers hold it shared around W1..W3, who makes a new segment holds it alone
 * (PROTOCOL section 6). It stays when the segment goes.
 *
 * Threads: all functions but qc_gate_free. Fork: a child's gate is open and held by nobody.
 */
#ifndef QC_COHERENCE_GATE_H
#define QC_COHERENCE_GATE_H

#include "plat/file.h"
#include "qcache/error.h"

struct qc_gate;

/* `path` is the segment's. Opens nothing yet. Owned by the caller: qc_gate_free. */
int qc_gate_new(const char *path, const struct qc_file_access *access, struct qc_gate **out,
                struct qc_error *error) QC_MUST_USE;

/* Lets go of everything. NULL is allowed. */
void qc_gate_free(struct qc_gate *gate);

/* Holds the lock shared, counted by threads; waits up to `wait_ms` for a creator to finish. QC_ERR_BUSY: it has not.
 * QC_ERR_RETIRED: somebody removed the lock file under writers of this process. Others as qc_file_ensure. */
int qc_gate_enter(struct qc_gate *gate, unsigned wait_ms, struct qc_error *error) QC_MUST_USE;
void qc_gate_leave(struct qc_gate *gate);

/* Waits while a creator stands before the gate, at most `wait_ms`. For writers that follow one another closely and would
 * between them never let it in. */
void qc_gate_yield(struct qc_gate *gate, unsigned wait_ms);

/* Holds the lock alone until qc_gate_free; waits up to `wait_ms` for writers to leave. QC_ERR_BUSY: they have not.
 * QC_ERR_RETIRED: another creator holds it, or the file was replaced just now: look again at what is there. For a gate
 * that nobody has entered. */
int qc_gate_seize(struct qc_gate *gate, unsigned wait_ms, struct qc_error *error) QC_MUST_USE;

#endif
