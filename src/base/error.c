#include "qcache/error.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

int qc_error_set(struct qc_error *error, int status, int os_errno, const char *format, ...)
{
    va_list arguments;

    if (!error)
        return status;
    error->status = status;
    error->os_errno = os_errno;
    error->message[0] = '\0';
    va_start(arguments, format);
    /* A long path cuts the message short, which is all that can be done with it. */
    (void)vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

const char *qc_status_name(int status)
{
    static const char *const names[] = {
        "ok",        "miss",    "argument", "system", "memory",  "corrupt",   "foreign",
        "namespace", "version", "busy",     "full",   "retired", "too-large", "unsupported",
    };
    size_t count = sizeof names / sizeof names[0];

    if (status > 0 || status <= -(int)count)
        return "unknown";
    return names[-status];
}
