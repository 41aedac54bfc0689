#include "codec/bigint.h"

bool qc_bigint_valid(const uint8_t *data, size_t size)
{
    uint8_t last, sign;

    if (size <= sizeof(int64_t))
        return false;
    last = data[size - 1];
    sign = (data[size - 2] & 0x80) ? 0xff : 0x00;
    return last != sign; /* a last byte that only repeats the sign could be left out */
}
