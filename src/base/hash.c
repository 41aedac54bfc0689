#include "base/hash.h"

#include <string.h>

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static uint64_t load_le64(const uint8_t *data)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t x;

    memcpy(&x, data, sizeof x);
    return x;
#else
    uint64_t x = 0;

    for (unsigned i = 0; i < 8; i++)
        x |= (uint64_t)data[i] << (8 * i);
    return x;
#endif
}

/* The last 0 to 7 bytes, zero above. */
static uint64_t load_tail(const uint8_t *data, size_t size)
{
    uint64_t x = 0;

    for (size_t i = 0; i < size; i++)
        x |= (uint64_t)data[i] << (8 * i);
    return x;
}

static void sip_rounds(uint64_t v[4], unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

static void sip_absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_rounds(v, 2);
    v[0] ^= word;
}

uint64_t qc_hash(const uint8_t key[16], const void *data, size_t size)
{
    const uint8_t *at = data;
    uint64_t k0 = load_le64(key), k1 = load_le64(key + 8);
    uint64_t v[4] = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                     k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
    size_t left = size;

    for (; left >= 8; at += 8, left -= 8)
        sip_absorb(v, load_le64(at));
    sip_absorb(v, load_tail(at, left) | (uint64_t)size << 56);
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* For a given word a bijection of the state, and for a given state one of the word: a single changed word can't cancel
 * out, whatever follows. */
static uint64_t mix(uint64_t state, uint64_t word)
{
    state = (state ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return state ^ (state >> 32);
}

uint64_t qc_checksum(const void *data, size_t size)
{
    const uint8_t *at = data;
    size_t left = size;
    /* Four lanes, so that the multiplications of one 32-byte block run side by side. */
    uint64_t lane[4] = {UINT64_C(0x243f6a8885a308d3), UINT64_C(0x13198a2e03707344), UINT64_C(0xa4093822299f31d0),
                        UINT64_C(0x082efa98ec4e6c89)};
    uint64_t sum;

    for (; left >= 32; at += 32, left -= 32)
        for (unsigned i = 0; i < 4; i++)
            lane[i] = mix(lane[i], load_le64(at + 8 * i));
    sum = mix(size, lane[0]);
    for (unsigned i = 1; i < 4; i++)
        sum = mix(sum, lane[i]);
    for (; left >= 8; at += 8, left -= 8)
        sum = mix(sum, load_le64(at));
    sum = mix(sum, load_tail(at, left));
    return mix(sum, sum >> 29);
}
