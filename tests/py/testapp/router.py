"""Routes by what a test asks for; everything else goes where Django puts it."""

from typing import Any


class TestRouter:
    """`reads` and `writes` map model labels to aliases; tests set and clear them."""

    reads: dict[str, str] = {}
    writes: dict[str, str] = {}

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return self.reads.get(getattr(model._meta, "label", ""))

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return self.writes.get(getattr(model._meta, "label", ""))

    def allow_relation(self, first: Any, second: Any, **hints: Any) -> bool:
        return True
