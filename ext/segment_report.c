/* Segment: what people ask about it. */
#include "segment.h"

#include <stdlib.h>
#include <string.h>

static PyObject *number(uint64_t value)
{
    return PyLong_FromUnsignedLongLong(value);
}

static int put_sizes(PyObject *dict, const struct qc_segment_info *info)
{
    return engine_dict_put(dict, "size", number(info->size)) < 0 ||
                   engine_dict_put(dict, "cells", number(info->cells)) < 0 ||
                   engine_dict_put(dict, "slots", number(info->slots)) < 0 ||
                   engine_dict_put(dict, "max_entry", number(info->max_entry)) < 0 ||
                   engine_dict_put(dict, "shards", number(info->shards)) < 0 ||
                   engine_dict_put(dict, "frozen_version", number(info->frozen_version)) < 0 ||
                   engine_dict_put(dict, "store_version", number(info->store_version)) < 0
               ? -1
               : 0;
}

static int put_counters(PyObject *dict, const struct qc_segment_info *info)
{
    return engine_dict_put(dict, "clock", number(info->clock)) < 0 ||
                   engine_dict_put(dict, "hits", number(info->hits)) < 0 ||
                   engine_dict_put(dict, "misses", number(info->misses)) < 0 ||
                   engine_dict_put(dict, "fills", number(info->fills)) < 0 ||
                   engine_dict_put(dict, "writes", number(info->writes)) < 0 ||
                   engine_dict_put(dict, "slots_used", number(info->slots_used)) < 0 ||
                   engine_dict_put(dict, "cells_marked", number(info->cells_marked)) < 0 ||
                   engine_dict_put(dict, "retired", PyBool_FromLong(info->retired)) < 0
               ? -1
               : 0;
}

static int put_store(PyObject *dict, const struct qc_store_info *info)
{
    return engine_dict_put(dict, "capacity", number(info->capacity)) < 0 ||
                   engine_dict_put(dict, "used", number(info->used)) < 0 ||
                   engine_dict_put(dict, "entries", number(info->entries)) < 0 ||
                   engine_dict_put(dict, "evicted", number(info->evicted)) < 0 ||
                   engine_dict_put(dict, "reinserted", number(info->reinserted)) < 0 ||
                   engine_dict_put(dict, "refused", number(info->refused)) < 0 ||
                   engine_dict_put(dict, "damaged", number(info->damaged)) < 0
               ? -1
               : 0;
}

/* The names of struct qc_segment_info and struct qc_store_info. */
PyObject *engine_segment_stats(struct segment *self, PyObject *unused)
{
    struct qc_segment_info *info = PyMem_Malloc(sizeof *info);
    struct qc_store_info store = {0};
    PyObject *dict = PyDict_New();

    (void)unused;
    if (info == NULL || dict == NULL) {
        PyMem_Free(info);
        Py_XDECREF(dict);
        return PyErr_NoMemory();
    }
    Py_BEGIN_ALLOW_THREADS qc_segment_info(self->handle, info);
    if (self->store != NULL)
        qc_store_info(self->store, &store);
    Py_END_ALLOW_THREADS if (put_sizes(dict, info) < 0 || put_counters(dict, info) < 0 || put_store(dict, &store) < 0 ||
                             engine_dict_put(dict, "private", PyBool_FromLong(info->is_private)) < 0) Py_CLEAR(dict);
    PyMem_Free(info);
    return dict;
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
    Py_BEGIN_ALLOW_THREADS(void) qc_segment_verify(self->handle, collect, &findings);
    Py_END_ALLOW_THREADS list = list_findings(&findings);
    for (size_t i = 0; i < findings.count; i++)
        free(findings.lines[i]);
    free(findings.lines);
    return list;
}
