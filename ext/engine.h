/* What the files of the extension share: the module's state and the seams between them.
 *
 * Everything here needs the GIL. A function that returns an object returns a new reference, NULL with an exception set;
 * one that returns int returns 0, or -1 with an exception set, unless its comment says more.
 */
#ifndef QC_EXT_ENGINE_H
#define QC_EXT_ENGINE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <datetime.h>
#include <structmember.h>

#include <stdbool.h>
#include <stdint.h>

#include "qcache/codec.h"
#include "qcache/coherence.h"
#include "qcache/error.h"
#include "qcache/segment.h"
#include "qcache/sqlscan.h"

/* One for each interpreter that imports the module. */
struct engine_state {
    PyObject *segment_error, *unencodable;
    PyTypeObject *segment_type, *bypass_type, *local_cache_type, *row_plan_type, *scan_type, *trace_type,
        *standing_type, *unopened_type, *answers_type;

    /* The exact types of the closed set that are not built in. datetime's own C interface stays reachable through the
     * capsule: its macros would keep it in a static variable, which interpreters can't share. */
    PyObject *datetime_capsule;
    PyDateTime_CAPI *datetime;
    PyTypeObject *timezone_type, *decimal_type, *uuid_type;
    PyObject *uuid_unsafe; /* uuid.SafeUUID.unknown: what a UUID is when nobody said more */

    PyObject *name_int, *name_is_safe, *name_bit_length, *name_to_bytes, *name_from_bytes, *name_little, *name_signed,
        *name_getinitargs, *name_sizeof, *name_status, *name_errno, *name_server_capabilities, *name_state,
        *name_adding, *name_db, *name_fields_cache, *name_fetch_mode, *name_peers;

    /* Of querysets and their traces. */
    PyObject *name_name, *name_constructor_args, *name_source_expressions;
    PyObject *name_dict, *name_attributes, *name_children, *name_readers, *name_unordered, *name_shape, *name_number,
        *name_trace, *name__db, *name_hints, *name_known_related_objects, *name_cloning_enabled, *name_iterable_class,
        *name_fields, *name_deferred_filter, *name_for_write, *name_instance, *name_router, *name_routers,
        *name_db_for_read, *name_own_fetch_mode, *name_track_peers, *name_alias, *name_native, *name_links, *name_found,
        *name_queryset_class, *name_get_queryset, *name_model, *name_meta, *name_ordering, *name_caching,
        *name_sticky_filter, *name_defer_next_filter, *name_prefetch_related_lookups, *name_result_cache;

    /* Of connections. */
    PyObject *name_connections, *name_storage, *name_standing, *name_driver, *name_session, *name_doubtful, *name_off,
        *name_errored, *name_dirty, *name_level, *name_connection, *name_needs_rollback, *name_cursor,
        *name_ensure_connection, *name_timezone_name, *name_schema_name, *name_thread_ident, *name_current,
        *name_use_tz, *name_unopened, *name_settings_dict, *name_in_atomic_block, *name_options;

    PyObject *signed_names; /* ("signed",) */
    PyObject *gc_collect, *number_zero, *object_new;

    /* Kept between calls for their room. Whoever uses one takes it out and puts it back. */
    struct qc_encoder spare_encoder;
    struct qc_sql spare_sql;
};

struct engine_state *engine_state_of(PyObject *module);

/* The state of the module that made `type`, one of the types below: none of them can be subclassed. */
struct engine_state *engine_state_of_type(PyTypeObject *type);

/* The method slots of PyType_Spec are void pointers, which ISO C won't make of a function. */
#define ENGINE_SLOT(function) ((void *)(uintptr_t)(function))
#define ENGINE_METHOD(function) ((PyCFunction)(void (*)(void))(function))

extern PyType_Spec engine_segment_spec, engine_bypass_spec, engine_local_cache_spec, engine_row_plan_spec,
    engine_scan_spec, engine_trace_spec, engine_standing_spec, engine_unopened_spec, engine_answers_spec;

/* error.c */

/* Sets SegmentError from `error`. Always NULL, so that a caller can return it. */
PyObject *engine_error_raise(struct engine_state *state, const struct qc_error *error);

/* Sets what a codec status means (Unencodable, ValueError, MemoryError). Always NULL. */
PyObject *engine_codec_raise(struct engine_state *state, int status);

/* Makes SegmentError and Unencodable. */
int engine_errors_add(PyObject *module, struct engine_state *state);

/* arguments.c */

/* How a function is called: the first `required` names must be given, the first `positional` may be without a name. */
struct engine_signature {
    const char *function;
    const char *const *names; /* ends with NULL */
    Py_ssize_t required, positional;
};

#define ENGINE_ARGUMENTS_MAX 10

/* An object's reference that its constructor is given by name. */
struct engine_field {
    const char *name; /* NULL ends the list */
    size_t offset;
};

/* Fills an object whose fields are NULL: all have to be given, and nothing else. */
int engine_fields_set(void *self, const char *type, const struct engine_field *fields, PyObject *args,
                      PyObject *keywords);

int engine_fields_visit(void *self, const struct engine_field *fields, visitproc visit, void *arg);
void engine_fields_clear(void *self, const struct engine_field *fields);

/* Puts borrowed references into `out` in the order of the names, NULL for what wasn't given. */
int engine_arguments(const struct engine_signature *signature, PyObject *const *args, Py_ssize_t count,
                     PyObject *keywords, PyObject **out);

/* The same for tp_init, which gets a tuple and a dict. */
int engine_arguments_init(const struct engine_signature *signature, PyObject *args, PyObject *keywords, PyObject **out);

