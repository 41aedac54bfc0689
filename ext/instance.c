/* Rows to model instances, as Model.from_db and RelatedPopulator make them.
 *
 * The plan's guards say that nothing here can be seen to differ: __init__ is Django's, nobody listens, and each attribute
 * ends in the instance's __dict__. So no Python code runs between the first instance and the last.
 */
#include "row_plan.h"

/* From this many rows on the collector is told that there is nothing for it to find. */
#define ROWS_WITHOUT_COLLECTOR 200

/* New objects that the collector does not see yet: references of its own, for the row they belong to may yet fail. */
struct unseen {
    PyObject **objects;
    Py_ssize_t count, room;
    bool wanted;
};

struct build {
    const struct engine_state *state;
    const struct row_plan *plan;
    PyObject *empty, *db, *fetch_mode; /* fetch_mode NULL: before Django 6.1 */
    PyObject **peers;                  /* a list for each node; NULL: not tracked */
    struct unseen *unseen;
    struct prototypes *prototypes;
    Py_ssize_t row;
    bool copy;
};

/* The references are the struct's own. */
struct made {
    PyObject *instance, *state, *cache; /* cache NULL: Django has not asked for it yet */
};

static void made_release(struct made *made)
{
    Py_CLEAR(made->instance);
    Py_CLEAR(made->state);
    Py_CLEAR(made->cache);
}

/* Each is full by now, or is put back in sight by whoever puts more into it (a dict does). Without memory it stays in
 * sight. */
static void hide(const struct build *build, PyObject *object)
{
    struct unseen *unseen = build->unseen;

    if (!unseen->wanted || object == NULL || !PyObject_GC_IsTracked(object))
        return;
    if (unseen->count == unseen->room) {
        Py_ssize_t room = unseen->room == 0 ? 4096 : unseen->room * 2;
        PyObject **objects = PyMem_Realloc(unseen->objects, (size_t)room * sizeof *objects);

        if (objects == NULL)
            return;
        unseen->objects = objects;
        unseen->room = room;
    }
    PyObject_GC_UnTrack(object);
    unseen->objects[unseen->count++] = Py_NewRef(object);
}

static void show_all(struct unseen *unseen)
{
    for (Py_ssize_t i = 0; i < unseen->count; i++) {
        if (!PyObject_GC_IsTracked(unseen->objects[i]))
            PyObject_GC_Track(unseen->objects[i]);
        Py_DECREF(unseen->objects[i]);
    }
    PyMem_Free(unseen->objects);
}

static PyObject *object_new(const struct build *build, PyTypeObject *type)
{
    return PyBaseObject_Type.tp_new(type, build->empty, NULL);
}

/* Without the places of its attributes, for it gets a dict of its own. */
static PyObject *object_without_attributes(const struct build *build, PyTypeObject *type)
{
    /* Which raises what Django would see. */
    if (PyType_HasFeature(type, Py_TPFLAGS_IS_ABSTRACT))
        return object_new(build, type);
    return type->tp_alloc(type, 0);
}

static int open_cache(const struct build *build, struct made *made)
{
    if (made->cache != NULL)
        return 0;
    made->cache = PyDict_New();
    if (made->cache == NULL)
        return -1;
    return PyObject_GenericSetAttr(made->state, build->state->name_fields_cache, made->cache);
}

static bool asks_cache(const struct plan_node *node, PyObject *const *values)
{
    for (Py_ssize_t i = 0; node->has_foreign && i < PyTuple_GET_SIZE(node->names); i++)
        if (node->foreign[i] && values[node->columns[i]] != Py_None)
            return true;
    return false;
}

/* The fields cache comes before the rest where setting a foreign key's value makes Django look into it. */
static int make_state(const struct build *build, const struct plan_node *node, PyObject *const *values,
                      struct made *made)
{
    made->state = object_new(build, build->plan->state_type);
    if (made->state == NULL || (asks_cache(node, values) && open_cache(build, made) < 0) ||
        PyObject_GenericSetAttr(made->state, build->state->name_adding, Py_False) < 0 ||
        PyObject_GenericSetAttr(made->state, build->state->name_db, build->db) < 0)
        return -1;
    if (build->fetch_mode == NULL)
        return 0;
    return PyObject_GenericSetAttr(made->state, build->state->name_fetch_mode, build->fetch_mode);
}

/* `dict` NULL: no descriptor has to be passed by, and so no dict is made. */
static int set_attribute(const struct build *build, PyObject *instance, PyObject *dict, PyObject *name, PyObject *value)
{
    PyObject *own = build->copy ? engine_value_copy(value) : Py_NewRef(value);
    int result;

    if (own == NULL)
        return -1;
    result = dict != NULL ? PyDict_SetItem(dict, name, own) : PyObject_GenericSetAttr(instance, name, own);
    Py_DECREF(own);
    return result;
}

