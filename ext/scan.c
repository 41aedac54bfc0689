/* Scan: what sqlscan says of one SQL string. */
#include "engine.h"

struct scan {
    PyObject_HEAD PyObject *flags, *reads, *writes, *functions;
};

static void dealloc(struct scan *self)
{
    PyTypeObject *type = Py_TYPE(self);

    Py_XDECREF(self->flags);
    Py_XDECREF(self->reads);
    Py_XDECREF(self->writes);
    Py_XDECREF(self->functions);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef members[] = {
    {"flags", T_OBJECT_EX, offsetof(struct scan, flags), READONLY, "The flags of the string, joined."},
    {"reads", T_OBJECT_EX, offsetof(struct scan, reads), READONLY, "Tables and views that are read."},
    {"writes", T_OBJECT_EX, offsetof(struct scan, writes), READONLY, "Tables that are written."},
    {"functions", T_OBJECT_EX, offsetof(struct scan, functions), READONLY, "Functions that are called."},
    {NULL, 0, 0, 0, NULL},
};

static PyObject *represent(struct scan *self)
{
    return PyUnicode_FromFormat("<Scan flags=%S reads=%R writes=%R functions=%R>", self->flags, self->reads,
                                self->writes, self->functions);
}

static PyType_Slot slots[] = {
    {Py_tp_doc, "What sqlscan says of one SQL string."},
    {Py_tp_dealloc, ENGINE_SLOT(dealloc)},
    {Py_tp_repr, ENGINE_SLOT(represent)},
    {Py_tp_members, members},
    {0, NULL},
};

PyType_Spec engine_scan_spec = {
    .name = "django_cache_manager._engine.Scan",
    .basicsize = sizeof(struct scan),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = slots,
};

static PyObject *names_of(const struct qc_sql *sql, const struct qc_sql_names *names)
{
    PyObject *tuple = PyTuple_New(names->count), *name;

    for (uint32_t i = 0; tuple != NULL && i < names->count; i++) {
        name = PyUnicode_DecodeUTF8(sql->text + names->items[i].offset, names->items[i].size, "strict");
        if (name == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, name);
    }
    return tuple;
}

static PyObject *scan_new(const struct engine_state *state, const struct qc_sql *sql)
{
    struct scan *scan = (struct scan *)state->scan_type->tp_alloc(state->scan_type, 0);

    if (scan == NULL)
        return NULL;
    scan->flags = PyLong_FromUnsignedLong(sql->flags);
    scan->reads = names_of(sql, &sql->reads);
    scan->writes = names_of(sql, &sql->writes);
    scan->functions = names_of(sql, &sql->functions);
    if (scan->flags != NULL && scan->reads != NULL && scan->writes != NULL && scan->functions != NULL)
        return (PyObject *)scan;
    Py_DECREF(scan);
    return NULL;
}

/* More than this is not held on to between calls. */
#define SPARE_MAX (64u * 1024u)

static bool has_no_room(const struct qc_sql *sql)
{
    return sql->text == NULL && sql->reads.items == NULL && sql->writes.items == NULL && sql->functions.items == NULL;
}

/* The module's struct qc_sql is taken out while it is used, so that a finalizer which scans gets its own. */
static PyObject *scan_text(struct engine_state *state, enum qc_sql_dialect dialect, const char *text, size_t size)
{
    struct qc_sql sql = state->spare_sql;
    PyObject *result = NULL;

    state->spare_sql = (struct qc_sql){0};
    if (qc_sql_scan(dialect, text, size, &sql) == QC_OK)
        result = scan_new(state, &sql);
    else
        PyErr_NoMemory();
    if (has_no_room(&state->spare_sql) && sql.text_room <= SPARE_MAX)
        state->spare_sql = sql;
    else
        qc_sql_release(&sql);
    return result;
}

PyObject *engine_scan(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"sql", "dialect", NULL};
    static const struct engine_signature signature = {"scan", names, 2, 2};
    PyObject *given[2], *text, *result;
    uint64_t dialect = 0;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 ||
        engine_number("dialect", given[1], QC_SQL_MYSQL, &dialect) < 0)
        return NULL;
    if (!PyUnicode_Check(given[0])) {
        PyErr_Format(PyExc_TypeError, "sql must be str, not %.100s", Py_TYPE(given[0])->tp_name);
        return NULL;
    }
    if (PyUnicode_IS_COMPACT_ASCII(given[0]))
        return scan_text(engine_state_of(module), (enum qc_sql_dialect)dialect, PyUnicode_DATA(given[0]),
                         (size_t)PyUnicode_GET_LENGTH(given[0]));
    /* A lone surrogate is the driver's affair; it is no quote and no keyword. */
    text = PyUnicode_AsEncodedString(given[0], "utf-8", "replace");
    if (text == NULL)
        return NULL;
    result = scan_text(engine_state_of(module), (enum qc_sql_dialect)dialect, PyBytes_AS_STRING(text),
                       (size_t)PyBytes_GET_SIZE(text));
    Py_DECREF(text);
    return result;
}
