"""Teams: what keys share, and what becomes of keys when their team is blocked."""

import asyncio
import re

import pytest
from alembic import command
from alembic.config import Config as Alembic
from sqlalchemy import text

from adapters.errors import InvalidRequest
from gateway.accounts.keys import KeyLimits, Keys
from gateway.accounts.teams import TeamHasKeys, Teams, TeamTaken, UnknownTeam
from gateway.config import Config
from gateway.errors import InvalidKey
from gateway.store import engines
from gateway.store.sql import Store
from tests.gateway.store.books import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(store: Store, clock: Clock) -> Keys:
    return Keys(store, clock=clock, timer=clock)


@pytest.fixture
def teams(store: Store, clock: Clock) -> Teams:
    return Teams(store, clock)


async def test_a_team_is_known_by_the_word_it_was_created_with(teams: Teams, clock: Clock):
    made = await teams.create("research", name="Research & Co", metadata={"floor": "2"})
    assert (made.id, made.name, made.state, made.created_at) == ("research", "Research & Co", "active", clock.now)
    assert (await teams.create("ops")).name == "ops"
    assert [team.id for team in await teams.list()] == ["ops", "research"]
    assert await teams.show("research") == made


@pytest.mark.parametrize("id", ["", "a b", "t" * 41, "rot/grün", "a\n", "é"])
async def test_a_team_that_would_not_read_well_in_the_books_is_refused(teams: Teams, id: str):
    with pytest.raises(InvalidRequest):
        await teams.create(id)
    assert await teams.list() == []


async def test_a_word_or_name_that_is_taken_is_refused(teams: Teams):
    await teams.create("red", name="Crimson")
    for taken in (teams.create("red"), teams.create("blue", name="Crimson")):
        with pytest.raises(TeamTaken):
            await taken
    await teams.create("blue")
    with pytest.raises(TeamTaken):
        await teams.update("blue", name="Crimson")


async def test_a_key_of_no_such_team_is_refused_with_the_nearest_names(teams: Teams, keys: Keys):
    await teams.create("research")
    with pytest.raises(UnknownTeam, match="did you mean 'research'"):
        await keys.create("alice", team="reserch")
    assert await keys.list() == []
    with pytest.raises(UnknownTeam, match="teams list"):
        await keys.create("alice", team="zzz")


async def test_a_key_comes_with_the_limits_of_its_team(teams: Teams, keys: Keys, clock: Clock):
    await teams.create("red", limits=KeyLimits(requests_per_minute=3))
    made, secret = await keys.create("alice", team="red", limits=KeyLimits(calls_at_once=1))
    assert (made.limits, made.team_limits) == (KeyLimits(calls_at_once=1), KeyLimits(requests_per_minute=3))
    assert await keys.authenticate(f"Bearer {secret}") == made
    await teams.update("red", limits={"tokens_per_minute": 9})
    clock.now += 1.01
    told = (await keys.authenticate(f"Bearer {secret}")).team_limits
    assert told == KeyLimits(requests_per_minute=3, tokens_per_minute=9)
    await teams.update("red", limits={"requests_per_minute": None})
    assert (await keys.show("alice")).team_limits == KeyLimits(tokens_per_minute=9)
    await teams.update("red", limits=None)
    assert (await keys.show("alice")).team_limits is None


async def test_a_blocked_team_lets_none_of_its_keys_in_within_a_second(teams: Teams, keys: Keys, clock: Clock):
    for team in ("red", "blue"):
        await teams.create(team)
    secrets = {team: [(await keys.create("k", team=team))[1] for _ in range(2)] for team in ("red", "blue")}
    for each in (*secrets["red"], *secrets["blue"]):
        await keys.authenticate(f"Bearer {each}")
    assert (await teams.block("red")).state == "blocked"
    clock.now += 1.01
    for secret in secrets["red"]:
        with pytest.raises(InvalidKey, match="belongs to the team 'red', which is blocked"):
            await keys.authenticate(f"Bearer {secret}")
    for secret in secrets["blue"]:
        await keys.authenticate(f"Bearer {secret}")
    assert {key.team: key.state for key in await keys.list()} == {"red": "blocked", "blue": "active"}
    assert (await teams.unblock("red")).state == "active"
    clock.now += 1.01
    for secret in secrets["red"]:
        await keys.authenticate(f"Bearer {secret}")


async def test_only_an_empty_team_may_go(teams: Teams, keys: Keys):
    await teams.create("red")
    await keys.create("alice", team="red")
    assert (await teams.show("red")).keys == 1
    with pytest.raises(TeamHasKeys, match="1 keys"):
        await teams.delete("red")
    await teams.create("blue")
    await teams.delete("blue")
    assert [team.id for team in await teams.list()] == ["red"]
    with pytest.raises(UnknownTeam):
        await teams.delete("blue")


async def test_of_two_that_create_the_same_team_one_does(store: Store):
    several = await asyncio.gather(*(Teams(store).create("red") for _ in range(5)), return_exceptions=True)
    assert [type(each) for each in several if isinstance(each, Exception)] == [TeamTaken] * 4


async def test_what_keys_were_told_of_teams_in_free_text_becomes_teams(config: Config):
    engine = engines.writing(engines.located(config))
    with engine.begin() as connection:
        alembic = Alembic(attributes={"connection": connection})
        alembic.set_main_option("script_location", "gateway.store:migrations")
        command.upgrade(alembic, "0003")
        for number, team in enumerate(("red", "red", "Größe 2/3", None)):
            connection.execute(
                text(
                    "INSERT INTO keys (id, name, prefix, hash, role, owner, team, tags, models, endpoints, leave,"
                    " metadata, created_at) VALUES (:id, 'k', 'sk-', :id, 'user', '', :team, '[]', '[]', '[]',"
                    " 'cancel', '{}', :at)"
                ),
                {"id": f"key_{number}", "team": team, "at": 1000 + number},
            )
    engine.dispose()
    store = Store.open(config)
    found = {team.id: (team.name, team.keys, team.created_at) for team in await Teams(store).list()}
    assert found == {"red": ("red", 2, 1.0), "Größe 2/3": ("Größe 2/3", 1, 1.002)}
    assert (await Teams(store).block("Größe 2/3")).state == "blocked"
    await store.aclose()


async def test_every_act_on_a_team_is_in_the_audit_log_with_its_actor(store: Store, teams: Teams):
    await teams.create("red", by="key_boss")
    await teams.update("red", name="Rot", by="key_boss")
    await teams.update("red", name="Rot", by="key_boss")
    for act in (teams.block, teams.block, teams.unblock, teams.unblock, teams.delete):
        await act("red")
    lines = await store.read(
        lambda c: c.execute(text("SELECT act, actor, subject, detail FROM audit ORDER BY id")).all()
    )
    assert sorted((act, actor, subject) for act, actor, subject, _ in lines) == [
        ("team.block", "operator", "red"),
        ("team.create", "key_boss", "red"),
        ("team.delete", "operator", "red"),
        ("team.unblock", "operator", "red"),
        ("team.update", "key_boss", "red"),
    ]
    changed = next(line.detail for line in lines if line.act == "team.update")
    assert re.search(r'"before":{"name":"red"},"after":{"name":"Rot"}', changed)
