/* An entry as one string of bytes, for a Django cache backend. docs/format.md has the layout. */
#include "engine.h"

#include <string.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "qcache/store.h"

/* magic, checksum of all that follows, stamp, key size, number of cells; then the cells, the key, the rows. */
#define MAGIC UINT32_C(0x31454351) /* "QCE1" */
#define SUMMED_FROM (4 + 8)
#define HEAD_SIZE (SUMMED_FROM + 8 + 4 + 4)

PyObject *engine_entry_answer(PyObject *rows, const void *cells, size_t cell_count, uint64_t stamp, size_t size)
{
    PyObject *set, *answer = NULL;

    if (rows == NULL)
        return NULL;
    set = PyBytes_FromStringAndSize(cells, (Py_ssize_t)(cell_count * sizeof(uint32_t)));
    if (set != NULL)
        answer = Py_BuildValue("(OOKn)", rows, set, (unsigned long long)stamp, (Py_ssize_t)size);
    Py_XDECREF(set);
    Py_DECREF(rows);
    return answer;
}

struct parts {
    const uint8_t *key, *encoded;
    size_t key_size, encoded_size;
    struct engine_cells cells;
    uint64_t stamp;
};

static int put_parts(struct qc_writer *writer, const struct parts *parts)
{
    int status = qc_writer_put_u64(writer, parts->stamp);

    if (status == QC_OK)
        status = qc_writer_put_u32(writer, (uint32_t)parts->key_size);
    if (status == QC_OK)
        status = qc_writer_put_u32(writer, (uint32_t)parts->cells.count);
    for (size_t i = 0; status == QC_OK && i < parts->cells.count; i++)
        status = qc_writer_put_u32(writer, parts->cells.items[i]);
    if (status == QC_OK)
        status = qc_writer_put_bytes(writer, parts->key, parts->key_size);
    if (status == QC_OK)
        status = qc_writer_put_bytes(writer, parts->encoded, parts->encoded_size);
    return status;
}

static int put_entry(uint8_t *data, size_t size, const struct parts *parts)
{
    struct qc_writer head, body;
    int status;

    qc_writer_init(&body, data + SUMMED_FROM, size - SUMMED_FROM);
    status = put_parts(&body, parts);
    qc_writer_init(&head, data, SUMMED_FROM);
    if (status == QC_OK)
        status = qc_writer_put_u32(&head, MAGIC);
    if (status == QC_OK)
        status = qc_writer_put_u64(&head, qc_checksum(data + SUMMED_FROM, size - SUMMED_FROM));
    return status;
}

static PyObject *pack(struct engine_state *state, const struct parts *parts)
{
    size_t size = HEAD_SIZE + parts->cells.count * sizeof(uint32_t) + parts->key_size + parts->encoded_size;
    PyObject *packed;
    int status;

    if (parts->cells.count > QC_ENTRY_CELLS_MAX || parts->key_size > UINT32_MAX)
        return engine_codec_raise(state, QC_ERR_TOO_LARGE);
    packed = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (packed == NULL)
        return NULL;
    status = put_entry((uint8_t *)PyBytes_AS_STRING(packed), size, parts);
    if (status != QC_OK) {
        Py_DECREF(packed);
        return engine_codec_raise(state, status);
    }
    return packed;
}

PyObject *engine_pack_entry(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"key", "cells", "time", "encoded", NULL};
    static const struct engine_signature signature = {"pack_entry", names, 4, 4};
    PyObject *given[4];
    struct parts parts;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || engine_bytes("key", given[0]) < 0 ||
        engine_cells_of(given[1], &parts.cells) < 0 || engine_number("time", given[2], UINT64_MAX, &parts.stamp) < 0 ||
        engine_bytes("encoded", given[3]) < 0)
        return NULL;
    parts.key = (const uint8_t *)PyBytes_AS_STRING(given[0]);
    parts.key_size = (size_t)PyBytes_GET_SIZE(given[0]);
    parts.encoded = (const uint8_t *)PyBytes_AS_STRING(given[3]);
    parts.encoded_size = (size_t)PyBytes_GET_SIZE(given[3]);
    return pack(engine_state_of(module), &parts);
}

static int take_cells(struct qc_reader *reader, uint32_t *cells, size_t count)
{
    int status = QC_OK;

    for (size_t i = 0; status == QC_OK && i < count; i++)
        status = qc_reader_take_u32(reader, &cells[i]);
    return status;
}

/* The magic and the checksum; leaves the reader at the stamp. */
static int take_head(struct qc_reader *reader)
{
    uint32_t magic;
    uint64_t checksum;

    if (qc_reader_take_u32(reader, &magic) != QC_OK || qc_reader_take_u64(reader, &checksum) != QC_OK)
        return QC_ERR_CORRUPT;
    if (magic != MAGIC || checksum != qc_checksum(reader->at, qc_reader_left(reader)))
        return QC_ERR_CORRUPT;
    return QC_OK;
}

/* `cells` has room for QC_ENTRY_CELLS_MAX. */
static int take_parts(struct qc_reader *reader, struct parts *parts, uint32_t *cells)
{
    uint32_t key_size, cell_count;

    if (take_head(reader) != QC_OK || qc_reader_take_u64(reader, &parts->stamp) != QC_OK ||
        qc_reader_take_u32(reader, &key_size) != QC_OK || qc_reader_take_u32(reader, &cell_count) != QC_OK)
        return QC_ERR_CORRUPT;
    if (cell_count > QC_ENTRY_CELLS_MAX || take_cells(reader, cells, cell_count) != QC_OK ||
        qc_reader_take_bytes(reader, key_size, &parts->key) != QC_OK)
        return QC_ERR_CORRUPT;
    parts->cells = (struct engine_cells){cells, cell_count};
    parts->key_size = key_size;
    parts->encoded_size = qc_reader_left(reader);
    return qc_reader_take_bytes(reader, parts->encoded_size, &parts->encoded);
}

static bool is_key(const struct parts *parts, PyObject *key)
{
    return parts->key_size == (size_t)PyBytes_GET_SIZE(key) &&
           memcmp(parts->key, PyBytes_AS_STRING(key), parts->key_size) == 0;
}

/* A backend is not ours: what it gives may be anything, and what can't be read is a miss. */
PyObject *engine_unpack_entry(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"packed", "key", NULL};
    static const struct engine_signature signature = {"unpack_entry", names, 2, 2};
    uint32_t cells[QC_ENTRY_CELLS_MAX];
    PyObject *given[2], *rows;
    struct qc_reader reader;
    struct parts parts;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || engine_bytes("packed", given[0]) < 0 ||
        engine_bytes("key", given[1]) < 0)
        return NULL;
    qc_reader_init(&reader, PyBytes_AS_STRING(given[0]), (size_t)PyBytes_GET_SIZE(given[0]));
    if (take_parts(&reader, &parts, cells) != QC_OK || !is_key(&parts, given[1]))
        Py_RETURN_NONE;
    rows = engine_rows_read(engine_state_of(module), parts.encoded, parts.encoded_size);
    if (rows == NULL && PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    return engine_entry_answer(rows, parts.cells.items, parts.cells.count, parts.stamp, parts.encoded_size);
}
