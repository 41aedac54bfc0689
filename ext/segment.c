/* Segment: the shared file of one database, its life and its cells. */
#include "segment.h"

#include <stdlib.h>
#include <string.h>

struct segment *engine_segment_of(const struct engine_state *state, PyObject *object)
{
    if (Py_TYPE(object) == state->segment_type)
        return (struct segment *)object;
    PyErr_Format(PyExc_TypeError, "segment must be a Segment, not %.100s", Py_TYPE(object)->tp_name);
    return NULL;
}

int engine_limit(PyObject *object, uint64_t *limit)
{
    *limit = QC_NO_LIMIT;
    return engine_number("limit", object, UINT64_MAX, limit);
}

/* Facts that don't change while the segment is open. */
static int learn(struct segment *self, const char *path)
{
    struct qc_segment_info info;

    qc_segment_info(self->handle, &info);
    self->store = qc_segment_store(self->handle);
    self->storable = self->store != NULL;
    self->created = info.created_here;
    self->is_private = info.is_private;
    self->cells_count = info.cells;
    self->slots_count = info.slots;
    self->max_entry = info.max_entry;
    self->size = info.size;
    self->identity = PyBytes_FromStringAndSize((const char *)info.identity, (Py_ssize_t)info.identity_size);
    self->unique = PyBytes_FromStringAndSize((const char *)qc_segment_unique(self->handle), QC_UNIQUE_SIZE);
    self->path = path == NULL ? Py_NewRef(Py_None) : PyUnicode_DecodeFSDefault(path);
    return self->identity != NULL && self->unique != NULL && self->path != NULL ? 0 : -1;
}

/* Takes over `handle`. */
static PyObject *segment_new(struct engine_state *state, struct qc_segment *handle, const char *path)
{
    struct segment *self = (struct segment *)state->segment_type->tp_alloc(state->segment_type, 0);

    if (self == NULL) {
        qc_segment_close(handle);
        return NULL;
    }
    self->handle = handle;
    if (learn(self, path) == 0)
        return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

static void dealloc(struct segment *self)
{
    PyTypeObject *type = Py_TYPE(self);

    qc_entry_release(&self->spare);
    /* Closing would look like the death of the process to others, who would then settle a write whose outcome nobody
     * knows (PROTOCOL 2.5): a segment with such a write stays mapped until the process is gone. */
    if (self->pinned == NULL || PySet_GET_SIZE(self->pinned) == 0)
        qc_segment_close(self->handle);
    Py_XDECREF(self->pinned);
    Py_XDECREF(self->path);
    Py_XDECREF(self->identity);
    Py_XDECREF(self->unique);
    type->tp_free(self);
    Py_DECREF(type);
}

/* The numbers of struct qc_segment_options, from arguments in this order. */
static int take_sizes(PyObject *const *given, struct qc_segment_options *options)
{
    if (engine_number("size", given[0], UINT64_MAX, &options->size) < 0 ||
        engine_number_u32("cells", given[1], &options->cells) < 0 ||
        engine_number_u32("slots", given[2], &options->slots) < 0 ||
        engine_number_u32("max_entry", given[3], &options->max_entry) < 0)
        return -1;
    return 0;
}

static int take_options(PyObject *const *given, struct qc_segment_options *options)
{
    int marked;

    if (engine_bytes("identity", given[1]) < 0 || take_sizes(given + 2, options) < 0 ||
        engine_number_u32("mode", given[6], &options->mode) < 0 || engine_group(given[7], &options->group) < 0)
        return -1;
    marked = given[8] == NULL ? 0 : PyObject_IsTrue(given[8]);
    if (marked < 0)
        return -1;
    options->born_marked = marked;
    options->identity = PyBytes_AS_STRING(given[1]);
    options->identity_size = (size_t)PyBytes_GET_SIZE(given[1]);
    return 0;
}

static PyObject *open_at(struct engine_state *state, PyObject *path, const struct qc_segment_options *options)
{
    struct qc_segment *handle;
    struct qc_error error;
    PyObject *segment;
    int status;

    Py_BEGIN_ALLOW_THREADS
    status = qc_segment_open(PyBytes_AS_STRING(path), options, &handle, &error);
    Py_END_ALLOW_THREADS
    segment = status == QC_OK ? segment_new(state, handle, PyBytes_AS_STRING(path)) : engine_error_raise(state, &error);
    return segment;
}

static PyObject *segment_open(PyTypeObject *type, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"path",      "identity", "size",  "cells",       "slots",
                                        "max_entry", "mode",     "group", "born_marked", NULL};
    static const struct engine_signature signature = {"open", names, 6, 2};
    struct qc_segment_options options = {.mode = 0600, .group = -1};
    PyObject *given[ENGINE_ARGUMENTS_MAX], *path, *segment;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || take_options(given, &options) < 0 ||
        !PyUnicode_FSConverter(given[0], &path))
        return NULL;
    segment = open_at(engine_state_of_type(type), path, &options);
    Py_DECREF(path);
    return segment;
}

