/* What tells this process, this boot and this PID namespace from others. */
#ifndef QC_PLAT_HOST_H
#define QC_PLAT_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "qcache/error.h"

#define QC_BOOT_ID_SIZE 16

/* 16 bytes drawn by the kernel at each boot. QC_ERR_UNSUPPORTED where /proc does not tell. */
int qc_host_boot_id(uint8_t id[QC_BOOT_ID_SIZE], struct qc_error *error) QC_MUST_USE;

/* The inode of this process's PID namespace. QC_ERR_UNSUPPORTED where /proc does not tell. */
int qc_host_pid_namespace(uint64_t *inode, struct qc_error *error) QC_MUST_USE;

/* Random bytes for keys and names. */
int qc_host_random(void *out, size_t size, struct qc_error *error) QC_MUST_USE;

int32_t qc_host_pid(void);

#endif
