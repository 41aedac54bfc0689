/* A process's handle on a segment, for the files of this folder. */
#ifndef QC_COHERENCE_SEGMENT_H
#define QC_COHERENCE_SEGMENT_H

#include "coherence/claims.h"
#include "coherence/gate.h"
#include "coherence/layout.h"
#include "plat/file.h"
#include "qcache/segment.h"

#define QC_WRITE_WAIT_MS 1000u /* of a writer for the gate and for the mutex: longer retires the segment */
#define QC_LOOK_WAIT_MS 50u    /* of who only looks */
#define QC_SEIZE_WAIT_MS 50u   /* of a creator for writers to leave the gate */
#define QC_YIELD_WAIT_MS 200u  /* of a bypass for a creator that wants to go first */
#define QC_CHECK_PERIOD_MS 10u /* of a reader's look whether the file is still there */
#define QC_NEWCOMER_WAIT_US (2u * 1000u * QC_CHECK_PERIOD_MS)

struct qc_segment {
    /* Read at every hit. Where things lie comes from our own copy of the constants, checked once: what happens to the
     * header in the file later can't lead us out of the mapping. */
    struct qc_header *header;
    uint64_t *cells;
    struct qc_layout layout;
    uint64_t looked_ms; /* atomic: qc_time_coarse_ms of the last look at the file */
    uint32_t gone;      /* atomic: the file is not linked any more or has shrunk, or we are in another PID namespace */
    bool is_private, created, inspected;

    struct qc_note *notes;
    struct qc_slot *slots;
    struct qc_store *store; /* NULL: of another version */
    struct qc_gate *gate;   /* NULL: private, inspected */
    struct qc_claims claims;
    int fd; /* the mapped file, never locked; -1: private */
    char *path;
    struct qc_constants constants;
};

/* The mutex around cells, slots and clock; what an owner left half done when it died is put right before this returns.
 * QC_ERR_BUSY: held by another all the while. QC_ERR_RETIRED: beyond repair; the segment has been retired. */
int qc_segment_lock(struct qc_segment *segment, unsigned wait_ms, struct qc_error *error) QC_MUST_USE;
void qc_segment_unlock(struct qc_segment *segment);

/* Whether `retired` has been stored. No system call. */
bool qc_segment_retired(const struct qc_segment *segment);

/* Retires it and says why; returns QC_ERR_RETIRED. */
int qc_segment_give_up(struct qc_segment *segment, const char *why, struct qc_error *error);

#endif
