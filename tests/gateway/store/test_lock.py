"""One server on one set of books."""

import os
from pathlib import Path

import pytest

from gateway.config import Config, ConfigError, State
from gateway.store.lock import ServerLock
from gateway.store.sql import Store
from tests.gateway.store.books import postgres_schema, python

HOLDER = """
import sys
from gateway.config import Config, State
from gateway.store.lock import ServerLock
lock = ServerLock.take(Config(state=State(folder=sys.argv[1])))
print("held", flush=True)
sys.stdin.readline()
"""


def test_a_second_server_is_refused_and_told_who_has_the_folder(sqlite_config: Config):
    with (
        ServerLock.take(sqlite_config),
        pytest.raises(ConfigError, match=rf"another gateway \(process {os.getpid()}\)"),
    ):
        ServerLock.take(sqlite_config)
    ServerLock.take(sqlite_config).release()


def test_commands_work_while_a_server_holds_the_lock(sqlite_config: Config):
    with ServerLock.take(sqlite_config):
        Store.open(sqlite_config).close()


def test_a_killed_server_leaves_no_lock(sqlite_config: Config):
    with python(HOLDER, sqlite_config.state.folder) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=f"process {holder.pid}"):
            ServerLock.take(sqlite_config)
        holder.kill()
    ServerLock.take(sqlite_config).release()


def test_two_servers_with_folders_of_their_own_cannot_share_a_database(tmp_path: Path):
    with postgres_schema() as url:
        one, two = (Config(state=State(folder=str(tmp_path / name), database=url)) for name in ("one", "two"))
        with ServerLock.take(one), pytest.raises(ConfigError, match="another gateway is using this database"):
            ServerLock.take(two)
        ServerLock.take(two).release()
