/* Whether bytes are UTF-8 as Unicode defines it: shortest forms, no surrogates, at most U+10FFFF. */
#ifndef QC_CODEC_UTF8_H
#define QC_CODEC_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool qc_utf8_valid(const uint8_t *data, size_t size);

#endif
