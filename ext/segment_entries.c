/* Segment: lookup and store of rows. None of it waits, so the GIL stays where it is, except in clear. */
#include "segment.h"

#include "plat/time.h"

/* A lookup's room is kept between calls up to this size. */
#define SPARE_MAX (256u * 1024u)
#define CLEAR_WAIT_MS 1000u

/* Called under a shard's lock. A limit is one transaction's own: it must not cost others the entry, so it is no matter
 * here, where a refusal drops it. */
static bool still_valid(void *context, const uint32_t *cells, size_t count, uint64_t stamp)
{
    return qc_cells_valid(context, cells, count, stamp, QC_NO_LIMIT);
}

static struct qc_validity validity_of(const struct segment *self)
{
    return (struct qc_validity){.valid = still_valid, .context = self->handle};
}

static uint64_t now_ms(void)
{
    return qc_time_boot_us() / 1000;
}

/* Taken out, so that a lookup from a finalizer in the midst of this one gets its own. */
static struct qc_entry take_spare(struct segment *self)
{
    struct qc_entry spare = self->spare;

    self->spare = (struct qc_entry){0};
    return spare;
}

static void give_spare(struct segment *self, struct qc_entry *entry)
{
    if (self->spare.memory == NULL && entry->memory_size <= SPARE_MAX)
        self->spare = *entry;
    else
        qc_entry_release(entry);
}

/* The hit's check: every cell <= the stamp and the limit (PROTOCOL section 4). The cells and rows are a copy by now. */
static bool may_serve(const struct segment *self, const struct qc_entry *entry, uint64_t limit)
{
    return limit == QC_NO_LIMIT || qc_cells_valid(self->handle, entry->cells, entry->cell_count, entry->stamp, limit);
}

static int look_up(struct segment *self, PyObject *key, uint64_t limit, struct qc_entry *entry)
{
    struct qc_validity validity = validity_of(self);
    int status;

    if (self->store == NULL || !qc_segment_usable(self->handle))
        return QC_MISS;
    status =
        qc_store_get(self->store, PyBytes_AS_STRING(key), (size_t)PyBytes_GET_SIZE(key), now_ms(), &validity, entry);
    return status == QC_OK && !may_serve(self, entry, limit) ? QC_MISS : status;
}

/* NULL without an exception: rows that can't be read, which is a miss. */
static PyObject *answer_of(struct engine_state *state, const struct qc_entry *entry)
{
    PyObject *rows = engine_rows_read(state, entry->value, entry->value_size);

    if (rows == NULL && PyErr_ExceptionMatches(PyExc_ValueError))
        PyErr_Clear();
    if (rows == NULL)
        return NULL;
    return engine_entry_answer(rows, entry->cells, entry->cell_count, entry->stamp, entry->value_size);
}

PyObject *engine_segment_get(struct segment *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"key", "limit", NULL};
    static const struct engine_signature signature = {"get", names, 1, 2};
    PyObject *given[2], *answer = NULL;
    struct qc_entry entry;
    uint64_t limit;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || engine_bytes("key", given[0]) < 0 ||
        engine_limit(given[1], &limit) < 0)
        return NULL;
    entry = take_spare(self);
    if (look_up(self, given[0], limit, &entry) == QC_OK)
        answer = answer_of(engine_state_of_type(Py_TYPE(self)), &entry);
    give_spare(self, &entry);
    if (answer == NULL && PyErr_Occurred() != NULL)
        return NULL;
    qc_segment_count(self->handle, answer != NULL ? QC_COUNTER_HIT : QC_COUNTER_MISS);
    if (answer != NULL)
        return answer;
    Py_RETURN_NONE;
}

struct fill {
    PyObject *key, *encoded;
    struct engine_cells cells;
    uint64_t time, timeout_ms;
};

static bool store_fill(struct segment *self, const struct fill *fill)
{
    struct qc_validity validity = validity_of(self);
    uint64_t expires = fill->timeout_ms == 0 ? 0 : now_ms() + fill->timeout_ms;

    /* F2: what is overtaken already would only take room. */
    if (self->store == NULL || !engine_segment_serves(self, &fill->cells, fill->time, QC_NO_LIMIT))
        return false;
    if (expires < fill->timeout_ms)
        expires = 0; /* past the end of time: never */
    if (qc_store_put(self->store, PyBytes_AS_STRING(fill->key), (size_t)PyBytes_GET_SIZE(fill->key), fill->time,
                     expires, fill->cells.items, fill->cells.count, PyBytes_AS_STRING(fill->encoded),
                     (size_t)PyBytes_GET_SIZE(fill->encoded), &validity) != QC_OK)
        return false;
    qc_segment_count(self->handle, QC_COUNTER_FILL);
    return true;
}

PyObject *engine_segment_put(struct segment *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"key", "cells", "time", "encoded", "timeout_ms", NULL};
    static const struct engine_signature signature = {"put", names, 4, 5};
    PyObject *given[5];
    struct fill fill = {0};

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || engine_bytes("key", given[0]) < 0 ||
        engine_cells_of(given[1], &fill.cells) < 0 || engine_number("time", given[2], UINT64_MAX, &fill.time) < 0 ||
        engine_bytes("encoded", given[3]) < 0 ||
        engine_number("timeout_ms", given[4], UINT64_MAX, &fill.timeout_ms) < 0)
        return NULL;
    fill.key = given[0];
    fill.encoded = given[3];
    return PyBool_FromLong(store_fill(self, &fill));
}

PyObject *engine_segment_count_hit(struct segment *self, PyObject *unused)
{
    (void)unused;
    qc_segment_count(self->handle, QC_COUNTER_HIT);
    Py_RETURN_NONE;
}

PyObject *engine_segment_clear(struct segment *self, PyObject *unused)
{
    int status = QC_OK;

    (void)unused;
    if (self->store != NULL) {
        Py_BEGIN_ALLOW_THREADS
        status = qc_store_clear(self->store, CLEAR_WAIT_MS);
        Py_END_ALLOW_THREADS
    }
    return PyBool_FromLong(self->store != NULL && status == QC_OK);
}
