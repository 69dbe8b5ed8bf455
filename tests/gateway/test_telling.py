"""Notices reach the operator: signed, each mark once whichever gateway sends it, in spite of failing receivers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from standardwebhooks import Webhook

from gateway.accounts.budgets import Budgets, Terms
from gateway.accounts.ledger import Ledger
from gateway.accounts.notices import Notices
from gateway.config import BudgetsConfig, ConfigError, UpstreamConfig
from gateway.loading import load
from gateway.simulator import Simulator
from gateway.store.sql import Store
from gateway.telling import tell
from gateway.upstream.messenger import Messenger
from gateway.upstream.transport import client
from tests.gateway.store.books import config, opening, settled, store
from tests.gateway.upstream.servers import request, serving
from tests.opened import caller, holds, opened
from tests.opened import settled as all_settled

__all__ = ["config", "store"]

SECRET = "whsec_" + "c2VjcmV0" * 4


class Receiver:
    """Takes what is posted to it, after it has answered as `statuses` says."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.posts, self.url = iter(statuses), list[bytes](), ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Receiver"]:
        async with serving(self._serve) as url:
            self.url = f"{url}/hooks/secret-path"
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            post = await request(reader)
            status = next(self.statuses, 204)
            if status < 300:
                self.posts.append(post)
            writer.write(f"HTTP/1.1 {status} Told\r\nlocation: {self.url}\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()

    @property
    def told(self) -> list[dict[str, Any]]:
        """What arrived, with its signature verified."""
        return [_verified(post) for post in self.posts]


def _verified(post: bytes) -> dict[str, Any]:
    head, _, body = post.partition(b"\r\n\r\n")
    headers = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n")[1:])
    told: dict[str, Any] = Webhook(SECRET).verify(body, headers)
    with pytest.raises(Exception, match="No matching signature"):
        Webhook("whsec_" + "b3RoZXJz" * 4).verify(body, headers)
    return told | {"webhook-id": {name.lower(): value for name, value in headers.items()}["webhook-id"]}


@asynccontextmanager
async def messenger() -> AsyncIterator[Messenger]:
    opened = Messenger(client(UpstreamConfig()))
    try:
        yield opened
    finally:
        await opened.aclose()


def settings(url: str) -> BudgetsConfig:
    return BudgetsConfig(webhook=url, webhook_secret=SECRET)


async def crossed(store: Store) -> None:
    """Three marks are passed by one call."""
    ledger = Ledger(store)
    await Budgets(store).set(Terms(scope="everyone", soft=1_000, hard=2_000))
    (entry,) = (await ledger.open(opening())).entries
    await ledger.settle(entry, settled(cost=2_000))


async def test_each_mark_is_told_once_whichever_of_several_gateways_sends_it(store: Store) -> None:
    await crossed(store)
    async with Receiver().open() as receiver, messenger() as sends:
        async with asyncio.TaskGroup() as gateways:
            for _ in range(4):
                gateways.create_task(tell(settings(receiver.url), Notices(store), sends))
        await tell(settings(receiver.url), Notices(store), sends)
    assert sorted(each["type"] for each in receiver.told) == ["budget.near", "budget.soft", "budget.spent"]
    assert len({each["webhook-id"] for each in receiver.told}) == 3
    data = receiver.told[0]["data"]
    assert (data["scope"], data["hard_usd"], data["spent_usd"], data["left_usd"]) == ("everyone", 0.002, 0.002, 0.0)


@pytest.mark.parametrize("statuses", [(500, 429), (307, 404)])
async def test_a_receiver_that_fails_is_asked_again_and_never_followed_elsewhere(
    store: Store, statuses: tuple[int, ...]
) -> None:
    await crossed(store)
    async with Receiver(*statuses).open() as receiver, messenger() as sends:
        await tell(settings(receiver.url), Notices(store), sends)
    assert len(receiver.told) == 3


async def test_what_is_not_delivered_waits_and_then_goes_out_under_the_same_id(store: Store) -> None:
    await crossed(store)
    async with Receiver(*[503] * 9).open() as receiver, messenger() as sends:
        await tell(settings(receiver.url), Notices(store), sends)
        assert receiver.posts == []
        known = {row[0] for row in await store.read(lambda c: c.execute(text("SELECT id FROM notices")).all())}
        await tell(settings(receiver.url), Notices(store), sends)
        assert receiver.posts == []
        await store.write(lambda c: c.execute(text("UPDATE notices SET lease_until = 1")))
        await tell(settings(receiver.url), Notices(store), sends)
    assert {each["webhook-id"] for each in receiver.told} == known


async def test_what_a_dead_gateway_was_about_to_send_is_sent_by_another(store: Store) -> None:
    await crossed(store)
    assert len(await Notices(store).take()) == 3
    assert await Notices(store).take() == []
    await store.write(lambda c: c.execute(text("UPDATE notices SET lease_until = 1")))
    assert len(await Notices(store).take()) == 3


async def test_old_news_is_not_sent(store: Store) -> None:
    await crossed(store)
    await store.write(lambda c: c.execute(text("UPDATE notices SET at = at - 4 * 86400000")))
    assert await Notices(store).take() == []


async def test_a_running_gateway_tells_by_itself(tmp_path: Path) -> None:
    with Simulator() as simulated:
        async with Receiver().open() as receiver:
            told = {"webhook": receiver.url, "webhook_secret": SECRET}
            async with opened(simulated, tmp_path, budgets=told) as gateway:
                await gateway.budgets.set(Terms(scope="everyone", soft=1))
                key = (await caller(gateway)).key
                (entry,) = (await gateway.ledger.open(opening(key=key.id))).entries
                await gateway.ledger.settle(entry, settled(cost=5))
                await holds(lambda: receiver.posts)
                await all_settled(gateway)
    assert [each["type"] for each in receiver.told] == ["budget.soft"]


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ({"webhook": "http://example.com/x", "webhook_secret": SECRET}, "budgets.webhook: "),
        ({"webhook": "ftp://example.com/x", "webhook_secret": SECRET}, "budgets.webhook: "),
        ({"webhook": "https://example.com/x"}, "budgets.webhook_secret: "),
        ({"webhook": "https://example.com/x", "webhook_secret": "whsec_dG9vIHNob3J0"}, "budgets.webhook_secret: "),
        ({"webhook": "https://example.com/x", "webhook_secret": "no base64!"}, "budgets.webhook_secret: "),
    ],
)
def test_an_address_that_nobody_could_trust_is_refused_at_the_start(
    tmp_path: Path, told: dict[str, str], wrong: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        "[budgets]\n" + "\n".join(f"{key} = {msgspec.json.encode(value).decode()}" for key, value in told.items())
    )
    with pytest.raises(ConfigError, match=wrong):
        load(path, {})