/* A number within 0..max; `object` NULL leaves `*out` as it is. */
int engine_number(const char *name, PyObject *object, uint64_t max, uint64_t *out);
int engine_number_u32(const char *name, PyObject *object, uint32_t *out);
int engine_group(PyObject *object, int64_t *out);
int engine_bytes(const char *name, PyObject *object);

/* Of exactly that type. */
int engine_dict(const char *name, PyObject *object);
int engine_tuple(const char *name, PyObject *object);

/* A set of cells: borrowed from `object`. */
struct engine_cells {
    const uint32_t *items;
    size_t count;
};
int engine_cells_of(PyObject *object, struct engine_cells *out);

/* values.c: one Python value <-> codec */

struct engine_writer {
    struct engine_state *state;
    struct qc_encoder encoder;
    bool is_key; /* a key says what is asked for, not what will be handed out */
};

/* Returns 0, a codec status with no exception set, or ENGINE_RAISED. */
#define ENGINE_RAISED 1
int engine_value_write(struct engine_writer *writer, PyObject *value, int depth);

/* What numbers.c and moments.c know; `*known` stays as it is when the value is not of theirs. */
int engine_bigint_write(struct engine_writer *writer, PyObject *value);
int engine_decimal_write(struct engine_writer *writer, PyObject *value);
int engine_uuid_write(struct engine_writer *writer, PyObject *value);
int engine_date_write(struct engine_writer *writer, PyObject *value);
int engine_time_write(struct engine_writer *writer, PyObject *value);
int engine_datetime_write(struct engine_writer *writer, PyObject *value);
int engine_timedelta_write(struct engine_writer *writer, PyObject *value);

/* Sets Unencodable naming the type of `value`. Always ENGINE_RAISED. */
int engine_refuse(struct engine_writer *writer, PyObject *value);

struct engine_reader {
    struct engine_state *state;
    struct qc_decoder decoder;
    size_t children; /* that containers may still announce: each takes a byte at least */
};

PyObject *engine_value_read(struct engine_reader *reader, int depth);

PyObject *engine_bigint_read(struct engine_reader *reader, const struct qc_value *value);
PyObject *engine_decimal_read(struct engine_reader *reader, const struct qc_value *value);
PyObject *engine_uuid_read(struct engine_reader *reader, const struct qc_value *value);
PyObject *engine_moment_read(struct engine_reader *reader, const struct qc_value *value);

/* The module's spare encoder, emptied, with a cap; and back. */
void engine_writer_open(struct engine_writer *writer, struct engine_state *state, size_t cap);
void engine_writer_close(struct engine_writer *writer);

/* rows.c */

/* Rows, or NULL with ValueError for bytes encode_rows would not have written. */
PyObject *engine_rows_read(struct engine_state *state, const void *data, size_t size);

/* A set of rows is a list or tuple of lists or tuples. False with an exception set otherwise. */
bool engine_rows_check(PyObject *rows);

/* The key that encode_key makes of (head, number, kind, *values); `values` is an exact tuple. */
PyObject *engine_trace_key(struct engine_state *state, PyObject *head, PyObject *number, PyObject *kind,
                           PyObject *values);

PyObject *engine_encode_key(PyObject *module, PyObject *parts);
PyObject *engine_encode_rows(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *engine_decode_rows(PyObject *module, PyObject *encoded);

/* sharing.c */
PyObject *engine_shareable(PyObject *module, PyObject *rows);
PyObject *engine_footprint(PyObject *module, PyObject *rows);

/* Adds the bytes of an object without what it refers to. */
int engine_own_size(const struct engine_state *state, PyObject *value, size_t *sum);

PyObject *engine_copyable(PyObject *module, PyObject *rows);

/* links.c */
bool engine_is_link(PyObject *object);
PyObject *engine_link_field(PyObject *link);

/* Instances, a list, and a dict of objects by key: 1: they are linked; 0: something isn't plain, and Django has to do it
 * (what is linked by then it leaves alone); -1. */
int engine_link_all(const struct engine_state *state, PyObject *instances, PyObject *related, PyObject *link);

PyObject *engine_link(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords);

/* copying.c */

/* The value itself, or a copy of an exact list, dict or tuple with copies of what is in it. */
PyObject *engine_value_copy(PyObject *value);

/* row_values.c */
PyObject *engine_row_tuples(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *engine_row_named(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *engine_row_column(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *engine_row_dicts(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords);

/* entry.c */
PyObject *engine_pack_entry(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *engine_unpack_entry(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords);

/* The answer to a lookup: (rows, cells, stamp, encoded size). Steals `rows`, which may be NULL with an exception set. */
PyObject *engine_entry_answer(PyObject *rows, const void *cells, size_t cell_count, uint64_t stamp, size_t size);

/* aggregates.c */
PyObject *engine_aggregated_name(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords);

/* queryset.c */
PyObject *engine_unbuilt(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *engine_pristine(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords);
PyObject *engine_plain_trace(PyObject *module, PyObject *queryset);

/* scan.c */
PyObject *engine_scan(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords);

/* mysql_status.c */
PyObject *engine_mysql_status(PyObject *module, PyObject *driver);
PyObject *engine_mysql_status_proved(PyObject *module, PyObject *driver);

/* files.c */

/* What names a file: its number is used again when it is gone, its birth isn't. */
struct engine_file {
    unsigned long major, minor;
    unsigned long long inode, birth; /* birth in ns; 0: the file system doesn't tell */
};

/* The file that a path, bytes, leads to. 0, or -1 with errno. */
int engine_file_look(PyObject *path, struct engine_file *file);

PyObject *engine_file_identity(PyObject *module, PyObject *path);
PyObject *engine_process_namespace(PyObject *module, PyObject *unused);

#endif
