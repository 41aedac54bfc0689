/* The qcache command, run as a process. QCACHE names its file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs the four above */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "place.h"
#include "qcache/store.h"

/* What a run of the command left behind. */
struct outcome {
    int status;
    char out[16384]; /* standard output and error together */
};

static void read_all(int fd, char *out, size_t size)
{
    size_t got = 0;
    ssize_t more;

    while (got + 1 < size && (more = read(fd, out + got, size - 1 - got)) > 0)
        got += (size_t)more;
    out[got] = '\0';
}

static void run_to(struct outcome *outcome, const char *command, const char *file, const char *output)
{
    const char *program = getenv("QCACHE");
    int ends[2], status;
    pid_t child;

    assert_non_null(program);
    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int to = output != NULL ? open(output, O_WRONLY) : ends[1];

        if (dup2(to, STDOUT_FILENO) < 0 || dup2(ends[1], STDERR_FILENO) < 0)
            _exit(125);
        close(ends[0]);
        close(ends[1]);
        execl(program, "qcache", command, file, (char *)NULL);
        _exit(126);
    }
    close(ends[1]);
    read_all(ends[0], outcome->out, sizeof outcome->out);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    outcome->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static struct outcome run(const char *command, const char *file)
{
    static struct outcome outcome;

    run_to(&outcome, command, file, NULL);
    return outcome;
}

static void must_say(const struct outcome *outcome, const char *text)
{
    if (strstr(outcome->out, text) == NULL)
        fail_msg("no \"%s\" in:\n%s", text, outcome->out);
}

/* "name" at a line's start, spaces, and the value. */
static void must_show(const struct outcome *outcome, const char *name, const char *value)
{
    char line[128];

    (void)snprintf(line, sizeof line, "\n%-14s %s\n", name, value);
    must_say(outcome, line);
}

static void put(struct qc_segment *segment, const char *key, const uint32_t *cells, size_t count)
{
    assert_int_equal(
        qc_store_put(qc_segment_store(segment), key, strlen(key), qc_clock(segment), 0, cells, count, "rows", 4, NULL),
        QC_OK);
}

static void test_stat_shows_what_the_segment_holds(void **state)
{
    static const uint32_t one[] = {0, 7}, both[] = {0, 7, 9};
    struct place *place = *state;
    struct qc_segment *segment;
    struct outcome outcome;

    place->options.identity = "family\0gen\xc3\xa9ration\\";
    place->options.identity_size = 19;
    segment = must_open(place);
    put(segment, "SELECT secret", one, 2);
    put(segment, "other key", both, 3);
    for (int i = 0; i < 3; i++)
        qc_segment_count(segment, QC_COUNTER_HIT);
    qc_segment_count(segment, QC_COUNTER_MISS);
    outcome = run("stat", place->path);
    assert_int_equal(outcome.status, 0);
    must_show(&outcome, "identity", "family\\0gen\\xc3\\xa9ration\\\\");
    must_show(&outcome, "state", "in use");
    must_show(&outcome, "size", "2.0 MB");
    must_show(&outcome, "hits", "3");
    must_show(&outcome, "misses", "1");
    must_show(&outcome, "hit rate", "75.0 %");
    must_show(&outcome, "entries", "2");
    must_show(&outcome, "evictions", "0");
    must_say(&outcome, "\ndatabase                2     30 bytes          -  never\n");
    must_say(&outcome, "\n7                       2     30 bytes          -  never\n");
    must_say(&outcome, "\n9                       1     13 bytes          -  never\n");
    must_say(&outcome, "\nwrites in flight\nnone\n");
    assert_null(strstr(outcome.out, "secret")); /* a key holds what somebody asked for */
    qc_segment_close(segment);
}

static void test_stat_shows_writes_in_flight_and_past(void **state)
{
    static const uint32_t cells[] = {3, 5};
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct qc_write write;
    struct outcome outcome;
    char text[64];

    put(segment, "key", cells, 2);
    write_once(segment);
    write = must_begin(segment, cells, 2, "server 1 pid 77");
    outcome = run("stat", place->path);
    assert_int_equal(outcome.status, 0);
    must_show(&outcome, "cells", "256, 2 of them marked");
    must_show(&outcome, "slots", "8, 1 of them in use");
    (void)snprintf(text, sizeof text, "writing   pid %d", getpid());
    must_say(&outcome, text);
    must_say(&outcome, " s  cells 3 5  session server 1 pid 77\n");
    (void)snprintf(text, sizeof text, " UTC by pid %d\n", getpid());
    must_say(&outcome, text);
    (void)must_end(segment, write);
    assert_non_null(strstr(run("stat", place->path).out, "\nwrites in flight\nnone\n"));
    qc_segment_close(segment);
}

