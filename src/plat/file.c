#include "plat/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* O_NONBLOCK and O_NOCTTY: a fifo or a terminal in the file's place must not hold us up. */
#define OPEN_FLAGS (O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

bool qc_file_system_is_remote(uint64_t type)
{
    static const uint32_t remote[] = {
        NFS_SUPER_MAGIC,
        SMB_SUPER_MAGIC,
        AFS_SUPER_MAGIC,
        CODA_SUPER_MAGIC,
        V9FS_MAGIC,
        OCFS2_SUPER_MAGIC,
        0xFF534D42 /* cifs */,
        0xFE534D42 /* smb2 */,
        0x65735546 /* fuse */,
        0x6B414653 /* kafs */,
        0x564C /* ncp */,
        0x00C36400 /* ceph */,
        0x01161970 /* gfs2 */,
        0x0BD00BD0 /* lustre */,
        0x47504653 /* gpfs */,
        0x786F4256 /* vboxsf */,
        0xBACBACBC /* vmhgfs */,
        0x19830326 /* beegfs */,
        0x20030528 /* orangefs */,
        0xAAD7AAEA /* panfs */,
        0x7C7C6673 /* prl_fs */,
    };

    for (size_t i = 0; i < sizeof remote / sizeof remote[0]; i++)
        if ((uint32_t)type == remote[i])
            return true;
    return false;
}

int qc_file_facts(int fd, struct qc_file_facts *facts)
{
    struct stat status;

    if (fstat(fd, &status))
        return QC_ERR_SYSTEM;
    facts->device = (uint64_t)status.st_dev;
    facts->inode = (uint64_t)status.st_ino;
    facts->size = (uint64_t)status.st_size;
    facts->links = (uint64_t)status.st_nlink;
    return QC_OK;
}

bool qc_file_is_at(const char *path, const struct qc_file_facts *facts)
{
    struct stat status;

    return lstat(path, &status) == 0 && (uint64_t)status.st_dev == facts->device &&
           (uint64_t)status.st_ino == facts->inode;
}

/* Whether the file was made by somebody whom its contents may be believed. */
static int check_owner(const char *path, const struct stat *status, const struct qc_file_access *access,
                       struct qc_error *error)
{
    const mode_t group_bits = S_IRGRP | S_IWGRP;

    if (!S_ISREG(status->st_mode))
        return qc_error_set(error, QC_ERR_FOREIGN, 0, "%s is not a regular file", path);
    if (access->any_owner || status->st_uid == geteuid())
        return QC_OK;
    if (access->group >= 0 && (int64_t)status->st_gid == access->group && (status->st_mode & group_bits) == group_bits)
        return QC_OK;
    return qc_error_set(error, QC_ERR_FOREIGN, 0, "%s belongs to user %lu, this process runs as %lu", path,
                        (unsigned long)status->st_uid, (unsigned long)geteuid());
}

static int check_file_system(int fd, const char *path, struct qc_error *error)
{
    struct statfs system;

    if (fstatfs(fd, &system))
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s: its file system can't be asked", path);
    if (qc_file_system_is_remote((uint64_t)system.f_type))
        return qc_error_set(error, QC_ERR_UNSUPPORTED, 0, "%s is on a network or user-space file system (type %#lx)",
                            path, (unsigned long)system.f_type);
    return QC_OK;
}

static int check_opened(int fd, const char *path, const struct qc_file_access *access, struct qc_error *error)
{
    struct stat status;
    int result;

    if (fstat(fd, &status))
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s can't be looked at", path);
    result = check_owner(path, &status, access, error);
    if (!result && status.st_nlink > 1)
        /* Users learn from the link count that a file has been removed. */
        result = qc_error_set(error, QC_ERR_FOREIGN, 0, "%s has another name (hard link)", path);
    return result ? result : check_file_system(fd, path, error);
}

/* Why open() failed, in the words of qc_file_open. */
static int open_failure(const char *path, const struct qc_file_access *access, struct qc_error *error)
{
    int os_errno = errno, result;
    struct stat status;

    if (os_errno == ENOENT)
        return qc_error_set(error, QC_MISS, os_errno, "%s does not exist", path);
    if (lstat(path, &status) == 0) {
        if (S_ISLNK(status.st_mode))
            return qc_error_set(error, QC_ERR_FOREIGN, os_errno, "%s is a symbolic link", path);
        result = check_owner(path, &status, access, error);
        if (result)
            return result;
    }
    return qc_error_set(error, QC_ERR_SYSTEM, os_errno, "%s can't be opened", path);
}

