"""A gateway that tells of itself: `python -m benchmarks.inside serve …` serves as `python -m gateway serve …` does.

SIGUSR1 has it write how many tasks there are into `inside.json`, in the folder where it was started. SIGUSR2 has it
sample where its CPU goes; the next one ends that, and writes what was found.
"""

import asyncio
import dis
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import CodeType, FrameType

import msgspec
from msgspec import Struct

TOLD = Path("inside.json")
EVERY = 0.001
"""Seconds between two looks."""

_here = threading.get_ident()


class Profile(Struct):
    """Seconds of CPU: of each function by itself, with what it called, and of each thread."""

    own: dict[str, float]
    whole: dict[str, float]
    threads: dict[str, float]


class Sampler:
    """Looks at what runs every so often; each look weighs as much as the CPU that the thread has had since the last."""

    def __init__(self) -> None:
        self._own: defaultdict[CodeType, float] = defaultdict(float)
        self._whole: defaultdict[CodeType, float] = defaultdict(float)
        self._threads: defaultdict[str, float] = defaultdict(float)
        self._used: dict[int, float] = {}

    def start(self) -> None:
        for thread in threading.enumerate():
            self._spent(thread)
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, EVERY)

    def stop(self) -> Profile:
        signal.setitimer(signal.ITIMER_REAL, 0)
        return Profile(_named(self._own), _named(self._whole), dict(self._threads))

    def _look(self, number: int, frame: FrameType | None) -> None:
        frames = sys._current_frames()
        for thread in threading.enumerate():
            spent = self._spent(thread)
            running = frame if thread.ident == _here else frames.get(thread.ident or 0)
            if spent and running:
                self._count(thread.name, running, spent)
        # What looking costs is nobody's; and the next look comes after this one, or they would pile up.
        self._spent(threading.main_thread())
        signal.setitimer(signal.ITIMER_REAL, EVERY)

    def _count(self, thread: str, frame: FrameType, spent: float) -> None:
        frame = _before(frame)
        self._threads[thread] += spent
        self._own[frame.f_code] += spent
        for code in {each.f_code for each in _stack(frame)}:
            self._whole[code] += spent

    def _spent(self, thread: threading.Thread) -> float:
        try:
            now = time.clock_gettime(time.pthread_getcpuclockid(thread.ident or 0))
        except OSError:
            return 0.0  # it has just ended
        before = self._used.get(thread.ident or 0, now)
        self._used[thread.ident or 0] = now
        return now - before


def _before(frame: FrameType) -> FrameType:
    """Who has had the CPU until now. Signals are looked at where a function begins: what was spent before was spent by
    its caller, or by the loop's own C."""
    begins = _bytes(frame.f_code)[frame.f_lasti] == dis.opmap["RESUME"]
    return frame.f_back if begins and frame.f_back else frame


@cache
def _bytes(code: CodeType) -> bytes:
    return code.co_code


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame:
        yield frame
        frame = frame.f_back


def _named(spent: Mapping[CodeType, float]) -> dict[str, float]:
    """By names as `gateway/calls.py:92 begin`, without the folders that nobody needs to see."""
    ours, named = f"{Path(__file__).parents[1]}/", defaultdict[str, float](float)
    for code, seconds in spent.items():
        place = code.co_filename.rpartition("site-packages/")[2].removeprefix(ours)
        named[f"{place.rpartition('lib/')[2]}:{code.co_firstlineno} {code.co_qualname}"] += seconds
    return named


def run(words: list[str]) -> None:
    """Serves, and answers the signals."""
    from gateway.cli import main  # noqa: PLC0415 -- what measures the start is not to wait for it twice

    sampler: list[Sampler] = []

    def tasks(number: int, frame: FrameType | None) -> None:
        _tell({"tasks": len(asyncio.all_tasks())})

    def sample(number: int, frame: FrameType | None) -> None:
        if sampler:
            _tell(sampler.pop().stop())
        else:
            sampler.append(Sampler())
            sampler[0].start()

    signal.signal(signal.SIGUSR1, tasks)
    signal.signal(signal.SIGUSR2, sample)
    main(words, prog_name="repligate")


def _tell(what: object) -> None:
    new = TOLD.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(what))
    new.replace(TOLD)


if __name__ == "__main__":
    run(sys.argv[1:])
