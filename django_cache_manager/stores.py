"""Where results are kept: L1 of this process, and L2, the segment's shards or a Django cache
backend."""

from __future__ import annotations

import hashlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from . import _engine, conf, policy
from .results import Result, on_conversion

if TYPE_CHECKING:
    from collections.abc import Callable

    from .segments import OpenSegment

logger = logging.getLogger("django_cache_manager")

ANSWER_BYTES: Final = 256
"""Of an answer beside its rows."""

RESULT_BYTES: Final = 384
"""Of a result beside its rows: itself, its cells, and the signature of its conversion."""

BACKEND_REST_SECONDS: Final = 1.0
"""How long a backend that failed is left alone."""


class _Local:
    """L1.

    Made anew when its size changes.
    """

    def __init__(self) -> None:
        self.cache = _engine.LocalCache(conf.Settings().l1_size)
        self._sized = False

    def ready(self) -> _engine.LocalCache:
        if not self._sized:
            self.cache.max_bytes = conf.current().l1_size
            self._sized = True
        return self.cache

    def reset(self) -> None:
        self.cache.clear()
        self._sized = False


_local = _Local()
conf.on_change(_local.reset)
local_cache: Final = _local.cache


class _Backend:
    """A Django cache that holds the encoded rows; the segment says whether they still hold.

    What fails is a miss.
    """

    def __init__(self) -> None:
        self._rests_until = 0.0
        self._warned = False

    def call(self, alias: str, work: Callable[[Any], Any]) -> Any:
        from django.core.cache import caches

        if time.monotonic() < self._rests_until:
            return None
        try:
            answer = work(caches[alias])
        except Exception as error:  # whatever a backend's client raises
            self._rests_until = time.monotonic() + BACKEND_REST_SECONDS
            if not self._warned:
                logger.warning(
                    "the cache backend %r fails, so reads go to the database: %r", alias, error
                )
            self._warned = True
            return None
        if self._warned:
            logger.info("the cache backend %r answers again", alias)
            self._warned = False
        return answer


_backend = _Backend()


def keeps_nothing() -> bool:
    """Whether the configured backend is Django's DummyCache, or can't be used: no caching."""
    alias = conf.current().backend
    if alias is None:
        return False
    from django.core.cache.backends.dummy import DummyCache

    kind = _backend.call(alias, type)
    return kind is None or issubclass(kind, DummyCache)


def find(segment: OpenSegment, key: bytes, limit: int, to_l1: bool = True) -> Result | None:
    """A result that holds now and is no later than `limit`; None is a miss. What L2 has is put in
    L1 too, if `to_l1`.

    Counted in the segment.
    """
    local = _local.ready()
    found: Result | None = local.get(key, segment.engine, limit)  # Hit: checks the cells
    if found is not None:
        segment.engine.count_hit()
        return found
    alias = conf.current().backend
    if alias is None:
        entry = segment.engine.get(key, limit)  # Hit: checks the cells
    else:
        entry = _backend_entry(alias, segment, key, limit)
    if entry is None:
        return None
    rows, cells, at, encoded_size = entry
    result = Result(rows, cells, at, encoded_size)
    if to_l1:
        _keep_local(local, segment, key, result, policy.least_timeout())
    return result


def find_answer(segment: OpenSegment, key: bytes, limit: int) -> Any:
    """What `keep_answer` kept, if it holds now; L1 only."""
    found = _local.ready().get(key, segment.engine, limit)
    if found is not None:
        segment.engine.count_hit()
    return found


def keep_answer(
    segment: OpenSegment, key: bytes, cells: bytes, time: int, answer: Any, size: int
) -> None:
    """Keeps in L1 what became of a result, for as long as the result holds.

    Not where results expire: L1 doesn't tell when this one will.
    """
    if policy.least_timeout() is not None:
        return
    _local.ready().put(key, segment.engine, cells, time, answer, size + ANSWER_BYTES, 0)


def keep(
    segment: OpenSegment,
    key: bytes,
    result: Result,
    encoded: bytes,
    timeout: float | None,
    to_l1: bool = True,
) -> None:
    """Stores in L2, and in L1 if `to_l1`, for `timeout` seconds at the most.

    What is too large or meets a busy shard is left out.
    """
    alias = conf.current().backend
    if alias is None:
        timeout_ms = 0 if timeout is None else max(1, int(timeout * 1000))
        segment.engine.put(key, result.cells, result.time, encoded, timeout_ms)
    else:
        packed = _engine.pack_entry(key, result.cells, result.time, encoded)
        name = _backend_name(segment, key)
        _backend.call(alias, lambda cache: cache.set(name, packed, timeout))
    if to_l1:
        _keep_local(_local.ready(), segment, key, result, timeout)


def _keep_local(
    local: _engine.LocalCache,
    segment: OpenSegment,
    key: bytes,
    result: Result,
    timeout: float | None,
) -> None:
    if not result.keepable or not local.max_bytes:
        return
    result.key = key
    size = _engine.footprint(result.rows) + RESULT_BYTES
    timeout_ms = 0 if timeout is None else max(1, int(timeout * 1000))
    local.put(key, segment.engine, result.cells, result.time, result, size, timeout_ms)


def _count_conversion(result: Result) -> None:
    """The converted rows count beside the driver's, and may drive the result out of L1."""
    if result.key is not None and result.conversion is not None:
        size = _engine.footprint(result.rows) + _engine.footprint(result.conversion.rows)
        _local.ready().recount(result.key, result, size + RESULT_BYTES)


on_conversion(_count_conversion)


def _backend_name(segment: OpenSegment, key: bytes) -> str:
    digest = hashlib.sha256(segment.engine.unique + key).hexdigest()
    return f"{conf.FILE_PREFIX}{digest}"


def _backend_entry(
    alias: str, segment: OpenSegment, key: bytes, limit: int
) -> tuple[list[tuple[Any, ...]], bytes, int, int] | None:
    name = _backend_name(segment, key)
    packed = _backend.call(alias, lambda cache: cache.get(name))
    if type(packed) is not bytes:
        return None
    entry = _engine.unpack_entry(packed, key)
    if entry is None or not segment.engine.valid(entry[1], entry[2], limit):
        return None
    segment.engine.count_hit()
    return entry


def local_stats() -> dict[str, int]:
    """Entries and bytes of this process's L1."""
    cache = _local.ready()
    return {"entries": len(cache), "bytes": cache.bytes, "max_bytes": cache.max_bytes}
