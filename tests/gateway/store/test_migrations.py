"""Books as the first form left them are brought up to date with every row in them; new ones are made up to date."""

import json
import signal
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from gateway.accounts.keys import Keys
from gateway.accounts.ledger import Ledger
from gateway.config import Config, ConfigError, State
from gateway.store import engines, versions
from gateway.store.sql import Store, form_of, upgraded
from gateway.store.tables import NEWEST, metadata
from tests.gateway.store.books import postgres_schema, python
from tests.gateway.store.shapes import Shape, shape

DAYS, CALLS = range(20_000, 20_003), 40


def scripts(**attributes: object) -> AlembicConfig:
    settings = AlembicConfig(attributes=attributes)
    settings.set_main_option("script_location", "gateway.store:migrations")
    return settings


@contextmanager
def of_form(config: Config, form: str) -> Iterator[Engine]:
    """Books as the migrations up to this one make them."""
    engine = engines.writing(engines.located(config))
    with engine.begin() as connection:
        command.upgrade(scripts(connection=connection), form)
    yield engine
    engine.dispose()


@contextmanager
def first_form(config: Config) -> Iterator[Engine]:
    """Books as the first migration makes them."""
    with of_form(config, "0001") as engine:
        yield engine


@contextmanager
def others(config: Config, folder: Path) -> Iterator[Config]:
    """Settings whose books are of the same kind, and empty."""
    state = State(folder=str(folder / "others"))
    if not config.state.database:
        yield Config(state=state)
        return
    with postgres_schema() as url:
        yield Config(state=State(folder=state.folder, database=url))


def shape_of(config: Config) -> Shape:
    engine = engines.writing(engines.located(config))
    with engine.begin() as connection:
        told = shape(connection)
    engine.dispose()
    return told


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


def test_tables_and_migrations_say_the_same(config: Config) -> None:
    with of_form(config, "head") as engine, engine.begin() as connection:
        assert versions.version(connection) == NEWEST
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    assert ScriptDirectory.from_config(scripts()).get_current_head() == NEWEST


def test_new_books_are_those_that_all_migrations_would_make(config: Config, tmp_path: Path) -> None:
    with others(config, tmp_path) as migrated, of_form(migrated, "head"):
        assert upgraded(config, lambda *step: None) is None
        made = shape_of(config)
        assert made == shape_of(migrated)
        assert made["rows"].pop("alembic_version") == [(NEWEST,)]
        assert set(made["rows"]) == set(metadata.tables)
        assert not any(made["rows"].values())


def test_tables_of_somebody_else_are_left_alone(config: Config) -> None:
    engine = engines.writing(engines.located(config))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE keys (door TEXT)"))
        connection.execute(text("INSERT INTO keys VALUES ('front')"))
    before = shape_of(config)
    with pytest.raises(ConfigError, match="keys"):
        Store.open(config)
    assert shape_of(config) == before
    engine.dispose()


OPENING = """
import os, signal, sys
from sqlalchemy import Engine, event
from gateway.config import Config, State
from gateway.store.sql import Store

folder, database, last = sys.argv[1:]
if database == "-":
    database = ""

def kill(*said):
    os.kill(os.getpid(), signal.SIGKILL)

def look(connection, cursor, statement, *rest):
    if statement.strip().startswith(last):
        kill()

if last:
    event.listen(Engine, *(("commit", kill) if last == "COMMIT" else ("before_cursor_execute", look)))
Store.open(Config(state=State(folder=folder, database=database))).close()
print("alembic" in sys.modules)
"""


@pytest.mark.parametrize("last", ["CREATE TABLE", "CREATE TRIGGER", "INSERT INTO alembic_version", "COMMIT"])
def test_a_start_that_is_killed_while_it_makes_new_books_leaves_none(config: Config, last: str) -> None:
    killed = python(OPENING, config.state.folder, config.state.database or "-", last)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert form_of(config) is None
    assert upgraded(config, lambda *step: None) is None
    assert form_of(config) == NEWEST


def test_only_books_of_an_older_form_load_alembic(config: Config, tmp_path: Path) -> None:
    with others(config, tmp_path) as old, first_form(old):
        said = [
            python(OPENING, each.state.folder, each.state.database or "-", "").communicate(timeout=60)[0].strip()
            for each in (config, config, old, old)
        ]
    assert said == ["False", "False", "True", "False"]
