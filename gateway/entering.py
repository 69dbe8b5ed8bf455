"""The way in: whoever is about to become a call is found by a shutdown, which then closes nothing under it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from adapters.errors import ApiError
from gateway.errors import Draining
from gateway.interrupting import Interruptible
from gateway.parts import Gateway


class _Entrant:
    """One who is on the way in, as a shutdown knows it."""

    id, answered = "", None

    def __init__(self) -> None:
        self.work = Interruptible()
        self.settled = asyncio.Event()

    def interrupt(self, error: ApiError) -> None:
        self.work.interrupt(error)


@contextmanager
def entering(gateway: Gateway) -> Iterator[Interruptible]:
    """For what is done before there is a call. Raises Draining where a shutdown has begun."""
    if gateway.draining:
        raise late()
    entrant = _Entrant()
    gateway.running.add(entrant)
    try:
        yield entrant.work
    finally:
        gateway.running.discard(entrant)
        entrant.settled.set()


def late() -> Draining:
    """What those are told who come once a shutdown has begun."""
    return Draining("This gateway is shutting down.", retry_after=1)
