/* django_cache_manager._engine: the module, its state and its constants. _engine.pyi is its manual. */
#include "answers.h"
#include "trace.h"

struct engine_state *engine_state_of(PyObject *module)
{
    return PyModule_GetState(module);
}

struct engine_state *engine_state_of_type(PyTypeObject *type)
{
    return PyType_GetModuleState(type);
}

struct constant {
    const char *name;
    long value;
};

static const struct constant constants[] = {
    {"SQLITE", QC_SQL_SQLITE},
    {"POSTGRESQL", QC_SQL_POSTGRESQL},
    {"MYSQL", QC_SQL_MYSQL},
    {"READ", QC_SQL_READ},
    {"WRITE", QC_SQL_WRITE},
    {"DDL", QC_SQL_DDL},
    {"UNKNOWN", QC_SQL_UNKNOWN},
    {"BEGIN", QC_SQL_BEGIN},
    {"IMMEDIATE", QC_SQL_IMMEDIATE},
    {"COMMIT", QC_SQL_COMMIT},
    {"ROLLBACK", QC_SQL_ROLLBACK},
    {"SAVEPOINT", QC_SQL_SAVEPOINT},
    {"RELEASE", QC_SQL_RELEASE},
    {"ROLLBACK_TO", QC_SQL_ROLLBACK_TO},
    {"HARMLESS", QC_SQL_HARMLESS},
    {"SESSION", QC_SQL_SESSION},
    {"TEMP", QC_SQL_TEMP},
    {"ATTACH", QC_SQL_ATTACH},
    {"LOCKING", QC_SQL_LOCKING},
    {"RETURNING", QC_SQL_RETURNING},
    {"COPY_FROM", QC_SQL_COPY_FROM},
    {"ISOLATION", QC_SQL_ISOLATION},
    {"DATABASE", QC_SQL_DATABASE},
    {"SYSTEM", QC_SQL_SYSTEM},
    {"ITEMS", ANSWER_ITEMS},
    {"COUNT", ANSWER_COUNT},
    {"EXISTS", ANSWER_EXISTS},
    {"AGGREGATE", ANSWER_AGGREGATE},
    {"LEVEL", ANSWER_LEVEL},
    {"ONE", ANSWER_ONE},
    {"FIRST", ANSWER_FIRST},
    {"LAST", ANSWER_LAST},
    {"TRACE_VALUES_MAX", TRACE_VALUES_MAX},
};

/* Takes over `value`, which may be NULL with an exception set. */
static int add(PyObject *module, const char *name, PyObject *value)
{
    int result = value == NULL ? -1 : PyModule_AddObjectRef(module, name, value);

    Py_XDECREF(value);
    return result;
}

static int add_constants(PyObject *module)
{
    const uint32_t database = QC_CELL_DATABASE;

    for (size_t i = 0; i < Py_ARRAY_LENGTH(constants); i++)
        if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) < 0)
            return -1;
    if (add(module, "NO_LIMIT", PyLong_FromUnsignedLongLong(QC_NO_LIMIT)) < 0)
        return -1;
    return add(module, "DATABASE_CELL", PyBytes_FromStringAndSize((const char *)&database, sizeof database));
}

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type)
{
    *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *type == NULL ? -1 : PyModule_AddType(module, *type);
}

static int add_types(PyObject *module, struct engine_state *state)
{
    if (add_type(module, &engine_segment_spec, &state->segment_type) < 0 ||
        add_type(module, &engine_bypass_spec, &state->bypass_type) < 0 ||
        add_type(module, &engine_local_cache_spec, &state->local_cache_type) < 0 ||
        add_type(module, &engine_row_plan_spec, &state->row_plan_type) < 0 ||
        add_type(module, &engine_trace_spec, &state->trace_type) < 0 ||
        add_type(module, &engine_unopened_spec, &state->unopened_type) < 0 ||
        add_type(module, &engine_standing_spec, &state->standing_type) < 0 ||
        add_type(module, &engine_answers_spec, &state->answers_type) < 0)
        return -1;
    return add_type(module, &engine_scan_spec, &state->scan_type);
}

