/* The head of a result set. */
#ifndef QC_CODEC_ROWS_H
#define QC_CODEC_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#define QC_ROWS_VERSION 1u
#define QC_COLUMNS_MAX 65535u
#define QC_UUID_SIZE 16u

/* Rows without columns would be a number that no bytes back. */
bool qc_rows_valid(uint64_t rows, uint64_t columns);

#endif