static int fill(const struct build *build, const struct plan_node *node, PyObject *const *values, struct made *made)
{
    PyObject *dict = node->through_dict ? PyObject_GenericGetDict(made->instance, NULL) : NULL;
    int result = node->through_dict && dict == NULL ? -1 : 0;

    if (result == 0)
        result = dict != NULL ? PyDict_SetItem(dict, build->state->name_state, made->state)
                              : PyObject_GenericSetAttr(made->instance, build->state->name_state, made->state);
    for (Py_ssize_t i = 0; result == 0 && i < PyTuple_GET_SIZE(node->names); i++)
        result = set_attribute(build, made->instance, dict, PyTuple_GET_ITEM(node->names, i), values[node->columns[i]]);
    if (dict != NULL)
        hide(build, dict);
    Py_XDECREF(dict);
    return result;
}

/* What `fill` does, by a copy of what an instance of this row got before. */
static int fill_like(const struct build *build, PyObject *prototype, struct made *made)
{
    PyObject *dict = PyDict_Copy(prototype);
    int result = dict == NULL ? -1 : PyDict_SetItem(dict, build->state->name_state, made->state);

    if (result == 0)
        result = PyObject_GenericSetAttr(made->instance, build->state->name_dict, dict);
    if (result == 0 && !PyObject_GC_IsTracked(dict))
        PyObject_GC_Track(dict);
    if (result == 0)
        hide(build, dict);
    Py_XDECREF(dict);
    return result;
}

static int track_peer(const struct build *build, PyObject *peers, const struct made *made)
{
    PyObject *reference = PyWeakref_NewRef(made->instance, NULL);
    int result = reference == NULL ? -1 : PyList_Append(peers, reference);

    Py_XDECREF(reference);
    return result < 0 ? -1 : PyObject_GenericSetAttr(made->state, build->state->name_peers, peers);
}

static int make(const struct build *build, Py_ssize_t index, PyObject *const *values, struct made *made)
{
    const struct plan_node *node = &build->plan->nodes[index];
    PyObject *prototype = engine_prototype(build->prototypes, build->row, index);

    made->instance = prototype != NULL ? object_without_attributes(build, node->model) : object_new(build, node->model);
    if (made->instance == NULL || make_state(build, node, values, made) < 0 ||
        (prototype != NULL ? fill_like(build, prototype, made) : fill(build, node, values, made)) < 0)
        return -1;
    hide(build, made->instance);
    hide(build, made->state);
    return build->peers == NULL ? 0 : track_peer(build, build->peers[index], made);
}

static int cache_as(const struct build *build, struct made *made, PyObject *name, PyObject *value)
{
    return open_cache(build, made) < 0 ? -1 : PyDict_SetItem(made->cache, name, value);
}

/* RelatedPopulator.populate for all nodes within `outer`: the inner ones first, then the links both ways. The plan
 * bounds the depth. */
static int populate(const struct build *build, Py_ssize_t outer_index, PyObject *const *values, struct made *outer)
{
    const struct plan_node *nodes = build->plan->nodes;
    int result = 0;

    for (Py_ssize_t i = outer_index + 1; result == 0 && i < nodes[outer_index].end; i = nodes[i].end) {
        struct made made = {0};

        if (values[nodes[i].pk_column] == Py_None) {
            result = cache_as(build, outer, nodes[i].local_name, Py_None);
            continue;
        }
        result = make(build, i, values, &made);
        if (result == 0)
            result = engine_prototype_keep(build->prototypes, build->state, build->row, i, made.instance);
        if (result == 0)
            result = populate(build, i, values, &made);
        if (result == 0)
            result = cache_as(build, outer, nodes[i].local_name, made.instance);
        if (result == 0 && nodes[i].remote_name != NULL)
            result = cache_as(build, &made, nodes[i].remote_name, outer->instance);
        if (result == 0)
            hide(build, made.cache);
        made_release(&made);
    }
    return result;
}

/* Annotations are among what a prototype has. */
static int annotate(const struct build *build, PyObject *const *values, PyObject *instance)
{
    const struct row_plan *plan = build->plan;

    if (engine_prototype(build->prototypes, build->row, 0) != NULL)
        return 0;
    for (Py_ssize_t i = 0; i < plan->annotation_count; i++)
        if (set_attribute(build, instance, NULL, plan->annotations[i].name, values[plan->annotations[i].column]) < 0)
            return -1;
    return engine_prototype_keep(build->prototypes, build->state, build->row, 0, instance);
}

static PyObject *build_row(const struct build *build, PyObject *row)
{
    struct made made = {0};
    PyObject *instance = NULL, *const * values;

    if (!(PyTuple_CheckExact(row) || PyList_CheckExact(row)) || PySequence_Fast_GET_SIZE(row) < build->plan->width) {
        PyErr_SetString(PyExc_ValueError, "a row that is not of the plan's shape");
        return NULL;
    }
    values = PySequence_Fast_ITEMS(row);
    if (make(build, 0, values, &made) == 0 && populate(build, 0, values, &made) == 0 &&
        annotate(build, values, made.instance) == 0) {
        hide(build, made.cache);
        instance = Py_NewRef(made.instance);
    }
    made_release(&made);
    return instance;
}

