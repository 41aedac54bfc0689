/* Answers: hits of traced querysets, where all is as it was at a connection's last look round. What isn't plain is the
 * affair of django_cache_manager/answers.py, which gives the same answers with more questions. */
#include "answers.h"

#include "row_plan.h"
#include "segment.h"

static const struct engine_field fields[] = {
    {"cache", offsetof(struct answers, cache)},
    {"miss", offsetof(struct answers, miss)},
    {"captures", offsetof(struct answers, captures)},
    {"connections", offsetof(struct answers, connections)},
    {"local_type", offsetof(struct answers, local_type)},
    {"running_loop", offsetof(struct answers, running_loop)},
    {"database", offsetof(struct answers, database)},
    {"default_alias", offsetof(struct answers, default_alias)},
    {"router", offsetof(struct answers, router)},
    {"db_for_read", offsetof(struct answers, db_for_read)},
    {"query_names", offsetof(struct answers, query_names)},
    {"filtering", offsetof(struct answers, filtering)},
    {"plain", offsetof(struct answers, plain)},
    {"kept", offsetof(struct answers, kept)},
    {"roots", offsetof(struct answers, roots)},
    {NULL, 0},
};

static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    struct answers *self = (struct answers *)type->tp_alloc(type, 0);

    if (self == NULL || engine_fields_set(self, "Answers", fields, args, keywords) < 0) {
        Py_XDECREF(self);
        return NULL;
    }
    if (engine_dict("query_names", self->query_names) < 0 || engine_tuple("kept", self->kept) < 0 ||
        engine_dict("roots", self->roots) < 0)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int traverse(struct answers *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return engine_fields_visit(self, fields, visit, arg);
}

/* No tp_clear: it is never changed, and the dicts it stands among break their cycles. */
static void dealloc(struct answers *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    engine_fields_clear(self, fields);
    type->tp_free(self);
    Py_DECREF(type);
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

static PyObject *key_of(struct engine_state *state, const struct standing *standing, const struct trace *trace,
                        PyObject *kind)
{
    PyObject *number = PyObject_GetAttr(trace->shape, state->name_number), *key;

    if (number == NULL)
        return NULL;
    key = engine_trace_key(state, standing->head, number, kind, trace->values);
    Py_DECREF(number);
    if (key == NULL && PyErr_ExceptionMatches(state->unencodable))
        PyErr_Clear();
    return key;
}

/* Hit: the cells are looked at (PROTOCOL 4). */
static PyObject *look_up(const struct engine_state *state, const struct answers *self, struct segment *segment,
                         PyObject *key)
{
    PyObject *value;

    if (engine_local_cache_find(state, self->cache, key, segment, &value) < 0)
        return NULL;
    if (value != NULL && !(PyTuple_Check(value) && PyTuple_GET_SIZE(value) == ANSWER_PARTS))
        Py_CLEAR(value);
    return value;
}

/* What instances are wanted of. The references are the struct's own. */
struct instances {
    struct engine_instances wanted;
    struct row_plan *native;
    PyObject *related, *links; /* what the queryset knows of foreign keys, and the plan's; `related` NULL: nothing */
};

static void release_instances(struct instances *self)
{
    Py_XDECREF(self->wanted.fetch_mode);
    Py_XDECREF((PyObject *)self->native);
    Py_XDECREF(self->related);
    Py_XDECREF(self->links);
}

/* 1: the engine's plan makes them; 0: Django does; -1. */
static int take_plan(const struct engine_state *state, PyObject *plan, struct instances *self)
{
    PyObject *native = plan == Py_None ? NULL : PyObject_GetAttr(plan, state->name_native);

    if (native != NULL && Py_IS_TYPE(native, state->row_plan_type))
        self->native = (struct row_plan *)Py_NewRef(native);
    Py_XDECREF(native);
    if (self->native == NULL)
        return PyErr_Occurred() != NULL ? -1 : 0;
    self->links = PyObject_GetAttr(plan, state->name_links);
    return self->links == NULL ? -1 : PyTuple_CheckExact(self->links);
}

/* 1: the engine can do what the queryset asks for of its own; 0: it can't; -1. */
static int take_wishes(const struct engine_state *state, PyObject *own, struct instances *self)
{
    PyObject *related = PyDict_GetItemWithError(own, state->name_known_related_objects), *fetch_mode, *tracks;
    int plain = related != NULL && PyDict_CheckExact(related);

    if (plain && PyDict_GET_SIZE(related) > 0)
        self->related = Py_NewRef(related);
    fetch_mode = plain ? Py_XNewRef(PyDict_GetItemWithError(own, state->name_own_fetch_mode)) : NULL;
    if (fetch_mode == NULL) /* before Django 6.1 there is none */
        return PyErr_Occurred() != NULL ? -1 : plain;
    self->wanted.fetch_mode = fetch_mode;
    tracks = PyObject_GetAttr(fetch_mode, state->name_track_peers);
    self->wanted.track_peers = tracks == Py_True;
    plain = tracks == NULL ? -1 : tracks == Py_True || tracks == Py_False;
    Py_XDECREF(tracks);
    return plain;
}

static PyObject *link_of(PyObject *links, PyObject *field)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(links); i++) {
        PyObject *link = PyTuple_GET_ITEM(links, i);

        if (engine_is_link(link) && engine_link_field(link) == field)
            return link;
    }
    return NULL;
}

