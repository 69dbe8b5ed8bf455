"""Virtual keys: who is let in, who is not, and what nobody gets to see."""

import asyncio
import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.accounts.audit import Audit
from gateway.accounts.keys import CannotRotate, KeyLimits, Keys, UnknownKey, masked, new_secret
from gateway.accounts.teams import Teams, UnknownTeam
from gateway.config import Config
from gateway.errors import InvalidKey, MissingKey
from gateway.store.sql import Store
from tests.gateway.store.books import Clock


class Counted(Store):
    """A store that counts what is read from it."""

    reads = 0

    async def read(self, work):
        self.reads += 1
        return await super().read(work)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(store: Store, clock: Clock) -> Keys:
    return Keys(store, clock=clock, timer=clock)


async def test_a_new_key_opens_the_door(keys: Keys):
    key, secret = await keys.create("alice", owner="Alice", tags=("a", "b"), metadata={"floor": "2"})
    assert await keys.authenticate(f"Bearer {secret}") == key
    assert (key.name, key.state, key.tags, key.metadata) == ("alice", "active", ("a", "b"), {"floor": "2"})


@pytest.mark.parametrize("limits", [None, KeyLimits(), KeyLimits(requests_per_minute=3, calls_at_once=0)])
async def test_a_key_keeps_its_own_limits(keys: Keys, limits: KeyLimits | None):
    _, secret = await keys.create("alice", limits=limits)
    assert (await keys.authenticate(f"Bearer {secret}")).limits == limits


async def test_secrets_are_long_random_and_plain():
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(secret.startswith("sk-") and len(secret) == 46 and secret[3:].isalnum() for secret in secrets)


async def test_only_the_hash_is_kept(config: Config, store: Store, keys: Keys):
    key, secret = await keys.create("alice")
    rows = await store.read(lambda c: [str(c.execute(text(f"SELECT * FROM {t}")).all()) for t in ("keys", "audit")])
    assert hashlib.sha256(secret.encode()).hexdigest() in rows[0]
    assert not any(secret in row or secret[10:] in row for row in rows)
    assert secret not in repr(key)
    for file in config.folder.glob("repligate.db*"):
        assert secret[10:].encode() not in file.read_bytes()


@pytest.mark.parametrize(
    "header", [None, "", "   ", "Bearer", "Bearer ", "bearer    ", "Basic abc", "sk-raw", "Bearer\x00x", "Token sk-x"]
)
async def test_a_request_without_a_key_is_told_how_to_send_one(keys: Keys, header: str | None):
    with pytest.raises(MissingKey, match="Authorization: Bearer"):
        await keys.authenticate(header)


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER   {}", "  Bearer {}  ", "bEaReR \t{}\t"])
async def test_how_a_header_is_spelt_does_not_matter(keys: Keys, form: str):
    key, secret = await keys.create("alice")
    assert (await keys.authenticate(form.format(secret))).id == key.id


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.text(max_size=400), scheme=st.sampled_from(["Bearer ", "bearer", "", "Basic "]))
async def test_no_garbage_gets_in_or_breaks_anything(keys: Keys, garbage: str, scheme: str):
    with pytest.raises((InvalidKey, MissingKey)):
        await keys.authenticate(scheme + garbage)


@pytest.mark.parametrize("secret", ["sk-" + "x" * 1_000_000, "sk-' OR 1=1 --", "sk-ключ", "\ud800", "x y z"])
async def test_strange_keys_are_refused(keys: Keys, secret: str):
    with pytest.raises(InvalidKey) as refused:
        await keys.authenticate(f"Bearer {secret}")
    assert len(refused.value.message) < 300
    refused.value.message.encode()


async def test_a_refusal_never_shows_the_whole_key(keys: Keys):
    _, secret = await keys.create("alice")
    wrong = new_secret()
    await keys.revoke("alice")
    for shown in (secret, wrong):
        with pytest.raises(InvalidKey) as refused:
            await keys.authenticate(f"Bearer {shown}")
        assert f"sk-***{shown[-4:]}" in refused.value.message
        assert shown[3:-4] not in refused.value.message


def test_short_keys_are_masked_whole():
    assert masked("sk-1234") == "***"
    assert masked("sk-\n\x1b\u202e23456789012") == "sk-***9012"


