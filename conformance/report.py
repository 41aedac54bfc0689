"""What a run found, as text, as JSON and as the table of docs/conformance.md."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

BEGIN = "<!-- table: written by conformance/run.py --write -->"
END = "<!-- end of table -->"
COLUMNS = (
    "Django",
    "Python",
    "database",
    "mode",
    "labels",
    "tests",
    "skipped",
    "fail without the package too",
    "excused",
    "defects",
    "hits",
    "by trace",
    "comparisons",
    "of traces",
    "differences",
    "commit",
)
TRACES = ("traced", "traced, own", "levels", "levels, own")


@dataclass
class Row:
    """One Django on one database, in one mode."""

    django: str
    python: str
    database: str
    mode: str
    labels: str
    """Which: "all", "selection", or "named" on the command line."""
    tests: int
    skipped: int
    hits: int
    counted: list[str]
    """Tests in which a hit was counted as a query."""
    compared: dict[str, int]
    differences: list[dict[str, str]]
    seconds: float
    traced: int = 0
    """Hits that a trace answered, without a Query."""
    commit: str = ""
    plain: list[str] = field(default_factory=list)
    excused: list[str] = field(default_factory=list)
    defects: dict[str, str] = field(default_factory=dict)

    def is_bad(self) -> bool:
        """Defects, differences, or a run that proves nothing because nothing was cached."""
        idle = self.mode != "plain" and not self.hits
        blind = self.mode == "differential" and not (self.comparisons() and self.traces())
        return bool(self.defects or self.differences or idle or blind)

    def comparisons(self) -> int:
        """Of answers: rows, querysets, traces, errors."""
        kinds = ("reads", "querysets", "errors")
        return sum(self.compared.get(kind, 0) for kind in kinds) + self.traces()

    def traces(self) -> int:
        return sum(self.compared.get(kind, 0) for kind in TRACES)

    def text(self) -> str:
        lines = [
            f"{self.tests} tests, {self.skipped} skipped, "
            f"{len(self.plain)} fail without the package too, {len(self.excused)} excused, "
            f"{len(self.defects)} defects; {self.hits} hits, {self.traced} by a trace, "
            f"counted in {len(self.counted)} tests; {self.seconds:.0f} s"
        ]
        if self.mode == "differential":
            compared = ", ".join(f"{count} {kind}" for kind, count in self.compared.items())
            lines.append(f"compared: {compared}; {len(self.differences)} differences")
        for found in self.differences[:20]:
            lines += [
                f"-- {found['kind']} differ in {found['test']}: {found['text']}",
                found["sql"],
            ]
        for test, detail in self.defects.items():
            lines += [f"-- {test}", detail]
        return "\n".join(lines)

    def cells(self) -> list[str]:
        differential = self.mode == "differential"
        return [
            self.django,
            self.python,
            self.database,
            self.mode,
            self.labels,
            f"{self.tests:,}",
            f"{self.skipped:,}",
            str(len(self.plain)),
            str(len(self.excused)),
            str(len(self.defects)),
            f"{self.hits:,}",
            f"{self.traced:,}",
            f"{self.comparisons():,}" if differential else "-",
            f"{self.traces():,}" if differential else "-",
            str(len(self.differences)) if differential else "-",
            self.commit,
        ]


def save(path: Path, rows: list[Row]) -> None:
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1))


def keep(folder: Path, row: Row) -> None:
    """Keeps the last run of each Django, database, mode and list of labels in a file of its own."""
    folder.mkdir(exist_ok=True)
    series, database = row.django.rpartition(".")[0], row.database.partition(" ")[0]
    save(folder / f"{series}-{database}-{row.mode}-{row.labels}.json", [row])


def kept(folder: Path) -> list[Row]:
    """In the table's order; a selection stands only for what hasn't been run in whole."""
    rows: dict[tuple[Any, ...], Row] = {}
    for path in folder.glob("*.json"):
        for row in load(path):
            series = [int(part) for part in row.django.split(".")[:2]]
            kind = *series, not row.database.startswith("SQLite"), row.mode
            if kind not in rows or row.labels == "all":
                rows[kind] = row
    return [rows[kind] for kind in sorted(rows)]


def load(path: Path) -> list[Row]:
    return [Row(**row) for row in json.loads(path.read_text())]


def table(rows: list[Row]) -> str:
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(page: Path, counted: Path, rows: list[Row]) -> None:
    """Puts the table into the page, and the tests in which a hit counted as a query into a list."""
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{after}")
    tests = {test for row in rows if row.mode == "cached" for test in row.counted}
    head = (
        "# Tests in which a hit counted as a query (conformance/hits.py): the last whole run's.\n"
    )
    counted.write_text(head + "".join(f"{test}\n" for test in sorted(tests)))


def summary(rows: list[Row]) -> str:
    defects = sum(len(row.defects) for row in rows)
    differences = sum(len(row.differences) for row in rows)
    tests = sum(row.tests for row in rows)
    return f"conformance: {tests:,} tests run, {defects} defects, {differences} differences"
