"""The books away: what was begun ends, is kept on this disk, and is in the books once when they are back."""

import asyncio
import secrets
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.accounts.ledger import Held, Ledger
from gateway.config import Config, State
from gateway.errors import StoreError
from gateway.store.journal import REJECTED, Journal
from gateway.store.sql import Store
from tests.cable import Cable, laid
from tests.gateway.store.books import POSTGRES, opening, postgres_schema, settled


class Books:
    """A store that can go and come back, and a ledger with a journal in front of it."""

    def __init__(self, store: Store, folder: Path, cable: Cable | None, when_down: Any) -> None:
        self.store, self.folder, self.cable = store, folder, cable
        self.journal = Journal(folder, secrets.token_hex(4), when_down)
        self.ledger = Ledger(store, owner="this", journal=self.journal)

    async def go(self) -> None:
        if self.cable:
            self.cable.cut()
        else:
            await self.store.write(lambda c: c.exec_driver_sql("PRAGMA busy_timeout = 20").close())
            self.other = sqlite3.connect(self.folder / "repligate.db", isolation_level=None)
            self.other.execute("BEGIN IMMEDIATE")

    async def come_back(self) -> None:
        if self.cable:
            self.cable.mend()
        else:
            self.other.close()

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return await self.store.read(lambda c: [tuple(row) for row in c.execute(text(sql))])


@asynccontextmanager
async def kept(kind: str, folder: Path, when_down: str = "refuse") -> AsyncIterator[Books]:
    if kind == "sqlite":
        async with aclosing(Store.open(Config(state=State(folder=str(folder))))) as store:
            yield Books(store, folder, None, when_down)
        return
    with postgres_schema() as url:
        async with laid(POSTGRES) as cable:
            there = url.replace(POSTGRES.partition("//")[2].partition("/")[0], f"127.0.0.1:{cable.port}", 1)
            # Opened in a thread, for the cable is drawn by this loop.
            store = await asyncio.to_thread(Store.open, Config(state=State(folder=str(folder), database=there)))
            async with aclosing(store):
                yield Books(store, folder, cable, when_down)


KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgresql"])


@KINDS
async def test_what_is_spent_while_the_books_are_away_is_in_them_once_when_they_are_back(
    kind: str, tmp_path: Path
) -> None:
    async with kept(kind, tmp_path) as books:
        one, two = (await books.ledger.open(opening(digests=("a", "b")))).entries
        await books.go()
        assert await books.ledger.created(one, "p1")
        assert await books.ledger.settle(one, settled(prediction="p1", cost=7))
        assert await books.ledger.settle(two, settled(prediction="p2", cost=None, error="\ud800 odd"))
        assert books.ledger.journaled == 3
        with pytest.raises(StoreError):
            await books.ledger.replay()
        await books.come_back()
        assert await books.ledger.replay() == 3
        assert await books.ledger.replay() == 0
        assert await books.rows("SELECT prediction, cost FROM settlements ORDER BY prediction") == [
            ("p1", 7),
            ("p2", None),
        ]
        assert await books.ledger.held() == Held(0, 0)
        (line,) = await books.ledger.usage("key")
        assert (line.predictions, line.cost, line.unpriced) == (2, 7, 1)


@KINDS
async def test_new_calls_are_refused_until_all_that_was_spent_is_in_the_books(kind: str, tmp_path: Path) -> None:
    async with kept(kind, tmp_path) as books:
        (entry,) = (await books.ledger.open(opening())).entries
        await books.go()
        with pytest.raises(StoreError) as refused:
            await books.ledger.open(opening("2"))
        assert refused.value.status == 503
        await books.ledger.settle(entry, settled())
        await books.come_back()
        with pytest.raises(StoreError):
            await books.ledger.open(opening("2"))
        await books.ledger.replay()
        await books.ledger.open(opening("2"))
        assert len(await books.rows("SELECT id FROM entries")) == 2


