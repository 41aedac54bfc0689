/* Calls of a manager's methods, without the queryset that they would begin with. */
#include "answers.h"
#include "queryset.h"

/* What has to be as this package has left it, for a manager's call to come to what its queryset's does. */
struct guards {
    PyObject *get_queryset;  /* BaseManager's */
    PyObject *name, *method; /* QuerySet's, which the manager's goes to */
};

static int take_guards(PyObject *object, struct guards *guards)
{
    if (PyTuple_CheckExact(object) && PyTuple_GET_SIZE(object) == 3 &&
        PyUnicode_CheckExact(PyTuple_GET_ITEM(object, 1))) {
        *guards =
            (struct guards){PyTuple_GET_ITEM(object, 0), PyTuple_GET_ITEM(object, 1), PyTuple_GET_ITEM(object, 2)};
        return 0;
    }
    PyErr_SetString(PyExc_TypeError, "guards must be a tuple of get_queryset, a name and a method");
    return -1;
}

/* Whether an object's attribute is that of its class, and this. */
static int is_classes(PyObject *object, PyObject *name, PyObject *expected)
{
    PyObject *own;
    int has;

    if (_PyType_Lookup(Py_TYPE(object), name) != expected)
        return 0;
    own = PyObject_GenericGetDict(object, NULL);
    has = own == NULL ? -1 : PyDict_Contains(own, name);
    Py_XDECREF(own);
    return has < 0 ? -1 : !has;
}

static bool has(PyObject *kind, PyObject *name, PyObject *expected)
{
    return _PyType_Lookup((PyTypeObject *)kind, name) == expected;
}

/* 1: the manager may be gone past; 0: it may not; -1. To be released in any case. */
static int pass(const struct engine_state *state, const struct answers *self, PyObject *object,
                const struct guards *guards, struct manager *manager)
{
    int plain = is_classes(object, state->name_get_queryset, guards->get_queryset);

    *manager = (struct manager){0};
    if (plain > 0)
        plain = engine_manager_read(state, object, self->roots, manager);
    if (plain > 0)
        plain = PyType_Check(manager->kind) && has(manager->kind, guards->name, guards->method) &&
                has(manager->kind, state->name_db, self->database);
    return plain;
}

/* The attributes of the root's querysets. */
static PyObject *attributes_of(const struct engine_state *state, const struct manager *manager)
{
    PyObject *attributes = PyObject_GetAttr(manager->root->shape, state->name_attributes);

    if (attributes != NULL && !PyDict_CheckExact(attributes))
        Py_CLEAR(attributes);
    return attributes;
}

static PyObject *answer_of(const struct engine_state *state, const struct answers *self, const struct manager *manager,
                           struct question *question, PyObject *keywords)
{
    struct standing *standing = NULL;
    PyObject *found = NULL;

    question->alias = engine_alias_by(state, self, manager->using, manager->hints);
    if (question->alias != NULL)
        standing = engine_standing_here(state, self, question->alias);
    if (standing != NULL)
        question->trace = engine_answers_filtered(state, self, manager->root, self->filtering, keywords);
    question->own = question->trace == NULL ? NULL : attributes_of(state, manager);
    if (question->own != NULL)
        found = engine_answers_find(self, standing, question);
    Py_XDECREF(question->own);
    Py_XDECREF(question->trace);
    Py_XDECREF(standing);
    Py_XDECREF(question->alias);
    return found;
}

PyObject *engine_answers_manager_get(struct answers *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"manager", "guards", "kind", "kwargs", NULL};
    static const struct engine_signature signature = {"manager_get", names, 4, 4};
    const struct engine_state *state = engine_state_of_type(Py_TYPE(self));
    struct question question = {0};
    PyObject *given[4], *found = NULL;
    struct manager manager;
    struct guards guards;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || take_guards(given[1], &guards) < 0 ||
        engine_question_kind(given[2], &question) < 0)
        return NULL;
    if (pass(state, self, given[0], &guards, &manager) > 0)
        found = answer_of(state, self, &manager, &question, given[3]);
    engine_manager_release(&manager);
    return engine_or_not(found);
}

PyObject *engine_answers_manager_filter(struct answers *self, PyObject *const *args, Py_ssize_t count,
                                        PyObject *keywords)
{
    static const char *const names[] = {"manager", "guards", "method", "kwargs", NULL};
    static const struct engine_signature signature = {"manager_filter", names, 4, 4};
    const struct engine_state *state = engine_state_of_type(Py_TYPE(self));
    struct trace *trace = NULL;
    PyObject *given[4], *made = NULL;
    struct manager manager;
    struct guards guards;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || take_guards(given[1], &guards) < 0)
        return NULL;
    if (pass(state, self, given[0], &guards, &manager) > 0)
        trace = engine_answers_filtered(state, self, manager.root, given[2], given[3]);
    if (trace != NULL)
        made = engine_queryset_of(state, &manager, trace, self->kept);
    Py_XDECREF(trace);
    engine_manager_release(&manager);
    return engine_or_not(made);
}
