"""Django's test_sqlite.py, with the job's databases, and every model cached."""

import json
import os
from pathlib import Path

JOB = json.loads(Path(os.environ["CONFORMANCE_JOB"]).read_text())

DATABASES = JOB["databases"]
SECRET_KEY = "django_tests_secret_key"  # noqa: S105
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "conformance.runner.RecordingRunner"
DJANGO_CACHE_MANAGER = {"MODELS": ["*"], "LOCATION": JOB["location"], "SIZE": "16M"}
