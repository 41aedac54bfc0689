/* Kernel locks on bytes of a file, owned by an open file description: they last until its last descriptor is closed,
 * that is, until its owner dies. Never by pid. The byte need not exist in the file.
 */
#ifndef QC_PLAT_LOCK_H
#define QC_PLAT_LOCK_H

#include <stdint.h>

#include "qcache/error.h"

enum qc_lock_kind { QC_LOCK_SHARED, QC_LOCK_EXCLUSIVE };

/* Never waits. 0, QC_ERR_BUSY, QC_ERR_UNSUPPORTED (no such locks here) or QC_ERR_SYSTEM, errno set. */
int qc_lock_take(int fd, uint64_t byte, enum qc_lock_kind kind) QC_MUST_USE;
void qc_lock_drop(int fd, uint64_t byte);

/* Whether taking it would be refused now: 1 or 0, or as above. The locks of fd's own description don't count. */
int qc_lock_test(int fd, uint64_t byte, enum qc_lock_kind kind) QC_MUST_USE;

#endif
