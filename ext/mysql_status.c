/* mysqlclient keeps the server's status word, which says whether a transaction is open, in the client library's MYSQL
 * structure and shows it nowhere. The structure is public and its order the same in all of MySQL's and MariaDB's client
 * libraries; where it lies is known from a member that mysqlclient does show, and the numbers around the status word,
 * which it also shows, prove the place. */
#include "engine.h"

#include <string.h>

/* As in mysql.h. `server_capabilities` is the member that is shown. */
struct shown {
    unsigned long server_capabilities;
    unsigned int protocol_version, field_count, server_status, server_language, warning_count;
};

#define STATUS_AUTOCOMMIT 2u

/* A copy of that part of `driver`, a connection of mysqlclient. */
static int look(PyObject *module, PyObject *driver, struct shown *out)
{
    PyObject *found = PyObject_GetAttr((PyObject *)Py_TYPE(driver), engine_state_of(module)->name_server_capabilities);
    int result = -1;

    if (found != NULL && Py_IS_TYPE(found, &PyMemberDescr_Type)) {
        const PyMemberDescrObject *descriptor = (PyMemberDescrObject *)found;
        const PyMemberDef *member = descriptor->d_member;
        PyTypeObject *owner = PyDescr_TYPE(descriptor);

        if (member->type == T_ULONG && member->offset > 0 && PyObject_TypeCheck(driver, owner) &&
            (size_t)member->offset + sizeof *out <= (size_t)owner->tp_basicsize) {
            memcpy(out, (const char *)driver + member->offset, sizeof *out);
            result = 0;
        }
    }
    Py_XDECREF(found);
    if (result < 0)
        PyErr_Format(PyExc_TypeError, "%.100s shows no member of the client library", Py_TYPE(driver)->tp_name);
    return result;
}

PyObject *engine_mysql_status(PyObject *module, PyObject *driver)
{
    struct shown shown;

    return look(module, driver, &shown) < 0 ? NULL : PyLong_FromUnsignedLong(shown.server_status);
}

/* What one of the connection's methods gives; -1 with an exception set. */
static long told(PyObject *driver, const char *method)
{
    PyObject *answer = PyObject_CallMethod(driver, method, NULL);
    const long number = answer == NULL ? -1 : PyLong_AsLong(answer);

    Py_XDECREF(answer);
    return number;
}

PyObject *engine_mysql_status_proved(PyObject *module, PyObject *driver)
{
    struct shown shown;
    const long protocol = told(driver, "get_proto_info");
    const long fields = protocol < 0 ? -1 : told(driver, "field_count");
    const long warnings = fields < 0 ? -1 : told(driver, "warning_count");
    const long autocommit = warnings < 0 ? -1 : told(driver, "get_autocommit");

    if (autocommit < 0 || look(module, driver, &shown) < 0)
        return NULL;
    return PyBool_FromLong(shown.protocol_version == (unsigned long)protocol &&
                           shown.field_count == (unsigned long)fields &&
                           shown.warning_count == (unsigned long)warnings &&
                           ((shown.server_status & STATUS_AUTOCOMMIT) != 0) == autocommit);
}
