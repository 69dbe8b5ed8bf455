"""Several serving processes behind one address: each that dies has a successor, and all stop together."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType

import structlog
from msgspec import Struct

from gateway.config import ConfigError

log = structlog.get_logger()

Report = Callable[[str], None]
"""What a worker calls once: with nothing when it takes calls, or with what keeps it from that."""

YOUNG_SECONDS, FIRST_REST, LONGEST_REST = 5.0, 0.5, 30.0
"""A worker that dies younger than this is not followed at once, and each time it takes twice as long."""


class _Worker(Struct, eq=False):
    process: SpawnProcess
    told: Connection
    since: float


class Workers:
    """`work` is run in `count` processes of their own, each with the listening socket and a report to make.

    The socket is one for all: what waits in it when a worker dies, another takes. SIGTERM and SIGINT stop all of them,
    SIGHUP reaches all.
    """

    def __init__(self, count: int, sock: socket.socket, work: Callable[[socket.socket, Report], None]) -> None:
        self._count, self._sock, self._work = count, sock, work
        self._workers: list[_Worker] = []
        self._due: list[float] = []
        self._rest = FIRST_REST
        self._stopping = False
        self._woken, self._waker = socket.socketpair()
        self._waker.settimeout(0)

    def start(self) -> None:
        """Returns when all take calls. Raises ConfigError with what keeps one of them from it."""
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._signalled)
        # A handler interrupts no wait by itself: this ends it.
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for _ in range(self._count):
            self._add()
        try:
            for worker in self._workers:
                self._await(worker)
        except ConfigError:
            self._pass_on(signal.SIGTERM)
            self._joined()
            raise

    def watch(self) -> None:
        """Returns when all were stopped."""
        while self._workers or (self._due and not self._stopping):
            wait([self._woken, *(each.process.sentinel for each in self._workers)], self._patience())
            self._wake()
            for worker in [each for each in self._workers if not each.process.is_alive()]:
                self._bury(worker)
            while self._due and not self._stopping and self._due[0] <= time.monotonic():
                self._due.pop(0)
                self._add()

    def _add(self) -> None:
        context = multiprocessing.get_context("spawn")
        told, report = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(self._work, self._sock, report), name="repligate-worker")
        process.start()
        report.close()
        self._workers.append(_Worker(process, told, time.monotonic()))

    def _await(self, worker: _Worker) -> None:
        while worker.told not in wait([worker.told, self._woken]):
            self._wake()
            if self._stopping:
                return
        try:
            problem = worker.told.recv()
        except EOFError:
            problem = "a worker died as it started; the log says more"
        if problem and not self._stopping:
            raise ConfigError(problem)

    def _bury(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.join()
        worker.told.close()
        if self._stopping:
            return
        young = time.monotonic() - worker.since < YOUNG_SECONDS
        self._rest = min(LONGEST_REST, self._rest * 2) if young else FIRST_REST
        log.error("a worker died", process=worker.process.pid, status=worker.process.exitcode)
        self._due.append(time.monotonic() + (self._rest if young else 0))

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if number == getattr(signal, "SIGHUP", None):
            self._pass_on(number)
            return
        self._stopping = True
        self._pass_on(signal.SIGTERM)

    def _pass_on(self, number: int) -> None:
        for worker in self._workers:
            if worker.process.is_alive() and worker.process.pid:
                os.kill(worker.process.pid, number)

    def _patience(self) -> float | None:
        return max(0.0, self._due[0] - time.monotonic()) if self._due else None

    def _wake(self) -> None:
        if wait([self._woken], 0):
            self._woken.recv(64)

    def _joined(self) -> None:
        for worker in self._workers:
            worker.process.join()


def _run(work: Callable[[socket.socket, Report], None], sock: socket.socket, report: Connection) -> None:
    # A terminal's Ctrl-C is for the process that was started: it passes it on, once.
    if hasattr(os, "setpgrp"):
        os.setpgrp()

    def tell(problem: str) -> None:
        with suppress(BrokenPipeError):  # whoever started this is gone, which `work` finds out by itself
            report.send(problem)

    work(sock, tell)
