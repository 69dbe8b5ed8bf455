"""One server at a time: a lock on the data folder, and on the database where that is elsewhere."""

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.config import Config, ConfigError
from gateway.store import engines

FILE = "repligate.lock"
_LOCK = 7_370_617_466  # the neighbour of the migrations' lock


class ServerLock:
    """Held by a serving process from start to end; the system lets go of it however the process ends.

    Two servers on one set of books would each take the other's running calls for abandoned and cancel them. Commands
    such as `keys create` need no lock.
    """

    def __init__(self, file: int, connection: Connection | None) -> None:
        self._file, self._connection = file, connection

    @classmethod
    def take(cls, config: Config) -> Self:
        """The lock. Raises ConfigError, naming the process that holds it, or saying why there can be none."""
        url = engines.located(config)
        file = _locked(config.folder / FILE)
        if url.get_backend_name() == "sqlite":
            return cls(file, None)
        try:
            return cls(file, _locked_database(config))
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


def _locked(path: Path) -> int:
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as wrong:
        raise ConfigError(f"state.folder: cannot write {path}: {wrong.strerror}") from None
    try:
        _lock(file)
    except OSError:
        holder = os.read(file, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(file)
        raise ConfigError(
            f"state.folder: another gateway (process {holder}) is using {path.parent}; stop it, or give this one a "
            "folder of its own (REPLIGATE_DATA_DIR)"
        ) from None
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)
    os.write(file, f"{os.getpid()}\n".encode())
    return file


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, 1024, os.SEEK_SET)  # beyond what is read to name the holder
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _locked_database(config: Config) -> Connection:
    """A connection that stays open, for PostgreSQL's lock lives as long as its session."""
    url = engines.located(config)
    engine = engines.writing(url)
    try:
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        free = connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}).scalar()
    except SQLAlchemyError as wrong:
        raise ConfigError(f"state.database: {engines.reason(wrong)}") from None
    if free:
        return connection
    connection.close()
    engine.dispose()
    raise ConfigError("state.database: another gateway is using this database; give this one a database of its own")
