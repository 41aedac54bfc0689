/* Integers past 64 bits. */
#ifndef QC_CODEC_BIGINT_H
#define QC_CODEC_BIGINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Two's complement, little endian: in its shortest form, and not one that fits in an int64. */
bool qc_bigint_valid(const uint8_t *data, size_t size);

#endif
