"""The store: durable when it says so, shared commits, errors that stay with their own."""

import asyncio
import os
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text

from gateway.config import Config, ConfigError, State
from gateway.errors import StoreError
from gateway.store.sql import Store
from gateway.store.tables import teams
from tests.gateway.store.books import python


def because(reason: str) -> Callable[[StoreError], bool]:
    """That the operator is told this reason, and the client is not."""
    return lambda error: reason in error.reason and reason not in error.message


def team(name: str) -> dict[str, object]:
    return {"id": name, "name": name, "created_at": 1, "metadata": "{}"}


def add(name: str):
    return lambda connection: connection.execute(insert(teams), team(name)) and name


def names(connection: Connection) -> list[str]:
    return list(connection.execute(select(teams.c.id).order_by(teams.c.id)).scalars())


async def test_what_is_written_is_read_at_once(store: Store):
    assert await store.write(add("red")) == "red"
    assert await store.read(names) == ["red"]


async def test_many_writers_share_a_commit(store: Store):
    before = store.commits
    await asyncio.gather(*(store.write(add(f"team-{n:03}")) for n in range(500)))
    assert len(await store.read(names)) == 500
    assert store.commits - before < 50


async def test_an_error_reaches_only_its_own_writer(store: Store):
    def wrong(connection: Connection) -> None:
        connection.execute(insert(teams), team("half-done"))
        raise ValueError("on purpose")

    works = [add("red"), wrong, add("blue"), add("red"), add("green")]
    ends = await asyncio.gather(*(store.write(work) for work in works), return_exceptions=True)
    assert [type(end) for end in ends] == [str, ValueError, str, StoreError, str]
    assert await store.read(names) == ["blue", "green", "red"]


async def test_an_error_of_the_database_shows_no_values(store: Store):
    await store.write(add("sesame"))
    with pytest.raises(StoreError) as refused:
        await store.write(add("sesame"))
    assert "sesame" not in str(refused.value)


async def test_who_is_cancelled_before_the_turn_has_written_nothing(store: Store):

    slow = asyncio.create_task(store.write(lambda c: time.sleep(0.05)))
    await asyncio.sleep(0)
    late = asyncio.create_task(store.write(add("late")))
    await asyncio.sleep(0)
    late.cancel()
    await slow
    await store.write(add("next"))

    assert await store.read(names) == ["next"]


async def test_readers_cannot_change_sqlite(sqlite_config: Config):
    store = Store.open(sqlite_config)
    with pytest.raises(StoreError, check=because("readonly")):
        await store.read(add("red"))
    await store.aclose()


async def test_a_closed_store_says_so(config: Config):
    store = Store.open(config)
    await store.write(add("red"))
    await store.aclose()
    with pytest.raises(StoreError, match="closed"):
        await store.write(add("blue"))
    with pytest.raises(StoreError, match="closed"):
        await store.read(names)


async def test_closing_writes_what_was_handed_in(config: Config):
    store = Store.open(config)
    writes = [asyncio.create_task(store.write(add(f"team-{n:02}"))) for n in range(50)]
    await asyncio.sleep(0)
    await store.aclose()
    await asyncio.gather(*writes)
    again = Store.open(config)
    assert len(await again.read(names)) == 50
    await again.aclose()


async def test_the_ledger_cannot_be_rewritten(store: Store):
    columns = "id, at, actor, act, subject, detail"
    await store.write(
        lambda c: c.execute(text(f"INSERT INTO audit ({columns}) VALUES ('a', 1, 'b', 'c', 'd', '{{}}')"))
    )
    with pytest.raises(StoreError, check=because("only gains lines")):
        await store.write(lambda c: c.execute(text("UPDATE audit SET actor = 'someone else'")))


async def test_sqlite_is_as_durable_as_it_can_be(sqlite_config: Config):
    store = Store.open(sqlite_config)
    ask = lambda pragma: store.write(lambda c: c.execute(text(f"PRAGMA {pragma}")).scalar())  # noqa: E731
    assert [await ask("journal_mode"), await ask("synchronous"), await ask("foreign_keys")] == ["wal", 2, 1]
    await store.aclose()


