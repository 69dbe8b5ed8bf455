"""A key that is revoked, or whose team is blocked, at one gateway is refused by the others within two seconds."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from gateway.accounts.keys import CACHED_SECONDS, Keys
from gateway.accounts.teams import Teams
from gateway.app import open_gateway
from gateway.config import Config, State
from gateway.errors import InvalidKey
from gateway.parts import Gateway, Replicate
from gateway.store.sql import Store
from tests.opened import listens

Change = Callable[[Keys, Teams], Awaitable[object]]
CHANGES: dict[str, Change] = {
    "revoked": lambda keys, teams: keys.revoke("ada"),
    "blocked": lambda keys, teams: keys.block("ada"),
    "team blocked": lambda keys, teams: teams.block("red"),
    "rotated without overlap": lambda keys, teams: keys.rotate("ada"),
}


class Hand:
    """A clock that the test turns."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def stores(books: str, tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Two gateways' views of one set of books."""
    one, two = (Store.open(Config(state=State(folder=str(tmp_path / name), database=books))) for name in ("one", "two"))
    yield one, two
    await one.aclose()
    await two.aclose()


@pytest.mark.parametrize("change", CHANGES)
async def test_no_gateway_believes_a_key_for_longer_than_a_second(stores: tuple[Store, Store], change: str) -> None:
    one, two = stores
    hand = Hand()
    here, teams, there = Keys(one), Teams(one), Keys(two, timer=hand)
    await teams.create("red")
    _, secret = await here.create("ada", team="red")
    assert (await there.authenticate(f"Bearer {secret}")).name == "ada"
    await CHANGES[change](here, teams)
    hand.now += CACHED_SECONDS * 0.99
    assert (await there.authenticate(f"Bearer {secret}")).name == "ada", "believed, and nothing asked of the books"
    hand.now += CACHED_SECONDS * 0.02
    with pytest.raises(InvalidKey):
        await there.authenticate(f"Bearer {secret}")
    assert CACHED_SECONDS <= 2


async def test_what_is_blocked_over_http_at_one_gateway_is_refused_over_http_by_another(
    books: str, tmp_path: Path
) -> None:
    def on(name: str) -> Config:
        return Config(state=State(folder=str(tmp_path / name), database=books))

    nowhere = Replicate("http://127.0.0.1:9/v1", ("r8_test",))
    async with (
        open_gateway(on("one"), {}, nowhere) as one,
        open_gateway(on("two"), {}, nowhere) as two,
        listens(one) as here,
        listens(two) as there,
        httpx.AsyncClient(timeout=30) as http,
    ):
        await _blocked_everywhere(one, http, here, there)


async def _blocked_everywhere(one: Gateway, http: httpx.AsyncClient, here: str, there: str) -> None:
    boss, ada = (await one.keys.create("boss", role="admin"))[1], (await one.keys.create("ada"))[1]
    admin, mine = ({"authorization": f"Bearer {secret}"} for secret in (boss, ada))
    for url in (here, there):
        assert (await http.get(f"{url}/v1/usage", headers=mine)).status_code == 200
    await http.post(f"{here}/admin/keys/ada/block", headers=admin)
    assert (await http.get(f"{here}/v1/usage", headers=mine)).status_code == 401
    while (reply := await http.get(f"{there}/v1/usage", headers=mine)).status_code == 200:
        assert reply.json()["key"]["name"] == "ada"
    assert reply.status_code == 401
    assert "blocked" in reply.json()["error"]["message"]
