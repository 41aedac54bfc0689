#include "plat/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int control(int fd, int command, short type, uint64_t byte, struct flock *lock)
{
    int status;

    *lock = (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    do
        status = fcntl(fd, command, lock);
    while (status && errno == EINTR);
    return status;
}

static short type_of(enum qc_lock_kind kind)
{
    return kind == QC_LOCK_SHARED ? F_RDLCK : F_WRLCK;
}

static int failure(void)
{
    if (errno == EAGAIN || errno == EACCES)
        return QC_ERR_BUSY;
    /* Kernels and sandboxes without open file description locks take the command for a mistake. */
    return errno == EINVAL ? QC_ERR_UNSUPPORTED : QC_ERR_SYSTEM;
}

int qc_lock_take(int fd, uint64_t byte, enum qc_lock_kind kind)
{
    struct flock lock;

    return control(fd, F_OFD_SETLK, type_of(kind), byte, &lock) ? failure() : QC_OK;
}

void qc_lock_drop(int fd, uint64_t byte)
{
    struct flock lock;

    (void)control(fd, F_OFD_SETLK, F_UNLCK, byte, &lock);
}

int qc_lock_test(int fd, uint64_t byte, enum qc_lock_kind kind)
{
    struct flock lock;

    if (control(fd, F_OFD_GETLK, type_of(kind), byte, &lock))
        return failure();
    return lock.l_type != F_UNLCK;
}
