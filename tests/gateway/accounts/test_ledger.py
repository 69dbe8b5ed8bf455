"""The ledger: durable before the create, settled exactly once, true after a crash."""

import asyncio
import signal
from contextlib import aclosing
from datetime import date

import pytest
from sqlalchemy import text

from gateway.accounts.keys import Keys
from gateway.accounts.ledger import Held, Ledger, UnknownEntry
from gateway.config import Config
from gateway.errors import StoreError
from gateway.store.sql import Store
from gateway.tariffs import Price
from tests.gateway.store.books import NOON, Clock, opening, python, settled


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(store: Store, clock: Clock) -> Ledger:
    return Ledger(store, clock=clock, owner="this")


async def rows(store: Store, sql: str) -> list[tuple[object, ...]]:
    return await store.read(lambda c: [tuple(row) for row in c.execute(text(sql))])


async def test_an_opened_entry_can_be_found_by_the_next_process(store: Store, ledger: Ledger, clock: Clock):
    told = opening(
        digests=("d1", "d2"),
        team="red",
        version="v1",
        request="req_1",
        tags=("t",),
        price=Price(per_run=0.5),
        deadline=60,
    )
    reservation = await ledger.open(told)
    assert (len(reservation.entries), reservation.amount) == (2, 2000)
    await ledger.created(reservation.entries[1], "p1")
    first, second = await Ledger(store, clock=clock, owner="next").unsettled()
    assert (first.id, second.id) == reservation.entries
    assert (first.seq, first.digest, first.prediction, first.prediction_at) == (0, "d1", None, None)
    assert (second.seq, second.digest, second.prediction, second.prediction_at) == (1, "d2", "p1", NOON)
    for name in ("call", "key", "kind", "model", "ref", "team", "version", "request", "tags", "price", "deadline"):
        assert getattr(second, name) == getattr(told, name), name
    assert (second.reserved, second.created_at, second.owner) == (1000, NOON, "this")


async def test_what_runs_here_is_not_left_behind(ledger: Ledger):
    await ledger.open(opening())
    assert await ledger.unsettled() == []


async def test_a_lease_protects_another_gateways_entries_until_it_ends(store: Store, ledger: Ledger, clock: Clock):
    await ledger.open(opening())
    await store.write(lambda c: c.execute(text(f"UPDATE reservations SET lease_until = {int(NOON * 1000) + 5000}")))
    other = Ledger(store, clock=clock, owner="other")
    assert await other.unsettled() == []
    clock.now += 5.1
    assert len(await other.unsettled()) == 1


async def test_settling_lets_go_of_what_was_held(ledger: Ledger):
    reservation = await ledger.open(opening(digests=("a", "b", "c")))
    assert await ledger.held() == Held(3, 3000)
    for entry in reservation.entries:
        assert await ledger.settle(entry, settled())
    assert await ledger.held() == Held(0, 0)


async def test_an_entry_whose_cost_cannot_be_foreseen_is_held_without_an_amount(ledger: Ledger):
    reservation = await ledger.open(opening(reserved=None))
    assert reservation.amount is None
    assert await ledger.held() == Held(1, 0)


async def test_the_second_settlement_changes_nothing_and_says_so(store: Store, ledger: Ledger):
    (entry,) = (await ledger.open(opening())).entries
    assert await ledger.settle(entry, settled(cost=500)) is True
    assert await ledger.settle(entry, settled(cost=999)) is False
    assert await rows(store, "SELECT cost FROM settlements") == [(500,)]


async def test_of_many_who_settle_at_once_one_does(config: Config, store: Store, ledger: Ledger):
    (entry,) = (await ledger.open(opening())).entries
    other = Store.open(config)
    ledgers = [ledger, Ledger(other, owner="other")] * 20
    done = await asyncio.gather(*(one.settle(entry, settled()) for one in ledgers))
    await other.aclose()
    assert sum(done) == 1
    assert len(await rows(store, "SELECT 1 FROM settlements")) == 1


async def test_what_was_never_opened_cannot_be_settled(ledger: Ledger):
    with pytest.raises(UnknownEntry):
        await ledger.settle("ent_nothing", settled())


async def test_a_prediction_belongs_to_one_entry(ledger: Ledger):
    one, two, three = (await ledger.open(opening(digests=("a", "b", "c")))).entries
    assert await ledger.created(one, "p1") is True
    assert await ledger.created(one, "p1") is True
    assert await ledger.created(one, "p2") is False
    assert await ledger.created(two, "p1") is False
    await ledger.settle(one, settled())
    assert await ledger.created(three, "p1") is False
    assert await ledger.created(one, "p1") is False


