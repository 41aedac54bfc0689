#include "plat/fork.h"

#include <stddef.h>

static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct qc_fork_guard *list;
static pthread_once_t installed = PTHREAD_ONCE_INIT;
static int install_status;

static void before_fork(void)
{
    (void)pthread_mutex_lock(&list_mutex);
    for (struct qc_fork_guard *guard = list; guard; guard = guard->next)
        (void)pthread_mutex_lock(&guard->mutex);
}

static void release_all(void)
{
    for (struct qc_fork_guard *guard = list; guard; guard = guard->next)
        (void)pthread_mutex_unlock(&guard->mutex);
    (void)pthread_mutex_unlock(&list_mutex);
}

static void in_child(void)
{
    for (struct qc_fork_guard *guard = list; guard; guard = guard->next)
        guard->in_child(guard->context);
    release_all();
}

static void install(void)
{
    install_status = pthread_atfork(before_fork, release_all, in_child);
}

int qc_fork_guard_init(struct qc_fork_guard *guard, void (*child)(void *context), void *context)
{
    (void)pthread_once(&installed, install);
    if (install_status || pthread_mutex_init(&guard->mutex, NULL))
        return QC_ERR_MEMORY;
    guard->in_child = child;
    guard->context = context;
    guard->previous = NULL;
    (void)pthread_mutex_lock(&list_mutex);
    guard->next = list;
    if (list)
        list->previous = guard;
    list = guard;
    (void)pthread_mutex_unlock(&list_mutex);
    return QC_OK;
}

void qc_fork_guard_destroy(struct qc_fork_guard *guard)
{
    (void)pthread_mutex_lock(&list_mutex);
    if (guard->previous)
        guard->previous->next = guard->next;
    else
        list = guard->next;
    if (guard->next)
        guard->next->previous = guard->previous;
    (void)pthread_mutex_unlock(&list_mutex);
    (void)pthread_mutex_destroy(&guard->mutex);
}

void qc_fork_guard_enter(struct qc_fork_guard *guard)
{
    (void)pthread_mutex_lock(&guard->mutex);
}

void qc_fork_guard_leave(struct qc_fork_guard *guard)
{
    (void)pthread_mutex_unlock(&guard->mutex);
}
