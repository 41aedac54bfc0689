"""Judges a history: which reads can't be, by rule.

`acknowledged`   a read is older than a write acknowledged before it was called
`order`          a read is older than what a read that had ended before it was called returned
`early`          a read shows a write whose commit had not begun when it returned
`rolled-back`    a read shows a write that was rolled back, or never committed
`torn`           a read shows what no write left: two tokens of one version, twins that differ, an
unknown token `snapshot`, `own-write`, `rest`, `hung`, `still-marked`, ...   seen by the processes
themselves

A write of unknown outcome (its process was killed, its session ended) may be shown from its
commit's begin on, and need never be. Reads of a snapshot transaction are as if called when it was
entered.
"""

import bisect
import collections
import dataclasses
from collections.abc import Iterable
from typing import Any

from tests.consistency.history import GREATEST

EXAMPLES = 5


@dataclasses.dataclass
class Write:
    register: str
    called: int
    commit_began: int | None = None
    acknowledged: int | None = None
    rolled_back: bool = False
    version: int | None = None


@dataclasses.dataclass
class Verdict:
    reads: int = 0
    """Those that might be hits."""
    truths: int = 0
    """Reads inside `uncached()`."""
    hits: int = 0
    writes: int = 0
    unknown: int = 0
    """Writes whose outcome nobody told."""
    kinds: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    hits_by_kind: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    violations: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    examples: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def add(self, rule: str, text: str) -> None:
        self.violations[rule] += 1
        shown = self.examples.setdefault(rule, [])
        if len(shown) < EXAMPLES:
            shown.append(text)


class Floor:
    """The greatest version known at a time: grows by what is added in order of time."""

    def __init__(self, events: Iterable[tuple[int, int, str]]) -> None:
        self._times: list[int] = []
        self._versions: list[tuple[int, str]] = []
        for time, version, what in sorted(events):
            if not self._versions or version > self._versions[-1][0]:
                self._times.append(time)
                self._versions.append((version, what))

    def before(self, time: int) -> tuple[int, str]:
        """The greatest version of events strictly before `time`, and which event it was."""
        at = bisect.bisect_left(self._times, time)
        return self._versions[at - 1] if at else (0, "the beginning")


class History:
    """Lines sorted by what they say."""

    def __init__(self, lines: Iterable[tuple[str, list[Any]]]) -> None:
        self.writes: dict[str, Write] = {}
        self.reads: list[tuple[str, list[Any]]] = []
        self.seen: list[tuple[str, list[Any]]] = []
        for name, line in lines:
            if line[0] == "R":
                self.reads.append((name, line))
            elif line[0] == "V":
                self.seen.append((name, line))
            elif line[0] != "N":
                self._write(line)

    def _write(self, line: list[Any]) -> None:
        kind, time, _, parts = line
        if kind == "B":
            for register, token in parts:
                self.writes[token] = Write(register, time)
        elif kind == "C":
            for token in parts:
                self.writes[token].commit_began = time
        elif kind == "X":
            for token in parts:
                self.writes[token].rolled_back = True
        elif kind == "A":
            for _, token, version in parts:
                write = self.writes[token]
                # on_commit may have acknowledged it before.
                write.acknowledged = min(time, write.acknowledged or time)
                write.version = version if version is not None else write.version


def judge(lines: Iterable[tuple[str, list[Any]]]) -> Verdict:
    history = History(lines)
    verdict = Verdict()
    for name, line in history.seen:
        verdict.add(line[2], f"{name} at {line[1]}: {line[3]}")
    for write in history.writes.values():
        verdict.writes += write.acknowledged is not None
        verdict.unknown += not write.rolled_back and write.acknowledged is None
    for _, line in history.reads:
        if line[3].endswith("!"):
            verdict.truths += 1
            continue
        verdict.reads += 1
        verdict.kinds[line[3]] += 1
        verdict.hits += bool(line[5])
        verdict.hits_by_kind[line[3]] += bool(line[5])
    _Judge(history, verdict).run()
    return verdict