async def test_a_prediction_noted_late_is_still_in_the_books(store: Store, ledger: Ledger):
    (entry,) = (await ledger.open(opening())).entries
    await ledger.settle(entry, settled(prediction="p9"))
    assert await rows(store, "SELECT prediction FROM settlements") == [("p9",)]


async def test_a_settlement_keeps_all_it_was_told(store: Store, ledger: Ledger, clock: Clock):
    (entry,) = (await ledger.open(opening(team="red"))).entries
    await ledger.created(entry, "p1")
    clock.now += 2.5
    told = settled(queue_seconds=1.5, run_seconds=0.829263399, first_token_seconds=0.1, images=2, estimated=True)
    await ledger.settle(entry, told)
    columns = (
        "key, team, model, prediction, status, settled_at - prediction_at, run_seconds, images, cost, basis, owner"
    )
    assert await rows(store, f"SELECT {columns} FROM settlements") == [
        ("key_1", "red", "fast", "p1", "succeeded", 2500, 0.829263399, 2, 500, "tokens", "this")
    ]


async def test_calls_at_once_share_their_commits(store: Store, ledger: Ledger):
    before = store.commits

    async def call(number: int) -> None:
        (entry,) = (await ledger.open(opening(f"call-{number}"))).entries
        await ledger.created(entry, f"p{number}")
        await ledger.settle(entry, settled())

    await asyncio.gather(*(call(number) for number in range(300)))
    assert store.commits - before < 60, "900 writes should need few commits"
    (line,) = await ledger.usage("key")
    assert (line.calls, line.cost) == (300, 150_000)


async def test_a_caller_cancelled_while_opening_leaves_nothing_reserved(store: Store, ledger: Ledger):
    for turns in range(8):
        task = asyncio.create_task(ledger.open(opening(f"call-{turns}")))
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            await ledger.settle(task.result().entries[0], settled(cost=0))
    while (await ledger.held()).entries:
        await asyncio.sleep(0.005)
    counts = "SELECT (SELECT count(*) FROM entries) - (SELECT count(*) FROM settlements)"
    assert await rows(store, counts) == [(0,)]


@pytest.mark.parametrize("name", ["with \0 in it", "half \ud83d a pair", "'; DROP TABLE entries; --", "漢字 🦙"])
async def test_whatever_a_client_calls_a_model_can_be_booked(ledger: Ledger, name: str):
    (entry,) = (await ledger.open(opening(model=name, request=name))).entries
    assert await ledger.settle(entry, settled())
    (line,) = await ledger.usage("model")
    assert line.predictions == 1


@pytest.mark.parametrize("nonsense", [-1, 2**60, float("nan"), float("inf")])
async def test_an_upstreams_nonsense_is_settled_as_unknown(store: Store, ledger: Ledger, nonsense: float):
    (entry,) = (await ledger.open(opening())).entries
    names = ("cost", "tokens_in", "tokens_out", "images", "run_seconds", "queue_seconds")
    told = settled(status="odd\0" * 100, error="\ud800" * 100, prediction="p" * 500, **dict.fromkeys(names, nonsense))
    assert await ledger.settle(entry, told)
    assert await rows(store, f"SELECT {', '.join(names)} FROM settlements") == [(None,) * len(names)]
    assert await ledger.held() == Held(0, 0)


async def test_the_books_cannot_be_rewritten(store: Store, ledger: Ledger):
    (entry,) = (await ledger.open(opening())).entries
    await ledger.settle(entry, settled())
    for change in ("UPDATE settlements SET cost = 0", "UPDATE entries SET model = 'x'"):
        with pytest.raises(StoreError, check=lambda error: "only gains lines" in error.reason):
            await store.write(lambda c, change=change: c.execute(text(change)))


async def test_usage_sums_by_key_model_and_day(store: Store, ledger: Ledger, clock: Clock):
    key, _ = await Keys(store).create("alice")
    plan = [
        ({"call": "1", "digests": ("a", "b")}, {"cost": 500, "run_seconds": 1.5}),
        (
            {"call": "2", "model": "painter"},
            {"cost": None, "basis": "unknown: no price", "images": 3, "tokens_out": None},
        ),
        ({"call": "3", "key": "key_2"}, {"status": "failed", "cost": 0, "estimated": True}),
    ]
    for told, end in plan:
        for entry in (await ledger.open(opening(**{"key": key.id, **told}))).entries:
            await ledger.settle(entry, settled(**end))
        clock.now += 86_400
    await ledger.open(opening("still running"))

    alice, other = await ledger.usage("key")
    assert (alice.subject, alice.name, other.subject, other.name) == (key.id, "alice", "key_2", "key_2")
    assert (alice.calls, alice.predictions, alice.failed, alice.cost, alice.priced, alice.unpriced) == (
        2,
        3,
        0,
        1000,
        2,
        1,
    )
    assert (alice.tokens_in, alice.tokens_out, alice.images, alice.seconds, alice.estimated) == (30, 40, 3, 3.0, 0)
    assert (other.calls, other.failed, other.cost, other.priced, other.estimated) == (1, 1, 0, 1, 1)
    assert [(line.subject, line.predictions) for line in await ledger.usage("model")] == [("fast", 3), ("painter", 1)]
    days = await ledger.usage("day")
    assert [(line.subject, line.calls) for line in days] == [("2027-01-15", 1), ("2027-01-16", 1), ("2027-01-17", 1)]
    since = await ledger.usage("day", date(2027, 1, 16))
    assert [line.subject for line in since] == ["2027-01-16", "2027-01-17"]


