"""Processes that are measured: each on one core, its CPU and memory read from the kernel."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from msgspec import Struct

_CORES = sorted(os.sched_getaffinity(0))
MEASURED, OURS = _CORES[0], _CORES[-1]
"""The core of what is measured, and that of the clients and the upstream."""


class Started(Struct, frozen=True):
    """The seconds from the start until it was ready, and the MiB it had then, before it was asked for anything."""

    seconds: float = 0.0
    idle: float = 0.0


class Process:
    """A command with all its children, held to one core, or to some ("0,1"), from the first instant on."""

    def __init__(
        self, command: Sequence[str], folder: Path, environ: Mapping[str, str], core: int | str = MEASURED
    ) -> None:
        self.log = folder / f"{Path(command[0]).name}-{time.monotonic_ns()}.log"
        clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONUNBUFFERED": "1"}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                cwd=folder,
                env={**clean, **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.began = time.monotonic()

    @property
    def pids(self) -> list[int]:
        """The process and all that it started."""
        found, rest = [], [self._process.pid]
        while rest:
            pid = rest.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                rest += [int(child) for child in _read(children).split()]
        return found

    @property
    def cpu(self) -> float:
        """Seconds of CPU so far, those of its children with it."""
        return sum(_cpu(pid) for pid in self.pids)

    @property
    def memory(self) -> float:
        """MiB that are in memory and its own, which counts what children share only once."""
        return sum(_pss(pid) for pid in self.pids) / 1024

    @property
    def files(self) -> int:
        """Open files and sockets."""
        return sum(_count(Path(f"/proc/{pid}/fd")) for pid in self.pids)

    def started(self, port: int, path: str) -> Started:
        """Waits until it answers there, and a moment more for what it still does then."""
        seconds = self.ready(port, path)
        time.sleep(0.3)
        return Started(seconds, self.memory)

    def ready(self, port: int, path: str, seconds: float = 90) -> float:
        """Waits until it answers a GET of this path with 200; the seconds since it was started."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._process.poll() is None:
            if _answers(port, path):
                return time.monotonic() - self.began
            time.sleep(0.002)
        raise RuntimeError(f"it did not start:\n{self.log.read_text('utf-8', 'replace')[-2000:]}")

    def signal(self, number: signal.Signals) -> None:
        """Sends it to the process itself, which is its command: taskset becomes what it starts."""
        self._process.send_signal(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *end: object) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                # The whole group: some peers start children that outlive them.
                os.killpg(self._process.pid, number)
                try:
                    self._process.wait(20)
                except subprocess.TimeoutExpired:
                    continue
        self._process.wait()


def free_port() -> int:
    """A port that nobody listens on now, below those that the system gives away by itself, perhaps to somebody else
    before it is used."""
    while True:
        port = random.randrange(10_240, 32_000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


def python(module: str, *words: str) -> list[str]:
    """The command for a module of ours, with the interpreter that runs this."""
    return [sys.executable, "-m", module, *words]


def _answers(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
            return sock.recv(12).endswith(b" 200")
    except OSError:
        return False


def _count(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except OSError:
        return 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _cpu(pid: int) -> float:
    # The scheduler's own sum over its threads: /proc/PID/stat counts ticks, which short requests fall between.
    spent = (_read(thread).split() for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(told[0]) for told in spent if told) / 1e9


def _pss(pid: int) -> int:
    lines = _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
