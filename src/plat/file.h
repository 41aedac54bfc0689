/* Files that processes of one machine share: opened with suspicion, created in full, mapped.
 *
 * Descriptors are closed on exec. Errors name the file.
 */
#ifndef QC_PLAT_FILE_H
#define QC_PLAT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qcache/error.h"

/* Who may share a file. */
struct qc_file_access {
    uint32_t mode;  /* permission bits of files we make */
    int64_t group;  /* their group, which makes another owner's file acceptable; -1: the process's own, and none */
    bool any_owner; /* whoever made it, as far as the permissions allow: to look at it */
};

/* What tells one file from another, and how much of it is there. */
struct qc_file_facts {
    uint64_t device, inode, size, links;
};

/* Opens an existing file to read and write. QC_MISS: there is none. QC_ERR_FOREIGN: a symbolic link, no regular file,
 * another owner's, one with several names. QC_ERR_UNSUPPORTED: on a network file system. QC_ERR_SYSTEM. */
int qc_file_open(const char *path, const struct qc_file_access *access, int *out, struct qc_error *error) QC_MUST_USE;

/* The same, but makes an empty one where there is none. */
int qc_file_ensure(const char *path, const struct qc_file_access *access, int *out, struct qc_error *error) QC_MUST_USE;

/* Makes a new file of `size` bytes, all of them allocated. One that is there under this name is removed first. */
int qc_file_create(const char *path, const struct qc_file_access *access, uint64_t size, int *out,
                   struct qc_error *error) QC_MUST_USE;

/* A second open file description of the same file, whatever has become of its name. `path` is tried when /proc is not
 * there. */
int qc_file_reopen(int fd, const char *path, int *out, struct qc_error *error) QC_MUST_USE;

/* 0 or QC_ERR_SYSTEM, errno set. */
int qc_file_facts(int fd, struct qc_file_facts *facts) QC_MUST_USE;

/* Whether `path` names the file of these facts now. */
bool qc_file_is_at(const char *path, const struct qc_file_facts *facts);

/* Reads up to `size` bytes from the start; `*got` may be less. 0 or QC_ERR_SYSTEM, errno set. */
int qc_file_read(int fd, void *out, size_t size, size_t *got) QC_MUST_USE;

/* Whether it was there or not. The second is for what may as well stay. */
int qc_file_remove(const char *path, struct qc_error *error) QC_MUST_USE;
void qc_file_discard(const char *path);

/* `path` from the root on, as malloc'ed text: it must mean the same after chdir(). NULL and errno on failure. */
char *qc_file_absolute(const char *path);

int qc_file_rename(const char *from, const char *to, struct qc_error *error) QC_MUST_USE;
void qc_file_close(int fd);

/* Shared memory over a file, or private memory without one. NULL and errno on failure. */
void *qc_memory_map(int fd, uint64_t size);
void *qc_memory_private(uint64_t size);
void qc_memory_unmap(void *memory, uint64_t size);

/* Whether a file system of this type (statfs) may be used by several machines, or by a process in the kernel's place:
 * locks, mappings and link counts don't keep their promises there. */
bool qc_file_system_is_remote(uint64_t type);

#endif
