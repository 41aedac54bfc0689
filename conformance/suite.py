"""One job in a process of its own: `python -m conformance.suite JOB.json`.

Runs Django's own runtests.py. The job says which labels, which database, whether with the package
and whether in differential mode; docs/conformance.md says what that means. Outcomes go to the job's
result file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

JOB_VARIABLE = "CONFORMANCE_JOB"
APPS = "ALWAYS_INSTALLED_APPS = [\n"
"""The beginning of the list in runtests.py to which the apps under test are added: no setting of
Django's suite says which apps are always installed."""


def main() -> None:
    job_path = Path(sys.argv[1]).resolve()
    job = json.loads(job_path.read_text())
    os.environ[JOB_VARIABLE] = str(job_path)
    tests = Path(job["tests"])
    runtests = tests / "runtests.py"
    source = runtests.read_text()
    if source.count(APPS) != 1:
        raise SystemExit("this runtests.py has no list of apps where it was expected")
    apps = ["django_cache_manager", "conformance.hits.HitsConfig"] if job["package"] else []
    if job["differential"]:
        apps.append("conformance.differential.DifferentialConfig")
    added = "".join(f"    {app!r},\n" for app in apps)
    source = source.replace(APPS, APPS + added)
    os.chdir(tests)
    sys.path.insert(0, str(tests))
    options = ["--settings=conformance.suite_settings", "--parallel=1", "--noinput"]
    sys.argv = [str(runtests), *options, *job["labels"]]
    names = {"__name__": "__main__", "__file__": str(runtests)}
    exec(compile(source, str(runtests), "exec"), names)  # noqa: S102 - Django's own script


if __name__ == "__main__":
    main()
