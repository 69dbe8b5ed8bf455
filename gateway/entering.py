"""The way in: whoever is about to become a call is found by a shutdown, which then closes nothing under it."""

import asyncio

from adapters.errors import ApiError
from gateway.errors import Draining
from gateway.interrupting import Interruptible
from gateway.parts import Gateway


class Entering:
    """For what is done before there is a call. Raises Draining where a shutdown has begun, which knows it as it knows
    the calls that run."""

    id, answered = "", None

    def __init__(self, gateway: Gateway) -> None:
        self._running, self._work = gateway.running, Interruptible()
        self.settled = asyncio.Event()
        if gateway.draining:
            raise late()

    def __enter__(self) -> Interruptible:
        self._running.add(self)
        return self._work

    def __exit__(self, *end: object) -> None:
        self._running.discard(self)
        self.settled.set()

    def interrupt(self, error: ApiError) -> None:
        self._work.interrupt(error)


def late() -> Draining:
    """What those are told who come once a shutdown has begun."""
    return Draining("This gateway is shutting down.", retry_after=1)
