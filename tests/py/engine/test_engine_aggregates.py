"""What a plain aggregate is over, and that one that says more is none."""

from typing import Any

import pytest

from django_cache_manager import _engine


class Reference:
    def __init__(self, name: Any) -> None:
        self.name = name


class Aggregate:
    pass


DEFAULTS: dict[str, Any] = {"filter": None, "extra": {}, "distinct": False}


def an_aggregate(**said: Any) -> Aggregate:
    made = Aggregate()
    vars(made).update(DEFAULTS, extra={}, source_expressions=[Reference("x")], _constructor_args=5)
    vars(made).update(said)
    return made


def test_name_of_an_aggregate() -> None:
    def ask(**said: Any) -> Any:
        return _engine.aggregated_name(an_aggregate(**said), DEFAULTS, Reference)

    assert ask() == "x"
    odd, more = Reference(5), Reference("x")
    more.more = 1  # type: ignore[attr-defined]
    for sources in ([], None, (Reference("x"),), [Reference("x")] * 2, ["x"], [odd], [more]):
        assert ask(source_expressions=sources) is None
    for said in (
        {"filter": 0},
        {"extra": {"a": 1}},
        {"distinct": True},
        {"unknown": None},
        {"extra": ()},
    ):
        assert ask(**said) is None
    plain = an_aggregate()
    del plain.source_expressions  # type: ignore[attr-defined]
    assert _engine.aggregated_name(plain, DEFAULTS, Reference) is None
    with pytest.raises(TypeError, match="defaults must be a dict"):
        _engine.aggregated_name(plain, None, Reference)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        _engine.aggregated_name(5, DEFAULTS, Reference)
