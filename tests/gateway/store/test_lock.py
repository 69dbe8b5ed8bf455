"""One server on one set of books."""

import os
from pathlib import Path

import pytest

from gateway.config import Config, ConfigError, SharedConfig, State
from gateway.store.lock import ServerLock
from gateway.store.sql import Store
from tests.gateway.store.books import postgres_schema, python

ONE_AT_A_TIME = pytest.mark.xdist_group("lock on the database")
"""A server has a whole PostgreSQL database for itself, not a schema of it."""

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


@ONE_AT_A_TIME
def test_two_servers_with_folders_of_their_own_cannot_share_a_database(tmp_path: Path):
    with postgres_schema() as url:
        one, two = (Config(state=State(folder=str(tmp_path / name), database=url)) for name in ("one", "two"))
        with ServerLock.take(one), pytest.raises(ConfigError, match="another gateway is using this database"):
            ServerLock.take(two)
        ServerLock.take(two).release()


@ONE_AT_A_TIME
def test_servers_that_share_limits_serve_together_and_one_that_does_not_stays_out(tmp_path: Path):
    with postgres_schema() as url:
        alone = Config(state=State(folder=str(tmp_path / "alone"), database=url))
        together = Config(
            state=State(folder=str(tmp_path / "both"), database=url), shared=SharedConfig(redis="redis://x")
        )
        with (
            ServerLock.take(together),
            ServerLock.take(together),
            pytest.raises(ConfigError, match=r"another gateway is using this database\. Several gateways work as one"),
        ):
            ServerLock.take(alone)
        with ServerLock.take(alone), pytest.raises(ConfigError, match=r"another gateway that has no shared\.redis"):
            ServerLock.take(together)
