#include "plat/failpoint.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef QC_FAILPOINTS

#define POINTS_MAX 8
#define NAME_MAX_SIZE 32

struct point {
    char name[NAME_MAX_SIZE];
    uint64_t at, passed;
    int signal;
};

/* Test builds only, hence the globals. */
static struct point points[POINTS_MAX];
static size_t point_count;
static pthread_once_t parsed = PTHREAD_ONCE_INIT;

/* "name=kill", "name=3:stop". What is none of these is left out. */
static void parse_one(const char *text, size_t size)
{
    const char *equals = memchr(text, '=', size);
    struct point point = {.at = 1};
    char action[16] = {0};
    const char *word = action;
    char *colon;

    if (!equals || point_count == POINTS_MAX || (size_t)(equals - text) >= sizeof point.name ||
        size - (size_t)(equals - text) > sizeof action)
        return;
    memcpy(point.name, text, (size_t)(equals - text));
    memcpy(action, equals + 1, size - (size_t)(equals - text) - 1);
    colon = strchr(action, ':');
    if (colon) {
        point.at = strtoull(action, NULL, 10);
        word = colon + 1;
    }
    if (strcmp(word, "kill") == 0)
        point.signal = SIGKILL;
    else if (strcmp(word, "stop") == 0)
        point.signal = SIGSTOP;
    else
        return;
    points[point_count++] = point;
}

static void parse(void)
{
    const char *text = getenv("QC_FAILPOINT");

    point_count = 0;
    while (text && *text) {
        size_t size = strcspn(text, ",");

        parse_one(text, size);
        text += size + (text[size] == ',');
    }
}

void qc_failpoint_reload(void)
{
    (void)pthread_once(&parsed, parse);
    parse();
}

void qc_failpoint_pass(const char *name)
{
    (void)pthread_once(&parsed, parse);
    for (size_t i = 0; i < point_count; i++)
        if (strcmp(points[i].name, name) == 0 &&
            __atomic_add_fetch(&points[i].passed, 1, __ATOMIC_RELAXED) == points[i].at)
            (void)raise(points[i].signal);
}

#endif
