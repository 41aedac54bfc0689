"""Django settings of the application that tests/apps drives.

APPS_MODE      "without" the package, or "with" every model cached
APPS_FOLDER    folder of the run: the SQLite file and the segments
APPS_PG_PORT   port of a PostgreSQL server; without it SQLite
"""

import os
from pathlib import Path
from typing import Any

WITH = os.environ["APPS_MODE"] == "with"
FOLDER = Path(os.environ["APPS_FOLDER"])
PORT = os.environ.get("APPS_PG_PORT")

if PORT:
    DATABASES: dict[str, Any] = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "apps_" + os.environ["APPS_MODE"],
            "USER": "tester",
            "HOST": "127.0.0.1",
            "PORT": PORT,
        }
    }
else:
    name = f"{os.environ['APPS_MODE']}.sqlite3"
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(FOLDER / name)}}

INSTALLED_APPS = [
    *(["django_cache_manager"] if WITH else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "guardian",
    "taggit",
    "treebeard",
    "shop",
]
DJANGO_CACHE_MANAGER = {"LOCATION": str(FOLDER), "SIZE": "8M", "MODELS": ["*"]}
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
REST_FRAMEWORK = {
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 3,
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.DjangoModelPermissions"],
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "shop.urls"
STATIC_URL = "static/"
ALLOWED_HOSTS = ["*"]
SECRET_KEY = "only for tests"
USE_TZ = True
LOGGING_CONFIG = None