#define NAME(member, text)                                                                                             \
    {                                                                                                                  \
        offsetof(struct engine_state, name_##member), text                                                             \
    }

static const struct {
    size_t offset;
    const char *text;
} names[] = {
    NAME(int, "int"),
    NAME(is_safe, "is_safe"),
    NAME(bit_length, "bit_length"),
    NAME(to_bytes, "to_bytes"),
    NAME(from_bytes, "from_bytes"),
    NAME(little, "little"),
    NAME(signed, "signed"),
    NAME(getinitargs, "__getinitargs__"),
    NAME(sizeof, "__sizeof__"),
    NAME(status, "status"),
    NAME(errno, "errno"),
    NAME(server_capabilities, "server_capabilities"),
    NAME(state, "_state"),
    NAME(adding, "adding"),
    NAME(db, "db"),
    NAME(fields_cache, "fields_cache"),
    NAME(fetch_mode, "fetch_mode"),
    NAME(peers, "peers"),
    NAME(name, "name"),
    NAME(constructor_args, "_constructor_args"),
    NAME(source_expressions, "source_expressions"),
    NAME(dict, "__dict__"),
    NAME(attributes, "attributes"),
    NAME(children, "children"),
    NAME(readers, "readers"),
    NAME(unordered, "unordered"),
    NAME(shape, "shape"),
    NAME(number, "number"),
    NAME(trace, "_trace"),
    NAME(_db, "_db"),
    NAME(hints, "_hints"),
    NAME(known_related_objects, "_known_related_objects"),
    NAME(cloning_enabled, "_cloning_enabled"),
    NAME(iterable_class, "_iterable_class"),
    NAME(fields, "_fields"),
    NAME(deferred_filter, "_deferred_filter"),
    NAME(for_write, "_for_write"),
    NAME(instance, "instance"),
    NAME(router, "router"),
    NAME(routers, "routers"),
    NAME(db_for_read, "db_for_read"),
    NAME(own_fetch_mode, "_fetch_mode"),
    NAME(track_peers, "track_peers"),
    NAME(alias, "alias"),
    NAME(native, "native"),
    NAME(links, "links"),
    NAME(found, "found"),
    NAME(queryset_class, "_queryset_class"),
    NAME(get_queryset, "get_queryset"),
    NAME(model, "model"),
    NAME(meta, "_meta"),
    NAME(ordering, "ordering"),
    NAME(caching, "caching"),
    NAME(sticky_filter, "_sticky_filter"),
    NAME(defer_next_filter, "_defer_next_filter"),
    NAME(prefetch_related_lookups, "_prefetch_related_lookups"),
    NAME(result_cache, "_result_cache"),
    NAME(connections, "_connections"),
    NAME(storage, "_storage"),
    NAME(standing, "_cache_manager_standing"),
    NAME(driver, "driver"),
    NAME(session, "session"),
    NAME(doubtful, "doubtful"),
    NAME(off, "off"),
    NAME(errored, "errored"),
    NAME(dirty, "dirty"),
    NAME(level, "level"),
    NAME(connection, "connection"),
    NAME(needs_rollback, "needs_rollback"),
    NAME(cursor, "cursor"),
    NAME(ensure_connection, "ensure_connection"),
    NAME(timezone_name, "timezone_name"),
    NAME(schema_name, "schema_name"),
    NAME(thread_ident, "_thread_ident"),
    NAME(current, "_current"),
    NAME(use_tz, "USE_TZ"),
    NAME(unopened, "_cache_manager_unopened"),
    NAME(settings_dict, "settings_dict"),
    NAME(in_atomic_block, "in_atomic_block"),
    NAME(options, "OPTIONS"),
};

static PyObject **name_at(struct engine_state *state, size_t index)
{
    return (PyObject **)(void *)((char *)state + names[index].offset);
}

static int name_them(struct engine_state *state)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        PyObject **name = name_at(state, i);

        *name = PyUnicode_InternFromString(names[i].text);
        if (*name == NULL)
            return -1;
    }
    state->signed_names = PyTuple_Pack(1, state->name_signed);
    return state->signed_names == NULL ? -1 : 0;
}