static PyObject *segment_private(PyTypeObject *type, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"size", "cells", "slots", "max_entry", NULL};
    static const struct engine_signature signature = {"private_memory", names, 4, 0};
    struct engine_state *state = engine_state_of_type(type);
    struct qc_segment_options options = {.mode = 0600, .group = -1};
    PyObject *given[ENGINE_ARGUMENTS_MAX];
    struct qc_segment *handle;
    struct qc_error error;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || take_sizes(given, &options) < 0)
        return NULL;
    if (qc_segment_private(&options, &handle, &error) != QC_OK)
        return engine_error_raise(state, &error);
    return segment_new(state, handle, NULL);
}

static PyObject *segment_inspect(PyTypeObject *type, PyObject *argument)
{
    struct engine_state *state = engine_state_of_type(type);
    struct qc_segment *handle;
    struct qc_error error;
    PyObject *path, *segment;
    int status;

    if (!PyUnicode_FSConverter(argument, &path))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = qc_segment_inspect(PyBytes_AS_STRING(path), &handle, &error);
    Py_END_ALLOW_THREADS
    segment = status == QC_OK ? segment_new(state, handle, PyBytes_AS_STRING(path)) : engine_error_raise(state, &error);
    Py_DECREF(path);
    return segment;
}

static PyObject *usable(struct segment *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(qc_segment_usable(self->handle));
}

static PyObject *linked(struct segment *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(qc_segment_linked(self->handle));
}

static PyObject *retire(struct segment *self, PyObject *unused)
{
    (void)unused;
    qc_segment_retire(self->handle);
    Py_RETURN_NONE;
}

static PyObject *read_clock(struct segment *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(qc_clock(self->handle)); /* F1 */
}

static int by_number(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

/* Ascending and distinct, as a set of cells is written down. */
static size_t normalize(uint32_t *cells, size_t count)
{
    size_t kept = 0;

    qsort(cells, count, sizeof *cells, by_number);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || cells[kept - 1] != cells[i])
            cells[kept++] = cells[i];
    return kept;
}

static int cell_of(const struct segment *self, PyObject *table, uint32_t *cell)
{
    Py_ssize_t size;
    const char *name = PyUnicode_AsUTF8AndSize(table, &size);

    if (name == NULL)
        return -1;
    *cell = qc_cell_of(self->handle, name, (size_t)size);
    return 0;
}

static PyObject *cells_of_tables(const struct segment *self, PyObject *tables, bool database)
{
    size_t count = (size_t)PySequence_Fast_GET_SIZE(tables), filled = 0;
    uint32_t *cells = PyMem_New(uint32_t, count + 1);
    PyObject *set;

    if (cells == NULL)
        return PyErr_NoMemory();
    if (database)
        cells[filled++] = QC_CELL_DATABASE;
    for (size_t i = 0; i < count; i++) {
        if (cell_of(self, PySequence_Fast_GET_ITEM(tables, (Py_ssize_t)i), &cells[filled++]) < 0) {
            PyMem_Free(cells);
            return NULL;
        }
    }
    filled = normalize(cells, filled);
    set = PyBytes_FromStringAndSize((const char *)cells, (Py_ssize_t)(filled * sizeof *cells));
    PyMem_Free(cells);
    return set;
}

static PyObject *name_cells(struct segment *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"tables", "database", NULL};
    static const struct engine_signature signature = {"cells", names, 1, 2};
    PyObject *given[2], *tables, *set;
    int database;

    if (engine_arguments(&signature, args, count, keywords, given) < 0)
        return NULL;
    database = given[1] == NULL ? 0 : PyObject_IsTrue(given[1]);
    if (database < 0)
        return NULL;
    if (PyUnicode_Check(given[0])) {
        PyErr_SetString(PyExc_TypeError, "tables must be an iterable of names, not one str");
        return NULL;
    }
    tables = PySequence_Fast(given[0], "tables must be iterable");
    if (tables == NULL)
        return NULL;
    set = cells_of_tables(self, tables, database);
    Py_DECREF(tables);
    return set;
}

bool engine_segment_serves(const struct segment *segment, const struct engine_cells *cells, uint64_t time,
                           uint64_t limit)
{
    return qc_cells_valid(segment->handle, cells->items, cells->count, time, limit);
}

