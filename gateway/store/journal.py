"""The local journal: lines on this machine's disk, for what the books could not take and shall."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

import structlog

from gateway.errors import StoreError
from gateway.store.lock import lock_file

log = structlog.get_logger()

GLOB = "journal-*.jsonl"
REJECTED = "rejected.jsonl"
_MODE = 0o600


class Journal:
    """A file that only grows until all of its lines are in the books, then goes. One process writes it.

    What `add` has returned from survives a power cut; a line that was torn by one is none.
    """

    def __init__(self, folder: Path, name: str, when_down: Literal["refuse", "allow"] = "refuse") -> None:
        self.takes_new = when_down == "allow"
        self._folder, self.path = folder, folder / GLOB.replace("*", name)
        self._file: int | None = None
        self._writing = threading.Lock()
        self._lines: list[bytes] = []

    @property
    def waiting(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    @property
    def lines(self) -> list[bytes]:
        """All lines that wait, in the order of coming."""
        return list(self._lines)

    async def add(self, line: bytes) -> None:
        """Keeps a line, which has no line feed in it. Raises StoreError where this disk takes none either.

        A caller cancelled meanwhile may have left it.
        """
        await asyncio.to_thread(self._add, line)

    async def drop(self, count: int) -> None:
        """Forgets the oldest lines, which are in the books."""
        await asyncio.to_thread(self._drop, count)

    async def reject(self, line: bytes) -> None:
        """Puts a line aside that the books will never take, for people to look at."""
        await asyncio.to_thread(self._reject, line)

    def left(self) -> "Iterator[Journal]":
        """The journals that other processes left when they died, one after another, while they are held."""
        for path in sorted(self._folder.glob(GLOB)):
            if path != self.path and (journal := self._adopted(path)):
                try:
                    yield journal
                finally:
                    journal.close()

    def close(self) -> None:
        """Lets go of the file; an empty one goes."""
        with self._writing:
            if self._file is not None:
                if not self._lines:
                    self.path.unlink(missing_ok=True)
                os.close(self._file)
                self._file = None

    def _add(self, line: bytes) -> None:
        with self._writing:
            try:
                file = self._opened()
                whole = os.fstat(file).st_size
                try:
                    _write(file, line + b"\n")
                except OSError:
                    with suppress(OSError):
                        os.ftruncate(file, whole)
                    raise
            except OSError as wrong:
                raise _refused(wrong) from None
            self._lines.append(line)

    def _drop(self, count: int) -> None:
        """What is left is written anew under another name, which then takes the place: no crash loses a line."""
        with self._writing:
            kept = self._lines[count:]
            try:
                file = self._opened()
                if not kept:
                    os.ftruncate(file, 0)
                else:
                    self._file = self._rewritten(kept)
                    os.close(file)
            except OSError as wrong:
                raise _refused(wrong) from None
            self._lines = kept

    def _reject(self, line: bytes) -> None:
        try:
            file = os.open(self._folder / REJECTED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _MODE)
            try:
                _write(file, line + b"\n")
            finally:
                os.close(file)
        except OSError as wrong:
            raise _refused(wrong) from None

    def _opened(self) -> int:
        if self._file is None:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _MODE)
            lock_file(self._file)
            _sync_folder(self._folder)
        return self._file

    def _rewritten(self, lines: list[bytes]) -> int:
        new = self.path.with_suffix(".new")
        file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, _MODE)
        lock_file(file)
        _write(file, b"".join(line + b"\n" for line in lines))
        new.replace(self.path)
        _sync_folder(self._folder)
        return file

    def _adopted(self, path: Path) -> "Self | None":
        """The journal of a process that is dead; None where it lives."""
        try:
            file = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        try:
            lock_file(file)
        except OSError:
            os.close(file)
            return None
        journal = type(self)(self._folder, path.stem.removeprefix("journal-"))
        journal._file, journal._lines = file, _whole_lines(path)
        return journal


def _whole_lines(path: Path) -> list[bytes]:
    """The lines up to the last line feed: what stands behind it was torn by a crash, and nobody was told it is kept."""
    *whole, torn = path.read_bytes().split(b"\n")
    if torn:
        log.warning("a journal's last line is torn", file=path.name)
    return [line for line in whole if line]


def _write(file: int, line: bytes) -> None:
    while line:
        line = line[os.write(file, line) :]
    os.fsync(file)


def _sync_folder(folder: Path) -> None:
    # A new file's name is on the disk when its folder is.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(wrong: OSError) -> StoreError:
    error = StoreError("The gateway's books cannot be used now.", retry_after=1)
    error.reason = f"nor can the journal: {wrong.strerror}"
    log.error("the journal cannot be written", reason=error.reason)
    return error
