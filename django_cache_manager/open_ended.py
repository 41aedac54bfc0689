"""The driver's copy() and stream(): what they write goes on after the call (PROTOCOL 2.4)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from .effects import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

    from .connection_state import ConnectionState


def open_ended(
    state: ConnectionState, connection: BaseDatabaseWrapper, name: str, call: Callable[..., Any]
) -> Any:
    """What stands for the driver's method: bracketed for as long as it may write."""

    @contextlib.contextmanager
    def copy(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with _bracketed(state, connection), call(*args, **kwargs) as inner:
            yield inner

    def stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with _bracketed(state, connection):
            yield from call(*args, **kwargs)

    return copy if name == "copy" else stream


@contextlib.contextmanager
def _bracketed(state: ConnectionState, connection: BaseDatabaseWrapper) -> Iterator[None]:
    """W1..W3 around a with-block that may write anything."""
    session = state.met_anyhow(connection)
    session.doubtful = session.doubtful or not state.vendor.drains
    state.sequence += 1
    before = state.vendor.in_transaction(state.driver)
    state.of_schema = True
    bracket = None
    if before or state.vendor.will_begin(state.driver):
        state.soil(EVERYTHING)
    else:
        bracket = state.mark(session, EVERYTHING)
    try:
        yield
    except BaseException as error:
        state.close_bracket(bracket, EVERYTHING, before, 0, 0, error)
        state.after_error(error)
        raise
    finally:
        state.sequence += 1
    state.close_bracket(bracket, EVERYTHING, before, 0, 0, None)
    if not before:
        state.announce_committed()