async def test_revocation_bites_within_a_second_everywhere(store: Store, clock: Clock, keys: Keys):
    elsewhere = Keys(store, clock=clock, timer=clock)
    _, secret = await keys.create("alice")
    await elsewhere.authenticate(f"Bearer {secret}")
    assert (await keys.revoke("alice")).state == "revoked"
    with pytest.raises(InvalidKey, match="is revoked"):
        await keys.authenticate(f"Bearer {secret}")
    clock.now += 1.01
    with pytest.raises(InvalidKey, match="is revoked"):
        await elsewhere.authenticate(f"Bearer {secret}")


async def test_a_key_made_by_another_process_works_at_once(store: Store, clock: Clock, keys: Keys):
    with pytest.raises(InvalidKey):
        await keys.authenticate(f"Bearer {new_secret()}")
    _, secret = await Keys(store).create("alice")
    assert (await keys.authenticate(f"Bearer {secret}")).name == "alice"


async def test_an_expired_key_is_refused_to_the_second(clock: Clock, keys: Keys):
    _, secret = await keys.create("alice", expires_at=clock.now + 0.5)
    await keys.authenticate(f"Bearer {secret}")
    clock.now += 0.5
    with pytest.raises(InvalidKey, match="is expired"):
        await keys.authenticate(f"Bearer {secret}")
    assert [key.state for key in await keys.list()] == ["expired"]


async def test_a_blocked_key_is_refused_until_it_is_unblocked(store: Store, clock: Clock, keys: Keys):
    elsewhere = Keys(store, clock=clock, timer=clock)
    _, secret = await keys.create("alice")
    await keys.authenticate(f"Bearer {secret}")
    assert (await elsewhere.block("alice")).state == "blocked"
    clock.now += 1.01
    with pytest.raises(InvalidKey, match="is blocked"):
        await keys.authenticate(f"Bearer {secret}")
    assert (await elsewhere.unblock("alice")).state == "active"
    clock.now += 1.01
    assert (await keys.authenticate(f"Bearer {secret}")).name == "alice"


async def test_unblocking_brings_no_revoked_key_back(keys: Keys):
    _, secret = await keys.create("alice")
    await keys.block("alice")
    await keys.revoke("alice")
    assert (await keys.unblock("alice")).state == "revoked"
    with pytest.raises(InvalidKey, match="is revoked"):
        await keys.authenticate(f"Bearer {secret}")


async def test_a_key_tells_which_one_its_rotations_began_with(keys: Keys):
    old, secret = await keys.create("alice")
    assert (await keys.authenticate(f"Bearer {secret}")).first is None
    for _ in range(3):
        _, secret = await keys.rotate("alice", overlap=3600)
        assert (await keys.authenticate(f"Bearer {secret}")).first == old.id


async def test_a_rotated_key_goes_on_for_the_overlap_and_no_longer(store: Store, clock: Clock, keys: Keys):
    elsewhere = Keys(store, clock=clock, timer=clock)
    await Teams(store).create("red")
    old, secret = await keys.create("alice", team="red", models=("acme/*",), tags=("a",))
    await elsewhere.authenticate(f"Bearer {secret}")
    new, fresh = await keys.rotate("alice", overlap=3600)
    assert (new.name, new.team, new.models, new.tags) == (old.name, old.team, old.models, old.tags)
    assert (new.rotated_from, new.expires_at, new.prefix) == (old.id, None, fresh[:10])
    assert fresh != secret
    clock.now += 3599
    assert (await elsewhere.authenticate(f"Bearer {secret}")).id == old.id
    assert (await elsewhere.authenticate(f"Bearer {fresh}")).id == new.id
    clock.now += 1
    with pytest.raises(InvalidKey, match="is expired"):
        await elsewhere.authenticate(f"Bearer {secret}")
    assert (await elsewhere.authenticate(f"Bearer {fresh}")).id == new.id


async def test_without_an_overlap_the_old_key_ends_at_once(keys: Keys):
    _, secret = await keys.create("alice")
    await keys.authenticate(f"Bearer {secret}")
    await keys.rotate("alice")
    with pytest.raises(InvalidKey, match="is expired"):
        await keys.authenticate(f"Bearer {secret}")


