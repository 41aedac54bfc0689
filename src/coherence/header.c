#include "coherence/header.h"

#include <string.h>

#include "base/hash.h"
#include "plat/time.h"
#include "qcache/store.h"

static uint64_t checksum_of(const struct qc_constants *constants)
{
    return qc_checksum(constants, offsetof(struct qc_constants, checksum));
}

int qc_constants_make(struct qc_constants *constants, const struct qc_layout *layout,
                      const struct qc_segment_options *options, struct qc_error *error)
{
    int status;

    memset(constants, 0, sizeof *constants);
    memcpy(constants->magic, QC_MAGIC, QC_MAGIC_SIZE);
    constants->frozen_version = QC_FROZEN_VERSION;
    constants->frozen_complement = ~QC_FROZEN_VERSION;
    constants->store_version = QC_STORE_VERSION;
    constants->cells = layout->cells;
    constants->slots = layout->slots;
    constants->max_entry = layout->max_entry;
    constants->size = layout->size;
    constants->notes_offset = layout->notes_offset;
    constants->slots_offset = layout->slots_offset;
    constants->store_offset = layout->store_offset;
    constants->born_us = qc_time_boot_us();
    status = qc_host_boot_id(constants->boot_id, error);
    if (!status)
        status = qc_host_pid_namespace(&constants->pid_namespace, error);
    if (!status)
        status = qc_host_random(constants->hash_key, sizeof constants->hash_key, error);
    if (!status)
        status = qc_host_random(constants->unique, sizeof constants->unique, error);
    if (status)
        return status;
    constants->identity_size = (uint32_t)options->identity_size;
    if (options->identity_size)
        memcpy(constants->identity, options->identity, options->identity_size);
    constants->checksum = checksum_of(constants);
    return QC_OK;
}

static int corrupt(const char *path, const char *what, struct qc_error *error)
{
    return qc_error_set(error, QC_ERR_CORRUPT, 0, "%s: %s", path, what);
}

static int check_version(const struct qc_constants *constants, const char *path, struct qc_error *error)
{
    if (constants->frozen_complement != ~constants->frozen_version)
        return corrupt(path, "the version in its header is damaged", error);
    if (constants->frozen_version > QC_FROZEN_VERSION)
        return qc_error_set(error, QC_ERR_VERSION, 0, "%s was made by a newer release (frozen layout %u, here %u)",
                            path, constants->frozen_version, QC_FROZEN_VERSION);
    if (constants->frozen_version < QC_FROZEN_VERSION)
        return corrupt(path, "made by an older release", error);
    return QC_OK;
}

/* The offsets follow from the counts; a header that says otherwise was not written by us. */
static int check_layout(const struct qc_constants *constants, const char *path, struct qc_layout *layout,
                        struct qc_error *error)
{
    if (!qc_layout_place(layout, constants->size, constants->cells, constants->slots, constants->max_entry, NULL) ||
        layout->size != constants->size || layout->notes_offset != constants->notes_offset ||
        layout->slots_offset != constants->slots_offset || layout->store_offset != constants->store_offset ||
        constants->identity_size > QC_IDENTITY_MAX)
        return corrupt(path, "the sizes in its header can't be", error);
    return QC_OK;
}

int qc_constants_check(const struct qc_constants *constants, size_t got, uint64_t file_size, const char *path,
                       struct qc_layout *layout, struct qc_error *error)
{
    size_t known = got < QC_MAGIC_SIZE ? got : QC_MAGIC_SIZE;
    int status;

    if (memcmp(constants->magic, QC_MAGIC, known) != 0)
        return qc_error_set(error, QC_ERR_FOREIGN, 0, "%s is not a segment of this program", path);
    if (got < offsetof(struct qc_constants, store_version))
        return corrupt(path, "truncated", error);
    status = check_version(constants, path, error);
    if (status)
        return status;
    if (got < sizeof *constants)
        return corrupt(path, "truncated", error);
    if (constants->checksum != checksum_of(constants))
        return corrupt(path, "the checksum of its header is wrong", error);
    status = check_layout(constants, path, layout, error);
    if (!status && file_size < constants->size)
        status = corrupt(path, "truncated", error);
    return status;
}

int qc_constants_check_host(const struct qc_constants *constants, const char *path, struct qc_error *error)
{
    uint8_t boot_id[QC_BOOT_ID_SIZE];
    uint64_t pid_namespace;
    int status = qc_host_boot_id(boot_id, error);

    if (status)
        return status;
    if (memcmp(boot_id, constants->boot_id, sizeof boot_id) != 0)
        return qc_error_set(error, QC_ERR_RETIRED, 0, "%s is from before the last boot", path);
    status = qc_host_pid_namespace(&pid_namespace, error);
    if (!status && pid_namespace != constants->pid_namespace)
        status = qc_error_set(error, QC_ERR_NAMESPACE, 0, "%s belongs to PID namespace %llu, this process is in %llu",
                              path, (unsigned long long)constants->pid_namespace, (unsigned long long)pid_namespace);
    return status;
}

int qc_constants_check_identity(const struct qc_constants *constants, const struct qc_segment_options *options,
                                const char *path, struct qc_error *error)
{
    if (options->identity && (constants->identity_size != options->identity_size ||
                              memcmp(constants->identity, options->identity, options->identity_size) != 0))
        return qc_error_set(error, QC_ERR_FOREIGN, 0, "%s is the segment of another database", path);
    return QC_OK;
}
