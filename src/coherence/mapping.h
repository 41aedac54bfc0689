/* A handle on what is in place at a path, or on fresh memory; nothing is ever created in the file system here. */
#ifndef QC_COHERENCE_MAPPING_H
#define QC_COHERENCE_MAPPING_H

#include "coherence/segment.h"

#define QC_FILE_MODES 0777u

/* Lays out a new segment in zeroed memory of layout->size bytes: header, cells, slots and store. The clock starts at
 * the machine's time since boot, or after `previous` if that is later. */
int qc_memory_format(void *memory, const struct qc_layout *layout, const struct qc_segment_options *options,
                     uint64_t previous, struct qc_error *error) QC_MUST_USE;

/* Maps the file at `path` if it is fit for use. QC_MISS, QC_ERR_CORRUPT and QC_ERR_RETIRED: a new one may take its
 * place. Others as qc_segment_open. With `options` NULL (to be looked at): whatever maps, retired, of another boot or
 * database. */
int qc_mapping_open(const char *path, const struct qc_file_access *access, const struct qc_segment_options *options,
                    struct qc_segment **out, struct qc_error *error) QC_MUST_USE;

/* The clock of the sound segment of this boot at `path`, fit for use or not; 0 where there is none. */
uint64_t qc_mapping_clock(const char *path, const struct qc_file_access *access);

#endif
