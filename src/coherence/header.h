/* Page 0 of a segment: made, and checked before anything in the file is believed. */
#ifndef QC_COHERENCE_HEADER_H
#define QC_COHERENCE_HEADER_H

#include "coherence/layout.h"
#include "qcache/error.h"
#include "qcache/segment.h"

/* Fills the constants of a new segment: random key and name, this boot, this PID namespace. */
int qc_constants_make(struct qc_constants *constants, const struct qc_layout *layout,
                      const struct qc_segment_options *options, struct qc_error *error) QC_MUST_USE;

/* Whether the first `got` bytes of a file of `file_size` bytes are a sound header of ours, and where its parts lie.
 * QC_ERR_FOREIGN: not ours. QC_ERR_VERSION: of a newer frozen layout. QC_ERR_CORRUPT: ours, and not usable. */
int qc_constants_check(const struct qc_constants *constants, size_t got, uint64_t file_size, const char *path,
                       struct qc_layout *layout, struct qc_error *error) QC_MUST_USE;

/* Whether a sound header is of this boot (QC_ERR_RETIRED if not) and of this PID namespace (QC_ERR_NAMESPACE). */
int qc_constants_check_host(const struct qc_constants *constants, const char *path, struct qc_error *error) QC_MUST_USE;

/* Whether it is of this database: QC_ERR_FOREIGN if not. options->identity NULL: of any. */
int qc_constants_check_identity(const struct qc_constants *constants, const struct qc_segment_options *options,
                                const char *path, struct qc_error *error) QC_MUST_USE;

#endif
