/* Segment: what people ask about it. */
#include "segment.h"

#include <stdlib.h>
#include <string.h>

/* The names of struct qc_segment_info and struct qc_store_info. */
static PyObject *describe(const struct qc_segment_info *info, const struct qc_store_info *store)
{
    return Py_BuildValue(
        "{s:K,s:I,s:I,s:I,s:I,s:I,s:I,s:K,s:K,s:K,s:K,s:K,s:I,s:I,s:N,s:N,s:K,s:K,s:K,s:K,s:K,s:K,s:K}", "size",
        (unsigned long long)info->size, "cells", info->cells, "slots", info->slots, "max_entry", info->max_entry,
        "shards", info->shards, "frozen_version", info->frozen_version, "store_version", info->store_version, "clock",
        (unsigned long long)info->clock, "hits", (unsigned long long)info->hits, "misses",
        (unsigned long long)info->misses, "fills", (unsigned long long)info->fills, "writes",
        (unsigned long long)info->writes, "slots_used", info->slots_used, "cells_marked", info->cells_marked, "retired",
        PyBool_FromLong(info->retired), "private", PyBool_FromLong(info->is_private), "capacity",
        (unsigned long long)store->capacity, "used", (unsigned long long)store->used, "entries",
        (unsigned long long)store->entries, "evicted", (unsigned long long)store->evicted, "reinserted",
        (unsigned long long)store->reinserted, "refused", (unsigned long long)store->refused, "damaged",
        (unsigned long long)store->damaged);
}

PyObject *engine_segment_stats(struct segment *self, PyObject *unused)
{
    struct qc_segment_info info;
    struct qc_store_info store = {0};

    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    qc_segment_info(self->handle, &info);
    if (self->store != NULL)
        qc_store_info(self->store, &store);
    Py_END_ALLOW_THREADS
    return describe(&info, &store);
}

/* Collected without the GIL. */
struct findings {
    char **lines;
    size_t count, room;
    bool failed;
};

static void collect(void *context, const char *finding)
{
    struct findings *findings = context;

    if (findings->count == findings->room) {
        size_t room = findings->room * 2 + 16;
        char **lines = realloc(findings->lines, room * sizeof *lines);

        if (lines == NULL) {
            findings->failed = true;
            return;
        }
        findings->lines = lines;
        findings->room = room;
    }
    findings->lines[findings->count] = strdup(finding);
    if (findings->lines[findings->count] != NULL)
        findings->count++;
    else
        findings->failed = true;
}

static PyObject *list_findings(const struct findings *findings)
{
    PyObject *list = PyList_New((Py_ssize_t)findings->count);

    if (findings->failed) {
        Py_XDECREF(list);
        return PyErr_NoMemory();
    }
    for (size_t i = 0; list != NULL && i < findings->count; i++) {
        PyObject *line = PyUnicode_DecodeUTF8(findings->lines[i], (Py_ssize_t)strlen(findings->lines[i]), "replace");

        if (line == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, line);
    }
    return list;
}

PyObject *engine_segment_problems(struct segment *self, PyObject *unused)
{
    struct findings findings = {0};
    PyObject *list;

    (void)unused;
    Py_BEGIN_ALLOW_THREADS
    qc_segment_verify(self->handle, collect, &findings);
    Py_END_ALLOW_THREADS
    list = list_findings(&findings);
    for (size_t i = 0; i < findings.count; i++)
        free(findings.lines[i]);
    free(findings.lines);
    return list;
}
