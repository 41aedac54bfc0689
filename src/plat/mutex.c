#include "plat/mutex.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "plat/time.h"

static_assert(sizeof(pthread_mutex_t) <= sizeof(struct qc_mutex), "pthread_mutex_t does not fit");
static_assert(alignof(pthread_mutex_t) <= alignof(struct qc_mutex), "pthread_mutex_t needs more alignment");

#define WAIT_FIRST_US 20u
#define WAIT_LAST_US 1000u

/* The bytes as this thread left them when it locked: the C library's list of robust mutexes runs through them, so that
 * to unlock a mutex whose bytes were damaged meanwhile would write through wild pointers. The one thing of a thread's
 * own here; a thread holds one mutex at a time. */
static _Thread_local struct {
    struct qc_mutex *mutex;
    unsigned char bytes[sizeof(pthread_mutex_t)];
} held;

static pthread_mutex_t *native(struct qc_mutex *mutex)
{
    return (pthread_mutex_t *)(void *)mutex->bytes;
}

/* The member that tells the C library which kind of mutex it is, hence which code to run. */
static const int *kind_of(const pthread_mutex_t *mutex)
{
#ifdef __GLIBC__
    return &mutex->__data.__kind;
#else
    return &mutex->__u.__i[0]; /* musl: _m_type */
#endif
}

static int init_native(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    int status = pthread_mutexattr_init(&attributes);

    if (status)
        return status;
    status = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (!status)
        status = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    if (!status)
        status = pthread_mutex_init(mutex, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
    return status;
}

/* Whether the bytes are a mutex as qc_mutex_init makes them. Any other kind would run other code of the C library's,
 * some of which asserts. */
static bool is_ours(const struct qc_mutex *mutex)
{
    pthread_mutex_t fresh;
    int kind;

    memcpy(&kind, mutex->bytes + ((const char *)kind_of(&fresh) - (const char *)&fresh), sizeof kind);
    return init_native(&fresh) == 0 && *kind_of(&fresh) == kind;
}

static void note_held(struct qc_mutex *mutex)
{
    held.mutex = mutex;
    memcpy(held.bytes, mutex->bytes, sizeof held.bytes);
}

int qc_mutex_init(struct qc_mutex *mutex)
{
    memset(mutex->bytes, 0, sizeof mutex->bytes);
    return init_native(native(mutex)) == 0 ? QC_OK : QC_ERR_SYSTEM;
}

int qc_mutex_try(struct qc_mutex *mutex)
{
    if (!is_ours(mutex))
        return QC_ERR_CORRUPT;
    switch (pthread_mutex_trylock(native(mutex))) {
    case 0:
        note_held(mutex);
        return QC_OK;
    case EOWNERDEAD:
        note_held(mutex);
        return QC_MUTEX_DIED;
    case EBUSY:
        return QC_ERR_BUSY;
    default:
        /* Given up. glibc leaves a mutex locked that it has called so: unlike any of ours it stays so for everyone. */
        memset(mutex->bytes, 0, sizeof mutex->bytes);
        return QC_ERR_CORRUPT;
    }
}

/* Tries again and again instead of sleeping in the C library: that would wait on the wall clock (musl has no other),
 * and for a wake-up call that a damaged lock word never gives. What the mutexes guard takes microseconds. */
int qc_mutex_lock(struct qc_mutex *mutex, unsigned wait_ms)
{
    int status = qc_mutex_try(mutex);
    uint64_t deadline;
    unsigned pause = WAIT_FIRST_US;

    if (status != QC_ERR_BUSY)
        return status;
    deadline = qc_time_monotonic_us() + (uint64_t)wait_ms * 1000;
    do {
        qc_time_wait_us(pause);
        pause = pause * 2 < WAIT_LAST_US ? pause * 2 : WAIT_LAST_US;
        status = qc_mutex_try(mutex);
    } while (status == QC_ERR_BUSY && qc_time_monotonic_us() < deadline);
    return status;
}

int qc_mutex_consistent(struct qc_mutex *mutex)
{
    if (pthread_mutex_consistent(native(mutex)))
        return QC_ERR_CORRUPT;
    note_held(mutex);
    return QC_OK;
}

void qc_mutex_unlock(struct qc_mutex *mutex)
{
    if (held.mutex == mutex) {
        /* Nobody else writes to a held mutex: there are no sleepers to be noted in it. */
        if (memcmp(mutex->bytes, held.bytes, sizeof held.bytes) != 0)
            memcpy(mutex->bytes, held.bytes, sizeof held.bytes);
        held.mutex = NULL;
    }
    (void)pthread_mutex_unlock(native(mutex));
}
