/* What names a file and a process's surroundings, beyond what os.stat tells. */
#include "engine.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "plat/host.h"

static PyObject *identity_of(const struct statx *about)
{
    unsigned long long birth = 0;

    if (about->stx_mask & STATX_BTIME)
        birth = (unsigned long long)about->stx_btime.tv_sec * 1000000000u + about->stx_btime.tv_nsec;
    return Py_BuildValue("(kkKK)", (unsigned long)about->stx_dev_major, (unsigned long)about->stx_dev_minor,
                         (unsigned long long)about->stx_ino, birth);
}

PyObject *engine_file_identity(PyObject *module, PyObject *path)
{
    PyObject *encoded;
    struct statx about;
    int result;

    (void)module;
    if (!PyUnicode_FSConverter(path, &encoded))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    result = statx(AT_FDCWD, PyBytes_AS_STRING(encoded), 0, STATX_INO | STATX_BTIME, &about);
    Py_END_ALLOW_THREADS
    Py_DECREF(encoded);
    if (result < 0)
        return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    return identity_of(&about);
}

PyObject *engine_process_namespace(PyObject *module, PyObject *unused)
{
    uint64_t inode;
    struct qc_error error;

    (void)unused;
    if (qc_host_pid_namespace(&inode, &error) != QC_OK)
        return engine_error_raise(engine_state_of(module), &error);
    return PyLong_FromUnsignedLongLong(inode);
}
