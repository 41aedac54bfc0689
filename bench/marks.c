/* Valgrind's client requests for counts_worker.py: what runs between start and stop is counted, and written under a
 * name. Outside valgrind they do nothing. */
#include <valgrind/callgrind.h>

void marks_start(void);
void marks_stop(const char *name);

void marks_start(void)
{
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}

void marks_stop(const char *name)
{
    CALLGRIND_DUMP_STATS_AT(name);
    CALLGRIND_STOP_INSTRUMENTATION;
}