async def test_an_overlap_prolongs_no_life(clock: Clock, keys: Keys):
    old, _ = await keys.create("alice", expires_at=clock.now + 10)
    new, _ = await keys.rotate("alice", overlap=3600)
    assert (await keys.show(old.id)).expires_at == new.expires_at == clock.now + 10


async def test_a_name_means_the_newest_key_and_revoking_it_ends_the_older_ones(keys: Keys):
    secrets = [(await keys.create("alice"))[1]]
    for _ in range(2):
        newest, secret = await keys.rotate("alice", overlap=3600)
        secrets.append(secret)
    assert (await keys.show("alice")).id == newest.id
    assert (await keys.block("alice")).state == "blocked"
    for state, change in (("blocked", keys.unblock), ("active", keys.revoke)):
        for secret in secrets:
            if state == "active":
                await keys.authenticate(f"Bearer {secret}")
                continue
            with pytest.raises(InvalidKey, match=f"is {state}"):
                await keys.authenticate(f"Bearer {secret}")
        await change("alice")
    for secret in secrets:
        with pytest.raises(InvalidKey, match="is revoked"):
            await keys.authenticate(f"Bearer {secret}")


async def test_only_a_key_that_works_and_was_not_rotated_has_a_successor(clock: Clock, keys: Keys):
    old, _ = await keys.create("alice")
    await keys.rotate("alice", overlap=60)
    with pytest.raises(CannotRotate, match="rotate the newer one"):
        await keys.rotate(old.id)
    await keys.block("alice")
    with pytest.raises(CannotRotate, match="is blocked"):
        await keys.rotate("alice")
    await keys.revoke("alice")
    with pytest.raises(CannotRotate, match="is revoked"):
        await keys.rotate("alice")
    await keys.create("bob", expires_at=clock.now + 1)
    clock.now += 1
    with pytest.raises(CannotRotate, match="is expired"):
        await keys.rotate("bob")
    with pytest.raises(UnknownKey):
        await keys.rotate("carol")
    assert len(await keys.list()) == 3


async def test_rotating_at_the_same_time_makes_one_successor(store: Store, clock: Clock, keys: Keys):
    old, _ = await keys.create("alice")
    others = [Keys(store, clock=clock) for _ in range(5)]
    made = await asyncio.gather(*(each.rotate(old.id, 60) for each in others), return_exceptions=True)
    assert [type(each) for each in made if isinstance(each, Exception)] == [CannotRotate] * 4
    assert len(await keys.list()) == 2


async def test_a_key_is_shown_without_its_secret(store: Store, keys: Keys):
    key, secret = await keys.create("alice", owner="Alice")
    assert await keys.show(secret) == key
    lines = await store.read(lambda c: str(c.execute(text("SELECT * FROM audit")).all()))
    assert secret[10:] not in lines


async def test_a_thousand_calls_at_once_ask_the_store_once(sqlite_config: Config):
    store = Counted.open(sqlite_config)
    keys = Keys(store)
    _, secret = await keys.create("alice")
    found = await asyncio.gather(*(keys.authenticate(f"Bearer {secret}") for _ in range(1000)))
    assert {key.name for key in found} == {"alice"}
    assert store.reads == 1
    await store.aclose()


