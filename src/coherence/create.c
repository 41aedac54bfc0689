/* Opening a segment, and making one where there is none that can be used. PROTOCOL section 6. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "coherence/mapping.h"
#include "coherence/recovery.h"
#include "plat/failpoint.h"
#include "plat/time.h"

#define NEW_SUFFIX ".new"
#define CREATOR_WAIT_MS 2000u
#define PAUSE_US 1000u

static bool replaceable(int status)
{
    return status == QC_MISS || status == QC_ERR_CORRUPT || status == QC_ERR_RETIRED;
}

static int check_options(const struct qc_segment_options *options, struct qc_layout *layout, struct qc_error *error)
{
    if (!qc_layout_plan(layout, options->size, options->cells, options->slots, options->max_entry, error))
        return QC_ERR_ARGUMENT;
    if (options->identity_size > QC_IDENTITY_MAX || (options->identity_size && !options->identity))
        return qc_error_set(error, QC_ERR_ARGUMENT, 0, "an identity of %zu bytes: at most %u are possible",
                            options->identity_size, QC_IDENTITY_MAX);
    if (options->mode > QC_FILE_MODES || (options->mode & 0600) != 0600)
        return qc_error_set(error, QC_ERR_ARGUMENT, 0, "mode %04o: permission bits with 0600 in them are possible",
                            (unsigned)options->mode);
    return QC_OK;
}

/* Fills a new file of the right size. */
static int fill(int fd, const char *path, const struct qc_layout *layout, const struct qc_segment_options *options,
                uint64_t previous, struct qc_error *error)
{
    void *memory = qc_memory_map(fd, layout->size);
    int status;

    if (!memory)
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s can't be mapped", path);
    status = qc_memory_format(memory, layout, options, previous, error);
    qc_memory_unmap(memory, layout->size);
    return status;
}

/* Alone, by the gate: so one name is enough for the file in the making, and what a dead creator left is overwritten. */
static int create(const char *path, const struct qc_file_access *access, const struct qc_layout *layout,
                  const struct qc_segment_options *options, uint64_t previous, struct qc_error *error)
{
    char *new_path = NULL;
    int fd, status;

    if (asprintf(&new_path, "%s" NEW_SUFFIX, path) < 0)
        return qc_error_set(error, QC_ERR_MEMORY, 0, "no memory");
    /* From here on the old file's users see that it is gone, at the latest a check period from now. */
    status = qc_file_remove(path, error);
    if (!status)
        status = qc_file_create(new_path, access, layout->size, &fd, error);
    if (!status) {
        status = fill(fd, new_path, layout, options, previous, error);
        qc_file_close(fd);
        qc_time_wait_us(QC_NEWCOMER_WAIT_US);
        QC_FAILPOINT("in-create");
        if (!status)
            status = qc_file_rename(new_path, path, error);
        if (status)
            qc_file_discard(new_path);
    }
    free(new_path);
    return status;
}

/* Opens what is there, if it is fit for use after what dead processes left behind has been put right. */
static int open_sound(const char *path, const struct qc_file_access *access, const struct qc_segment_options *options,
                      struct qc_segment **out, struct qc_error *error)
{
    int status = qc_mapping_open(path, access, options, out, error);

    if (status)
        return status;
    status = qc_recovery_settle_dead(*out, error);
    if (status)
        qc_segment_close(*out);
    return status;
}

/* Makes a segment under the gate, unless somebody has meanwhile. QC_ERR_RETIRED: look again. */
static int replace(const char *path, const struct qc_file_access *access, const struct qc_layout *layout,
                   const struct qc_segment_options *options, struct qc_segment **out, struct qc_error *error)
{
    struct qc_gate *gate;
    int status = qc_gate_new(path, access, &gate, error);

    if (status)
        return status;
    status = qc_gate_seize(gate, QC_SEIZE_WAIT_MS, error);
    if (!status) {
        status = open_sound(path, access, options, out, error);
        if (replaceable(status)) {
            status = create(path, access, layout, options, qc_mapping_clock(path, access), error);
            if (!status)
                status = qc_mapping_open(path, access, options, out, error);
            if (!status)
                (*out)->created = true;
        }
    }
    qc_gate_free(gate);
    return status;
}

static int open_or_replace(const char *path, const struct qc_file_access *access, const struct qc_layout *layout,
                           const struct qc_segment_options *options, struct qc_segment **out, struct qc_error *error)
{
    uint64_t deadline = qc_time_monotonic_us() + CREATOR_WAIT_MS * 1000u;
    int status;

    do {
        status = open_sound(path, access, options, out, error);
        if (!replaceable(status))
            return status;
        status = replace(path, access, layout, options, out, error);
        if (!replaceable(status))
            return status;
        qc_time_wait_us(PAUSE_US);
    } while (qc_time_monotonic_us() < deadline);
    return qc_error_set(error, QC_ERR_BUSY, 0, "%s: another process is creating the segment", path);
}

int qc_segment_open(const char *path, const struct qc_segment_options *options, struct qc_segment **out,
                    struct qc_error *error)
{
    const struct qc_file_access access = {.mode = options->mode, .group = options->group};
    struct qc_segment_options wanted = *options;
    struct qc_layout layout;
    char *absolute;
    int status = check_options(options, &layout, error);

    if (status)
        return status;
    if (!wanted.identity)
        wanted.identity = ""; /* no identity is one too, not any */
    absolute = qc_file_absolute(path);
    if (!absolute)
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "%s: the working folder is gone", path);
    status = open_or_replace(absolute, &access, &layout, &wanted, out, error);
    free(absolute);
    return status;
}
