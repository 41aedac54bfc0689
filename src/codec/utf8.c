#include "codec/utf8.h"

#include <string.h>

static bool in(uint8_t byte, uint8_t low, uint8_t high)
{
    return low <= byte && byte <= high;
}

/* Bytes of the well-formed sequence at `at` (Unicode, table 3-7), or 0. */
static size_t sequence(const uint8_t *at, size_t left)
{
    uint8_t first = at[0];
    uint8_t low = 0x80, high = 0xbf;

    if (first < 0x80)
        return 1;
    if (in(first, 0xc2, 0xdf))
        return left >= 2 && in(at[1], low, high) ? 2 : 0;
    if (in(first, 0xe0, 0xef)) {
        if (first == 0xe0)
            low = 0xa0; /* below: a two-byte sequence would do */
        if (first == 0xed)
            high = 0x9f; /* above: surrogates */
        return left >= 3 && in(at[1], low, high) && in(at[2], 0x80, 0xbf) ? 3 : 0;
    }
    if (in(first, 0xf0, 0xf4)) {
        if (first == 0xf0)
            low = 0x90;
        if (first == 0xf4)
            high = 0x8f;
        return left >= 4 && in(at[1], low, high) && in(at[2], 0x80, 0xbf) && in(at[3], 0x80, 0xbf) ? 4 : 0;
    }
    return 0;
}

bool qc_utf8_valid(const uint8_t *data, size_t size)
{
    size_t i = 0;

    while (i < size) {
        uint64_t word;
        size_t step;

        if (size - i >= sizeof word) {
            memcpy(&word, data + i, sizeof word);
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                i += sizeof word;
                continue;
            }
        }
        step = sequence(data + i, size - i);
        if (step == 0)
            return false;
        i += step;
    }
    return true;
}
