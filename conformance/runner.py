# ruff: noqa: N802 - unittest's own names
"""A test runner that writes each test's outcome to the job's result file."""

from __future__ import annotations

import json
import os
import sys
import time
import unittest
from pathlib import Path
from typing import Any

from django.test.runner import DiscoverRunner

current_test: str | None = None
"""The id of the running test; None between tests (class set-up)."""

sections: dict[str, Any] = {}
"""What other parts add to the result file, by name: plain data, or a callable that returns it."""


class RecordingResult(unittest.TextTestResult):
    """Outcomes by test id. A test with failing subtests has failed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outcomes: dict[str, str] = {}
        self.details: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        global current_test
        current_test = test.id()
        super().startTest(test)

    def stopTest(self, test: unittest.TestCase) -> None:
        global current_test
        current_test = None
        super().stopTest(test)

    def _note(self, test: Any, outcome: str, detail: str = "") -> None:
        if self.outcomes.get(test.id()) not in ("failed", "error"):
            self.outcomes[test.id()] = outcome
            self.details[test.id()] = detail

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self._note(test, "passed")

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._note(test, "error", self.errors[-1][1])

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._note(test, "failed", self.failures[-1][1])

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            texts = self.failures if issubclass(err[0], test.failureException) else self.errors
            self._note(test, "failed", f"{subtest.id()}\n{texts[-1][1]}")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        self._note(test, "skipped", reason)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addExpectedFailure(test, err)
        self._note(test, "expected failure")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self._note(test, "failed", "unexpected success")


class RecordingRunner(DiscoverRunner):
    def get_resultclass(self) -> type[unittest.TestResult]:
        return RecordingResult

    def run_suite(self, suite: unittest.TestSuite, **kwargs: Any) -> RecordingResult:
        job = json.loads(Path(os.environ["CONFORMANCE_JOB"]).read_text())
        began = time.monotonic()
        result: RecordingResult = super().run_suite(suite, **kwargs)
        outcome = {
            "outcomes": result.outcomes,
            "details": {test: text for test, text in result.details.items() if text},
            "seconds": round(time.monotonic() - began, 1),
            "python": sys.version.split()[0],
            "database": database_version(),
            **{name: part() if callable(part) else part for name, part in sections.items()},
        }
        Path(job["result"]).write_text(json.dumps(outcome))
        return result


def database_version() -> str:
    """Such as "SQLite 3.40.1"."""
    from django.db import connection

    version = ".".join(map(str, connection.get_database_version()))
    return f"{connection.display_name} {version}"
