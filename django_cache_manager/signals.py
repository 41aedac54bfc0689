"""Signals of the package."""

from django.dispatch import Signal

post_invalidation = Signal()
"""Sent in the process that wrote, once the write is settled: no result from before it is left.

Arguments, all by name:

`sender`
    None. Filter by `using` and `tables` in the receiver.
`using`
    The alias of the connection that wrote, or on which `invalidate()` was called.
`tables`
    A frozenset of the names of the tables whose results fell, those that the write touches by
    cascades and triggers included: last part of the name, ASCII letters in lower case. None:
    everything that the database holds.
`models`
    A tuple of the installed models that have one of these tables. Empty when `tables` is None.

In a transaction it is sent once, after the commit; a rollback sends nothing. Other processes
don't get it. Sent by `send_robust`: what a receiver raises is logged, never seen by the writer.
A receiver may run queries; they see the write.
"""
