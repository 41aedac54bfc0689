#include "plat/mutex.h"

#include <assert.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomics.h"
#include "plat/time.h"

/* Not a pthread mutex: the C library's robust ones are linked into a list by pointers that lie in the mutex itself, and a
 * byte changed at the wrong moment sends it through a wild one (shown: a crash in pthread_mutex_unlock). Here shared
 * memory holds one word that nobody follows. The kernel learns of a held one by the member of the thread's robust list
 * that is made for a lock being taken (list_op_pending): it stays set as long as the lock is held, and a thread holds one
 * at a time. */
#define MAGIC UINT64_C(0x78756d2d65686371)  /* "qche-mux" */
#define GIVEN_UP ((uint32_t)FUTEX_TID_MASK) /* no thread has this id */

#define WAIT_FIRST_US 20u
#define WAIT_LAST_US 1000u

struct lock {
    uint64_t magic;
    uint32_t word; /* thread id of the owner; FUTEX_OWNER_DIED, set by the kernel; 0: free */
    uint32_t unused;
};

static_assert(sizeof(struct lock) <= sizeof(struct qc_mutex), "the lock does not fit");

/* What a thread knows of itself, and the one mutex it holds. */
static _Thread_local struct {
    uint32_t id;
    struct robust_list_head *robust; /* the C library's, registered with the kernel */
    struct qc_mutex *held;
    bool inconsistent; /* its owner died, and nothing was said of a repair yet */
} self;

static pthread_once_t installed = PTHREAD_ONCE_INIT;
static int install_status;

static struct lock *lock_of(struct qc_mutex *mutex)
{
    return (struct lock *)(void *)mutex->bytes;
}

/* The child's thread has another id. */
static void forget_thread(void)
{
    self.id = 0;
}

static void install(void)
{
    install_status = pthread_atfork(NULL, NULL, forget_thread);
}

/* Some C libraries register a thread's robust list when it first takes a robust mutex. */
static bool use_robust_mutex_once(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t mutex;
    bool done;

    if (pthread_mutexattr_init(&attributes))
        return false;
    done = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0 &&
           pthread_mutex_init(&mutex, &attributes) == 0;
    (void)pthread_mutexattr_destroy(&attributes);
    if (!done)
        return false;
    done = pthread_mutex_lock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0;
    (void)pthread_mutex_destroy(&mutex);
    return done;
}

static bool know_thread(void)
{
    size_t size;

    if (self.id != 0)
        return true;
    (void)pthread_once(&installed, install);
    if (install_status || !use_robust_mutex_once() || syscall(SYS_get_robust_list, 0, &self.robust, &size) ||
        self.robust == NULL || size != sizeof *self.robust)
        return false;
    self.id = (uint32_t)syscall(SYS_gettid);
    return true;
}

/* From here on, should this thread die: if the word bears its id, the kernel says so in it. Anything else it leaves alone.
 * The fences are for the compiler: the kernel looks in this thread's own order. */
static void announce(struct lock *lock)
{
    struct robust_list *entry = NULL;

    if (lock != NULL)
        entry = (struct robust_list *)(void *)((char *)&lock->word - self.robust->futex_offset);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *(struct robust_list *volatile *)&self.robust->list_op_pending = entry;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static bool swap(uint32_t *word, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

int qc_mutex_init(struct qc_mutex *mutex)
{
    struct lock *lock = lock_of(mutex);

    if (!know_thread())
        return QC_ERR_SYSTEM;
    qc_store_relaxed(&lock->unused, 0);
    qc_store_relaxed(&lock->magic, MAGIC);
    qc_store_release(&lock->word, 0);
    return QC_OK;
}

static int take(struct qc_mutex *mutex, uint32_t seen)
{
    struct lock *lock = lock_of(mutex);

    announce(lock);
    if (!swap(&lock->word, seen, self.id)) {
        announce(NULL);
        return QC_ERR_BUSY;
    }
    self.held = mutex;
    self.inconsistent = seen != 0;
    return self.inconsistent ? QC_MUTEX_DIED : QC_OK;
}

int qc_mutex_try(struct qc_mutex *mutex)
{
    struct lock *lock = lock_of(mutex);
    uint32_t seen = qc_load_relaxed(&lock->word);

    if (qc_load_relaxed(&lock->magic) != MAGIC || seen == GIVEN_UP || !know_thread())
        return QC_ERR_CORRUPT;
    if (self.held != NULL || (seen != 0 && seen != FUTEX_OWNER_DIED))
        return QC_ERR_BUSY;
    return take(mutex, seen);
}

/* Tries again and again instead of sleeping: a damaged word never gives a wake-up call. What the mutexes guard takes
 * microseconds. */
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
    if (self.held != mutex || !self.inconsistent)
        return QC_ERR_CORRUPT;
    self.inconsistent = false;
    return QC_OK;
}

void qc_mutex_unlock(struct qc_mutex *mutex)
{
    if (self.held != mutex)
        return;
    /* A word that is no longer this thread's was damaged; who else may be in by now can't be known, so it stays shut. */
    (void)swap(&lock_of(mutex)->word, self.id, self.inconsistent ? GIVEN_UP : 0);
    announce(NULL);
    self.held = NULL;
}
