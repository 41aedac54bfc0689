#include <stdio.h>
#include <string.h>

#include "qcache.h"

static const char usage[] = "usage: qcache stat FILE\n"
                            "       qcache verify FILE\n"
                            "\n"
                            "stat    prints what the segment holds, and the writes in flight in it\n"
                            "verify  checks every structure: exits with 0 when sound, 1 when damaged\n"
                            "\n"
                            "Both exit with 2 when FILE can't be used as a segment.\n";

struct command {
    const char *name;
    int (*run)(const char *path, struct qc_segment *segment);
};

static const struct command commands[] = {{"stat", cli_stat}, {"verify", cli_verify}};

static int run(const struct command *command, const char *path)
{
    struct qc_segment *segment;
    struct qc_error error;
    int status;

    if (qc_segment_inspect(path, &segment, &error) != QC_OK) {
        (void)fprintf(stderr, "qcache: %s\n", error.message);
        return EXIT_UNUSABLE;
    }
    status = command->run(path, segment);
    qc_segment_close(segment);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fprintf(stderr, "qcache: standard output can't be written\n");
        return EXIT_UNUSABLE;
    }
    return status;
}

int main(int count, char **arguments)
{
    if (count == 2 && (strcmp(arguments[1], "--help") == 0 || strcmp(arguments[1], "-h") == 0))
        return fputs(usage, stdout) < 0 || fflush(stdout) != 0 ? EXIT_UNUSABLE : EXIT_SOUND;
    for (size_t i = 0; count == 3 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(arguments[1], commands[i].name) == 0)
            return run(&commands[i], arguments[2]);
    (void)fputs(usage, stderr);
    return EXIT_UNUSABLE;
}
