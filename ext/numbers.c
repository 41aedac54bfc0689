/* int past 64 bits, Decimal and UUID <-> codec. */
#include "engine.h"

#include <string.h>

#define UUID_SIZE 16
#define UUID_HALF_BITS 64

/* int.to_bytes(size, "little", signed=True) */
static PyObject *twos_complement(struct engine_state *state, PyObject *value)
{
    PyObject *bits = PyObject_CallMethodNoArgs(value, state->name_bit_length);
    PyObject *arguments[4] = {value, NULL, state->name_little, Py_True};
    PyObject *bytes = NULL;
    size_t count;

    if (bits == NULL)
        return NULL;
    count = PyLong_AsSize_t(bits);
    Py_DECREF(bits);
    if (count == (size_t)-1 && PyErr_Occurred() != NULL)
        return NULL;
    arguments[1] = PyLong_FromSize_t(count / 8 + 1);
    if (arguments[1] != NULL)
        bytes = PyObject_VectorcallMethod(state->name_to_bytes, arguments, 3, state->signed_names);
    Py_XDECREF(arguments[1]);
    return bytes;
}

/* bit_length leaves the sign out, so -2**(8k-1) came out one byte longer than it need be. */
static size_t shortest(const uint8_t *data, size_t size)
{
    while (size > 1 &&
           ((data[size - 1] == 0x00 && data[size - 2] < 0x80) || (data[size - 1] == 0xff && data[size - 2] >= 0x80)))
        size--;
    return size;
}

int engine_bigint_write(struct engine_writer *writer, PyObject *value)
{
    PyObject *bytes = twos_complement(writer->state, value);
    const uint8_t *data;
    int status;

    if (bytes == NULL)
        return ENGINE_RAISED;
    data = (const uint8_t *)PyBytes_AS_STRING(bytes);
    status = qc_encode_sized(&writer->encoder, QC_TYPE_BIGINT, data, shortest(data, (size_t)PyBytes_GET_SIZE(bytes)));
    Py_DECREF(bytes);
    return status;
}

/* int.from_bytes(bytes, "little", signed=True) */
PyObject *engine_bigint_read(struct engine_reader *reader, const struct qc_value *value)
{
    struct engine_state *state = reader->state;
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)value->as.bytes.data, (Py_ssize_t)value->as.bytes.size);
    PyObject *arguments[4] = {(PyObject *)&PyLong_Type, bytes, state->name_little, Py_True};
    PyObject *number;

    if (bytes == NULL)
        return NULL;
    number = PyObject_VectorcallMethod(state->name_from_bytes, arguments, 3, state->signed_names);
    Py_DECREF(bytes);
    return number;
}

/* str(Decimal) follows the thread's decimal context in one thing: capitals=0 gives "1e+9". */
static int encode_decimal_text(struct engine_writer *writer, const char *text, size_t size)
{
    const char *small = memchr(text, 'e', size);
    char *copy;
    int status;

    if (small == NULL)
        return qc_encode_sized(&writer->encoder, QC_TYPE_DECIMAL, text, size);
    copy = PyMem_Malloc(size);
    if (copy == NULL)
        return QC_ERR_MEMORY;
    memcpy(copy, text, size);
    copy[small - text] = 'E';
    status = qc_encode_sized(&writer->encoder, QC_TYPE_DECIMAL, copy, size);
    PyMem_Free(copy);
    return status;
}

int engine_decimal_write(struct engine_writer *writer, PyObject *value)
{
    PyObject *text = PyObject_Str(value);
    const char *data;
    Py_ssize_t size;
    int status = ENGINE_RAISED;

    if (text == NULL)
        return ENGINE_RAISED;
    data = PyUnicode_AsUTF8AndSize(text, &size);
    if (data != NULL)
        status = encode_decimal_text(writer, data, (size_t)size);
    Py_DECREF(text);
    return status;
}

