"""Answers that are remembered for retries: told again as they were, and small until then."""

import tracemalloc
from typing import Any

import pytest

from gateway.accounts.replies import Replies
from gateway.config import IntentsConfig
from gateway.intents import Answer, Intents
from gateway.store.sql import Store
from tests.gateway.store.books import sqlite_config, store

__all__ = ["sqlite_config", "store"]

HEADERS = [(f"x-repligate-name-{number}".encode(), b"some value of it") for number in range(15)]


@pytest.fixture
def config(sqlite_config: Any) -> Any:
    return sqlite_config


@pytest.fixture
def replies(store: Store) -> Replies:
    return Replies(store, "me", 3600)


def messages(number: int) -> list[dict[str, Any]]:
    return [
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % number), *HEADERS]},
        {"type": "http.response.body", "body": b"%08d" % number + 500 * b"x", "more_body": False},
    ]


def remembered(intents: Intents, number: int) -> Answer:
    answer = Answer(f"{number:064x}")
    intents.offer(answer.digest, answer)
    for message in messages(number):
        answer.add(message)
    intents.whole(answer)
    return answer


async def told(answer: Answer) -> list[dict[str, Any]]:
    answer.join()
    heard = [dict(message) async for message in answer.follow()]
    answer.leave(0)
    heard[0]["headers"] = list(map(tuple, heard[0]["headers"]))
    return heard


async def test_a_whole_answer_is_told_as_often_as_it_is_asked_for(replies: Replies) -> None:
    intents = Intents(replies, IntentsConfig())
    remembered(intents, 1)
    for attempt in (1, 2):
        found = intents.attach(f"{1:064x}", attempt)
        assert found
        assert await told(found) == messages(1)


async def test_one_that_is_being_read_when_it_ends_is_read_to_its_end(replies: Replies) -> None:
    intents = Intents(replies, IntentsConfig())
    answer = Answer("digest")
    intents.offer("digest", answer)
    answer.join()
    first, second = messages(1)
    answer.add(first)
    reading = answer.follow()
    assert await anext(reading) == first
    answer.add(second)
    intents.whole(answer)
    assert [message async for message in reading] == [second]


async def test_a_remembered_answer_takes_little_more_than_its_bytes(replies: Replies) -> None:
    intents, many = Intents(replies, IntentsConfig()), 2000
    remembered(intents, many)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(many):
        remembered(intents, number)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    body = sum(len(message.get("body", b"")) for message in messages(0))
    headers = sum(len(name) + len(value) for name, value in messages(0)[0]["headers"])
    assert (after - before) / many < body + headers + 1500


async def test_the_oldest_are_forgotten_beyond_so_many_megabytes(replies: Replies) -> None:
    intents = Intents(replies, IntentsConfig(recent_mb=1))
    for number in range(2000):
        remembered(intents, number)
    assert intents.attach(f"{0:064x}", 1) is None
    assert intents.attach(f"{1999:064x}", 1)
    kept = sum(intents.attach(f"{number:064x}", 1) is not None for number in range(2000))
    assert 600 < kept < 1024 * 1024 / 1000
