"""`repligate ledger prune` and its verb of the admin API: asked first, exported first, and gone then."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result

from gateway.accounts.ledger import Ledger
from gateway.app import open_gateway
from gateway.cli import main
from gateway.config import Config, State
from gateway.parts import Replicate
from gateway.store.sql import Store
from tests.gateway.store.books import opening, settled
from tests.opened import listens

DAY = 86_400
BEFORE = (datetime.now(UTC).date() - timedelta(days=50)).isoformat()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Books with a call of each of the last hundred days."""
    made = Config(state=State(folder=str(tmp_path / "data")))

    async def live() -> None:
        store = Store.open(made)
        for ago in range(100):
            ledger = Ledger(store, clock=lambda ago=ago: time.time() - ago * DAY)  # type: ignore[misc]
            (id,) = (await ledger.open(opening(f"{ago}"))).entries
            await ledger.settle(id, settled(prediction=f"p {ago}"))
        await store.aclose()

    asyncio.run(live())
    return made


def run(config: Config, *words: str, says: str | None = None) -> Result:
    environ = {"REPLIGATE_DATA_DIR": config.state.folder}
    return CliRunner().invoke(main, [*words], env=environ, input=says)


def lines(config: Config) -> int:
    return len(run(config, "ledger", "export", "--format", "jsonl").stdout.splitlines())


def test_it_asks_says_that_nothing_was_exported_and_takes_nothing_without_a_yes(config: Config) -> None:
    refused = run(config, "ledger", "prune", "--before", BEFORE, says="n\n")
    assert refused.exit_code == 1
    assert "49 lines of days before" in refused.output
    assert "they are not exported" in refused.output
    assert lines(config) == 100


def test_what_goes_is_written_to_a_new_file_first(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "old.jsonl"
    file.write_text("precious")
    words = ("ledger", "prune", "--before", BEFORE, "--export", str(file), "--yes", "--json")
    taken = run(config, *words)
    assert taken.exit_code == 1
    assert "File exists" in taken.output
    assert (lines(config), file.read_text()) == (100, "precious")
    file.unlink()
    usage = run(config, "usage", "--by", "day").stdout
    done = json.loads(run(config, *words).stdout)
    assert done == {"before": BEFORE, "lines": 49, "cost_usd": 49 * 500 / 1_000_000, "kept": 0}
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(written) == 49
    assert all(line["created_at"] < BEFORE for line in written)
    assert lines(config) == 51
    assert run(config, "usage", "--by", "day").stdout == usage
    checked = run(config, "ledger", "check")
    assert (checked.exit_code, checked.output.strip()) == (0, "The sums are those of the settlements.")


def test_a_table_has_a_head_and_a_day_too_young_is_refused(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    assert run(config, "ledger", "prune", "--before", BEFORE, "--export", str(file), "--yes").exit_code == 0
    assert file.read_text().startswith("entry,call,")
    young = run(config, "ledger", "prune", "--before", "9999-01-01", "--yes")
    assert young.exit_code == 1
    assert lines(config) == 51


async def test_an_admin_is_told_what_would_go_and_has_to_confirm_it(tmp_path: Path) -> None:
    config = Config(state=State(folder=str(tmp_path / "data")))
    async with (
        open_gateway(config, {}, Replicate("http://127.0.0.1:9/v1", ("r8_test",))) as gateway,
        listens(gateway) as url,
        httpx.AsyncClient(base_url=url) as http,
    ):
        for ago in range(90, 100):
            ledger = Ledger(gateway.ledger._store, clock=lambda ago=ago: time.time() - ago * DAY)  # type: ignore[misc]
            (id,) = (await ledger.open(opening(f"{ago}"))).entries
            await ledger.settle(id, settled(prediction=f"p {ago}"))
        boss, secret = await gateway.keys.create("boss", role="admin")
        http.headers["authorization"] = f"Bearer {secret}"
        told = (await http.delete(f"/admin/ledger?before={BEFORE}")).json()
        assert told == {"before": BEFORE, "removed": False, "entries": 10, "cost_usd": 0.005, "kept": 0}
        assert len((await http.get("/admin/ledger")).json()["data"]) == 10
        told = (await http.delete(f"/admin/ledger?before={BEFORE}&confirm=true")).json()
        assert (told["removed"], told["entries"]) == (True, 10)
        assert (await http.get("/admin/ledger")).json()["data"] == []
        (act,) = (await http.get("/admin/audit?act=ledger.prune")).json()["data"]
        assert (act["actor"], act["subject"]) == (boss.id, BEFORE)
        young = await http.delete("/admin/ledger?before=9999-01-01&confirm=true")
        assert (young.status_code, young.json()["error"]["param"]) == (400, "before")
        assert (await http.delete("/admin/ledger")).status_code == 400
        _, plain = await gateway.keys.create("plain")
        forbidden = await http.delete(
            f"/admin/ledger?before={BEFORE}&confirm=true", headers={"authorization": f"Bearer {plain}"}
        )
        assert forbidden.status_code in {401, 403}
