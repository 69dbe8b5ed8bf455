"""The shelf: bodies kept under keys."""

from gateway.store.shelf import Shelf
from gateway.store.sql import Store
from tests.gateway.store.books import NOON, Clock


async def test_a_body_is_found_again_with_the_time_it_was_saved(store: Store):
    shelf = Shelf(store, Clock())
    assert await shelf.load("acme/fast") is None
    await shelf.save("acme/fast", b"\x00\xffbody")
    assert await shelf.load("acme/fast") == (b"\x00\xffbody", NOON)


async def test_the_newer_body_takes_the_place_of_the_older(store: Store):
    clock = Clock()
    shelf = Shelf(store, clock)
    await shelf.save("acme/fast", b"old")
    clock.now += 5.5
    await shelf.save("acme/fast", b"new")
    assert await Shelf(store, clock).load("acme/fast") == (b"new", NOON + 5.5)
