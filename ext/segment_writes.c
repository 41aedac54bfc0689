/* Segment: writes in flight, one's own and those of the dead. */
#include "segment.h"

/* A ticket: the slot's generation above, its number below, and whether a session text tells who can prove the write
 * over. */
#define GENERATION_SHIFT 32
#define HAS_SESSION (UINT64_C(1) << 31)
#define SLOT_MASK (HAS_SESSION - 1)

static PyObject *ticket_of(struct qc_write write, bool has_session)
{
    uint64_t ticket = (uint64_t)write.generation << GENERATION_SHIFT | write.slot | (has_session ? HAS_SESSION : 0);

    return PyLong_FromUnsignedLongLong(ticket);
}

static int write_of(PyObject *object, struct qc_write *write, bool *has_session)
{
    uint64_t ticket = 0;

    if (engine_number("ticket", object, UINT64_MAX, &ticket) < 0)
        return -1;
    write->slot = (uint32_t)(ticket & SLOT_MASK);
    write->generation = (uint32_t)(ticket >> GENERATION_SHIFT);
    *has_session = (ticket & HAS_SESSION) != 0;
    return 0;
}

static PyObject *raise_for(struct segment *self, const struct qc_error *error)
{
    return engine_error_raise(engine_state_of_type(Py_TYPE(self)), error);
}

static int pin(struct segment *self, PyObject *ticket)
{
    if (self->pinned == NULL)
        self->pinned = PySet_New(NULL);
    return self->pinned == NULL ? -1 : PySet_Add(self->pinned, ticket);
}

static int unpin(struct segment *self, PyObject *ticket)
{
    return self->pinned == NULL || PySet_Discard(self->pinned, ticket) >= 0 ? 0 : -1;
}

/* The ticket of a write that has been marked. Without one the caller could never end it: nothing has run yet, so it is
 * ended here. */
static PyObject *issue(struct segment *self, struct qc_write write, bool has_session)
{
    PyObject *ticket = ticket_of(write, has_session);

    if (ticket != NULL && pin(self, ticket) == 0)
        return ticket;
    Py_XDECREF(ticket);
    if (qc_write_end(self->handle, write, NULL, NULL) != QC_OK)
        qc_segment_retire(self->handle);
    return NULL;
}

PyObject *engine_segment_begin_write(struct segment *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"cells", "session", NULL};
    static const struct engine_signature signature = {"begin_write", names, 1, 2};
    PyObject *given[2];
    struct engine_cells cells;
    struct qc_write write;
    struct qc_error error;
    const char *session;
    size_t size;
    int status;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || engine_cells_of(given[0], &cells) < 0 ||
        (given[1] != NULL && engine_bytes("session", given[1]) < 0))
        return NULL;
    session = given[1] == NULL ? "" : PyBytes_AS_STRING(given[1]);
    size = given[1] == NULL ? 0 : (size_t)PyBytes_GET_SIZE(given[1]);
    /* W1: may wait for the mutex, whose owner may be a thread of ours that wants the GIL next. */
    Py_BEGIN_ALLOW_THREADS
    status = qc_write_begin(self->handle, cells.items, cells.count, session, size, &write, &error);
    Py_END_ALLOW_THREADS
    return status == QC_OK ? issue(self, write, size > 0) : raise_for(self, &error);
}

