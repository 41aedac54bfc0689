/* What names a file and a process's surroundings, beyond what os.stat tells. */
#include "engine.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "plat/host.h"

int engine_file_look(PyObject *path, struct engine_file *file)
{
    struct statx about;
    int result;

    Py_BEGIN_ALLOW_THREADS
    result = statx(AT_FDCWD, PyBytes_AS_STRING(path), 0, STATX_INO | STATX_BTIME, &about);
    Py_END_ALLOW_THREADS
    if (result < 0)
        return -1;
    *file = (struct engine_file){.major = about.stx_dev_major, .minor = about.stx_dev_minor, .inode = about.stx_ino};
    if (about.stx_mask & STATX_BTIME)
        file->birth = (unsigned long long)about.stx_btime.tv_sec * 1000000000u + about.stx_btime.tv_nsec;
    return 0;
}

PyObject *engine_file_identity(PyObject *module, PyObject *path)
{
    struct engine_file file;
    PyObject *encoded;
    int result;

    (void)module;
    if (!PyUnicode_FSConverter(path, &encoded))
        return NULL;
    result = engine_file_look(encoded, &file);
    Py_DECREF(encoded);
    if (result < 0)
        return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    return Py_BuildValue("(kkKK)", file.major, file.minor, file.inode, file.birth);
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
