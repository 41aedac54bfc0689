/* The entries of a local cache: a hash table by whole key, in the order in which they were written.
 *
 * Nothing here runs Python code or gives up a reference: what leaves the table is chained to a list, for the caller to
 * release when the table is whole again. Everything needs the GIL.
 */
#ifndef QC_EXT_LOCAL_TABLE_H
#define QC_EXT_LOCAL_TABLE_H

#include "segment.h"

struct local_entry {
    PyObject *key; /* exact bytes */
    PyObject *value;
    struct segment *segment; /* a reference of its own: the cells it checks must stay mapped */
    Py_hash_t hash;
    uint64_t time, expires_ms; /* expires_ms 0: never */
    size_t bytes;              /* what it counts for */
    struct local_entry *in_bucket, *older, *newer;
    bool hit; /* since it was written or last spared */
    size_t cell_count;
    uint32_t cells[];
};

/* All zero is an empty table. */
struct local_table {
    struct local_entry **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count, bytes;
    struct local_entry *oldest, *newest;
};

/* The bytes an entry counts for, when its value takes `size`. */
size_t local_entry_bytes(PyObject *key, size_t cell_count, size_t size);

/* Takes its own references. NULL without an exception: no memory. */
struct local_entry *local_entry_new(PyObject *key, struct segment *segment, const struct engine_cells *cells,
                                    PyObject *value);

/* Drops the references of a list chained by `in_bucket`: runs any code there is. */
void local_entry_release(struct local_entry *list);

struct local_entry *local_table_find(const struct local_table *table, PyObject *key, Py_hash_t hash);

/* Takes over `entry`, whose key must not be in the table. -1 without an exception: no memory, `entry` still the
 * caller's. */
int local_table_insert(struct local_table *table, struct local_entry *entry);

/* Takes `entry` out and puts it before `*list`. */
void local_table_remove(struct local_table *table, struct local_entry *entry, struct local_entry **list);

/* Takes the oldest out until at most `bytes` are left; what was hit goes back to the newest once. */
void local_table_shrink(struct local_table *table, size_t bytes, struct local_entry **list);

/* Takes all entries of one segment out; of every segment when it is NULL. */
void local_table_sweep(struct local_table *table, const struct segment *segment, struct local_entry **list);

/* Frees what an empty table still holds. */
void local_table_release(struct local_table *table);

#endif