@KINDS
async def test_by_policy_new_calls_go_on_and_are_booked_when_the_books_are_back(kind: str, tmp_path: Path) -> None:
    async with kept(kind, tmp_path, "allow") as books:
        await books.go()
        one, two = (await books.ledger.open(opening(digests=("a", "b"), tags=("t",)))).entries
        await books.ledger.created(one, "p1")
        await books.ledger.settle(one, settled(cost=5))
        await books.come_back()
        await books.ledger.replay()
        assert await books.ledger.held() == Held(1, 1000)
        assert [left.id for left in await Ledger(books.store, owner="next").unsettled()] == [two]
        assert await books.rows("SELECT entry, prediction FROM settlements") == [(one, "p1")]
        (line,) = await books.ledger.usage("tag")
        assert line.cost == 5


async def test_a_process_killed_while_the_books_were_away_has_lost_nothing(tmp_path: Path) -> None:
    async with kept("sqlite", tmp_path, "allow") as books:
        await books.go()
        (entry,) = (await books.ledger.open(opening())).entries
        await books.ledger.settle(entry, settled(prediction="p1", cost=5))
        file = books.journal.path
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        whole = file.read_bytes()
        books.journal.close()
        await books.come_back()
    # What a power cut leaves of a line that nobody was told is kept.
    file.write_bytes(whole + whole.splitlines()[-1][:-20])
    async with kept("sqlite", tmp_path) as books:
        assert await books.ledger.replay() == 2
        assert await books.rows("SELECT prediction, cost FROM settlements") == [("p1", 5)]
        assert not file.exists()


async def test_lines_said_again_change_nothing(tmp_path: Path) -> None:
    async with kept("sqlite", tmp_path, "allow") as books:
        await books.go()
        (entry,) = (await books.ledger.open(opening())).entries
        await books.ledger.settle(entry, settled(prediction="p1", cost=5))
        file = books.journal.path
        again = file.read_bytes()
        await books.come_back()
        await books.ledger.replay()
        books.journal.close()
        (tmp_path / "journal-dead.jsonl").write_bytes(again)
        assert await books.ledger.replay() == 2
        (line,) = await books.ledger.usage("key")
        assert (line.predictions, line.cost) == (1, 5)
        assert await books.ledger.held() == Held(0, 0)


async def test_the_journal_of_a_process_that_lives_is_left_alone(tmp_path: Path) -> None:
    async with kept("sqlite", tmp_path) as books:
        other = Journal(tmp_path, "other")
        await other.add(b"{}")
        assert await books.ledger.replay() == 0
        assert other.waiting == 1
        other.close()


async def test_a_line_that_the_books_will_never_take_keeps_back_no_other(tmp_path: Path) -> None:
    async with kept("sqlite", tmp_path) as books:
        one, two = (await books.ledger.open(opening(digests=("a", "b")))).entries
        await books.go()
        await books.ledger.settle("ent_unknown", settled(prediction="p0"))
        await books.ledger.settle(one, settled(prediction="p1"))
        await books.ledger.settle(two, settled(prediction="p1"))
        await books.come_back()
        await books.ledger.replay()
        assert await books.rows("SELECT entry FROM settlements") == [(one,)]
        assert len((tmp_path / REJECTED).read_bytes().splitlines()) == 2
        assert books.ledger.journaled == 0


async def test_an_error_that_lasts_is_no_reason_to_keep_anything(tmp_path: Path) -> None:
    async with kept("sqlite", tmp_path) as books:
        one, two = (await books.ledger.open(opening(digests=("a", "b")))).entries
        await books.ledger.settle(one, settled(prediction="p1"))
        with pytest.raises(StoreError):
            await books.ledger.settle(two, settled(prediction="p1"))
        assert books.ledger.journaled == 0


async def test_lines_that_come_while_others_are_posted_are_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "this")
    for line in (b"1", b"2", b"3"):
        await journal.add(line)
    await journal.drop(2)
    await journal.add(b"4")
    journal.close()
    (left,) = Journal(tmp_path, "next").left()
    assert left.lines == [b"3", b"4"]


async def test_a_disk_that_takes_no_line_says_so_and_keeps_the_others_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "this")
    (tmp_path / "journal-this.jsonl").symlink_to("/dev/full")
    with pytest.raises(StoreError, check=lambda error: "No space left" in error.reason):
        await journal.add(b"line")
    assert journal.waiting == 0
