/* Dates, times and durations: their ranges (Python's), and their bytes. */
#ifndef QC_CODEC_MOMENT_H
#define QC_CODEC_MOMENT_H

#include <stdint.h>

#include "base/cursor.h"
#include "qcache/codec.h"

/* The bytes after the tag. QC_ERR_ARGUMENT out of range. Fields that `type` doesn't have are not looked at. */
int qc_moment_put(struct qc_writer *writer, enum qc_type type, const struct qc_moment *moment) QC_MUST_USE;
int qc_delta_put(struct qc_writer *writer, const struct qc_delta *delta) QC_MUST_USE;

/* QC_ERR_CORRUPT for what the puts would not have written. Fields that `type` doesn't have are zero. */
int qc_moment_take(struct qc_reader *reader, enum qc_type type, struct qc_moment *moment) QC_MUST_USE;
int qc_delta_take(struct qc_reader *reader, struct qc_delta *delta) QC_MUST_USE;

#endif
