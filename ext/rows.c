/* Rows and keys <-> bytes. */
#include "engine.h"

static PyObject *bytes_of(const struct qc_encoder *encoder)
{
    return PyBytes_FromStringAndSize((const char *)encoder->data, (Py_ssize_t)encoder->size);
}

/* No list or tuple is as large as this, nor any key. */
#define KEY_MAX ((size_t)PY_SSIZE_T_MAX / 2)

/* One tuple of the `count` at `first` and the items of `rest`, a tuple. */
static int write_parts(struct engine_writer *writer, PyObject *const *first, Py_ssize_t count, PyObject *rest)
{
    Py_ssize_t more = PyTuple_GET_SIZE(rest);
    int status = qc_encode_head(&writer->encoder, QC_TYPE_TUPLE, (size_t)(count + more));

    for (Py_ssize_t i = 0; status == QC_OK && i < count; i++)
        status = engine_value_write(writer, first[i], 0);
    for (Py_ssize_t i = 0; status == QC_OK && i < more; i++)
        status = engine_value_write(writer, PyTuple_GET_ITEM(rest, i), 0);
    return status;
}

static PyObject *key_of(struct engine_state *state, PyObject *const *first, Py_ssize_t count, PyObject *rest)
{
    struct engine_writer writer;
    PyObject *key;
    int status;

    engine_writer_open(&writer, state, KEY_MAX);
    writer.is_key = true;
    status = write_parts(&writer, first, count, rest);
    key = status == QC_OK ? bytes_of(&writer.encoder) : engine_codec_raise(state, status);
    engine_writer_close(&writer);
    return key;
}

PyObject *engine_trace_key(struct engine_state *state, PyObject *head, PyObject *number, PyObject *kind,
                           PyObject *values)
{
    PyObject *const first[] = {head, number, kind};

    return key_of(state, first, Py_ARRAY_LENGTH(first), values);
}

PyObject *engine_encode_key(PyObject *module, PyObject *parts)
{
    PyObject *sequence = PySequence_Tuple(parts), *key;

    if (sequence == NULL)
        return NULL;
    key = key_of(engine_state_of(module), NULL, 0, sequence);
    Py_DECREF(sequence);
    return key;
}

bool engine_rows_check(PyObject *rows)
{
    if (PyList_Check(rows) || PyTuple_Check(rows))
        return true;
    PyErr_Format(PyExc_TypeError, "rows must be a list or a tuple, not %.100s", Py_TYPE(rows)->tp_name);
    return false;
}

static bool is_row(PyObject *row)
{
    return PyTuple_CheckExact(row) || PyList_CheckExact(row);
}

/* A row of another type (a driver's own row class) would come back as a tuple. */
static int write_row(struct engine_writer *writer, PyObject *row, Py_ssize_t columns)
{
    int status = QC_OK;

    if (!is_row(row))
        return engine_refuse(writer, row);
    if (PySequence_Fast_GET_SIZE(row) != columns) {
        PyErr_SetString(writer->state->unencodable, "rows of different lengths");
        return ENGINE_RAISED;
    }
    for (Py_ssize_t i = 0; status == QC_OK && i < columns; i++) {
        PyObject *value;

        if (PySequence_Fast_GET_SIZE(row) != columns) {
            PyErr_SetString(PyExc_RuntimeError, "a row changed while it was encoded");
            return ENGINE_RAISED;
        }
        value = Py_NewRef(PySequence_Fast_GET_ITEM(row, i));
        status = engine_value_write(writer, value, 0);
        Py_DECREF(value);
    }
    return status;
}

static int write_rows(struct engine_writer *writer, PyObject *rows)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(rows), columns = 0;
    int status;

    if (count > 0 && is_row(PySequence_Fast_GET_ITEM(rows, 0)))
        columns = PySequence_Fast_GET_SIZE(PySequence_Fast_GET_ITEM(rows, 0));
    status = qc_encode_rows(&writer->encoder, (size_t)count, (size_t)columns);
    for (Py_ssize_t i = 0; status == QC_OK && i < count; i++) {
        PyObject *row;

        if (PySequence_Fast_GET_SIZE(rows) != count) {
            PyErr_SetString(PyExc_RuntimeError, "rows changed while they were encoded");
            return ENGINE_RAISED;
        }
        row = Py_NewRef(PySequence_Fast_GET_ITEM(rows, i));
        status = write_row(writer, row, columns);
        Py_DECREF(row);
    }
    return status;
}

PyObject *engine_encode_rows(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"rows", "max_bytes", NULL};
    static const struct engine_signature signature = {"encode_rows", names, 2, 2};
    struct engine_state *state = engine_state_of(module);
    struct engine_writer writer;
    PyObject *given[2], *encoded;
    uint64_t max = 0;
    int status;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || !engine_rows_check(given[0]) ||
        engine_number("max_bytes", given[1], PY_SSIZE_T_MAX, &max) < 0)
        return NULL;
    engine_writer_open(&writer, state, (size_t)max);
    status = write_rows(&writer, given[0]);
    if (status == QC_OK)
        encoded = bytes_of(&writer.encoder);
    else
        encoded = status == QC_ERR_TOO_LARGE ? Py_NewRef(Py_None) : engine_codec_raise(state, status);
    engine_writer_close(&writer);
    return encoded;
}

static PyObject *read_row(struct engine_reader *reader, size_t columns)
{
    PyObject *row = PyTuple_New((Py_ssize_t)columns), *value;

    for (size_t i = 0; row != NULL && i < columns; i++) {
        value = engine_value_read(reader, 0);
        if (value == NULL)
            Py_CLEAR(row);
        else
            PyTuple_SET_ITEM(row, (Py_ssize_t)i, value);
    }
    return row;
}

static PyObject *read_rows(struct engine_reader *reader)
{
    size_t count, columns;
    PyObject *rows, *row;
    int status = qc_decode_rows(&reader->decoder, &count, &columns);

    if (status == QC_OK && count == 0 && columns != 0)
        status = QC_ERR_CORRUPT; /* no rows have one spelling */
    if (status != QC_OK)
        return engine_codec_raise(reader->state, status);
    rows = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; rows != NULL && i < count; i++) {
        row = read_row(reader, columns);
        if (row == NULL)
            Py_CLEAR(rows);
        else
            PyList_SET_ITEM(rows, (Py_ssize_t)i, row);
    }
    if (rows != NULL && reader->decoder.at != reader->decoder.end) {
        Py_CLEAR(rows);
        engine_codec_raise(reader->state, QC_ERR_CORRUPT);
    }
    return rows;
}

PyObject *engine_rows_read(struct engine_state *state, const void *data, size_t size)
{
    struct engine_reader reader = {.state = state, .children = size};
    PyObject *rows;

    qc_decoder_init(&reader.decoder, data, size);
    rows = read_rows(&reader);
    /* A list as a dict's key, a Decimal's exponent out of range: no writer of ours left that. */
    if (rows == NULL && (PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ArithmeticError)))
        engine_codec_raise(state, QC_ERR_CORRUPT);
    return rows;
}

PyObject *engine_decode_rows(PyObject *module, PyObject *encoded)
{
    if (engine_bytes("encoded", encoded) < 0)
        return NULL;
    return engine_rows_read(engine_state_of(module), PyBytes_AS_STRING(encoded), (size_t)PyBytes_GET_SIZE(encoded));
}