static PyObject *valid(struct segment *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"cells", "time", "limit", NULL};
    static const struct engine_signature signature = {"valid", names, 2, 3};
    PyObject *given[3];
    struct engine_cells cells;
    uint64_t time = 0, limit;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || engine_cells_of(given[0], &cells) < 0 ||
        engine_number("time", given[1], UINT64_MAX, &time) < 0 || engine_limit(given[2], &limit) < 0)
        return NULL;
    return PyBool_FromLong(engine_segment_serves(self, &cells, time, limit));
}

#define FAST (METH_FASTCALL | METH_KEYWORDS)

static PyMethodDef methods[] = {
    {"open", ENGINE_METHOD(segment_open), FAST | METH_CLASS, "Opens the segment at a path, creating it where need be."},
    {"private_memory", ENGINE_METHOD(segment_private), FAST | METH_CLASS, "A segment that no other process can see."},
    {"inspect", ENGINE_METHOD(segment_inspect), METH_O | METH_CLASS, "An existing segment, to look at it."},
    {"usable", ENGINE_METHOD(usable), METH_NOARGS, "Whether anyone may hit it."},
    {"linked", ENGINE_METHOD(linked), METH_NOARGS, "Whether its file still has a name. Looks now."},
    {"retire", ENGINE_METHOD(retire), METH_NOARGS, "No one may hit it from now on."},
    {"clock", ENGINE_METHOD(read_clock), METH_NOARGS, "The clock, to be read before a statement is sent."},
    {"cells", ENGINE_METHOD(name_cells), FAST, "The cells of case-folded table names."},
    {"valid", ENGINE_METHOD(valid), FAST, "Whether what was read at `time` is what the database holds."},
    {"begin_write", ENGINE_METHOD(engine_segment_begin_write), FAST, "W1. Returns a ticket."},
    {"end_write", ENGINE_METHOD(engine_segment_end_write), METH_O, "W3. Returns the stamp."},
    {"abandon_write", ENGINE_METHOD(engine_segment_abandon_write), METH_O, "The outcome is unknown: stays marked."},
    {"slots", ENGINE_METHOD(engine_segment_slots), METH_NOARGS, "The slots in use."},
    {"settle", ENGINE_METHOD(engine_segment_settle), FAST, "Settles another's write that is proved over."},
    {"last_write", ENGINE_METHOD(engine_segment_last_write), METH_O, "The last settled write of a table's cell."},
    {"get", ENGINE_METHOD(engine_segment_get), FAST, "Rows, cells, stamp and encoded size, or None."},
    {"put", ENGINE_METHOD(engine_segment_put), FAST, "Stores encoded rows. False: not stored."},
    {"count_hit", ENGINE_METHOD(engine_segment_count_hit), METH_NOARGS, "Counts a hit that L1 answered."},
    {"clear", ENGINE_METHOD(engine_segment_clear), METH_NOARGS, "Empties the store. False: a shard was busy."},
    {"stats", ENGINE_METHOD(engine_segment_stats), METH_NOARGS, "What is in it and what became of it."},
    {"problems", ENGINE_METHOD(engine_segment_problems), METH_NOARGS, "What verification finds."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"path", T_OBJECT_EX, offsetof(struct segment, path), READONLY, "The file, or None for private memory."},
    {"identity", T_OBJECT_EX, offsetof(struct segment, identity), READONLY, "What names the database."},
    {"unique", T_OBJECT_EX, offsetof(struct segment, unique), READONLY, "16 bytes drawn at creation."},
    {"created", T_BOOL, offsetof(struct segment, created), READONLY, "Whether this object's open() made the file."},
    {"private", T_BOOL, offsetof(struct segment, is_private), READONLY, "Whether no other process can see it."},
    {"storable", T_BOOL, offsetof(struct segment, storable), READONLY, "False: its store has another version."},
    {"cells_count", T_UINT, offsetof(struct segment, cells_count), READONLY, "Number of cells."},
    {"max_entry", T_UINT, offsetof(struct segment, max_entry), READONLY, "Bytes of the largest entry."},
    {"size", T_ULONGLONG, offsetof(struct segment, size), READONLY, "Bytes of the file."},
    {NULL, 0, 0, 0, NULL},
};

static PyObject *represent(struct segment *self)
{
    return PyUnicode_FromFormat("<Segment %R>", self->path);
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "The shared file of one database. Made by Segment.open and its like."},
    {Py_tp_dealloc, ENGINE_SLOT(dealloc)},
    {Py_tp_repr, ENGINE_SLOT(represent)},
    {Py_tp_methods, methods},
    {Py_tp_members, members},
    {0, NULL},
};

PyType_Spec engine_segment_spec = {
    .name = "django_cache_manager._engine.Segment",
    .basicsize = sizeof(struct segment),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};