static PyObject *import(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *object = module == NULL ? NULL : PyObject_GetAttrString(module, name);

    Py_XDECREF(module);
    return object;
}

static PyTypeObject *import_type(const char *module_name, const char *name)
{
    PyObject *type = import(module_name, name);

    if (type == NULL || PyType_Check(type))
        return (PyTypeObject *)type;
    PyErr_Format(PyExc_TypeError, "%s.%s is no type", module_name, name);
    Py_DECREF(type);
    return NULL;
}

static int find_datetime(struct engine_state *state)
{
    state->datetime_capsule = import("datetime", "datetime_CAPI");
    if (state->datetime_capsule == NULL)
        return -1;
    state->datetime = PyCapsule_GetPointer(state->datetime_capsule, PyDateTime_CAPSULE_NAME);
    if (state->datetime == NULL)
        return -1;
    state->timezone_type = (PyTypeObject *)Py_NewRef(Py_TYPE(state->datetime->TimeZone_UTC));
    return 0;
}

static int find_types(struct engine_state *state)
{
    PyObject *safe;

    if (find_datetime(state) < 0)
        return -1;
    state->decimal_type = import_type("decimal", "Decimal");
    state->uuid_type = import_type("uuid", "UUID");
    safe = import("uuid", "SafeUUID");
    state->uuid_unsafe = safe == NULL ? NULL : PyObject_GetAttrString(safe, "unknown");
    Py_XDECREF(safe);
    state->gc_collect = import("gc", "collect");
    state->number_zero = PyLong_FromLong(0);
    state->object_new = PyObject_GetAttrString((PyObject *)&PyBaseObject_Type, "__new__");
    if (state->gc_collect == NULL || state->number_zero == NULL || state->object_new == NULL)
        return -1;
    return state->decimal_type != NULL && state->uuid_type != NULL && state->uuid_unsafe != NULL ? 0 : -1;
}

static int execute(PyObject *module)
{
    struct engine_state *state = engine_state_of(module);

    if (name_them(state) < 0 || find_types(state) < 0 || engine_errors_add(module, state) < 0)
        return -1;
    return add_types(module, state) < 0 ? -1 : add_constants(module);
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
    const struct engine_state *state = engine_state_of(module);

    Py_VISIT(state->segment_error);
    Py_VISIT(state->unencodable);
    Py_VISIT(state->segment_type);
    Py_VISIT(state->bypass_type);
    Py_VISIT(state->local_cache_type);
    Py_VISIT(state->row_plan_type);
    Py_VISIT(state->scan_type);
    Py_VISIT(state->trace_type);
    Py_VISIT(state->standing_type);
    Py_VISIT(state->unopened_type);
    Py_VISIT(state->answers_type);
    Py_VISIT(state->datetime_capsule);
    Py_VISIT(state->timezone_type);
    Py_VISIT(state->decimal_type);
    Py_VISIT(state->uuid_type);
    Py_VISIT(state->uuid_unsafe);
    Py_VISIT(state->gc_collect);
    Py_VISIT(state->object_new);
    return 0;
}

static void clear_names(struct engine_state *state)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++)
        Py_CLEAR(*name_at(state, i));
    Py_CLEAR(state->signed_names);
}

static int clear(PyObject *module)
{
    struct engine_state *state = engine_state_of(module);

    Py_CLEAR(state->segment_error);
    Py_CLEAR(state->unencodable);
    Py_CLEAR(state->segment_type);
    Py_CLEAR(state->bypass_type);
    Py_CLEAR(state->local_cache_type);
    Py_CLEAR(state->row_plan_type);
    Py_CLEAR(state->scan_type);
    Py_CLEAR(state->trace_type);
    Py_CLEAR(state->standing_type);
    Py_CLEAR(state->unopened_type);
    Py_CLEAR(state->answers_type);
    state->datetime = NULL;
    Py_CLEAR(state->datetime_capsule);
    Py_CLEAR(state->timezone_type);
    Py_CLEAR(state->decimal_type);
    Py_CLEAR(state->uuid_type);
    Py_CLEAR(state->uuid_unsafe);
    Py_CLEAR(state->gc_collect);
    Py_CLEAR(state->number_zero);
    Py_CLEAR(state->object_new);
    clear_names(state);
    return 0;
}