class _Judge:
    def __init__(self, history: History, verdict: Verdict) -> None:
        self.history = history
        self.verdict = verdict
        self.tokens: dict[tuple[str, int], str] = {}
        """Register and version -> the token that a read has shown of it."""
        self.began: dict[tuple[str, int], int] = {}
        """Register and version -> when its commit began, at the earliest."""

    def run(self) -> None:
        self._learn_versions()
        self._find_floors()
        for name, line in self.history.reads:
            call = line[6] if line[4] == "snapshot" else line[1]
            for shown in line[7]:
                self._judge(name, line, call, shown)
            self._judge_together(name, line)

    def _learn_versions(self) -> None:
        """What reads show of which write made which version. One that was rolled back tells
        nothing."""
        for name, line in self.history.reads:
            for register, least, greatest, token in line[7]:
                write = self.history.writes.get(token or "")
                if not token or write is None or least != greatest:
                    continue
                if write.rolled_back or write.commit_began is None:
                    continue
                if write.version is None:
                    write.version = least
                elif write.version != least:
                    self._add(
                        "torn", name, line, f"{token} made version {write.version}, not {least}"
                    )
                known = self.tokens.setdefault((register, least), token)
                if known != token:
                    self._add("torn", name, line, f"{register} {least} is {token}'s, and {known}'s")
        for write in self.history.writes.values():
            if write.version is not None and write.commit_began is not None:
                key = write.register, write.version
                if not write.rolled_back:
                    began = self.began.get(key, write.commit_began)
                    self.began[key] = min(began, write.commit_began)

    def _find_floors(self) -> None:
        acknowledged: dict[str, list[tuple[int, int, str]]] = collections.defaultdict(list)
        read: dict[str, list[tuple[int, int, str]]] = collections.defaultdict(list)
        count: collections.Counter[str] = collections.Counter()
        in_order = [
            (w.acknowledged, w, t) for t, w in self.history.writes.items() if w.acknowledged
        ]
        for time, write, token in sorted(in_order, key=lambda one: one[0] or 0):
            # Each raises the version by one: so many there are at least.
            count[write.register] += 1
            version = max(count[write.register], write.version or 0)
            acknowledged[write.register].append((time, version, token))
        for name, line in self.history.reads:
            for register, least, *_ in line[7]:
                read[register].append((line[2], least, f"{line[3]} by {name} until {line[2]}"))
        self.acknowledged = {register: Floor(events) for register, events in acknowledged.items()}
        self.read = {register: Floor(events) for register, events in read.items()}

    def _add(self, rule: str, name: str, line: list[Any], text: str) -> None:
        how = "hit" if line[5] else "miss"
        where = f"{line[3]} ({line[4]}, {how}) by {name} from {line[1]} to {line[2]}"
        self.verdict.add(rule, f"{where}: {text}")

    def _judge(self, name: str, line: list[Any], call: int, shown: list[Any]) -> None:
        register, least, greatest, token = shown
        returned = line[2]
        for rule, floors in (("acknowledged", self.acknowledged), ("order", self.read)):
            if register in floors:
                version, what = floors[register].before(call)
                if greatest < version:
                    text = f"{register} {_text(least, greatest)}, after {version} ({what})"
                    self._add(rule, name, line, text)
        if token:
            self._judge_token(name, line, returned, register, token)
        elif self.began.get((register, least), 0) > returned:
            self._add("early", name, line, f"{register} {least} before its commit began")

    def _judge_together(self, name: str, line: list[Any]) -> None:
        """One statement's rows are of one instant: what is written together is seen together."""
        seen: dict[str, list[Any]] = {}
        for shown in line[7]:
            first = seen.setdefault(shown[0], shown)
            if first != shown:
                self._add("torn", name, line, f"{first} and {shown} in one statement")

    def _judge_token(
        self, name: str, line: list[Any], returned: int, register: str, token: str
    ) -> None:
        write = self.history.writes.get(token)
        if write is None or write.register != register:
            self._add("torn", name, line, f"{register} shows {token}, which nobody wrote there")
        elif write.rolled_back:
            self._add("rolled-back", name, line, f"{register} shows {token}, which was rolled back")
        elif write.commit_began is None:
            self._add("rolled-back", name, line, f"{register} shows {token}, never committed")
        elif write.commit_began > returned:
            self._add("early", name, line, f"{register} shows {token} before its commit began")


def _text(least: int, greatest: int) -> str:
    if least == greatest:
        return str(least) if least >= 0 else "is missing"
    return f">= {least}" if greatest == GREATEST else f"< {greatest + 1}"
