"""Runs the migrations that are due, on a connection whose transaction others wait for."""

from collections.abc import Callable

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from gateway.config import ConfigError
from gateway.store.tables import NEWEST


def upgrade(connection: Connection, progress: Callable[[str, int, int], None]) -> None:
    """Brings the tables to the newest form. Raises ConfigError when they are of a newer one than this program knows."""
    config = Config(attributes={"connection": connection, "progress": progress})
    config.set_main_option("script_location", "gateway.store:migrations")
    try:
        command.upgrade(config, "head")
    except CommandError as wrong:
        raise ConfigError(
            f"a newer Repligate has written these books ({wrong}; this one knows up to {NEWEST}): "
            "upgrade it, or choose another state.folder"
        ) from None
