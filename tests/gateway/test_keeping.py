"""Copies of outputs: begun ahead, taken by whoever wants them, and given up where nobody does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.config import Config, OutputsConfig, State
from gateway.errors import UpstreamFailed
from gateway.keeping import Copies
from gateway.upstream.fetching import Fetching
from gateway.upstream.outputs import Outputs
from gateway.upstream.transport import Bridged
from gateway.upstream.wire import Patience

PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)
KITE, FOX = (f"https://replicate.delivery/{name}.png" for name in ("kite", "fox"))


class Delivery:
    """A host of files, some of which are not there the first time."""

    def __init__(self, *missing: str) -> None:
        self.missing, self.asked = set(missing), list[str]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        self.asked.append(url)
        if url in self.missing:
            self.missing.discard(url)
            return httpx.Response(404)
        return httpx.Response(200, content=PNG)


@pytest.fixture
def delivery() -> Delivery:
    return Delivery()


@pytest.fixture
async def outputs(delivery: Delivery, tmp_path: Path) -> AsyncIterator[Outputs]:
    config = Config(state=State(folder=str(tmp_path)), outputs=OutputsConfig())
    async with httpx.AsyncClient(transport=httpx.MockTransport(delivery)) as http:
        wire = Bridged(http)
        yield Outputs(config, Fetching(config.outputs, "https://api.replicate.com/v1", wire, Patience(9, 9, 9)), b"k")


def names(folder: Path) -> list[str]:
    return [each.name for each in (folder / "outputs").iterdir()]


async def test_what_was_begun_is_not_fetched_again(outputs: Outputs, delivery: Delivery) -> None:
    async with Copies(outputs) as copies:
        copies.begin([KITE])
        copies.begin([KITE, FOX])
        files = await copies.kept([FOX, KITE])
    assert [each.content for each in files] == [PNG, PNG]
    assert sorted(delivery.asked) == sorted([KITE, FOX])


async def test_what_nobody_wants_is_not_kept(outputs: Outputs, delivery: Delivery, tmp_path: Path) -> None:
    async with Copies(outputs) as copies:
        copies.begin([KITE])
        while not delivery.asked:
            await asyncio.sleep(0)
        copies.begin([FOX])
        await copies.kept([FOX])
    assert (delivery.asked, len(names(tmp_path))) == ([KITE, FOX], 1)


async def test_what_was_not_there_ahead_of_time_is_asked_for_when_it_is_wanted(
    outputs: Outputs, delivery: Delivery
) -> None:
    delivery.missing = {KITE}
    async with Copies(outputs) as copies:
        copies.begin([KITE])
        while not copies._begun[KITE].done():
            await asyncio.sleep(0)
        assert [each.content for each in await copies.kept([KITE])] == [PNG]
    delivery.missing = {FOX}
    async with Copies(outputs) as copies:
        with pytest.raises(UpstreamFailed):
            await copies.kept([FOX])