def test_only_the_owner_may_look_into_the_books(sqlite_config: Config):
    before = os.umask(0)
    try:
        store = Store.open(sqlite_config)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in sqlite_config.folder.iterdir()}
    finally:
        os.umask(before)
    store.close()
    assert stat.S_IMODE(sqlite_config.folder.stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}, modes


async def test_books_of_a_newer_gateway_are_refused(config: Config):
    store = Store.open(config)
    await store.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    await store.aclose()
    with pytest.raises(ConfigError, match=r"newer Repligate .*9999"):
        Store.open(config)


def test_a_folder_that_cannot_be_is_a_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"state\.folder: cannot make"):
        Store.open(Config(state=State(folder=str(tmp_path / "file" / "data"))))


def test_a_file_that_is_no_database_is_a_clear_error(sqlite_config: Config):
    sqlite_config.folder.mkdir()
    (sqlite_config.folder / "repligate.db").write_bytes(b"not a database" * 100)
    with pytest.raises(ConfigError, match="not a database"):
        Store.open(sqlite_config)


@pytest.mark.parametrize("url", ["mysql://root@localhost/x", "nonsense", "sqlite://"])
def test_a_database_we_do_not_speak_is_refused(tmp_path: Path, url: str):
    with pytest.raises(ConfigError, match=r"state\.database"):
        Store.open(Config(state=State(folder=str(tmp_path), database=url)))


def test_a_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path):
    url = "postgresql://someone:sesame@127.0.0.1:1/books"
    with pytest.raises(ConfigError) as refused:
        Store.open(Config(state=State(folder=str(tmp_path), database=url)))
    assert "127.0.0.1:1" in str(refused.value)
    assert "sesame" not in str(refused.value)


async def test_postgresql_may_go_and_come_back(config: Config):
    if not config.state.database:
        pytest.skip("about PostgreSQL")
    store = Store.open(config)
    await store.write(add("before"))
    own = await store.write(lambda c: c.execute(text("SELECT pg_backend_pid()")).scalar())
    await store.read(lambda c: c.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": own}).scalar())
    await store.write(add("after"))
    assert await store.read(names) == ["after", "before"]
    await store.aclose()


OPENER = """
import asyncio, sys
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from gateway.config import Config, State
from gateway.store.sql import Store
from gateway.store.tables import teams
folder, database, who = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
store = Store.open(Config(state=State(folder=folder, database=database)))
async def main():
    for n in range(40):
        row = {"id": f"{who}-{n:02}", "name": f"{who}-{n:02}", "created_at": 1, "metadata": "{}"}
        await store.write(lambda c: c.execute(teams.insert(), row))
asyncio.run(main())
store.close()
"""


async def test_several_processes_open_and_write_new_books_at_once(config: Config):
    processes = [python(OPENER, config.state.folder, config.state.database, who) for who in "abcd"]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [await asyncio.to_thread(process.wait, 60) for process in processes] == [0, 0, 0, 0]
    for process in processes:
        for pipe in (process.stdin, process.stdout):
            assert pipe
            pipe.close()
    store = Store.open(config)
    assert len(await store.read(names)) == 160
    await store.aclose()


def pragma(text_: str):
    return lambda connection: connection.execute(text(f"PRAGMA {text_}")).scalar()


async def test_a_full_disk_refuses_writes_until_there_is_room(sqlite_config: Config):
    async with aclosing(Store.open(sqlite_config)) as store:
        await store.write(add("before"))
        pages = await store.write(pragma("page_count"))
        await store.write(pragma(f"max_page_count = {pages}"))
        big = {**team("big"), "metadata": "x" * 1_000_000}
        with pytest.raises(StoreError, check=because("disk is full")):
            await store.write(lambda c: c.execute(insert(teams), big))
        assert await store.read(names) == ["before"]
        await store.write(pragma("max_page_count = 1000000"))
        await store.write(lambda c: c.execute(insert(teams), big))
        assert await store.read(names) == ["before", "big"]


async def test_books_locked_by_another_for_too_long_say_so_and_recover(sqlite_config: Config):
    async with aclosing(Store.open(sqlite_config)) as store:
        await store.write(pragma("busy_timeout = 30"))
        other = sqlite3.connect(sqlite_config.folder / "repligate.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, check=because("another process has kept the books locked")):
            await store.write(add("red"))
        assert await store.read(names) == []
        other.execute("ROLLBACK")
        other.close()
        assert await store.write(add("red")) == "red"
