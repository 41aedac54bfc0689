#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/failpoint.h"

#define HANG_MS 30000
#define CHECK_STATUS 70

void check_that(bool so, const char *what, const char *file, int line)
{
    if (so)
        return;
    (void)fprintf(stderr, "%s:%d: not so in process %d: %s\n", file, line, (int)getpid(), what);
    (void)fflush(stderr);
    _exit(CHECK_STATUS);
}

void folder_make(struct folder *folder)
{
    (void)snprintf(folder->path, sizeof folder->path, "/dev/shm/qcache-test-XXXXXX");
    if (!mkdtemp(folder->path)) {
        (void)snprintf(folder->path, sizeof folder->path, "/tmp/qcache-test-XXXXXX");
        CHECK(mkdtemp(folder->path) != NULL);
    }
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

void folder_remove(struct folder *folder)
{
    CHECK(nftw(folder->path, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

void folder_file(const struct folder *folder, const char *name, char *out, size_t size)
{
    CHECK((size_t)snprintf(out, size, "%s/%s", folder->path, name) < size);
}

void child_start(struct child *child, void (*run)(struct child *self, void *context), void *context)
{
    int down[2], up[2];

    CHECK(pipe2(down, O_CLOEXEC) == 0 && pipe2(up, O_CLOEXEC) == 0);
    child->pid = fork();
    CHECK(child->pid >= 0);
    if (child->pid == 0) {
        struct child self = {.pid = getpid(), .in = down[0], .out = up[1]};

        (void)close(down[1]);
        (void)close(up[0]);
        run(&self, context);
        _exit(0);
    }
    (void)close(down[0]);
    (void)close(up[1]);
    child->in = up[0];
    child->out = down[1];
}

void child_tell(const struct child *child, char word)
{
    /* To a dead child it is lost, as it should be. */
    (void)signal(SIGPIPE, SIG_IGN);
    CHECK(write(child->out, &word, 1) == 1 || errno == EPIPE);
}

bool child_hear(const struct child *child, char *word)
{
    struct pollfd source = {.fd = child->in, .events = POLLIN};

    CHECK(poll(&source, 1, HANG_MS) == 1);
    return read(child->in, word, 1) == 1;
}

void child_await(const struct child *child, char word)
{
    char heard;

    CHECK(child_hear(child, &heard));
    CHECK(heard == word);
}

int child_end(struct child *child)
{
    int status;

    CHECK(waitpid(child->pid, &status, 0) == child->pid);
    (void)close(child->in);
    (void)close(child->out);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void child_kill(struct child *child)
{
    CHECK(kill(child->pid, SIGKILL) == 0);
    CHECK(child_end(child) == 128 + SIGKILL);
}

void child_wait_stopped(const struct child *child)
{
    int status;

    CHECK(waitpid(child->pid, &status, WUNTRACED) == child->pid);
    CHECK(WIFSTOPPED(status));
}

void set_failpoint(const char *what)
{
    CHECK((what ? setenv("QC_FAILPOINT", what, 1) : unsetenv("QC_FAILPOINT")) == 0);
#ifdef QC_FAILPOINTS
    qc_failpoint_reload();
#endif
}

void file_read(const char *path, uint64_t offset, void *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    CHECK(fd >= 0);
    CHECK(pread(fd, out, size, (off_t)offset) == (ssize_t)size);
    (void)close(fd);
}

void file_write(const char *path, uint64_t offset, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    CHECK(fd >= 0);
    CHECK(pwrite(fd, data, size, (off_t)offset) == (ssize_t)size);
    (void)close(fd);
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
