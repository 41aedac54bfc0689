"""What the running Django's test_sqlite.py sets, the job's databases, and every model cached."""

import json
import os
import runpy
from pathlib import Path

JOB = json.loads(Path(os.environ["CONFORMANCE_JOB"]).read_text())

globals().update(
    (name, value)
    for name, value in runpy.run_path(f"{JOB['tests']}/test_sqlite.py").items()
    if name.isupper()
)
DATABASES = JOB["databases"]
TEST_RUNNER = "conformance.runner.RecordingRunner"
DJANGO_CACHE_MANAGER = {"MODELS": ["*"], "LOCATION": JOB["location"], "SIZE": "16M"}
