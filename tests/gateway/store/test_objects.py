"""Objects that outlive their request: found by their owners only, in order, for as long as they live."""

import asyncio

from msgspec.structs import replace

from gateway.store.objects import Listing, Objects, Stored
from gateway.store.sql import Store
from tests.gateway.store.books import NOON, Clock


def thing(id: str, **told: object) -> Stored:
    return Stored(**{"id": id, "kind": "file", "owner": "key_1", "body": b"{}", **told})  # type: ignore[arg-type]


async def test_an_object_is_found_by_its_owner_and_by_nobody_else(store: Store):
    objects = Objects(store, Clock())
    kept = await objects.put(thing("file-1", body=b'{"a":1}', label="vision", status="processed"))
    assert kept.created == NOON
    assert await objects.get("file", "file-1", ["key_1"]) == kept
    assert await objects.get("file", "file-1", ["team_1", "key_1"]) == kept
    assert await objects.get("file", "file-1", ["key_2"]) is None
    assert await objects.get("upload", "file-1", ["key_1"]) is None
    assert (await objects.list(Listing(kind="file", owners=["key_2"]))).items == ()


async def test_a_list_goes_on_where_the_last_page_ended_also_within_one_instant(store: Store):
    clock = Clock()
    objects = Objects(store, clock)
    for number in range(7):
        clock.now = NOON + number // 3
        await objects.put(thing(f"file-{number}", label="vision" if number % 2 else "batch"))
    wanted = Listing(kind="file", owners=["key_1"], limit=2)
    for oldest_first in (False, True):
        seen: list[str] = []
        after, more = None, True
        while more:
            page = await objects.list(replace(wanted, oldest_first=oldest_first), after)
            seen += [each.id for each in page.items]
            after, more = page.items[-1], page.more
        assert seen == sorted((f"file-{number}" for number in range(7)), reverse=not oldest_first)
    narrowed = await objects.list(replace(wanted, label="vision", limit=9))
    assert [each.id for each in narrowed.items] == ["file-5", "file-3", "file-1"]


async def test_of_two_changes_that_exclude_each_other_one_is_made(store: Store):
    objects = Objects(store, Clock())
    kept = await objects.put(thing("upload-1", kind="upload", status="pending"))
    made = await asyncio.gather(*(objects.update(kept, status=status) for status in ("completed", "cancelled")))
    assert sorted(made) == [False, True]
    assert await objects.update(kept, body=b"late") is False


async def test_what_has_expired_is_gone_for_all_but_the_sweeper(store: Store):
    clock = Clock()
    objects = Objects(store, clock)
    kept = await objects.put(thing("file-1", expires=NOON + 5))
    await objects.put(thing("file-2"))
    clock.now += 5
    assert await objects.get("file", "file-1", ["key_1"]) is None
    assert [each.id for each in (await objects.list(Listing(kind="file", owners=["key_1"]))).items] == ["file-2"]
    assert await objects.expired("file") == (kept,)
    assert await objects.delete(kept) == 1
    assert await objects.delete(kept) == 0


async def test_what_no_database_can_hold_is_not_there(store: Store):
    objects = Objects(store, Clock())
    await objects.put(thing("file-1"))
    assert await objects.get("file", "file-\0", ["key_1"]) is None
    assert (await objects.list(Listing(kind="file", owners=["key_1"], label="a\0"))).items == ()