/* 1: what the queryset knows is set; 0: Django has to; -1. A queryset knows of one foreign key, or seldom of two. */
static int set_known(const struct engine_state *state, const struct answers *self, const struct instances *wanted,
                     PyObject *made)
{
    PyObject *field, *objects;
    Py_ssize_t position = 0;
    int done = wanted->related == NULL ? 1 : engine_is_unrouted(state, self);

    while (done > 0 && wanted->related != NULL && PyDict_Next(wanted->related, &position, &field, &objects)) {
        PyObject *link = link_of(wanted->links, field);

        Py_INCREF(objects);
        done = link == NULL ? 0 : engine_link_all(state, made, objects, link);
        Py_DECREF(objects);
    }
    return done;
}

/* The instances, where the engine's plan makes them at once. */
static PyObject *instances(const struct engine_state *state, const struct answers *self, PyObject *answer,
                           const struct question *question, size_t *grown)
{
    struct instances wanted = {
        .wanted =
            {
                .db = question->alias,
                .copy = PyTuple_GET_ITEM(answer, ANSWER_COPIES) == Py_True,
                .holder = PyTuple_GET_ITEM(answer, ANSWER_PROTOTYPES),
            },
    };
    PyObject *made = NULL;

    if (take_plan(state, PyTuple_GET_ITEM(answer, ANSWER_PLAN), &wanted) > 0 &&
        take_wishes(state, question->own, &wanted) > 0)
        made = engine_row_plan_rows(wanted.native, PyTuple_GET_ITEM(answer, ANSWER_ROWS), &wanted.wanted);
    if (made == Py_None || (made != NULL && set_known(state, self, &wanted, made) <= 0))
        Py_CLEAR(made);
    *grown = wanted.wanted.bytes;
    release_instances(&wanted);
    return made;
}

static PyObject *items_of(const struct engine_state *state, const struct answers *self, PyObject *answer,
                          const struct question *question, size_t *grown)
{
    PyObject *items = instances(state, self, answer, question, grown);

    if (items != NULL || PyErr_Occurred() != NULL || question->queryset == NULL)
        return items;
    if (question->connection != NULL && PyTuple_GET_ITEM(answer, ANSWER_PLAN) != Py_None)
        return NULL; /* a model's own code belongs to the connection's thread */
    return PyObject_CallFunctionObjArgs(PyTuple_GET_ITEM(answer, ANSWER_MAKE_ITEMS), question->queryset,
                                        question->alias, PyTuple_GET_ITEM(answer, ANSWER_ROWS),
                                        PyTuple_GET_ITEM(answer, ANSWER_COPIES), NULL);
}

/* One item or none. Takes over `items`. */
static PyObject *only(PyObject *items)
{
    PyObject *item = Py_None;

    if (!PyList_CheckExact(items)) {
        PyErr_Format(PyExc_TypeError, "items must be a list, not %.100s", Py_TYPE(items)->tp_name);
        Py_DECREF(items);
        return NULL;
    }
    if (PyList_GET_SIZE(items) > 0)
        item = PyList_GET_ITEM(items, 0);
    Py_INCREF(item);
    Py_DECREF(items);
    return item;
}

/* `grown`: the bytes that the answer takes more by now. */
static PyObject *hand_out(const struct engine_state *state, const struct answers *self, PyObject *answer,
                          const struct question *question, size_t *grown)
{
    PyObject *value = PyTuple_GET_ITEM(answer, ANSWER_VALUE), *items;

    if (PyTuple_GET_ITEM(answer, ANSWER_MAKE_ITEMS) == Py_None)
        return question->kind == ANSWER_AGGREGATE ? PyDict_Copy(value) : Py_NewRef(value);
    items = items_of(state, self, answer, question, grown);
    if (items == NULL || question->kind == ANSWER_ITEMS)
        return items;
    return question->kind == ANSWER_LEVEL ? Py_BuildValue("NO", items, value) : only(items);
}

