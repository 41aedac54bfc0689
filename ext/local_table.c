#include "local_table.h"

#include <string.h>

#define BUCKETS_FIRST 64u

/* What malloc and the bytes object of the key take beside their contents. */
#define OVERHEAD (sizeof(struct local_entry) + sizeof(PyBytesObject) + 32)

size_t local_entry_bytes(PyObject *key, size_t cell_count, size_t size)
{
    size_t own = OVERHEAD + (size_t)PyBytes_GET_SIZE(key) + cell_count * sizeof(uint32_t);

    return size > SIZE_MAX - own ? SIZE_MAX : size + own;
}

struct local_entry *local_entry_new(PyObject *key, struct segment *segment, const struct engine_cells *cells,
                                    PyObject *value)
{
    struct local_entry *entry = PyMem_Malloc(sizeof *entry + cells->count * sizeof(uint32_t));

    if (entry == NULL)
        return NULL;
    *entry = (struct local_entry){.cell_count = cells->count};
    entry->key = Py_NewRef(key);
    entry->value = Py_NewRef(value);
    Py_INCREF(segment);
    entry->segment = segment;
    if (cells->count > 0)
        memcpy(entry->cells, cells->items, cells->count * sizeof(uint32_t));
    return entry;
}

void local_entry_release(struct local_entry *list)
{
    while (list != NULL) {
        struct local_entry *next = list->in_bucket;

        Py_DECREF(list->key);
        Py_DECREF(list->value);
        Py_DECREF(list->segment);
        PyMem_Free(list);
        list = next;
    }
}

static struct local_entry **bucket_of(const struct local_table *table, Py_hash_t hash)
{
    return &table->buckets[(size_t)hash & (table->bucket_count - 1)];
}

static bool same_key(PyObject *left, PyObject *right)
{
    Py_ssize_t size = PyBytes_GET_SIZE(left);

    return left == right || (size == PyBytes_GET_SIZE(right) &&
                             memcmp(PyBytes_AS_STRING(left), PyBytes_AS_STRING(right), (size_t)size) == 0);
}

struct local_entry *local_table_find(const struct local_table *table, PyObject *key, Py_hash_t hash)
{
    struct local_entry *entry = table->bucket_count == 0 ? NULL : *bucket_of(table, hash);

    while (entry != NULL && !(entry->hash == hash && same_key(entry->key, key)))
        entry = entry->in_bucket;
    return entry;
}

static void link_bucket(struct local_table *table, struct local_entry *entry)
{
    struct local_entry **bucket = bucket_of(table, entry->hash);

    entry->in_bucket = *bucket;
    *bucket = entry;
}

static int grow(struct local_table *table)
{
    size_t count = table->bucket_count == 0 ? BUCKETS_FIRST : table->bucket_count * 2;
    struct local_entry **buckets = PyMem_Calloc(count, sizeof *buckets);

    if (buckets == NULL)
        return -1;
    PyMem_Free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = count;
    for (struct local_entry *entry = table->oldest; entry != NULL; entry = entry->newer)
        link_bucket(table, entry);
    return 0;
}

static void link_newest(struct local_table *table, struct local_entry *entry)
{
    entry->older = table->newest;
    entry->newer = NULL;
    if (table->newest != NULL)
        table->newest->newer = entry;
    else
        table->oldest = entry;
    table->newest = entry;
}

static void unlink_order(struct local_table *table, struct local_entry *entry)
{
    if (entry->older != NULL)
        entry->older->newer = entry->newer;
    else
        table->oldest = entry->newer;
    if (entry->newer != NULL)
        entry->newer->older = entry->older;
    else
        table->newest = entry->older;
}

int local_table_insert(struct local_table *table, struct local_entry *entry)
{
    if (table->count == table->bucket_count && grow(table) < 0)
        return -1;
    link_bucket(table, entry);
    link_newest(table, entry);
    table->count++;
    table->bytes += entry->bytes;
    return 0;
}

void local_table_remove(struct local_table *table, struct local_entry *entry, struct local_entry **list)
{
    struct local_entry **at = bucket_of(table, entry->hash);

    while (*at != entry)
        at = &(*at)->in_bucket;
    *at = entry->in_bucket;
    unlink_order(table, entry);
    table->count--;
    table->bytes -= entry->bytes;
    entry->in_bucket = *list;
    *list = entry;
}

void local_table_shrink(struct local_table *table, size_t bytes, struct local_entry **list)
{
    while (table->bytes > bytes) {
        struct local_entry *entry = table->oldest;

        if (!entry->hit) {
            local_table_remove(table, entry, list);
            continue;
        }
        entry->hit = false;
        unlink_order(table, entry);
        link_newest(table, entry);
    }
}

void local_table_sweep(struct local_table *table, const struct segment *segment, struct local_entry **list)
{
    struct local_entry *entry = table->oldest;

    while (entry != NULL) {
        struct local_entry *newer = entry->newer;

        if (segment == NULL || entry->segment == segment)
            local_table_remove(table, entry, list);
        entry = newer;
    }
}

void local_table_release(struct local_table *table)
{
    PyMem_Free(table->buckets);
    *table = (struct local_table){0};
}
