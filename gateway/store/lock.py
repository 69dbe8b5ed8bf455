"""Who may serve from these books: one server, or several that share all they must.

A lock on the data folder, and on the database where that is elsewhere; the several hold both together.
"""

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.config import Config, ConfigError
from gateway.store import engines

Holding = Literal["alone", "together"]

FILE = "repligate.lock"
_LOCK = 7_370_617_466  # the neighbour of the migrations' lock
_SEVERAL = (
    "Several gateways work as one where each has the same PostgreSQL database in state.database (SQLite's one file "
    "cannot be shared between machines, nor between writers that must not wait for each other) and the same Redis or "
    "Valkey in shared.redis: see docs/scaling.md"
)


class ServerLock:
    """Held by a serving process from start to end; the system lets go of it however the process ends.

    Two servers on one set of books, neither knowing of the other, would each take the other's running calls for
    abandoned and cancel them, and let every key go twice as fast. Commands such as `keys create` need no lock.
    """

    def __init__(self, file: int, connection: Connection | None) -> None:
        self._file, self._connection = file, connection

    @classmethod
    def take(cls, config: Config) -> Self:
        """The lock. Raises ConfigError, naming the process that holds it, or saying why there can be none."""
        url = engines.located(config)
        holding: Holding = "together" if config.shared.redis else "alone"
        file = _locked(config.folder / FILE, holding)
        if url.get_backend_name() == "sqlite":
            return cls(file, None)
        try:
            return cls(file, _locked_database(config, holding))
        except ConfigError:
            os.close(file)
            raise

    def release(self) -> None:
        """Lets the next server start."""
        os.close(self._file)
        if self._connection is not None:
            self._connection.close()
            self._connection.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, wrong: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _locked(path: Path, holding: Holding) -> int:
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as wrong:
        raise ConfigError(f"state.folder: cannot write {path}: {wrong.strerror}") from None
    try:
        lock_file(file, holding)
    except OSError:
        holder = os.read(file, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(file)
        raise ConfigError(
            f"state.folder: another gateway (process {holder}) is using {path.parent}; stop it, or give this one a "
            f"folder of its own (REPLIGATE_DATA_DIR). {_SEVERAL}"
        ) from None
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, f"{os.getpid()}\n".encode())
    return file


if sys.platform == "win32":
    import msvcrt

    def lock_file(file: int, holding: Holding = "alone") -> None:
        """Locks an open file until its process ends. Raises OSError where another has it."""
        if holding == "together":
            return  # there is no lock here that several can hold: the database's must do
        os.lseek(file, 1024, os.SEEK_SET)  # beyond what is read to name the holder
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def lock_file(file: int, holding: Holding = "alone") -> None:
        """Locks an open file until its process ends. Raises OSError where another has it."""
        fcntl.flock(file, (fcntl.LOCK_SH if holding == "together" else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def _locked_database(config: Config, holding: Holding) -> Connection:
    """A connection that stays open, for PostgreSQL's lock lives as long as its session."""
    url = engines.located(config)
    engine = engines.writing(url)
    attempt = "pg_try_advisory_lock_shared" if holding == "together" else "pg_try_advisory_lock"
    try:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        free = connection.execute(text(f"SELECT {attempt}(:lock)"), {"lock": _LOCK}).scalar()
    except SQLAlchemyError as wrong:
        raise ConfigError(f"state.database: {engines.reason(wrong)}") from None
    if free:
        return connection
    connection.close()
    engine.dispose()
    whose = " that has no shared.redis" if holding == "together" else ""
    raise ConfigError(f"state.database: another gateway{whose} is using this database. {_SEVERAL}")
