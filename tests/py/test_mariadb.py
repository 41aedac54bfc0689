"""The rules that are MariaDB's and MySQL's own, each on the real server."""

from typing import Any

import pytest

from observe import count_sql
from servers import MariaDB
from testapp.models import Author

pytestmark = [
    pytest.mark.databases("mariadb"),
    pytest.mark.cached,
    pytest.mark.usefixtures("library"),
]


def names() -> list[str]:
    return [author.name for author in Author.objects.order_by("pk")]


def is_cached(read: Any = names) -> bool:
    read()
    with count_sql() as log:
        read()
    return log.none()


def test_what_is_read_at_read_committed_is_cached(mariadb_server: MariaDB) -> None:
    assert is_cached()
