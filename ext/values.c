/* One Python value <-> the codec's bytes. Exact types only: a subclass may behave as it likes, so it isn't of the set. */
#include "engine.h"

int engine_refuse(struct engine_writer *writer, PyObject *value)
{
    PyErr_Format(writer->state->unencodable, "a value of type %.200s", Py_TYPE(value)->tp_name);
    return ENGINE_RAISED;
}

void engine_writer_open(struct engine_writer *writer, struct engine_state *state, size_t cap)
{
    *writer = (struct engine_writer){.state = state, .encoder = state->spare_encoder};
    state->spare_encoder = (struct qc_encoder){0};
    writer->encoder.size = 0;
    writer->encoder.cap = cap;
}

/* More than this is not held on to between calls. */
#define SPARE_MAX (256u * 1024u)

void engine_writer_close(struct engine_writer *writer)
{
    struct qc_encoder *spare = &writer->state->spare_encoder;

    if (spare->data == NULL && writer->encoder.room <= SPARE_MAX)
        *spare = writer->encoder;
    else
        qc_encoder_release(&writer->encoder);
}

static int write_plain(struct engine_writer *writer, enum qc_type type)
{
    struct qc_value value = {.type = type};

    return qc_encode(&writer->encoder, &value);
}

static int write_int(struct engine_writer *writer, PyObject *value)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);

    return overflow == 0 ? qc_encode_int(&writer->encoder, number) : engine_bigint_write(writer, value);
}

static int write_float(struct engine_writer *writer, PyObject *value)
{
    struct qc_value real = {.type = QC_TYPE_FLOAT, .as.real = PyFloat_AS_DOUBLE(value)};

    return qc_encode(&writer->encoder, &real);
}

/* PyUnicode_AsUTF8AndSize would leave a copy of the text in the caller's string; ASCII has its bytes already. */
static int write_text(struct engine_writer *writer, PyObject *value)
{
    PyObject *text;
    int status;

    if (PyUnicode_IS_COMPACT_ASCII(value))
        return qc_encode_sized(&writer->encoder, QC_TYPE_TEXT, PyUnicode_DATA(value),
                               (size_t)PyUnicode_GET_LENGTH(value));
    text = PyUnicode_AsUTF8String(value);
    if (text == NULL) {
        if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError))
            PyErr_SetString(writer->state->unencodable, "a str with a lone surrogate");
        return ENGINE_RAISED;
    }
    status = qc_encode_sized(&writer->encoder, QC_TYPE_TEXT, PyBytes_AS_STRING(text), (size_t)PyBytes_GET_SIZE(text));
    Py_DECREF(text);
    return status;
}

/* An allocation may run finalizers, and those anything: the container is read anew each step and must not have moved. */
static int changed(void)
{
    PyErr_SetString(PyExc_RuntimeError, "a container changed while it was encoded");
    return ENGINE_RAISED;
}

static int write_child(struct engine_writer *writer, PyObject *child, int depth)
{
    int status;

    Py_INCREF(child);
    status = engine_value_write(writer, child, depth + 1);
    Py_DECREF(child);
    return status;
}

static int write_sequence(struct engine_writer *writer, PyObject *value, enum qc_type type, int depth)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(value);
    int status = qc_encode_head(&writer->encoder, type, (size_t)count);

    for (Py_ssize_t i = 0; status == QC_OK && i < count; i++) {
        if (PySequence_Fast_GET_SIZE(value) != count)
            return changed();
        status = write_child(writer, PySequence_Fast_GET_ITEM(value, i), depth);
    }
    return status;
}

static int write_dict(struct engine_writer *writer, PyObject *value, int depth)
{
    Py_ssize_t count = PyDict_GET_SIZE(value), written = 0, position = 0;
    PyObject *key, *item;
    int status = qc_encode_head(&writer->encoder, QC_TYPE_DICT, (size_t)count);

    while (status == QC_OK && PyDict_Next(value, &position, &key, &item)) {
        Py_INCREF(item);
        status = write_child(writer, key, depth);
        if (status == QC_OK)
            status = write_child(writer, item, depth);
        Py_DECREF(item);
        written++;
    }
    return status == QC_OK && written != count ? changed() : status;
}

static int write_container(struct engine_writer *writer, PyObject *value, int depth)
{
    int status;

    if (depth >= QC_DEPTH_MAX) {
        PyErr_Format(writer->state->unencodable, "a %.200s nested deeper than %d", Py_TYPE(value)->tp_name,
                     QC_DEPTH_MAX);
        return ENGINE_RAISED;
    }
    Py_INCREF(value);
    if (PyDict_CheckExact(value))
        status = write_dict(writer, value, depth);
    else
        status = write_sequence(writer, value, PyList_CheckExact(value) ? QC_TYPE_LIST : QC_TYPE_TUPLE, depth);
    Py_DECREF(value);
    return status;
}

/* The types that are no containers and not built in. */
static int write_rare(struct engine_writer *writer, PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    const struct engine_state *state = writer->state;

    if (type == state->datetime->DateTimeType)
        return engine_datetime_write(writer, value);
    if (type == state->decimal_type)
        return engine_decimal_write(writer, value);
    if (type == state->uuid_type)
        return engine_uuid_write(writer, value);
    if (type == state->datetime->DateType)
        return engine_date_write(writer, value);
    if (type == state->datetime->TimeType)
        return engine_time_write(writer, value);
    if (type == state->datetime->DeltaType)
        return engine_timedelta_write(writer, value);
    return engine_refuse(writer, value);
}

