/* LocalCache, L1: values of this process, each checked against its segment's cells at every get. */
#include "local_table.h"

#include "plat/time.h"

struct local_cache {
    PyObject_HEAD struct local_table table;
    uint64_t max_bytes;
};

/* One value may not push out most others. */
#define SHARE_MAX 4

static int traverse(struct local_cache *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    for (struct local_entry *entry = self->table.oldest; entry != NULL; entry = entry->newer) {
        Py_VISIT(entry->value);
        Py_VISIT((PyObject *)entry->segment);
    }
    return 0;
}

static int clear_all(struct local_cache *self)
{
    struct local_entry *dropped = NULL;

    local_table_sweep(&self->table, NULL, &dropped);
    local_entry_release(dropped);
    return 0;
}

static void dealloc(struct local_cache *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    clear_all(self);
    local_table_release(&self->table);
    type->tp_free(self);
    Py_DECREF(type);
}

static void resize(struct local_cache *self, uint64_t max_bytes)
{
    struct local_entry *dropped = NULL;

    self->max_bytes = max_bytes;
    local_table_shrink(&self->table, (size_t)max_bytes, &dropped);
    local_entry_release(dropped);
}

static int initialize(struct local_cache *self, PyObject *args, PyObject *keywords)
{
    static const char *const names[] = {"max_bytes", NULL};
    static const struct engine_signature signature = {"LocalCache", names, 1, 1};
    PyObject *given[1];
    uint64_t max_bytes = 0;

    if (engine_arguments_init(&signature, args, keywords, given) < 0 ||
        engine_number("max_bytes", given[0], PY_SSIZE_T_MAX, &max_bytes) < 0)
        return -1;
    resize(self, max_bytes);
    return 0;
}

/* A subclass of bytes may hash as it likes, and run code of its own while it does. */
static int hash_key(PyObject *key, Py_hash_t *hash)
{
    if (!PyBytes_CheckExact(key)) {
        PyErr_Format(PyExc_TypeError, "key must be bytes, not %.100s", Py_TYPE(key)->tp_name);
        return -1;
    }
    *hash = PyObject_Hash(key);
    return *hash == -1 ? -1 : 0;
}

static uint64_t now_ms(void)
{
    return qc_time_boot_us() / 1000;
}

enum verdict { SERVE, KEEP, DROP };

/* The hit's check: every cell <= min(time, limit) (PROTOCOL section 4). A limit is the caller's own affair: what only it
 * refuses stays for others. */
static enum verdict judge(const struct local_entry *entry, uint64_t limit)
{
    const struct engine_cells cells = {entry->cells, entry->cell_count};

    if (entry->expires_ms != 0 && now_ms() >= entry->expires_ms)
        return DROP;
    if (engine_segment_serves(entry->segment, &cells, entry->time, limit))
        return SERVE;
    if (limit < entry->time && engine_segment_serves(entry->segment, &cells, entry->time, QC_NO_LIMIT))
        return KEEP;
    return DROP;
}

/* The entry to serve or NULL; what has to go is chained to `*dropped`. */
static struct local_entry *look_up(struct local_table *table, struct local_entry *entry, const struct segment *segment,
                                   uint64_t limit, struct local_entry **dropped)
{
    enum verdict verdict;

    if (!qc_segment_usable(entry->segment->handle)) {
        local_table_sweep(table, entry->segment, dropped); /* or they would keep its mapping */
        return NULL;
    }
    if (entry->segment != segment)
        return NULL;
    verdict = judge(entry, limit);
    if (verdict == DROP)
        local_table_remove(table, entry, dropped);
    return verdict == SERVE ? entry : NULL;
}

/* A new reference, or NULL without an exception. */
static PyObject *value_of(struct local_cache *self, PyObject *key, Py_hash_t hash, const struct segment *segment,
                          uint64_t limit)
{
    struct local_entry *entry = local_table_find(&self->table, key, hash), *dropped = NULL;
    PyObject *value = NULL;

    if (entry != NULL)
        entry = look_up(&self->table, entry, segment, limit, &dropped);
    if (entry != NULL) {
        entry->hit = true;
        value = Py_NewRef(entry->value);
    }
    local_entry_release(dropped);
    return value;
}

