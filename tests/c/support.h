/* What C tests of files and processes share: a folder of their own, and children that are told what to do by pipe.
 *
 * In a child nothing of cmocka's may be used: CHECK ends it with a message and a status that child_end reports.
 */
#ifndef QC_TESTS_SUPPORT_H
#define QC_TESTS_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A new empty folder for files of a test; removed with all that is in it by folder_remove. */
struct folder {
    char path[64];
};
void folder_make(struct folder *folder);
void folder_remove(struct folder *folder);

/* "<folder>/<name>" in `out`. */
void folder_file(const struct folder *folder, const char *name, char *out, size_t size);

/* A forked process. `run` gets the child's ends through child_tell and child_hear as well; when it returns the child
 * ends with status 0. */
struct child {
    pid_t pid;
    int in, out;
};
void child_start(struct child *child, void (*run)(struct child *self, void *context), void *context);

/* One byte to the other side, and one from it. Hearing waits half a minute at the most, then the test fails; false:
 * the other side is gone. */
void child_tell(const struct child *child, char word);
bool child_hear(const struct child *child, char *word);

/* Waits for the child to say `word`; anything else fails the test. */
void child_await(const struct child *child, char word);

void child_kill(struct child *child);               /* SIGKILL, and waits */
int child_end(struct child *child);                 /* waits; the exit status, or 128 + the signal */
void child_wait_stopped(const struct child *child); /* until it has stopped itself */

/* In any process: says what is not so and ends the process. */
#define CHECK(condition) check_that((condition), #condition, __FILE__, __LINE__)
void check_that(bool so, const char *what, const char *file, int line);

/* Failpoints of this process from now on, or none (NULL). */
void set_failpoint(const char *what);

/* Reads or overwrites bytes of a file. */
void file_read(const char *path, uint64_t offset, void *out, size_t size);
void file_write(const char *path, uint64_t offset, const void *data, size_t size);
bool file_exists(const char *path);

#endif
