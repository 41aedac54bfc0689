/* The Segment object, as its own files and the local cache see it. */
#ifndef QC_EXT_SEGMENT_H
#define QC_EXT_SEGMENT_H

#include "engine.h"

#include "qcache/store.h"

struct segment {
    PyObject_HEAD struct qc_segment *handle; /* open as long as the object lives */
    struct qc_store *store;                  /* the handle's; NULL: another store version */
    PyObject *path, *identity, *unique;
    char created, is_private, storable;
    unsigned int cells_count, slots_count, max_entry;
    unsigned long long size;
    struct qc_entry spare; /* a lookup takes it out for its room and puts it back */
    PyObject *pinned; /* tickets of writes that only end_write or the end of this process can end; NULL: none yet */
};

/* The Segment behind `object`, or NULL with TypeError. Borrowed. */
struct segment *engine_segment_of(const struct engine_state *state, PyObject *object);

/* A limit argument: NO_LIMIT when it wasn't given. */
int engine_limit(PyObject *object, uint64_t *limit);

/* Whether entries read at `time` on these cells may be served now. */
bool engine_segment_serves(const struct segment *segment, const struct engine_cells *cells, uint64_t time,
                           uint64_t limit);

/* local_cache.c: a value that holds now, a new reference; NULL: there is none. */
int engine_local_cache_find(const struct engine_state *state, PyObject *cache, PyObject *key, struct segment *segment,
                            PyObject **value);

/* Counts `more` bytes for a value that is kept. false: it would become too large to stay, and isn't counted. */
bool engine_local_cache_grow(const struct engine_state *state, PyObject *cache, PyObject *key, PyObject *value,
                             size_t more);

/* Methods; docstrings are in the table of segment.c. */

/* segment_entries.c */
PyObject *engine_segment_get(struct segment *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *engine_segment_put(struct segment *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *engine_segment_count_hit(struct segment *self, PyObject *unused);
PyObject *engine_segment_clear(struct segment *self, PyObject *unused);

/* segment_writes.c */
PyObject *engine_segment_begin_write(struct segment *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *engine_segment_end_write(struct segment *self, PyObject *ticket);
PyObject *engine_segment_abandon_write(struct segment *self, PyObject *ticket);
PyObject *engine_segment_slots(struct segment *self, PyObject *unused);
PyObject *engine_segment_settle(struct segment *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *engine_segment_last_write(struct segment *self, PyObject *table);

/* segment_report.c */
PyObject *engine_segment_stats(struct segment *self, PyObject *unused);
PyObject *engine_segment_problems(struct segment *self, PyObject *unused);

#endif
