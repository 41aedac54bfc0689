/* What went wrong, in a form the caller owns. */
#ifndef QCACHE_ERROR_H
#define QCACHE_ERROR_H

#define QC_MUST_USE __attribute__((warn_unused_result))

/* Functions that can fail return 0 or one of these. */
enum qc_status {
    QC_OK = 0,
    QC_MISS = -1,            /* no such entry: not an error */
    QC_ERR_ARGUMENT = -2,    /* the caller's mistake */
    QC_ERR_SYSTEM = -3,      /* the operating system said no: os_errno tells */
    QC_ERR_MEMORY = -4,      /* no memory */
    QC_ERR_CORRUPT = -5,     /* bytes that no writer of ours left behind */
    QC_ERR_FOREIGN = -6,     /* the file is not ours: other owner, a symlink, another format */
    QC_ERR_NAMESPACE = -7,   /* the segment belongs to another PID namespace */
    QC_ERR_VERSION = -8,     /* another store version: may mark writes, may not hit or fill */
    QC_ERR_BUSY = -9,        /* a lock is held: try again later, read uncached until then */
    QC_ERR_FULL = -10,       /* no free slot */
    QC_ERR_RETIRED = -11,    /* the segment may not be used any more */
    QC_ERR_TOO_LARGE = -12,  /* over a cap: not stored */
    QC_ERR_UNSUPPORTED = -13 /* the platform or file system can't keep the promises */
};

/* Owned by the caller, filled by the callee on failure only. Needs no initialisation and no release. */
struct qc_error {
    int status;        /* an enum qc_status */
    int os_errno;      /* errno, or 0 */
    char message[240]; /* one line, no final stop, names the file or the limit concerned */
};

/* Fills `error` (which may be NULL) and returns `status`. Thread-safe. */
int qc_error_set(struct qc_error *error, int status, int os_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A short lower-case word for a status ("miss", "foreign", ...). Static storage. */
const char *qc_status_name(int status);

#endif
