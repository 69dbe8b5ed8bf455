"""Books as the first form left them are brought up to date with every row in them."""

import json
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from sqlalchemy import Connection, Engine, text

from gateway.accounts.keys import Keys
from gateway.accounts.ledger import Ledger
from gateway.config import Config
from gateway.store import engines, versions
from gateway.store.sql import Store, form_of, upgraded
from gateway.store.tables import NEWEST

DAYS, CALLS = range(20_000, 20_003), 40


@contextmanager
def first_form(config: Config) -> Iterator[Engine]:
    """Books as the first migration makes them."""
    engine = engines.writing(engines.located(config))
    with engine.begin() as connection:
        settings = AlembicConfig(attributes={"connection": connection})
        settings.set_main_option("script_location", "gateway.store:migrations")
        command.upgrade(settings, "0001")
    yield engine
    engine.dispose()


def put(connection: Connection, table: str, **row: Any) -> None:
    names = ", ".join(row)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({', '.join(f':{name}' for name in row)})"), row)


def fill(connection: Connection) -> None:
    """What a gateway of then would have written: a key, settled calls of some days, and one that is open."""
    put(connection, "keys", id="key_1", name="alice", prefix="sk-abc", hash="h" * 64, role="user", owner="", team="red",
        tags='["t"]', models="[]", endpoints="[]", leave="cancel", metadata="{}", created_at=1)  # fmt: skip
    for day in DAYS:
        for number in range(CALLS):
            entry(connection, day, number)
    entry(connection, DAYS[-1], CALLS, is_open=True)


def entry(connection: Connection, day: int, number: int, *, is_open: bool = False) -> None:
    moment = (day * 86_400 + number) * 1000
    name = f"ent_{moment:012x}{number:020x}"
    common = {"seq": number % 2, "key": "key_1", "team": None if number % 3 else "red", "model": f"m{number % 4}"}
    tags = json.dumps(["t", "t", "漢"][: number % 4])
    put(connection, "entries", id=name, call=f"{day}-{number // 2}", kind="chat", ref="acme/m", digest="d", day=day,
        tags=tags, deadline=60, created_at=moment, reserved=100, **common)  # fmt: skip
    if is_open:
        put(connection, "reservations", entry=name, key="key_1", team="red", amount=100, owner="gone")
        return
    put(connection, "settlements", entry=name, day=day, prediction=name, settled_at=moment + 5, owner="gone",
        estimated=number % 5 == 0, status="failed" if number % 7 == 0 else "succeeded", basis="tokens",
        cost=None if number % 6 == 0 else number, tokens_in=number, tokens_out=None, images=1,
        run_seconds=number / 3, **common)  # fmt: skip


async def test_books_of_the_first_form_come_up_to_date_with_their_rows(config: Config) -> None:
    with first_form(config) as engine, engine.begin() as connection:
        fill(connection)
    async with aclosing(Store.open(config)) as store:
        ledger = Ledger(store)
        assert [each for day in DAYS for each in await ledger.differences(day)] == []
        (line,) = await ledger.usage("key")
        assert (line.name, line.predictions, line.calls) == ("alice", len(DAYS) * CALLS, len(DAYS) * CALLS // 2)
        assert line.cost == len(DAYS) * sum(number for number in range(CALLS) if number % 6)
        assert {line.name: line.predictions for line in await ledger.usage("tag")} == {"t": 90, "漢": 30}
        assert [entry.owner for entry in await ledger.unsettled()] == ["gone"]
        assert [key.name for key in await Keys(store).list()] == ["alice"]


def test_empty_books_of_the_first_form_come_up_to_date(config: Config) -> None:
    with first_form(config) as engine:
        versions.bring_up(engine)
        with engine.begin() as connection:
            assert versions.version(connection) == NEWEST


def test_an_upgrade_tells_how_far_it_is_and_what_the_form_was(config: Config) -> None:
    with first_form(config) as engine, engine.begin() as connection:
        fill(connection)
    assert form_of(config) == "0001"
    steps: list[tuple[str, int, int]] = []
    assert upgraded(config, lambda *step: steps.append(step)) == "0001"
    assert steps == [("days summed", done, len(DAYS)) for done in (1, 2, 3)]
    assert form_of(config) == NEWEST
    assert upgraded(config, lambda *step: steps.append(step)) == NEWEST
    assert len(steps) == len(DAYS)


def test_an_upgrade_that_stops_in_the_middle_has_changed_nothing(config: Config) -> None:
    def stop(work: str, done: int, of: int) -> None:
        raise KeyboardInterrupt

    with first_form(config) as engine, engine.begin() as connection:
        fill(connection)
    with pytest.raises(KeyboardInterrupt):
        upgraded(config, stop)
    assert form_of(config) == "0001"
    assert upgraded(config, lambda *step: None) == "0001"