int engine_local_cache_find(const struct engine_state *state, PyObject *cache, PyObject *key, struct segment *segment,
                            PyObject **value)
{
    Py_hash_t hash;

    *value = NULL;
    if (!Py_IS_TYPE(cache, state->local_cache_type)) {
        PyErr_Format(PyExc_TypeError, "cache must be a LocalCache, not %.100s", Py_TYPE(cache)->tp_name);
        return -1;
    }
    if (hash_key(key, &hash) < 0)
        return -1;
    *value = value_of((struct local_cache *)cache, key, hash, segment, QC_NO_LIMIT);
    return 0;
}

bool engine_local_cache_grow(const struct engine_state *state, PyObject *cache, PyObject *key, PyObject *value,
                             size_t more)
{
    struct local_cache *self = (struct local_cache *)cache;
    struct local_entry *entry = NULL, *dropped = NULL;
    Py_hash_t hash;

    if (Py_IS_TYPE(cache, state->local_cache_type) && PyBytes_CheckExact(key)) {
        hash = PyObject_Hash(key);
        entry = local_table_find(&self->table, key, hash);
    }
    if (entry == NULL || entry->value != value)
        return true;
    if (entry->bytes + more > self->max_bytes / SHARE_MAX)
        return false;
    entry->bytes += more;
    self->table.bytes += more;
    local_table_shrink(&self->table, (size_t)self->max_bytes, &dropped);
    local_entry_release(dropped);
    return true;
}

static PyObject *get(struct local_cache *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"key", "segment", "limit", NULL};
    static const struct engine_signature signature = {"get", names, 2, 3};
    PyObject *given[3], *value;
    struct segment *segment;
    Py_hash_t hash;
    uint64_t limit;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || hash_key(given[0], &hash) < 0 ||
        engine_limit(given[2], &limit) < 0)
        return NULL;
    segment = engine_segment_of(engine_state_of_type(Py_TYPE(self)), given[1]);
    if (segment == NULL)
        return NULL;
    value = value_of(self, given[0], hash, segment, limit);
    return value != NULL ? value : Py_NewRef(Py_None);
}

struct offer {
    PyObject *key, *value;
    struct segment *segment;
    struct engine_cells cells;
    Py_hash_t hash;
    uint64_t time, size, timeout_ms;
};

static struct local_entry *entry_of(const struct offer *offer, size_t bytes)
{
    struct local_entry *entry = local_entry_new(offer->key, offer->segment, &offer->cells, offer->value);

    if (entry == NULL)
        return NULL;
    entry->hash = offer->hash;
    entry->time = offer->time;
    entry->bytes = bytes;
    if (offer->timeout_ms > 0)
        entry->expires_ms = now_ms() + offer->timeout_ms;
    return entry;
}

/* Room is made before the entry is in: it must not be the one that goes when all others were hit. */
static int keep(struct local_cache *self, const struct offer *offer, struct local_entry **dropped)
{
    size_t bytes = local_entry_bytes(offer->key, offer->cells.count, (size_t)offer->size);
    struct local_entry *known = local_table_find(&self->table, offer->key, offer->hash), *entry;

    if (known != NULL)
        local_table_remove(&self->table, known, dropped);
    if (bytes > self->max_bytes / SHARE_MAX)
        return 0;
    entry = entry_of(offer, bytes);
    if (entry == NULL)
        return -1;
    local_table_shrink(&self->table, (size_t)self->max_bytes - bytes, dropped);
    if (local_table_insert(&self->table, entry) == 0)
        return 0;
    entry->in_bucket = *dropped;
    *dropped = entry;
    return -1;
}

static int take_offer(struct local_cache *self, PyObject *const *given, struct offer *offer)
{
    offer->key = given[0];
    offer->value = given[4];
    offer->segment = engine_segment_of(engine_state_of_type(Py_TYPE(self)), given[1]);
    if (offer->segment == NULL || hash_key(given[0], &offer->hash) < 0 ||
        engine_cells_of(given[2], &offer->cells) < 0 || engine_number("time", given[3], UINT64_MAX, &offer->time) < 0 ||
        engine_number("size", given[5], PY_SSIZE_T_MAX, &offer->size) < 0 ||
        engine_number("timeout_ms", given[6], INT64_MAX, &offer->timeout_ms) < 0)
        return -1;
    return 0;
}