async def test_an_empty_book_sums_to_nothing(ledger: Ledger):
    assert await ledger.usage("key") == []
    assert await ledger.held() == Held(0, 0)


CRASH = """
import asyncio, os, signal, sys
from gateway.accounts.ledger import Ledger
from gateway.config import Config, State
from gateway.store.sql import Store
from tests.gateway.store.books import opening, settled
folder, database, until = sys.argv[1:]
async def main():
    ledger = Ledger(Store.open(Config(state=State(folder=folder, database=database))), owner="crashed")
    reservation = await ledger.open(opening(digests=("a", "b")))
    if until != "opened":
        await ledger.created(reservation.entries[0], "p1")
    if until in ("settled", "busy"):
        await ledger.settle(reservation.entries[0], settled(cost=500))
    if until == "busy":
        async def call(n):
            (entry,) = (await ledger.open(opening(f"busy-{n}"))).entries
            await ledger.created(entry, f"busy-{n}")
            print(entry, flush=True)
            await ledger.settle(entry, settled())
            print(entry, "settled", flush=True)
        async def calls(start):
            for n in range(start, 10**6, 8):
                await call(n)
                if n > 100:
                    os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.gather(*map(calls, range(8)))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def crashed(config: Config, until: str) -> list[str]:
    """What a process said before it was killed in the middle of its work."""
    process = python(CRASH, config.state.folder, config.state.database, until)
    said, _ = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == -signal.SIGKILL
    return said.splitlines()


@pytest.mark.parametrize(
    ("until", "predictions"), [("opened", [None, None]), ("created", ["p1", None]), ("settled", [None])]
)
async def test_a_killed_process_loses_nothing_it_was_told_is_written(
    config: Config, until: str, predictions: list[str | None]
):
    await crashed(config, until)
    async with aclosing(Store.open(config)) as store:
        ledger = Ledger(store)
        left = await ledger.unsettled()
        assert [entry.prediction for entry in left] == predictions
        for entry in left:
            assert await ledger.settle(entry.id, settled(status="aborted", cost=0))
        assert await ledger.held() == Held(0, 0)
        (line,) = await ledger.usage("key")
        assert (line.predictions, line.cost) == (2, 500 if until == "settled" else 0)


async def test_a_process_killed_under_load_leaves_every_entry_either_settled_or_open(config: Config):
    said = await crashed(config, "busy")
    settled_then = {line.split()[0] for line in said if line.endswith(" settled")}
    opened_then = {line.split()[0] for line in said}
    assert len(settled_then) > 20
    async with aclosing(Store.open(config)) as store:
        closed = {str(row[0]) for row in await rows(store, "SELECT entry FROM settlements")}
        left = {entry.id for entry in await Ledger(store).unsettled()}
        known = {str(row[0]) for row in await rows(store, "SELECT id FROM entries")}
    assert settled_then <= closed
    assert opened_then <= known
    assert closed | left == known
    assert not closed & left


BOOKKEEPER = """
import asyncio, sys
from gateway.accounts.ledger import Ledger
from gateway.config import Config, State
from gateway.store.sql import Store
from tests.gateway.store.books import opening
folder, database, who = sys.argv[1:]
async def main():
    store = Store.open(Config(state=State(folder=folder, database=database)))
    await asyncio.gather(*(Ledger(store).open(opening(f"{who}-{n}")) for n in range(100)))
    await store.aclose()
asyncio.run(main())
"""


async def test_two_processes_may_keep_the_same_books(config: Config):
    processes = [python(BOOKKEEPER, config.state.folder, config.state.database, who) for who in ("one", "two")]
    for process in processes:
        await asyncio.to_thread(process.communicate, timeout=60)
        assert process.returncode == 0
    async with aclosing(Store.open(config)) as store:
        assert len(await Ledger(store).unsettled()) == 200
