"""Generated chains of calls, and values of every type: what Django does, at the same call."""

import pytest
from django.db.models import QuerySet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chains import VALUES, Chain, Step, applied, chains, run, traced
from testapp.models import Author

pytestmark = [pytest.mark.cached, pytest.mark.usefixtures("library", "fresh_shapes")]


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(chains())
def test_chain_does_what_django_does(chain: Chain) -> None:
    """Built, left unbuilt, and answered from memory: results, and errors at the same call."""
    model, steps, terminal = chain
    expected = run(QuerySet(model), steps, terminal)
    for _ in range(4):
        assert run(traced(model), steps, terminal) == expected


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_equal_keys_mean_equal_queries(data: st.DataObject) -> None:
    """And the Query that is built late is the one that Django builds at once."""
    from django_cache_manager import _engine

    seen = data.draw(st.just({}))
    for _ in range(4):
        model, steps, _ = data.draw(chains())
        for _ in range(2):
            queryset, plain = traced(model), QuerySet(model)
            try:
                for step in steps:
                    queryset = applied(queryset, step, plain=False)
                    plain = applied(plain, step, plain=True)
                sql = repr(plain.query.sql_with_params())
            except Exception:
                break
            trace = queryset._trace  # type: ignore[attr-defined]
            if trace is not None:
                key = _engine.encode_key((trace.shape.number, *trace.values))
                assert seen.setdefault(key, sql) == sql
            assert repr(queryset.query.sql_with_params()) == sql


@pytest.mark.parametrize("shape", ["0", "1", "True", "1.0", "'1'", "None"])
def test_values_of_other_types_have_other_keys(shape: str) -> None:
    expected = {v: run(QuerySet(Author), [("filter", (), {"rank": eval(v)})], "list")
                for v in ("0", "1", "True", "1.0", "'1'", "None")}  # fmt: skip
    for _ in range(3):
        for value in (shape, *expected):
            steps = [("filter", (), {"rank": eval(value)})]
            assert run(traced(Author), steps, "list") == expected[value]


@pytest.mark.parametrize("name", ["rank", "name", "born", "country", "pk", "books__price"])
@pytest.mark.parametrize("lookup", ["", "__in", "__gte"])
def test_shape_of_one_type_is_not_taken_for_another(name: str, lookup: str) -> None:
    """Once more for every value, when the shapes of all the others are known."""
    for value in VALUES * 2:
        steps: list[Step] = [("filter", (), {name + lookup: value})]
        assert run(traced(Author), steps, "list") == run(QuerySet(Author), steps, "list")
