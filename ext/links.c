/* Links: instances told which object their foreign key means, where a queryset knows it: ForwardManyToOneDescriptor.__set__
 * for objects that nobody but Django asks about (django_cache_manager/row_plans.py says which keys those are).
 */
#include "engine.h"

/* A django_cache_manager.row_plans.Link, a named tuple. */
enum link_part {
    LINK_FIELD,
    LINK_ATTNAME,
    LINK_CACHE_NAME,
    LINK_KIND,   /* the class of the objects */
    LINK_TARGET, /* their attribute that the key is of */
    LINK_PLAIN,  /* classes of descriptors that give what is in an instance's __dict__ */
    LINK_PARTS,
};

bool engine_is_link(PyObject *object)
{
    return PyTuple_Check(object) && PyTuple_GET_SIZE(object) == LINK_PARTS &&
           PyUnicode_CheckExact(PyTuple_GET_ITEM(object, LINK_ATTNAME)) &&
           PyUnicode_CheckExact(PyTuple_GET_ITEM(object, LINK_CACHE_NAME)) &&
           PyType_Check(PyTuple_GET_ITEM(object, LINK_KIND)) &&
           PyUnicode_CheckExact(PyTuple_GET_ITEM(object, LINK_TARGET)) &&
           PyTuple_CheckExact(PyTuple_GET_ITEM(object, LINK_PLAIN));
}

PyObject *engine_link_field(PyObject *link)
{
    return PyTuple_GET_ITEM(link, LINK_FIELD);
}

/* What an object's own dict has under a name; NULL without an exception: nothing. */
static PyObject *own_of(PyObject *object, PyObject *name)
{
    PyObject *own = PyObject_GenericGetDict(object, NULL), *found;

    if (own == NULL)
        return NULL;
    found = Py_XNewRef(PyDict_GetItemWithError(own, name));
    Py_DECREF(own);
    return found;
}

/* Whether reading the target gives what is in the object's dict. */
static bool is_plainly_read(PyObject *object, PyObject *link)
{
    PyObject *descriptor = _PyType_Lookup(Py_TYPE(object), PyTuple_GET_ITEM(link, LINK_TARGET));
    PyObject *plain = PyTuple_GET_ITEM(link, LINK_PLAIN);

    for (Py_ssize_t i = 0; descriptor != NULL && i < PyTuple_GET_SIZE(plain); i++)
        if ((PyObject *)Py_TYPE(descriptor) == PyTuple_GET_ITEM(plain, i))
            return true;
    return false;
}

/* What is of one object that is linked to: the references are the struct's own. */
struct target {
    PyObject *object, *key, *db;
};

static void release_target(struct target *target)
{
    Py_XDECREF(target->object);
    Py_XDECREF(target->key);
    Py_XDECREF(target->db);
}

/* 1: read; 0: it isn't plain, or misses something; -1. To be released in any case. */
static int read_target(const struct engine_state *state, PyObject *object, PyObject *link, struct target *target)
{
    PyTypeObject *kind = (PyTypeObject *)PyTuple_GET_ITEM(link, LINK_KIND);
    PyObject *model_state;

    *target = (struct target){.object = Py_NewRef(object)};
    if (!PyType_IsSubtype(Py_TYPE(object), kind) || !is_plainly_read(object, link))
        return 0;
    target->key = own_of(object, PyTuple_GET_ITEM(link, LINK_TARGET));
    model_state = target->key == NULL ? NULL : own_of(object, state->name_state);
    if (model_state != NULL)
        target->db = PyObject_GetAttr(model_state, state->name_db);
    Py_XDECREF(model_state);
    return target->db != NULL ? 1 : PyErr_Occurred() != NULL ? -1 : 0;
}

static int set_key(PyObject *own, PyObject *attname, PyObject *known, PyObject *key)
{
    return known == key ? 0 : PyDict_SetItem(own, attname, key);
}

static int is_of_database(const struct engine_state *state, PyObject *model_state, PyObject *db)
{
    PyObject *own = PyObject_GetAttr(model_state, state->name_db);
    int same = own == NULL ? -1 : PyObject_RichCompareBool(own, db, Py_EQ);

    Py_XDECREF(own);
    return same;
}

/* 1: done, or there is nothing to do; 0: not plain; -1. `own`: the instance's dict. */
static int link_to(const struct engine_state *state, PyObject *own, PyObject *link, PyObject *object)
{
    PyObject *attname = PyTuple_GET_ITEM(link, LINK_ATTNAME), *name = PyTuple_GET_ITEM(link, LINK_CACHE_NAME);
    PyObject *model_state = Py_XNewRef(PyDict_GetItemWithError(own, state->name_state));
    PyObject *cache = model_state == NULL ? NULL : PyObject_GetAttr(model_state, state->name_fields_cache);
    int plain = cache != NULL && PyDict_CheckExact(cache), done = plain ? PyDict_Contains(cache, name) : 0;
    struct target target = {0};

    if (plain && done == 0)
        done = read_target(state, object, link, &target);
    if (plain && done > 0 && target.db != NULL)
        done = is_of_database(state, model_state, target.db);
    if (plain && done > 0 && target.db != NULL &&
        (set_key(own, attname, PyDict_GetItemWithError(own, attname), target.key) < 0 ||
         PyDict_SetItem(cache, name, object) < 0))
        done = -1;
    release_target(&target);
    Py_XDECREF(cache);
    Py_XDECREF(model_state);
    return PyErr_Occurred() != NULL ? -1 : done;
}

/* The same of an instance whose key may mean none of the objects. */
static int link_one(const struct engine_state *state, PyObject *instance, PyObject *related, PyObject *link)
{
    PyObject *own = PyObject_GenericGetDict(instance, NULL), *key, *object = NULL;
    int done;

    if (own == NULL)
        return -1;
    key = Py_XNewRef(PyDict_GetItemWithError(own, PyTuple_GET_ITEM(link, LINK_ATTNAME)));
    if (key != NULL && key != Py_None)
        object = Py_XNewRef(PyDict_GetItemWithError(related, key));
    /* Without an object Django does nothing: in qs1 | qs2 there may be keys of neither. */
    done = key != NULL && key != Py_None;
    if (object != NULL)
        done = link_to(state, own, link, object);
    Py_XDECREF(object);
    Py_XDECREF(key);
    Py_DECREF(own);
    return PyErr_Occurred() != NULL ? -1 : done;
}

int engine_link_all(const struct engine_state *state, PyObject *instances, PyObject *related, PyObject *link)
{
    int done = PyDict_CheckExact(related);

    for (Py_ssize_t i = 0; done > 0 && i < PyList_GET_SIZE(instances); i++) {
        PyObject *instance = Py_NewRef(PyList_GET_ITEM(instances, i));

        done = link_one(state, instance, related, link);
        Py_DECREF(instance);
    }
    return done;
}

PyObject *engine_link(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"instances", "related", "link", NULL};
    static const struct engine_signature signature = {"link", names, 3, 3};
    PyObject *given[3];
    int done;

    if (engine_arguments(&signature, args, count, keywords, given) < 0)
        return NULL;
    if (!PyList_CheckExact(given[0]) || !engine_is_link(given[2])) {
        PyErr_SetString(PyExc_TypeError, "link: instances must be a list, and link a row_plans.Link");
        return NULL;
    }
    done = engine_link_all(engine_state_of(module), given[0], given[1], given[2]);
    return done < 0 ? NULL : PyBool_FromLong(done);
}
