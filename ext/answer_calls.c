/* Calls of a traced queryset's methods, answered at once. */
#include "answers.h"
#include "queryset.h"

struct trace *engine_answers_filtered(const struct engine_state *state, const struct answers *self, struct trace *trace,
                                      PyObject *method, PyObject *keywords)
{
    PyObject *longer = NULL;

    if (PyDict_CheckExact(keywords) && PyDict_GET_SIZE(keywords) > 0)
        longer = engine_trace_filtered(trace, method, keywords, self->plain);
    if (longer != NULL && !Py_IS_TYPE(longer, state->trace_type))
        Py_CLEAR(longer);
    return (struct trace *)longer;
}

/* Whether an attribute is this very object. */
static bool is(PyObject *own, PyObject *name, PyObject *expected)
{
    return PyDict_GetItemWithError(own, name) == expected;
}

/* What a kind of question asks of a queryset beside its trace: no results yet, and where it is answered by one item, no
 * prefetches. */
static bool is_open(const struct engine_state *state, PyObject *own, enum answer_kind kind)
{
    PyObject *lookups;

    if (!is(own, state->name_result_cache, Py_None))
        return false;
    if (kind < ANSWER_ONE)
        return true;
    lookups = PyDict_GetItemWithError(own, state->name_prefetch_related_lookups);
    return lookups != NULL && PyTuple_CheckExact(lookups) && PyTuple_GET_SIZE(lookups) == 0;
}

/* The question to a queryset that is open to it; `keywords` NULL or those of a filter that comes before. */
static PyObject *ask(struct answers *self, struct question *question, PyObject *keywords)
{
    const struct engine_state *state = engine_state_of_type(Py_TYPE(self));
    struct trace *trace = engine_queryset_plain_trace(state, question->queryset);
    struct standing *standing = NULL;
    PyObject *found = NULL;

    question->alias = trace == NULL ? NULL : engine_alias_of(state, self, question->queryset);
    if (question->alias != NULL)
        standing = engine_question_standing(state, self, question);
    if (standing != NULL && keywords != NULL)
        Py_SETREF(trace, engine_answers_filtered(state, self, trace, self->filtering, keywords));
    question->trace = trace;
    if (standing != NULL && trace != NULL)
        found = engine_answers_find(self, standing, question);
    Py_XDECREF(standing);
    Py_XDECREF(question->alias);
    Py_XDECREF(trace);
    return found;
}

PyObject *engine_answers_answer(struct answers *self, PyObject *const *args, Py_ssize_t count, PyObject *keywords)
{
    static const char *const names[] = {"queryset", "kind", "kwargs", "connection", NULL};
    static const struct engine_signature signature = {"answer", names, 2, 4};
    const struct engine_state *state = engine_state_of_type(Py_TYPE(self));
    struct question question = {0};
    PyObject *given[4], *found = NULL;

    if (engine_arguments(&signature, args, count, keywords, given) < 0 || engine_question_kind(given[1], &question) < 0)
        return NULL;
    question.connection = given[3];
    question.own = PyObject_GenericGetDict(given[0], NULL);
    if (question.own == NULL)
        return NULL;
    question.queryset = given[0];
    if (is_open(state, question.own, question.kind) &&
        (given[2] == NULL || is(question.own, state->name_sticky_filter, Py_False)))
        found = ask(self, &question, given[2]);
    Py_DECREF(question.own);
    return engine_or_not(found);
}