static PyObject *put(struct local_cache *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"key", "segment", "cells", "time", "value", "size", "timeout_ms", NULL};
    static const struct engine_signature signature = {"put", names, 6, 7};
    PyObject *given[ENGINE_ARGUMENTS_MAX];
    struct local_entry *dropped = NULL;
    struct offer offer = {0};
    int result;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || take_offer(self, given, &offer) < 0)
        return NULL;
    result = keep(self, &offer, &dropped);
    local_entry_release(dropped);
    if (result < 0)
        return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* The entry goes when it has become too large to stay. */
static void count_again(struct local_cache *self, struct local_entry *entry, uint64_t size,
                        struct local_entry **dropped)
{
    size_t bytes = local_entry_bytes(entry->key, entry->cell_count, (size_t)size);

    if (bytes > self->max_bytes / SHARE_MAX) {
        local_table_remove(&self->table, entry, dropped);
        return;
    }
    self->table.bytes = self->table.bytes - entry->bytes + bytes;
    entry->bytes = bytes;
    local_table_shrink(&self->table, (size_t)self->max_bytes, dropped);
}

static PyObject *recount(struct local_cache *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"key", "value", "size", NULL};
    static const struct engine_signature signature = {"recount", names, 3, 3};
    struct local_entry *entry, *dropped = NULL;
    PyObject *given[3];
    uint64_t size = 0;
    Py_hash_t hash;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || hash_key(given[0], &hash) < 0 ||
        engine_number("size", given[2], PY_SSIZE_T_MAX, &size) < 0)
        return NULL;
    entry = local_table_find(&self->table, given[0], hash);
    if (entry != NULL && entry->value == given[1])
        count_again(self, entry, size, &dropped);
    local_entry_release(dropped);
    Py_RETURN_NONE;
}

static PyObject *clear(struct local_cache *self, PyObject *unused)
{
    (void)unused;
    clear_all(self);
    Py_RETURN_NONE;
}

static Py_ssize_t length(struct local_cache *self)
{
    return (Py_ssize_t)self->table.count;
}

static PyObject *get_bytes(struct local_cache *self, void *closure)
{
    (void)closure;
    return PyLong_FromSize_t(self->table.bytes);
}

static PyObject *get_max_bytes(struct local_cache *self, void *closure)
{
    (void)closure;
    return PyLong_FromUnsignedLongLong(self->max_bytes);
}

static int set_max_bytes(struct local_cache *self, PyObject *value, void *closure)
{
    uint64_t max_bytes = 0;

    (void)closure;
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "max_bytes can't be deleted");
        return -1;
    }
    if (engine_number("max_bytes", value, PY_SSIZE_T_MAX, &max_bytes) < 0)
        return -1;
    resize(self, max_bytes);
    return 0;
}

#define FAST (METH_FASTCALL | METH_KEYWORDS)

static PyMethodDef methods[] = {
    {"get", ENGINE_METHOD(get), FAST, "The value while it is what the database holds, or None."},
    {"put", ENGINE_METHOD(put), FAST, "Keeps a value of `size` bytes, in place of what the key had."},
    {"recount", ENGINE_METHOD(recount), FAST, "Counts another size for a value that is here."},
    {"clear", ENGINE_METHOD(clear), METH_NOARGS, "Drops everything."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"bytes", (getter)get_bytes, NULL, "What the values, keys and their places take.", NULL},
    {"max_bytes", (getter)get_max_bytes, (setter)set_max_bytes, "What they may take. 0 keeps nothing.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Values of this process, bounded in bytes, checked against their segment's cells at every get."},
    {Py_tp_new, ENGINE_SLOT(PyType_GenericNew)},
    {Py_tp_init, ENGINE_SLOT(initialize)},
    {Py_tp_dealloc, ENGINE_SLOT(dealloc)},
    {Py_tp_traverse, ENGINE_SLOT(traverse)},
    {Py_tp_clear, ENGINE_SLOT(clear_all)},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {Py_mp_length, ENGINE_SLOT(length)},
    {0, NULL},
};

PyType_Spec engine_local_cache_spec = {
    .name = "django_cache_manager._engine.LocalCache",
    .basicsize = sizeof(struct local_cache),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};