async def test_who_asked_first_may_leave(keys: Keys):
    _, secret = await keys.create("alice")
    first = asyncio.create_task(keys.authenticate(f"Bearer {secret}"))
    second = asyncio.create_task(keys.authenticate(f"Bearer {secret}"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).name == "alice"


async def test_keys_are_listed_oldest_first(clock: Clock, keys: Keys):
    for name in ("one", "two", "three"):
        await keys.create(name)
        clock.now += 1
    await keys.revoke("two")
    assert [(key.name, key.state) for key in await keys.list()] == [
        ("one", "active"),
        ("two", "revoked"),
        ("three", "active"),
    ]


async def test_a_key_is_revoked_by_id_prefix_name_or_itself(keys: Keys):
    for by in range(4):
        key, secret = await keys.create(f"key {by}")
        revoked = await keys.revoke((key.id, key.prefix, key.name, secret)[by])
        assert (revoked.id, revoked.state) == (key.id, "revoked")


async def test_revoking_twice_keeps_the_first_time(clock: Clock, keys: Keys):
    key, _ = await keys.create("alice")
    first = await keys.revoke(key.id)
    clock.now += 60
    assert await keys.revoke(key.id) == first


async def test_a_name_that_several_living_keys_bear_revokes_none(keys: Keys):
    one, _ = await keys.create("alice")
    two, _ = await keys.create("alice")
    with pytest.raises(UnknownKey, match=f"{one.id}, {two.id}|{two.id}, {one.id}"):
        await keys.revoke("alice")
    await keys.revoke(one.id)
    assert (await keys.revoke("alice")).id == two.id


async def test_revoking_what_does_not_exist_says_so_without_showing_it(keys: Keys):
    with pytest.raises(UnknownKey, match="'nobody'"):
        await keys.revoke("nobody")
    secret = new_secret()
    with pytest.raises(UnknownKey) as refused:
        await keys.revoke(secret)
    assert secret[3:-4] not in str(refused.value)


async def test_every_admin_act_is_in_the_audit_log(store: Store, keys: Keys):
    key, _ = await keys.create("alice")
    acts = [(keys.block, "key.block"), (keys.unblock, "key.unblock")]
    for change, _ in acts:
        await change("alice")
        await change("alice")
    new, _ = await keys.rotate("alice", 60)
    await keys.revoke("alice")
    await keys.revoke("alice")
    lines = await store.read(lambda c: c.execute(text("SELECT act, subject FROM audit")).all())
    assert sorted(tuple(line) for line in lines) == sorted(
        [
            ("key.create", key.id),
            *((act, key.id) for _, act in acts),
            ("key.rotate", new.id),
            ("key.revoke", new.id),
            ("key.revoke", key.id),
        ]
    )


async def test_a_key_may_be_held_to_some_models_and_endpoints(keys: Keys):
    key, _ = await keys.create("alice", models=("acme/*", "fast"), endpoints=("chat",))
    assert [key.allows_model(name) for name in ("acme/big", "fast", "other/big")] == [True, True, False]
    assert [key.allows_endpoint(name) for name in ("chat", "images")] == [True, False]
    free, _ = await keys.create("bob")
    assert free.allows_model("anything")
    assert free.allows_endpoint("images")


async def test_an_existing_key_gets_another_policy_and_its_predecessors_too(keys: Keys, store: Store, clock: Clock):
    await Teams(store).create("red")
    old, secret = await keys.create("alice", models=("*",), limits=KeyLimits(requests_per_minute=3, calls_at_once=1))
    new, fresh = await keys.rotate("alice", overlap=60)
    changed = await keys.update(
        "alice", models=("acme/*",), team="red", limits={"requests_per_minute": 9, "calls_at_once": None}, leave="drain"
    )
    assert (changed.id, changed.models, changed.team, changed.leave) == (new.id, ("acme/*",), "red", "drain")
    for each in (secret, fresh):
        held = await keys.authenticate(f"Bearer {each}")
        assert (held.models, held.limits) == (("acme/*",), KeyLimits(requests_per_minute=9))
    await keys.update("alice", expires_at=clock.now + 3600, team=None)
    assert (await keys.show(old.id)).expires_at == clock.now + 60
    assert (await keys.show(new.id)).expires_at == clock.now + 3600
    with pytest.raises(UnknownTeam):
        await keys.update("alice", team="blue")


async def test_what_changed_is_in_the_audit_log_newest_first_page_by_page(keys: Keys, store: Store, clock: Clock):
    key, _ = await keys.create("alice", by="key_boss")
    for name in ("bob", "carol"):
        clock.now += 1
        await keys.update(key.id, name=name)
    log = Audit(store)
    acts = await log.acts(10)
    assert [(act.act, act.actor, act.subject) for act in acts] == [
        ("key.update", "operator", key.id),
        ("key.update", "operator", key.id),
        ("key.create", "key_boss", key.id),
    ]
    assert (acts[0].detail["before"], acts[0].detail["after"]) == ({"name": "bob"}, {"name": "carol"})
    assert acts[0].at == clock.now
    paged = [(await log.acts(1, before=before))[0] for before in (None, acts[0].id, acts[1].id)]
    assert paged == list(acts)
    assert await log.acts(1, before=acts[2].id) == []
    assert [act.act for act in await log.acts(10, actor="key_boss")] == ["key.create"]
