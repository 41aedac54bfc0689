#include "plat/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"
#define PID_NAMESPACE_PATH "/proc/self/ns/pid"

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A UUID as text: hexadecimal digits with hyphens between. */
static bool parse_uuid(const char *text, size_t size, uint8_t id[QC_BOOT_ID_SIZE])
{
    unsigned digits = 0;

    for (size_t i = 0; i < size && digits < 2 * QC_BOOT_ID_SIZE; i++) {
        int digit = digit_of(text[i]);

        if (text[i] == '-')
            continue;
        if (digit < 0)
            return false;
        id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | digit);
        digits++;
    }
    return digits == 2 * QC_BOOT_ID_SIZE;
}

int qc_host_boot_id(uint8_t id[QC_BOOT_ID_SIZE], struct qc_error *error)
{
    char text[64];
    ssize_t size = -1;
    int fd = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);
    int os_errno = errno;

    if (fd >= 0) {
        size = read(fd, text, sizeof text);
        os_errno = errno;
        (void)close(fd);
    }
    if (size < 0)
        return qc_error_set(error, QC_ERR_UNSUPPORTED, os_errno, BOOT_ID_PATH " can't be read");
    if (!parse_uuid(text, (size_t)size, id))
        return qc_error_set(error, QC_ERR_UNSUPPORTED, 0, BOOT_ID_PATH " holds no UUID");
    return QC_OK;
}

int qc_host_pid_namespace(uint64_t *inode, struct qc_error *error)
{
    struct stat status;

    if (stat(PID_NAMESPACE_PATH, &status))
        return qc_error_set(error, QC_ERR_UNSUPPORTED, errno, PID_NAMESPACE_PATH " can't be read");
    *inode = (uint64_t)status.st_ino;
    return QC_OK;
}

int qc_host_random(void *out, size_t size, struct qc_error *error)
{
    /* Up to 256 bytes come whole, signals or not. */
    if (getrandom(out, size, 0) != (ssize_t)size)
        return qc_error_set(error, QC_ERR_SYSTEM, errno, "the kernel gives no random bytes");
    return QC_OK;
}

int32_t qc_host_pid(void)
{
    return (int32_t)getpid();
}
