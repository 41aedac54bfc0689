/* A write while no segment can be had. PROTOCOL section 6. */
#include <errno.h>
#include <stdlib.h>

#include "coherence/mapping.h"
#include "plat/time.h"

struct qc_bypass {
    struct qc_gate *gate;
};

/* Under the gate: nobody can make a segment now, but there may be one. */
static int check_absent(const char *path, const struct qc_file_access *access, const struct qc_segment_options *options,
                        struct qc_error *error)
{
    struct qc_segment_options any = *options;
    struct qc_segment *segment;
    int status;

    any.identity = NULL;
    any.identity_size = 0;
    status = qc_mapping_open(path, access, &any, &segment, error);

    if (status == QC_MISS || status == QC_ERR_CORRUPT || status == QC_ERR_RETIRED)
        return QC_OK;
    if (status)
        return status;
    qc_segment_close(segment);
    return qc_error_set(error, QC_ERR_ARGUMENT, 0, "%s can be used", path);
}

static int begin(const char *path, const struct qc_segment_options *options, struct qc_bypass *bypass,
                 struct qc_error *error)
{
    const struct qc_file_access access = {.mode = options->mode, .group = options->group};
    int status = qc_gate_new(path, &access, &bypass->gate, error);

    if (!status) {
        /* Else the next segment would have to wait for a moment when nobody writes. */
        qc_gate_yield(bypass->gate, QC_YIELD_WAIT_MS);
        status = qc_gate_enter(bypass->gate, QC_WRITE_WAIT_MS, error);
    }
    if (!status)
        status = check_absent(path, &access, options, error);
    if (!status)
        /* Users of a segment that has vanished see it within a check period. */
        qc_time_wait_us(QC_NEWCOMER_WAIT_US);
    return status;
}

int qc_bypass_begin(const char *path, const struct qc_segment_options *options, struct qc_bypass **out,
                    struct qc_error *error)
{
    struct qc_bypass *bypass = calloc(1, sizeof *bypass);
    char *absolute = qc_file_absolute(path);
    int status;

    if (!bypass || !absolute)
        status = qc_error_set(error, QC_ERR_MEMORY, errno, "%s: no memory, or no working folder", path);
    else
        status = begin(absolute, options, bypass, error);
    free(absolute);
    if (status)
        qc_bypass_end(bypass);
    else
        *out = bypass;
    return status;
}

void qc_bypass_end(struct qc_bypass *bypass)
{
    if (!bypass)
        return;
    qc_gate_free(bypass->gate);
    free(bypass);
}