static PyObject *build_rows(struct build *build, PyObject *rows)
{
    Py_ssize_t count = PyList_GET_SIZE(rows);
    PyObject *instances = PyList_New(count);

    for (Py_ssize_t i = 0; instances != NULL && i < count; i++) {
        PyObject *row, *instance = NULL;

        if (PyList_GET_SIZE(rows) == count) {
            row = Py_NewRef(PyList_GET_ITEM(rows, i));
            build->row = i;
            instance = build_row(build, row);
            Py_DECREF(row);
        } else {
            PyErr_SetString(PyExc_RuntimeError, "rows changed while they were read");
        }
        if (instance == NULL)
            return instances; /* for the caller to release */
        PyList_SET_ITEM(instances, i, instance);
    }
    return instances;
}

/* A young collection while none of the new objects is in sight: it finds next to nothing, and counts from zero again.
 * Otherwise the next allocation would start one that walks through all of them. */
static int count_from_zero(const struct build *build)
{
    PyObject *result = PyObject_CallFunctionObjArgs(build->state->gc_collect, build->state->number_zero, NULL);

    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* No collection starts among the instances, for there is no garbage in what is being made. */
static PyObject *build_unseen(struct build *build, PyObject *rows)
{
    int collects = PyList_GET_SIZE(rows) >= ROWS_WITHOUT_COLLECTOR ? PyGC_Disable() : 0;
    PyObject *instances;

    build->unseen->wanted = collects;
    instances = build_rows(build, rows);
    if (collects) {
        PyGC_Enable();
        if (instances != NULL && PyErr_Occurred() == NULL)
            (void)count_from_zero(build);
    }
    show_all(build->unseen);
    if (PyErr_Occurred() != NULL)
        Py_CLEAR(instances);
    return instances;
}

static void release_peers(PyObject **peers, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; peers != NULL && i < count; i++)
        Py_XDECREF(peers[i]);
    PyMem_Free(peers);
}

static PyObject **new_peers(Py_ssize_t count)
{
    PyObject **peers = PyMem_Calloc((size_t)count, sizeof *peers);

    if (peers == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        peers[i] = PyList_New(0);
        if (peers[i] == NULL) {
            release_peers(peers, count);
            return NULL;
        }
    }
    return peers;
}

static PyObject *build_all(struct build *build, PyObject *rows, bool track_peers)
{
    PyObject *instances = NULL;

    build->empty = PyTuple_New(0);
    if (build->empty == NULL)
        return NULL;
    if (track_peers)
        build->peers = new_peers(build->plan->node_count);
    if (!track_peers || build->peers != NULL)
        instances = build_unseen(build, rows);
    release_peers(build->peers, build->plan->node_count);
    Py_DECREF(build->empty);
    return instances;
}

PyObject *engine_row_plan_rows(struct row_plan *self, PyObject *rows, struct engine_instances *wanted)
{
    const struct engine_state *state = engine_state_of_type(Py_TYPE(self));
    struct prototypes prototypes;
    struct unseen unseen = {0};
    struct build build = {
        .state = state,
        .plan = self,
        .unseen = &unseen,
        .prototypes = &prototypes,
        .db = wanted->db,
        .fetch_mode = wanted->fetch_mode == Py_None ? NULL : wanted->fetch_mode,
        .copy = wanted->copy,
    };
    PyObject *instances = NULL;

    if (!PyList_CheckExact(rows)) {
        PyErr_Format(PyExc_TypeError, "rows must be a list, not %.100s", Py_TYPE(rows)->tp_name);
        return NULL;
    }
    if (!engine_row_plan_holds(self))
        Py_RETURN_NONE;
    if (engine_prototypes_open(&prototypes, self, wanted->copy ? NULL : wanted->holder, PyList_GET_SIZE(rows)) == 0)
        instances = build_all(&build, rows, wanted->track_peers);
    if (engine_prototypes_close(&prototypes, state, instances != NULL, &wanted->bytes) < 0)
        Py_CLEAR(instances);
    return instances;
}

PyObject *engine_row_plan_build(struct row_plan *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"rows", "db", "fetch_mode", "track_peers", "copy", NULL};
    static const struct engine_signature signature = {"build", names, 2, 5};
    PyObject *given[ENGINE_ARGUMENTS_MAX];
    int track_peers, copy;

    if (engine_arguments(&signature, args, count, keywords, given) < 0)
        return NULL;
    track_peers = given[3] == NULL ? 0 : PyObject_IsTrue(given[3]);
    copy = given[4] == NULL ? 0 : PyObject_IsTrue(given[4]);
    if (track_peers < 0 || copy < 0)
        return NULL;
    return engine_row_plan_rows(
        self, given[0],
        &(struct engine_instances){
            .db = given[1], .fetch_mode = given[2], .track_peers = track_peers != 0, .copy = copy != 0});
}
