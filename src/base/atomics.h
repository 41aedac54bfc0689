/* Atomic access to uint32_t and uint64_t in memory that other threads and processes use, named by its job.
 *
 * Each use names the step of PROTOCOL.md that it carries. Plain integers rather than _Atomic ones: the memory is a
 * mapped file whose layout must not depend on what a compiler makes of _Atomic.
 */
#ifndef QC_BASE_ATOMICS_H
#define QC_BASE_ATOMICS_H

#include <stdint.h>

/* Between processes only what needs no lock of the C library's is atomic. */
#if __GCC_ATOMIC_INT_LOCK_FREE != 2 || __GCC_ATOMIC_LLONG_LOCK_FREE != 2
#error "32-bit and 64-bit atomics need a lock on this machine"
#endif

/* Sees what was written before the qc_store_release whose value it reads. */
#define qc_load_acquire(at) __atomic_load_n((at), __ATOMIC_ACQUIRE)
#define qc_store_release(at, value) __atomic_store_n((at), (value), __ATOMIC_RELEASE)

/* Not torn, and nothing more: for figures, and for what a lock orders. */
#define qc_load_relaxed(at) __atomic_load_n((at), __ATOMIC_RELAXED)
#define qc_store_relaxed(at, value) __atomic_store_n((at), (value), __ATOMIC_RELAXED)
#define qc_add_relaxed(at, value) ((void)__atomic_fetch_add((at), (value), __ATOMIC_RELAXED))

/* Stores `value` if `*at` is `*expected`; tells whether it was. */
#define qc_exchange_if(at, expected, value)                                                                            \
    __atomic_compare_exchange_n((at), (expected), (value), 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)

/* Seen by everyone before anything that follows in this thread. */
#define qc_store_ordered(at, value) __atomic_store_n((at), (value), __ATOMIC_SEQ_CST)

#endif
