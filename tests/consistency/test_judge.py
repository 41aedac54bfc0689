"""The judge finds each kind of violation in a history made by hand, and none in a right one."""

from typing import Any

import pytest

from tests.consistency.history import GREATEST
from tests.consistency.judge import Verdict, judge

Line = list[Any]
WRITE = [
    ["B", 100, "op1", [["r", "one"]]],
    ["C", 110, "op1", ["one"]],
    ["A", 200, "op1", [["r", "one", 1]]],
]


def read(
    call: int,
    returned: int,
    version: int,
    token: str | None,
    context: str = "auto",
    began: int = 0,
    register: str = "r",
    greatest: int | None = None,
) -> Line:
    top = version if greatest is None else greatest
    return [
        "R",
        call,
        returned,
        "get",
        context,
        True,
        began or call,
        [[register, version, top, token]],
    ]


def verdict_of(*lines: Line) -> Verdict:
    return judge(("history", line) for line in lines)


def rules(*lines: Line) -> dict[str, int]:
    return dict(verdict_of(*lines).violations)


def test_right_history_has_no_violation() -> None:
    verdict = verdict_of(
        *WRITE,
        read(90, 99, 0, ""),
        read(105, 205, 0, ""),  # called before the acknowledgement
        read(150, 160, 1, "one"),  # committed already, or about to be
        read(201, 210, 1, "one"),
    )
    assert not verdict.violations
    assert (verdict.reads, verdict.hits, verdict.writes) == (4, 4, 1)


WRONG: dict[str, tuple[str, list[Line]]] = {
    "older than acknowledged": ("acknowledged", [*WRITE, read(201, 210, 0, "")]),
    "missing after acknowledged": ("acknowledged", [*WRITE, read(201, 210, -1, None)]),
    "absence where there is more": (
        "acknowledged",
        [*WRITE, ["R", 201, 210, "exists", "auto", True, 201, [["r", 0, 0, None]]]],
    ),
    "counted acknowledgements": (
        "acknowledged",
        [*WRITE[:2], ["A", 200, "op1", [["r", "one", None]]], read(201, 210, 0, "")],
    ),
    "older than a read before": (
        "order",
        [*WRITE[:2], read(120, 130, 1, "one"), read(131, 140, 0, "")],
    ),
    "before the commit began": ("early", [*WRITE, read(101, 109, 1, "one")]),
    "version before the commit began": ("early", [*WRITE, read(101, 109, 1, None)]),
    "rolled back": (
        "rolled-back",
        [WRITE[0], ["X", 110, "op1", ["one"]], read(120, 130, 1, "one")],
    ),
    "never committed": ("rolled-back", [WRITE[0], read(120, 130, 1, "one")]),
    "unknown token": ("torn", [*WRITE, read(201, 210, 1, "other")]),
    "two versions of one write": (
        "torn",
        [*WRITE, read(201, 210, 1, "one"), read(211, 220, 2, "one")],
    ),
    "two writes of one version": (
        "torn",
        [
            *WRITE,
            ["B", 300, "op2", [["r", "two"]]],
            ["C", 310, "op2", ["two"]],
            read(320, 330, 1, "one"),
            read(331, 340, 1, "two"),
        ],
    ),
    "torn rows": (
        "torn",
        [
            *WRITE,
            ["R", 120, 130, "twins", "auto", True, 120, [["r", 0, 0, ""], ["r", 1, 1, "one"]]],
        ],
    ),
    "snapshot before its begin": (
        "acknowledged",
        [*WRITE, read(300, 310, 0, "", "snapshot", 250)],
    ),
    "seen by a process": ("own-write", [["V", 100, "own-write", "text"]]),
}


@pytest.mark.parametrize("name", WRONG)
def test_violation_is_found(name: str) -> None:
    rule, lines = WRONG[name]
    assert rule in rules(*lines)


ALLOWED: dict[str, list[Line]] = {
    "snapshot from before the write": [*WRITE, read(300, 310, 0, "", "snapshot", 150)],
    "unknown outcome shown": [*WRITE[:2], read(120, 130, 1, "one"), read(131, 140, 1, "one")],
    "unknown outcome not shown": [*WRITE[:2], read(120, 130, 0, "")],
    "on_commit acknowledges first": [*WRITE, ["A", 190, "op1", [["r", "one", 1]]]],
    "at least": [*WRITE, read(201, 210, 1, None, greatest=GREATEST)],
    "version used again after a rollback": [
        WRITE[0],
        ["X", 110, "op1", ["one"]],
        ["B", 120, "op2", [["r", "two"]]],
        ["C", 130, "op2", ["two"]],
        ["A", 140, "op2", [["r", "two", 1]]],
        read(150, 160, 1, "two"),
    ],
}


@pytest.mark.parametrize("name", ALLOWED)
def test_no_false_alarm(name: str) -> None:
    assert not rules(*ALLOWED[name])


def test_acknowledged_a_moment_earlier_counts() -> None:
    """What on_commit acknowledged at 190 must be seen by a read called at 195, the operation's end
    at 200 or not."""
    earlier = ["A", 190, "op1", [["r", "one", 1]]]
    assert rules(*WRITE, earlier, read(195, 199, 0, "")) == {"acknowledged": 1}
    assert not rules(*WRITE, read(195, 199, 0, ""))
