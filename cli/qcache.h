/* The qcache command: see and check a segment's file. It opens, it looks, it never creates or repairs. */
#ifndef QC_CLI_QCACHE_H
#define QC_CLI_QCACHE_H

#include <stddef.h>
#include <stdint.h>

#include "qcache/coherence.h"

enum {
    EXIT_SOUND = 0,
    EXIT_DAMAGE = 1,
    EXIT_UNUSABLE = 2 /* no segment of ours, or no way to say what was seen; wrong usage too */
};

/* Each prints to standard output and returns an exit status. */
int cli_stat(const char *path, struct qc_segment *segment);
int cli_verify(const char *path, struct qc_segment *segment);

/* Prints bytes on one line: what is not printable ASCII as \0 or \xNN, a backslash doubled. */
void cli_print_bytes(const uint8_t *bytes, size_t size);

/* A size in a unit that reads well, in `out`. */
const char *cli_size(uint64_t bytes, char out[24]);

#endif
