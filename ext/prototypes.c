/* Prototypes: the attributes of each instance that rows give, in dicts that are copied as a whole. A copy shares its keys
 * with all instances of the class, and costs a fraction of setting the attributes one by one.
 *
 * They are made at the second use of the same rows, for most rows are used once. Of rows that hold lists or dicts there
 * are none: each instance has its own of those.
 */
#include "row_plan.h"

/* What holds them between uses is a list of one: None, then the plan that has used the rows, then a tuple of the plan and
 * the dicts of each row's nodes (None: the row has no such instance), or False: they are not to be made any more. */
#define HOLDER_ITEMS 1

static bool is_holder(PyObject *object)
{
    return PyList_CheckExact(object) && PyList_GET_SIZE(object) == HOLDER_ITEMS;
}

static int hold(PyObject *holder, PyObject *item)
{
    return PyList_SetItem(holder, 0, Py_NewRef(item));
}

static PyObject *places(PyObject *plan, Py_ssize_t count)
{
    PyObject *found = PyTuple_New(count + 1);

    if (found == NULL)
        return NULL;
    PyTuple_SET_ITEM(found, 0, Py_NewRef(plan));
    for (Py_ssize_t i = 0; i < count; i++)
        PyTuple_SET_ITEM(found, i + 1, Py_NewRef(Py_None));
    return found;
}

static bool are_of(PyObject *known, PyObject *plan, Py_ssize_t count)
{
    return PyTuple_CheckExact(known) && PyTuple_GET_SIZE(known) == count + 1 && PyTuple_GET_ITEM(known, 0) == plan;
}

int engine_prototypes_open(struct prototypes *self, struct row_plan *plan, PyObject *holder, Py_ssize_t rows)
{
    Py_ssize_t count = rows * plan->node_count;
    PyObject *known;

    *self = (struct prototypes){.nodes = plan->node_count, .holder = holder};
    if (holder == NULL || !is_holder(holder))
        return 0;
    known = PyList_GET_ITEM(holder, 0);
    if (known == Py_False)
        return 0;
    if (are_of(known, (PyObject *)plan, count)) {
        self->known = Py_NewRef(known);
        return 0;
    }
    if (known != (PyObject *)plan) /* those of another plan are counted already, and would be again */
        return hold(holder, PyTuple_CheckExact(known) ? Py_False : (PyObject *)plan);
    self->made = places((PyObject *)plan, count);
    return self->made == NULL ? -1 : 0;
}

PyObject *engine_prototype(const struct prototypes *self, Py_ssize_t row, Py_ssize_t node)
{
    Py_ssize_t place = row * self->nodes + node + 1;
    PyObject *found = Py_None;

    if (self->known != NULL && place < PyTuple_GET_SIZE(self->known))
        found = PyTuple_GET_ITEM(self->known, place);
    return found == Py_None ? NULL : found;
}

/* What the collector needn't see: it holds none of what a cycle can be made of. */
static PyObject *prototype_of(PyObject *instance, PyObject *name_state)
{
    PyObject *own = PyObject_GenericGetDict(instance, NULL), *made = NULL;

    if (own != NULL)
        made = PyDict_Copy(own);
    Py_XDECREF(own);
    if (made != NULL && PyDict_SetItem(made, name_state, Py_None) < 0)
        Py_CLEAR(made);
    if (made != NULL && PyObject_GC_IsTracked(made))
        PyObject_GC_UnTrack(made);
    return made;
}

int engine_prototype_keep(struct prototypes *self, const struct engine_state *state, Py_ssize_t row, Py_ssize_t node,
                          PyObject *instance)
{
    PyObject *made = self->made == NULL ? NULL : prototype_of(instance, state->name_state);

    if (made != NULL)
        return PyTuple_SetItem(self->made, row * self->nodes + node + 1, made);
    return self->made == NULL ? 0 : -1;
}

static int add_sizes(const struct engine_state *state, PyObject *made, size_t *bytes)
{
    int result = engine_own_size(state, made, bytes);

    for (Py_ssize_t i = 1; result == 0 && i < PyTuple_GET_SIZE(made); i++)
        if (PyTuple_GET_ITEM(made, i) != Py_None)
            result = engine_own_size(state, PyTuple_GET_ITEM(made, i), bytes);
    return result;
}

int engine_prototypes_close(struct prototypes *self, const struct engine_state *state, bool good, size_t *bytes)
{
    int result = 0;

    if (good && self->made != NULL) {
        result = add_sizes(state, self->made, bytes);
        if (result == 0)
            result = hold(self->holder, self->made);
    }
    Py_CLEAR(self->made);
    Py_CLEAR(self->known);
    return result;
}

int engine_prototypes_refuse(PyObject *holder)
{
    return hold(holder, Py_False);
}