int engine_value_write(struct engine_writer *writer, PyObject *value, int depth)
{
    if (PyUnicode_CheckExact(value))
        return write_text(writer, value);
    if (PyLong_CheckExact(value))
        return write_int(writer, value);
    if (value == Py_None)
        return write_plain(writer, QC_TYPE_NULL);
    if (PyFloat_CheckExact(value))
        return write_float(writer, value);
    if (PyBool_Check(value))
        return write_plain(writer, value == Py_True ? QC_TYPE_TRUE : QC_TYPE_FALSE);
    if (PyBytes_CheckExact(value))
        return qc_encode_sized(&writer->encoder, QC_TYPE_BYTES, PyBytes_AS_STRING(value),
                               (size_t)PyBytes_GET_SIZE(value));
    if (PyTuple_CheckExact(value) || PyList_CheckExact(value) || PyDict_CheckExact(value))
        return write_container(writer, value, depth);
    return write_rare(writer, value);
}

/* The announced children of all containers together can't be more than the bytes there are: what is allocated for a
 * hostile input stays in proportion to it. */
static int announce(struct engine_reader *reader, size_t children)
{
    if (children > reader->children) {
        engine_codec_raise(reader->state, QC_ERR_CORRUPT);
        return -1;
    }
    reader->children -= children;
    return 0;
}

static PyObject *read_list(struct engine_reader *reader, size_t count, int depth)
{
    PyObject *list, *child;

    if (announce(reader, count) < 0)
        return NULL;
    list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        child = engine_value_read(reader, depth + 1);
        if (child == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, child);
    }
    return list;
}

static PyObject *read_tuple(struct engine_reader *reader, size_t count, int depth)
{
    PyObject *tuple, *child;

    if (announce(reader, count) < 0)
        return NULL;
    tuple = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; tuple != NULL && i < count; i++) {
        child = engine_value_read(reader, depth + 1);
        if (child == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, (Py_ssize_t)i, child);
    }
    return tuple;
}

static int read_pair(struct engine_reader *reader, PyObject *dict, int depth)
{
    PyObject *key = engine_value_read(reader, depth + 1);
    PyObject *item = key == NULL ? NULL : engine_value_read(reader, depth + 1);
    int result = item == NULL ? -1 : PyDict_SetItem(dict, key, item);

    Py_XDECREF(key);
    Py_XDECREF(item);
    return result;
}

static PyObject *read_dict(struct engine_reader *reader, size_t pairs, int depth)
{
    PyObject *dict;

    if (pairs > SIZE_MAX / 2 || announce(reader, pairs * 2) < 0)
        return NULL;
    dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < pairs; i++)
        if (read_pair(reader, dict, depth) < 0)
            Py_CLEAR(dict);
    if (dict != NULL && (size_t)PyDict_GET_SIZE(dict) != pairs) {
        Py_CLEAR(dict); /* a key twice */
        engine_codec_raise(reader->state, QC_ERR_CORRUPT);
    }
    return dict;
}

static PyObject *read_container(struct engine_reader *reader, const struct qc_value *value, int depth)
{
    if (depth >= QC_DEPTH_MAX)
        return engine_codec_raise(reader->state, QC_ERR_CORRUPT);
    if (value->type == QC_TYPE_LIST)
        return read_list(reader, value->as.count, depth);
    if (value->type == QC_TYPE_TUPLE)
        return read_tuple(reader, value->as.count, depth);
    return read_dict(reader, value->as.count, depth);
}

PyObject *engine_value_read(struct engine_reader *reader, int depth)
{
    struct qc_value value;
    int status = qc_decode(&reader->decoder, &value);

    if (status != QC_OK)
        return engine_codec_raise(reader->state, status);
    switch (value.type) {
    case QC_TYPE_NULL:
        Py_RETURN_NONE;
    case QC_TYPE_FALSE:
        Py_RETURN_FALSE;
    case QC_TYPE_TRUE:
        Py_RETURN_TRUE;
    case QC_TYPE_INT:
        return PyLong_FromLongLong(value.as.integer);
    case QC_TYPE_BIGINT:
        return engine_bigint_read(reader, &value);
    case QC_TYPE_FLOAT:
        return PyFloat_FromDouble(value.as.real);
    case QC_TYPE_TEXT:
        return PyUnicode_DecodeUTF8((const char *)value.as.bytes.data, (Py_ssize_t)value.as.bytes.size, "strict");
    case QC_TYPE_BYTES:
        return PyBytes_FromStringAndSize((const char *)value.as.bytes.data, (Py_ssize_t)value.as.bytes.size);
    case QC_TYPE_DECIMAL:
        return engine_decimal_read(reader, &value);
    case QC_TYPE_UUID:
        return engine_uuid_read(reader, &value);
    case QC_TYPE_DATE:
    case QC_TYPE_TIME:
    case QC_TYPE_DATETIME:
    case QC_TYPE_TIMEDELTA:
        return engine_moment_read(reader, &value);
    case QC_TYPE_LIST:
    case QC_TYPE_TUPLE:
    case QC_TYPE_DICT:
        return read_container(reader, &value, depth);
    }
    return engine_codec_raise(reader->state, QC_ERR_CORRUPT);
}