int qc_file_open(const char *path, const struct qc_file_access *access, int *out, struct qc_error *error)
{
    int fd = open(path, OPEN_FLAGS), status;

    if (fd < 0)
        return open_failure(path, access, error);
    status = check_opened(fd, path, access, error);
    if (status) {
        qc_file_close(fd);
        return status;
    }
    *out = fd;
    return QC_OK;
}

/* Gives a file that we just made its permissions, whatever the umask. */
static int grant(int fd, const char *path, const struct qc_file_access *access, struct qc_error *error)
{
    if (access->group >= 0 && fchown(fd, (uid_t)-1, (gid_t)access->group))
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s can't be given to group %lld", path,
                            (long long)access->group);
    if (fchmod(fd, (mode_t)access->mode))
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s can't be given mode %04o", path, (unsigned)access->mode);
    return QC_OK;
}

int qc_file_ensure(const char *path, const struct qc_file_access *access, int *out, struct qc_error *error)
{
    int status = qc_file_open(path, access, out, error), fd;

    if (status != QC_MISS)
        return status;
    fd = open(path, OPEN_FLAGS | O_CREAT | O_EXCL, (mode_t)access->mode);
    if (fd < 0 && errno == EEXIST)
        return qc_file_open(path, access, out, error);
    if (fd < 0)
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s can't be created", path);
    status = grant(fd, path, access, error);
    if (!status)
        status = check_file_system(fd, path, error);
    if (status) {
        (void)unlink(path);
        qc_file_close(fd);
        return status;
    }
    *out = fd;
    return QC_OK;
}

static int allocate(int fd, const char *path, uint64_t size, struct qc_error *error)
{
    int os_errno;

    do
        os_errno = posix_fallocate(fd, 0, (off_t)size);
    while (os_errno == EINTR);
    if (os_errno)
        return qc_error_set(error, QC_ERR_SYSTEM, os_errno, "%s: %llu bytes can't be allocated", path,
                            (unsigned long long)size);
    return QC_OK;
}

int qc_file_create(const char *path, const struct qc_file_access *access, uint64_t size, int *out,
                   struct qc_error *error)
{
    int fd, status;

    if (unlink(path) && errno != ENOENT)
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s can't be removed", path);
    fd = open(path, OPEN_FLAGS | O_CREAT | O_EXCL, (mode_t)access->mode);
    if (fd < 0)
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s can't be created", path);
    status = grant(fd, path, access, error);
    if (!status)
        status = allocate(fd, path, size, error);
    if (status) {
        (void)unlink(path);
        qc_file_close(fd);
        return status;
    }
    *out = fd;
    return QC_OK;
}

int qc_file_reopen(int fd, const char *path, int *out, struct qc_error *error)
{
    struct qc_file_facts mapped;
    char alias[48];
    int again;

    if (qc_file_facts(fd, &mapped))
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s can't be looked at", path);
    (void)snprintf(alias, sizeof alias, "/proc/self/fd/%d", fd);
    again = open(alias, O_RDWR | O_CLOEXEC);
    if (again < 0 && qc_file_is_at(path, &mapped))
        again = open(path, OPEN_FLAGS);
    if (again < 0)
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s can't be opened again", path);
    *out = again;
    return QC_OK;
}

int qc_file_read(int fd, void *out, size_t size, size_t *got)
{
    *got = 0;
    while (*got < size) {
        ssize_t count = pread(fd, (char *)out + *got, size - *got, (off_t)*got);

        if (count == 0)
            break;
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return QC_ERR_SYSTEM;
        *got += (size_t)count;
    }
    return QC_OK;
}

int qc_file_remove(const char *path, struct qc_error *error)
{
    if (unlink(path) && errno != ENOENT)
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s can't be removed", path);
    return QC_OK;
}

void qc_file_discard(const char *path)
{
    (void)unlink(path);
}

char *qc_file_absolute(const char *path)
{
    char *folder, *whole = NULL;

    if (path[0] == '/')
        return strdup(path);
    folder = getcwd(NULL, 0);
    if (folder && asprintf(&whole, "%s/%s", folder, path) < 0)
        whole = NULL;
    free(folder);
    return whole;
}

int qc_file_rename(const char *from, const char *to, struct qc_error *error)
{
    if (rename(from, to))
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s can't be renamed", from);
    return QC_OK;
}

void qc_file_close(int fd)
{
    (void)close(fd);
}

void *qc_memory_map(int fd, uint64_t size)
{
    void *memory = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void *qc_memory_private(uint64_t size)
{
    void *memory = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void qc_memory_unmap(void *memory, uint64_t size)
{
    (void)munmap(memory, (size_t)size);
}
