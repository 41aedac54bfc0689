"""What was measured."""

from dataclasses import dataclass, field
from statistics import median

from cases import Case
from kinds import OWN, RIVALS
from mixes import MIXES, Mix


@dataclass
class Result:
    """Of one case: microseconds, a list of rounds for each variant."""

    case: Case
    rounds: dict[str, list[float]]
    statements: dict[str, int]
    """SQL statements of one operation of a read or a miss."""
    stale: frozenset[str] = frozenset()
    """Variants of a write after which reads are answered as before it."""

    @property
    def baseline(self) -> str:
        return next(iter(self.case.variants))

    @property
    def own(self) -> str:
        """The variant in which this package is on and does its work."""
        return {"read": "hit", "miss": "fill", "write": "on"}[self.case.sort]

    def microseconds(self, variant: str) -> float:
        return median(self.rounds[variant])

    def ratio(self, variant: str, to: str = "") -> float:
        """How many times faster than the baseline, or than `to`: the median of the rounds' own
        ratios.
        """
        pairs = zip(self.rounds[to or self.baseline], self.rounds[variant], strict=True)
        return median(base / own for base, own in pairs)

    def rivals(self) -> list[str]:
        """Those that do what is measured: of a read those that hit, of a write those whose reads
        see it.
        """
        measured = [
            name for name in self.case.variants if name in RIVALS and name not in self.stale
        ]
        if self.case.sort != "read":
            return measured
        return [name for name in measured if self.statements[name] == 0]

    def best_rival(self) -> str | None:
        return min(self.rivals(), key=self.microseconds, default=None)

    def check(self) -> None:
        """That a hit ran no statement, a miss as many as without a cache, and that our own reads
        see a write.
        """
        if self.stale.difference(RIVALS):
            raise SystemExit(f"{self.case.label}: stale after it: {self.stale}")
        if self.case.sort == "write":
            return
        base = self.statements[self.baseline]
        if self.case.sort == "miss":
            wrong = [name for name, number in self.statements.items() if number != base]
        else:
            wrong = [self.own] if self.statements[self.own] else []
        if wrong or not base:
            raise SystemExit(f"{self.case.label} is no {self.case.sort}: {self.statements}")

    def failures(self) -> list[str]:
        return [
            f"{self.case.label}, {variant}: ratio {self.ratio(variant):.2f}, the limit is {limit}"
            for variant, limit in self.case.limits.items()
            if not limit.holds(self.ratio(variant))
        ]


@dataclass
class MixResult:
    """Operations a second, a list of rounds for each kind of process; the first has no cache."""

    name: str
    rounds: dict[str, list[float]]

    @property
    def mix(self) -> Mix:
        return MIXES[self.name]

    def rate(self, kind: str) -> float:
        return median(self.rounds[kind])

    def ratio(self, kind: str, to: str = "absent") -> float:
        """How many times as many as `to`, round by round."""
        pairs = zip(self.rounds[kind], self.rounds[to], strict=True)
        return median(own / base for own, base in pairs)

    def best_rival(self) -> str | None:
        rivals = [kind for kind in self.rounds if kind not in OWN]
        return max(rivals, key=self.rate, default=None)


@dataclass
class MeasuredPlace:
    label: str
    versions: str
    """Of Python, Django and the database."""
    number: int
    """Of rounds."""
    results: list[Result] = field(default_factory=list)
    mixes: list[MixResult] = field(default_factory=list)


@dataclass
class Measured:
    places: list[MeasuredPlace] = field(default_factory=list)
    """The first is the one with the rivals."""
    memory: dict[str, dict[str, float]] = field(default_factory=dict)
    """Bytes of an entry of a hundred rows, by kind of process and by where they are."""
