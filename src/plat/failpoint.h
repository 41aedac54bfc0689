/* Places where a test can kill or stop a process: QC_FAILPOINT("name") is nothing unless built with -Dfailpoints=true.
 *
 * Then the environment variable QC_FAILPOINT, read at the first one passed, says what happens: "name=kill" (SIGKILL to
 * oneself), "name=stop" (SIGSTOP), "name=N:kill" for the Nth pass (1 is the first); several separated by commas.
 * The names: before-mark, after-list, mid-mark, after-mark, between-clock-and-stamp, mid-settle, in-mutex, mid-rebuild,
 * in-create, in-shard, in-fill.
 */
#ifndef QC_PLAT_FAILPOINT_H
#define QC_PLAT_FAILPOINT_H

#ifdef QC_FAILPOINTS
#define QC_FAILPOINT(name) qc_failpoint_pass(name)

/* Thread-safe. */
void qc_failpoint_pass(const char *name);

/* Reads the variable anew, for a child of a process that has passed a failpoint. Not to be raced. */
void qc_failpoint_reload(void);
#else
#define QC_FAILPOINT(name) ((void)0)
#endif

#endif
