/* The keyed hash that spreads keys over shards and the checksum that finds damage. Pure functions. */
#ifndef QC_BASE_HASH_H
#define QC_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* SipHash-2-4 (Aumasson and Bernstein). Who doesn't know the key can't make keys that clash. */
uint64_t qc_hash(const uint8_t key[16], const void *data, size_t size);

/* A fast checksum, not keyed: against accidents, not against malice. A change confined to one aligned 8-byte word is
 * always found; any other goes unseen with a chance of about 2^-64. The same on machines of either byte order. */
uint64_t qc_checksum(const void *data, size_t size);

#endif
