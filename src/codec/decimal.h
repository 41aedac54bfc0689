/* Whether bytes are what Python's str(Decimal) writes: one text a value, so that sign, digits, exponent and NaN payload
 * can be read back and two different ones never meet. */
#ifndef QC_CODEC_DECIMAL_H
#define QC_CODEC_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool qc_decimal_valid(const uint8_t *text, size_t size);

#endif