int engine_question_kind(PyObject *number, struct question *question)
{
    uint64_t kind = 0;

    if (engine_number("kind", number, ANSWER_LAST, &kind) < 0)
        return -1;
    question->number = number;
    question->kind = (enum answer_kind)kind;
    return 0;
}

struct standing *engine_question_standing(const struct engine_state *state, const struct answers *self,
                                          const struct question *question)
{
    if (question->connection == NULL)
        return engine_standing_here(state, self, question->alias);
    return engine_standing_of(state, self, question->connection, question->alias);
}

/* 0, or -1 with an exception. */
static int count_grown(const struct engine_state *state, const struct answers *self, PyObject *key, PyObject *answer,
                       size_t grown)
{
    if (grown == 0 || engine_local_cache_grow(state, self->cache, key, answer, grown))
        return 0;
    return engine_prototypes_refuse(PyTuple_GET_ITEM(answer, ANSWER_PROTOTYPES));
}

PyObject *engine_answers_find(const struct answers *self, const struct standing *standing,
                              const struct question *question)
{
    struct engine_state *state = engine_state_of_type(Py_TYPE(self));
    struct segment *segment = engine_segment_of(state, standing->segment);
    PyObject *key, *answer, *found = NULL;
    size_t grown = 0;

    key = segment == NULL ? NULL : key_of(state, standing, question->trace, question->number);
    answer = key == NULL ? NULL : look_up(state, self, segment, key);
    if (answer != NULL)
        found = hand_out(state, self, answer, question, &grown);
    else if (key != NULL && PyErr_Occurred() == NULL)
        found = Py_NewRef(self->miss);
    if (answer != NULL && found != NULL && count_grown(state, self, key, answer, grown) < 0)
        Py_CLEAR(found);
    if (answer != NULL && found != NULL)
        qc_segment_count(segment->handle, QC_COUNTER_HIT);
    Py_XDECREF(answer);
    Py_XDECREF(key);
    return found;
}

PyObject *engine_or_not(PyObject *found)
{
    return found != NULL || PyErr_Occurred() != NULL ? found : Py_NewRef(Py_NotImplemented);
}

static PyObject *find(struct answers *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"queryset", "trace", "kind", "alias", "connection", NULL};
    static const struct engine_signature signature = {"find", names, 4, 5};
    const struct engine_state *state = engine_state_of_type(Py_TYPE(self));
    struct question question = {0};
    struct standing *standing;
    PyObject *given[5], *found = NULL;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || engine_question_kind(given[2], &question) < 0)
        return NULL;
    question.trace = engine_trace_of(state, given[1]);
    question.own = question.trace == NULL ? NULL : PyObject_GenericGetDict(given[0], NULL);
    if (question.own == NULL)
        return NULL;
    question.queryset = given[0];
    question.alias = given[3];
    question.connection = given[4];
    standing = engine_question_standing(state, self, &question);
    if (standing != NULL)
        found = engine_answers_find(self, standing, &question);
    Py_XDECREF(standing);
    Py_DECREF(question.own);
    return engine_or_not(found);
}

static PyObject *alias(struct answers *self, PyObject *queryset)
{
    PyObject *found = engine_alias_of(engine_state_of_type(Py_TYPE(self)), self, queryset);

    return found != NULL || PyErr_Occurred() != NULL ? found : Py_NewRef(Py_None);
}

#define FAST (METH_FASTCALL | METH_KEYWORDS)

static PyMethodDef methods[] = {
    {"alias", ENGINE_METHOD(alias), METH_O, "The alias that a queryset reads from; None: Django has to be asked."},
    {"find", ENGINE_METHOD(find), FAST, "A trace's answer."},
    {"answer", ENGINE_METHOD(engine_answers_answer), FAST, "A queryset's answer."},
    {"filter", ENGINE_METHOD(engine_answers_filter), FAST, "The queryset of a known filter."},
    {"name", ENGINE_METHOD(engine_answers_name), FAST, "The queryset of a known order_by() or its like."},
    {"slice", ENGINE_METHOD(engine_answers_slice), FAST, "The queryset of a known slice."},
    {"manager_get", ENGINE_METHOD(engine_answers_manager_get), FAST,
     "The answer of a manager's filter, without a queryset."},
    {"manager_filter", ENGINE_METHOD(engine_answers_manager_filter), FAST, "The queryset of a manager's known filter."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Hits of traced querysets."}, {Py_tp_new, ENGINE_SLOT(make)}, {Py_tp_dealloc, ENGINE_SLOT(dealloc)},
    {Py_tp_traverse, ENGINE_SLOT(traverse)},  {Py_tp_methods, methods},       {0, NULL},
};

PyType_Spec engine_answers_spec = {
    .name = "django_cache_manager._engine.Answers",
    .basicsize = sizeof(struct answers),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};