PyObject *engine_segment_end_write(struct segment *self, PyObject *ticket)
{
    struct qc_write write;
    struct qc_error error;
    uint64_t stamp = 0;
    bool has_session;
    int status;

    if (write_of(ticket, &write, &has_session) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = qc_write_end(self->handle, write, &stamp, &error); /* W3 */
    Py_END_ALLOW_THREADS
    if (status != QC_OK)
        return raise_for(self, &error);
    return unpin(self, ticket) < 0 ? NULL : PyLong_FromUnsignedLongLong(stamp);
}

PyObject *engine_segment_abandon_write(struct segment *self, PyObject *ticket)
{
    struct qc_write write;
    struct qc_error error;
    bool has_session;
    int status;

    if (write_of(ticket, &write, &has_session) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = qc_write_abandon(self->handle, write, &error);
    Py_END_ALLOW_THREADS
    if (status != QC_OK)
        return raise_for(self, &error);
    /* Without a session the slot lasts as long as the process does. */
    if (has_session && unpin(self, ticket) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static const char *state_word(enum qc_slot_state state)
{
    return state == QC_SLOT_UNKNOWN ? "unknown" : "writing";
}

static PyObject *describe_slot(const struct qc_slot_info *slot)
{
    return Py_BuildValue("{s:N,s:s,s:N,s:i,s:K,s:y#,s:y#}", "ticket", ticket_of(slot->write, slot->session_size > 0),
                         "state", state_word(slot->state), "owner_alive", PyBool_FromLong(slot->owner_alive), "pid",
                         (int)slot->pid, "since_us", (unsigned long long)slot->since_us, "cells", slot->cells,
                         (Py_ssize_t)(slot->cell_count * sizeof(uint32_t)), "session", slot->session,
                         (Py_ssize_t)slot->session_size);
}

static PyObject *describe_slots(const struct qc_slot_info *slots, size_t count)
{
    PyObject *list = PyList_New(0);

    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *dict = describe_slot(&slots[i]);

        if (dict == NULL || PyList_Append(list, dict) < 0)
            Py_CLEAR(list);
        Py_XDECREF(dict);
    }
    return list;
}

PyObject *engine_segment_slots(struct segment *self, PyObject *unused)
{
    size_t room = self->slots_count, found = 0;
    struct qc_slot_info *slots = PyMem_New(struct qc_slot_info, room);
    struct qc_error error;
    PyObject *list;
    int status;

    (void)unused;
    if (slots == NULL)
        return PyErr_NoMemory();
    Py_BEGIN_ALLOW_THREADS
    status = qc_slots(self->handle, slots, room, &found, &error);
    Py_END_ALLOW_THREADS
    list = status == QC_OK ? describe_slots(slots, found) : raise_for(self, &error);
    PyMem_Free(slots);
    return list;
}

PyObject *engine_segment_settle(struct segment *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"ticket", "force", NULL};
    static const struct engine_signature signature = {"settle", names, 1, 2};
    PyObject *given[2];
    struct qc_write write;
    struct qc_error error;
    bool has_session;
    int force, status;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || write_of(given[0], &write, &has_session) < 0)
        return NULL;
    force = given[1] == NULL ? 0 : PyObject_IsTrue(given[1]);
    if (force < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = qc_slot_settle(self->handle, write, force, &error);
    Py_END_ALLOW_THREADS
    if (status == QC_ERR_ARGUMENT)
        Py_RETURN_FALSE;
    if (status != QC_OK)
        return raise_for(self, &error);
    if (unpin(self, given[0]) < 0)
        return NULL;
    Py_RETURN_TRUE;
}

static PyObject *describe_write(const struct qc_cell_info *info)
{
    const uint64_t stamp_mask = (UINT64_C(1) << 48) - 1;

    return Py_BuildValue("{s:K,s:K,s:K,s:L,s:i}", "stamp", (unsigned long long)(info->word & stamp_mask), "writers",
                         (unsigned long long)(info->word >> 48), "writes", (unsigned long long)info->writes,
                         "realtime_ms", (long long)info->realtime_ms, "pid", (int)info->pid);
}

PyObject *engine_segment_last_write(struct segment *self, PyObject *table)
{
    uint32_t cell = QC_CELL_DATABASE;
    struct qc_cell_info info;

    if (table != Py_None) {
        Py_ssize_t size;
        const char *name = PyUnicode_AsUTF8AndSize(table, &size);

        if (name == NULL)
            return NULL;
        cell = qc_cell_of(self->handle, name, (size_t)size);
    }
    if (!qc_cell_last(self->handle, cell, &info))
        Py_RETURN_NONE;
    return describe_write(&info);
}