/* Decimal(text) is exact, whatever the thread's context. */
PyObject *engine_decimal_read(struct engine_reader *reader, const struct qc_value *value)
{
    PyObject *text =
        PyUnicode_DecodeASCII((const char *)value->as.bytes.data, (Py_ssize_t)value->as.bytes.size, "strict");
    PyObject *decimal;

    if (text == NULL)
        return NULL;
    decimal = PyObject_CallOneArg((PyObject *)reader->state->decimal_type, text);
    Py_DECREF(text);
    return decimal;
}

/* Big endian, as UUID.bytes. */
static int uuid_bytes(PyObject *number, uint8_t bytes[UUID_SIZE])
{
    PyObject *bits = PyLong_FromLong(UUID_HALF_BITS);
    PyObject *upper = bits == NULL ? NULL : PyNumber_Rshift(number, bits);
    uint64_t high = 0, low = 0;

    Py_XDECREF(bits);
    if (upper == NULL)
        return -1;
    high = PyLong_AsUnsignedLongLong(upper);
    low = PyLong_AsUnsignedLongLongMask(number);
    Py_DECREF(upper);
    if (PyErr_Occurred() != NULL)
        return -1;
    for (unsigned i = 0; i < UUID_SIZE / 2; i++) {
        bytes[i] = (uint8_t)(high >> (56 - 8 * i));
        bytes[i + UUID_SIZE / 2] = (uint8_t)(low >> (56 - 8 * i));
    }
    return 0;
}

/* uuid1() says how safe it is, which the bytes have no place for; to a key it makes no difference. */
static int is_plain_uuid(struct engine_writer *writer, PyObject *value)
{
    PyObject *safe;

    if (writer->is_key)
        return 1;
    safe = PyObject_GetAttr(value, writer->state->name_is_safe);
    if (safe == NULL)
        return -1;
    Py_DECREF(safe);
    return safe == writer->state->uuid_unsafe;
}

int engine_uuid_write(struct engine_writer *writer, PyObject *value)
{
    PyObject *number;
    uint8_t bytes[UUID_SIZE];
    int plain = is_plain_uuid(writer, value), result;

    if (plain <= 0)
        return plain == 0 ? engine_refuse(writer, value) : ENGINE_RAISED;
    number = PyObject_GetAttr(value, writer->state->name_int);
    if (number == NULL)
        return ENGINE_RAISED;
    result = PyLong_CheckExact(number) ? uuid_bytes(number, bytes) : -1;
    Py_DECREF(number);
    if (result < 0)
        return PyErr_Occurred() == NULL ? engine_refuse(writer, value) : ENGINE_RAISED;
    return qc_encode_sized(&writer->encoder, QC_TYPE_UUID, bytes, sizeof bytes);
}

static PyObject *uuid_number(const uint8_t *bytes)
{
    uint64_t half[2] = {0, 0};
    PyObject *high, *low, *bits, *shifted, *number;

    for (unsigned i = 0; i < UUID_SIZE; i++)
        half[i / 8] = half[i / 8] << 8 | bytes[i];
    high = PyLong_FromUnsignedLongLong(half[0]);
    low = PyLong_FromUnsignedLongLong(half[1]);
    bits = PyLong_FromLong(UUID_HALF_BITS);
    shifted = high != NULL && bits != NULL ? PyNumber_Lshift(high, bits) : NULL;
    number = shifted != NULL && low != NULL ? PyNumber_Or(shifted, low) : NULL;
    Py_XDECREF(high);
    Py_XDECREF(low);
    Py_XDECREF(bits);
    Py_XDECREF(shifted);
    return number;
}

/* What UUID.__init__ does, which itself goes round the UUID.__setattr__ that refuses every change. */
PyObject *engine_uuid_read(struct engine_reader *reader, const struct qc_value *value)
{
    struct engine_state *state = reader->state;
    PyObject *number = uuid_number(value->as.bytes.data);
    PyObject *uuid = number == NULL ? NULL : state->uuid_type->tp_alloc(state->uuid_type, 0);

    if (uuid != NULL && (PyObject_GenericSetAttr(uuid, state->name_int, number) < 0 ||
                         PyObject_GenericSetAttr(uuid, state->name_is_safe, state->uuid_unsafe) < 0))
        Py_CLEAR(uuid);
    Py_XDECREF(number);
    return uuid;
}
