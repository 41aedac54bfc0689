/* The arguments of aggregate(): plain aggregates over the names of fields. */
#include "engine.h"

/* What says nothing of its own: the same object as in an expression without it, or an empty dict of its own. */
static bool is_default(PyObject *value, PyObject *expected)
{
    if (value == expected)
        return true;
    return expected != NULL && PyDict_CheckExact(value) && PyDict_CheckExact(expected) && PyDict_GET_SIZE(value) == 0 &&
           PyDict_GET_SIZE(expected) == 0;
}

/* What an F() names, if it says nothing else: borrowed from `own`. */
static PyObject *named(const struct engine_state *state, PyObject *own)
{
    PyObject *name = PyDict_GetItemWithError(own, state->name_name);
    Py_ssize_t known = (name != NULL) + (PyDict_GetItemWithError(own, state->name_constructor_args) != NULL);

    return name != NULL && PyUnicode_CheckExact(name) && PyDict_GET_SIZE(own) == known ? name : NULL;
}

static PyObject *name_of_source(const struct engine_state *state, PyObject *sources, PyObject *reference)
{
    PyObject *own, *name;

    if (sources == NULL || !PyList_CheckExact(sources) || PyList_GET_SIZE(sources) != 1 ||
        (PyObject *)Py_TYPE(PyList_GET_ITEM(sources, 0)) != reference)
        return NULL;
    own = PyObject_GenericGetDict(PyList_GET_ITEM(sources, 0), NULL);
    name = own == NULL ? NULL : Py_XNewRef(named(state, own));
    Py_XDECREF(own);
    return name;
}

/* Whether all else that an expression says are the defaults. Compares without running code: by identity. */
static bool says_no_more(const struct engine_state *state, PyObject *own, PyObject *defaults)
{
    PyObject *name, *value;
    Py_ssize_t position = 0;

    while (PyDict_Next(own, &position, &name, &value)) {
        if (name == state->name_source_expressions || name == state->name_constructor_args)
            continue;
        if (!PyUnicode_CheckExact(name) || !is_default(value, PyDict_GetItemWithError(defaults, name)))
            return false;
    }
    return true;
}

PyObject *engine_aggregated_name(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"expression", "defaults", "reference", NULL};
    static const struct engine_signature signature = {"aggregated_name", names, 3, 3};
    const struct engine_state *state = engine_state_of(module);
    PyObject *given[3], *own, *sources, *name = NULL;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || engine_dict("defaults", given[1]) < 0)
        return NULL;
    own = PyObject_GenericGetDict(given[0], NULL);
    if (own == NULL)
        return NULL;
    if (says_no_more(state, own, given[1])) {
        sources = Py_XNewRef(PyDict_GetItemWithError(own, state->name_source_expressions));
        name = name_of_source(state, sources, given[2]);
        Py_XDECREF(sources);
    }
    Py_DECREF(own);
    return name != NULL || PyErr_Occurred() != NULL ? name : Py_NewRef(Py_None);
}
