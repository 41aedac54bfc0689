#include <stdio.h>

#include "qcache.h"

static void print_finding(void *context, const char *finding)
{
    (void)context;
    (void)printf("  %s\n", finding);
}

int cli_verify(const char *path, struct qc_segment *segment)
{
    size_t findings;

    (void)printf("%s\n", path);
    findings = qc_segment_verify(segment, print_finding, NULL);
    if (findings == 0) {
        (void)printf("  sound\n");
        return EXIT_SOUND;
    }
    (void)printf("  %zu %s\n", findings, findings == 1 ? "finding" : "findings");
    return EXIT_DAMAGE;
}