static void release(void *module)
{
    struct engine_state *state = engine_state_of(module);

    (void)clear(module);
    qc_encoder_release(&state->spare_encoder);
    qc_sql_release(&state->spare_sql);
}

#define FAST (METH_FASTCALL | METH_KEYWORDS)

static PyMethodDef methods[] = {
    {"scan", ENGINE_METHOD(engine_scan), FAST, "What one SQL string reads and writes."},
    {"encode_key", ENGINE_METHOD(engine_encode_key), METH_O, "Typed bytes of a tuple of values."},
    {"encode_rows", ENGINE_METHOD(engine_encode_rows), FAST, "Rows as bytes; None past max_bytes."},
    {"decode_rows", ENGINE_METHOD(engine_decode_rows), METH_O, "What encode_rows was given, its rows as tuples."},
    {"pack_entry", ENGINE_METHOD(engine_pack_entry), FAST, "An entry for a Django cache backend."},
    {"unpack_entry", ENGINE_METHOD(engine_unpack_entry), FAST, "Rows, cells, stamp and encoded size, or None."},
    {"shareable", ENGINE_METHOD(engine_shareable), METH_O, "Whether every value is of an exact immutable type."},
    {"copyable", ENGINE_METHOD(engine_copyable), METH_O, "Whether a copy of every value can be handed out."},
    {"footprint", ENGINE_METHOD(engine_footprint), METH_O, "Bytes that rows take in this process."},
    {"row_tuples", ENGINE_METHOD(engine_row_tuples), FAST, "Rows as tuples."},
    {"row_named", ENGINE_METHOD(engine_row_named), FAST, "Rows as instances of a named tuple's class."},
    {"row_column", ENGINE_METHOD(engine_row_column), FAST, "One value of each row."},
    {"row_dicts", ENGINE_METHOD(engine_row_dicts), FAST, "Rows as dicts with these names."},
    {"link", ENGINE_METHOD(engine_link), FAST, "Tells instances which objects their keys mean, if all is plain."},
    {"aggregated_name", ENGINE_METHOD(engine_aggregated_name), FAST, "What a plain aggregate is over; None."},
    {"unbuilt", ENGINE_METHOD(engine_unbuilt), FAST, "A queryset like another, with another trace."},
    {"pristine", ENGINE_METHOD(engine_pristine), FAST, "A manager's queryset with a root's trace; None."},
    {"plain_trace", ENGINE_METHOD(engine_plain_trace), METH_O, "A queryset's trace if nothing is put off; None."},
    {"file_identity", ENGINE_METHOD(engine_file_identity), METH_O, "Device major and minor, inode, birth time in ns."},
    {"mysql_status", ENGINE_METHOD(engine_mysql_status), METH_O,
     "The server's status word in a mysqlclient connection."},
    {"mysql_status_proved", ENGINE_METHOD(engine_mysql_status_proved), METH_O, "Whether mysql_status reads true."},
    {"process_namespace", ENGINE_METHOD(engine_process_namespace), METH_NOARGS, "This process's PID namespace."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, ENGINE_SLOT(execute)},
#if PY_VERSION_HEX >= 0x030C0000
    /* State is per module; but datetime's C interface, which we stand on, is not there (3.12) or not sound (3.13) in an
     * interpreter with a GIL of its own. */
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    /* L1's table and the spare buffers are guarded by the GIL alone. */
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "django_cache_manager._engine",
    .m_doc = "The C engine of django-cache-manager.",
    .m_size = sizeof(struct engine_state),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
    .m_free = release,
};

/* Found by its name: no header declares it. */
PyMODINIT_FUNC PyInit__engine(void);

PyMODINIT_FUNC PyInit__engine(void)
{
    return PyModuleDef_Init(&definition);
}
