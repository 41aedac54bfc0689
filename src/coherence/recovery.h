#ifndef QC_COHERENCE_RECOVERY_H
#define QC_COHERENCE_RECOVERY_H

#include "coherence/segment.h"

/* Settles what dead processes left behind in a segment just opened, if any slot is in use and the mutex can be had.
 * QC_ERR_RETIRED: what they left can't be believed; the segment has been retired. */
int qc_recovery_settle_dead(struct qc_segment *segment, struct qc_error *error) QC_MUST_USE;

#endif