static void test_stat_shows_a_retired_segment(void **state)
{
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct outcome outcome;

    qc_segment_retire(segment);
    outcome = run("stat", place->path);
    assert_int_equal(outcome.status, 0);
    must_say(&outcome, "retired: no one may hit it any more");
    qc_segment_close(segment);
}

static void test_verify_is_silent_about_a_sound_segment(void **state)
{
    static const uint32_t cells[] = {0, 7};
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct outcome outcome;

    put(segment, "key", cells, 2);
    write_once(segment);
    outcome = run("verify", place->path);
    assert_int_equal(outcome.status, 0);
    must_say(&outcome, "  sound\n");
    qc_segment_close(segment);
}

static void test_verify_lists_damage(void **state)
{
    static const uint32_t cells[] = {0, 7};
    struct place *place = *state;
    struct qc_segment *segment = must_open(place);
    struct outcome outcome;
    uint8_t *bytes = malloc(PLACE_SIZE);
    size_t at;

    assert_non_null(bytes);
    put(segment, "a key to be found", cells, 2);
    file_read(place->path, 0, bytes, PLACE_SIZE);
    for (at = 0; at < PLACE_SIZE && memcmp(bytes + at, "a key to be found", 17) != 0; at++)
        continue;
    file_write(place->path, at, "A", 1);
    outcome = run("verify", place->path);
    assert_int_equal(outcome.status, 1);
    must_say(&outcome, "fails its checksum\n");
    must_say(&outcome, "  1 finding\n");
    free(bytes);
    qc_segment_close(segment);
}

static void must_be_unusable(const char *file)
{
    struct outcome outcome = run("stat", file);

    assert_int_equal(outcome.status, 2);
    must_say(&outcome, "qcache: ");
    must_say(&outcome, file);
    outcome = run("verify", file);
    assert_int_equal(outcome.status, 2);
    must_say(&outcome, "qcache: ");
}

static void test_what_is_no_segment_is_unusable(void **state)
{
    struct place *place = *state;
    struct stat before, after;

    must_be_unusable(place->path); /* missing, and stays so */
    assert_false(file_exists(place->path));
    qc_segment_close(must_open(place));
    assert_int_equal(truncate(place->path, 5000), 0);
    must_be_unusable(place->path);
    file_write(place->path, 0, "something else", 14);
    assert_int_equal(stat(place->path, &before), 0);
    must_be_unusable(place->path);
    assert_int_equal(stat(place->path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(after.st_ino, before.st_ino);
}

static void test_wrong_usage_is_told(void **state)
{
    struct place *place = *state;
    struct outcome outcome = run("stat", NULL);

    assert_int_equal(outcome.status, 2);
    must_say(&outcome, "usage: qcache stat FILE");
    assert_int_equal(run("destroy", place->path).status, 2);
    assert_int_equal(run("--help", NULL).status, 0);
}

static void test_output_that_can_t_be_written_is_an_error(void **state)
{
    struct place *place = *state;
    struct outcome outcome;

    qc_segment_close(must_open(place));
    run_to(&outcome, "stat", place->path, "/dev/full");
    assert_int_equal(outcome.status, 2);
    must_say(&outcome, "can't be written");
}

#define PLACED(test) cmocka_unit_test_setup_teardown(test, place_make, place_unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLACED(test_stat_shows_what_the_segment_holds),
        PLACED(test_stat_shows_writes_in_flight_and_past),
        PLACED(test_stat_shows_a_retired_segment),
        PLACED(test_verify_is_silent_about_a_sound_segment),
        PLACED(test_verify_lists_damage),
        PLACED(test_what_is_no_segment_is_unusable),
        PLACED(test_wrong_usage_is_told),
        PLACED(test_output_that_can_t_be_written_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
