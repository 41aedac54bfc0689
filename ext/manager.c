/* Managers: what their querysets begin with. */
#include "manager.h"

void engine_manager_release(struct manager *manager)
{
    Py_XDECREF(manager->root);
    Py_XDECREF(manager->kind);
    Py_XDECREF(manager->model);
    Py_XDECREF(manager->using);
    Py_XDECREF(manager->hints);
}

static int read_manager(const struct engine_state *state, PyObject *object, struct manager *manager)
{
    manager->kind = PyObject_GetAttr(object, state->name_queryset_class);
    manager->model = manager->kind == NULL ? NULL : PyObject_GetAttr(object, state->name_model);
    manager->using = manager->model == NULL ? NULL : PyObject_GetAttr(object, state->name__db);
    manager->hints = manager->using == NULL ? NULL : PyObject_GetAttr(object, state->name_hints);
    return manager->hints == NULL ? -1 : 0;
}

/* 1: the model is ordered as it was when the root was made; 0: not so, or it has no options; -1. */
static int is_ordered_as(const struct engine_state *state, PyObject *shape, PyObject *model)
{
    PyObject *options = PyObject_GetAttr(model, state->name_meta), *now, *then;
    int same;

    now = options == NULL ? NULL : PyObject_GetAttr(options, state->name_ordering);
    then = now == NULL ? NULL : PyObject_GetAttr(shape, state->name_ordering);
    same = then == NULL ? -1 : now == then;
    Py_XDECREF(then);
    Py_XDECREF(now);
    Py_XDECREF(options);
    return same;
}

/* A new reference; NULL without an exception: there is none. */
static struct trace *root_of(const struct engine_state *state, PyObject *roots, const struct manager *manager)
{
    PyObject *key = PyTuple_Pack(2, manager->kind, manager->model), *root;
    int holds;

    if (key == NULL)
        return NULL;
    root = Py_XNewRef(PyDict_GetItemWithError(roots, key));
    Py_DECREF(key);
    if (root == NULL)
        return NULL;
    holds =
        Py_IS_TYPE(root, state->trace_type) ? is_ordered_as(state, ((struct trace *)root)->shape, manager->model) : 0;
    if (holds <= 0)
        Py_CLEAR(root);
    return (struct trace *)root;
}

/* Whether a manager says nothing of its own about caching, nor can by a __getattr__. */
static int says_nothing(const struct engine_state *state, PyObject *manager)
{
    PyObject *own;
    int says;

    if (Py_TYPE(manager)->tp_getattro != PyObject_GenericGetAttr ||
        _PyType_Lookup(Py_TYPE(manager), state->name_caching) != NULL)
        return 0;
    own = PyObject_GenericGetDict(manager, NULL);
    if (own == NULL)
        return -1;
    says = PyDict_Contains(own, state->name_caching);
    Py_DECREF(own);
    return says < 0 ? -1 : !says;
}

int engine_manager_read(const struct engine_state *state, PyObject *object, PyObject *roots, struct manager *manager)
{
    int silent = says_nothing(state, object);

    *manager = (struct manager){0};
    if (silent <= 0)
        return silent;
    if (read_manager(state, object, manager) < 0)
        return -1;
    manager->root = root_of(state, roots, manager);
    return manager->root != NULL ? 1 : PyErr_Occurred() != NULL ? -1 : 0;
}
