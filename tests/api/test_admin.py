"""The admin API, over HTTP: who gets in, what each verb does, and that its document tells the truth."""

import asyncio
import csv
import io
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import CheckFunction
from schemathesis.checks import (
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.api.admin import VERBS
from gateway.api.document import document
from gateway.app import HANDLERS
from gateway.parts import Gateway
from gateway.simulator import Settings, Simulator
from gateway.store.tables import teams
from tests.gateway.store.books import opening
from tests.opened import listens, opened, settled

TALK = {"model": "sim/echo", "messages": [{"role": "user", "content": "alpha"}]}
CHECKS: list[CheckFunction] = [not_a_server_error, status_code_conformance, response_schema_conformance]
QUICKLY = hypothesis.settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Admin:
    """An admin key at work on a gateway."""

    def __init__(self, gateway: Gateway, client: httpx.AsyncClient, id: str, secret: str) -> None:
        self.gateway, self.client, self.id, self.secret = gateway, client, id, secret

    async def __call__(self, method: str, path: str, wanted: int = 200, **told: Any) -> Any:
        headers = {"authorization": f"Bearer {self.secret}"}
        reply = await self.client.request(method, f"/admin{path}", headers=headers, **told)
        assert reply.status_code == wanted, reply.text
        return reply.json()


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulator]:
    with Simulator(Settings()) as running:
        yield running


@pytest.fixture
async def admin(simulated: Simulator, tmp_path: Path) -> AsyncIterator[Admin]:
    async with opened(simulated, tmp_path) as gateway, listens(gateway) as url:
        key, secret = await gateway.keys.create("boss", role="admin")
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            yield Admin(gateway, client, key.id, secret)


async def test_a_normal_key_is_refused_on_every_verb_and_so_is_no_key(admin: Admin) -> None:
    _, secret = await admin.gateway.keys.create("ada")
    for verb in VERBS:
        path = verb.path.replace("{which:str}", "ada")
        for headers, status in (({"authorization": f"Bearer {secret}"}, 403), ({}, 401)):
            reply = await admin.client.request(verb.method, path, headers=headers)
            assert reply.status_code == status, path
            assert set(reply.json()["error"]) == {"message", "type", "param", "code"}
    assert (
        await admin.client.get("/admin/openapi.json", headers={"authorization": f"Bearer {secret}"})
    ).status_code == 403
    assert [key.name for key in await admin.gateway.keys.list()] == ["boss", "ada"]


async def test_a_key_is_issued_changed_rotated_blocked_and_revoked(admin: Admin) -> None:
    await admin("POST", "/teams", 201, json={"id": "red", "limits": {"requests_per_minute": 5}})
    made = await admin("POST", "/keys", 201, json={"name": "ada", "team": "red", "limits": {"calls_at_once": 2}})
    secret, id = made["secret"], made["key"]["id"]
    assert made["key"]["team_limits"] == {"requests_per_minute": 5}
    assert secret not in str(await admin("GET", "/keys")) + str(await admin("GET", f"/keys/{id}"))
    changed = await admin("PATCH", "/keys/ada", json={"limits": {"calls_at_once": None, "tokens_per_minute": 7}})
    assert (changed["limits"], changed["team"]) == ({"tokens_per_minute": 7}, "red")
    new = await admin("POST", "/keys/ada/rotate", 201, json={"overlap_seconds": 60})
    assert new["key"]["rotated_from"] == id
    assert (await admin("POST", "/keys/ada/block"))["state"] == "blocked"
    assert (await admin("POST", "/keys/ada/unblock"))["state"] == "active"
    assert (await admin("POST", f"/keys/{new['key']['id']}/revoke", json={}))["state"] == "revoked"
    await admin("POST", "/keys/ada/rotate", 409)
    assert (await admin("POST", "/keys", 404, json={"name": "bob", "team": "rde"}))["error"]["param"] == "team"


async def test_a_team_is_changed_blocked_and_forgotten(admin: Admin) -> None:
    await admin("POST", "/teams", 201, json={"id": "red"})
    await admin("POST", "/teams", 409, json={"id": "red"})
    _, secret = await admin.gateway.keys.create("ada", team="red")
    assert (await admin("PATCH", "/teams/red", json={"name": "Rot", "limits": {"images_per_minute": 1}}))[
        "name"
    ] == "Rot"
    assert (await admin("POST", "/teams/red/block"))["state"] == "blocked"
    reply = await admin.client.get("/v1/models", headers={"authorization": f"Bearer {secret}"})
    assert (reply.status_code, "blocked" in reply.json()["error"]["message"]) == (401, True)
    await admin("DELETE", "/teams/red", 409)
    await admin("PATCH", "/keys/ada", json={"team": None})
    assert (await admin("DELETE", "/teams/red"))["id"] == "red"
    await admin("GET", "/teams/red", 404)


async def test_what_was_spent_is_told_in_sums_and_line_by_line(admin: Admin) -> None:
    for name in ("ada", "bob"):
        _, secret = await admin.gateway.keys.create(name)
        for _ in range(2):
            told = {"authorization": f"Bearer {secret}"}
            assert (await admin.client.post("/v1/chat/completions", json=TALK, headers=told)).is_success
    await settled(admin.gateway)
    sums = await admin("GET", "/usage", params={"by": "key"})
    assert {line["name"]: line["calls"] for line in sums["lines"]} == {"ada": 2, "bob": 2}
    assert sums["open"] == {"entries": 0, "reserved_usd": 0.0}
    assert [line["calls"] for line in (await admin("GET", "/keys/ada/usage"))["lines"]] == [2]
    first = await admin("GET", "/ledger", params={"limit": 3})
    rest = await admin("GET", "/ledger", params={"limit": 3, "after": first["next"]})
    entries = [line["entry"] for line in first["data"] + rest["data"]]
    assert (len(set(entries)), entries, rest["next"]) == (4, sorted(entries), None)
    ada = (await admin("GET", "/keys/ada"))["id"]
    held = (await admin("GET", "/ledger", params={"key": ada}))["data"]
    assert {line["key_name"] for line in held} == {"ada"}
    assert (await admin("GET", "/usage", 400, params={"by": "model", "tag": "x"}))["error"]["param"] == "by"


async def test_the_ledger_is_downloaded_whole_and_as_the_command_line_writes_it(admin: Admin) -> None:
    """More than fits into one page of it, and with what a spreadsheet would take for a formula."""
    key, _ = await admin.gateway.keys.create("=cmd()")
    await admin.gateway.ledger.open(opening(key=key.id, digests=("d",) * 1_203))
    headers = {"authorization": f"Bearer {admin.secret}"}
    table = await admin.client.get("/admin/ledger/export", headers=headers)
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert (len({row["entry"] for row in rows}), {row["key_name"] for row in rows}) == (1_203, {"'=cmd()"})
    told = {"format": "jsonl", "key": key.id, "from": "2020-01-01"}
    lines = (await admin.client.get("/admin/ledger/export", params=told, headers=headers)).text.splitlines()
    assert [json.loads(line)["entry"] for line in lines] == [row["entry"] for row in rows]
    assert json.loads(lines[0])["key_name"] == "=cmd()"
    none = await admin.client.get("/admin/ledger/export", params={"team": "nobody"}, headers=headers)
    assert none.text.splitlines() == table.text.splitlines()[:1]
    assert (await admin("GET", "/ledger/export", 400, params={"format": "xml"}))["error"]["param"] == "format"


async def test_a_team_whose_id_has_a_slash_is_reached_by_its_encoded_name(admin: Admin) -> None:
    """Such ids come from books of a time when a key's team was any text."""
    old = {"id": "lab/red", "name": "lab/red", "created_at": 0, "metadata": "{}"}
    await admin.gateway.ledger._store.write(lambda connection: connection.execute(teams.insert(), old))
    for path in ("lab%2Fred", "lab%2fred"):
        assert (await admin("GET", f"/teams/{path}"))["id"] == "lab/red"
    assert (await admin("POST", "/teams/lab%2Fred/block"))["state"] == "blocked"
    assert (await admin("DELETE", "/teams/lab%2Fred"))["id"] == "lab/red"
    await admin("GET", "/teams/lab%2Fred", 404)
    await admin("GET", "/teams/lab/red", 404)


async def test_a_budget_is_set_changed_shown_and_removed(admin: Admin) -> None:
    made = await admin("PUT", "/budgets", json={"scope": "everyone", "hard": 5_000_000})
    changed = await admin("PUT", "/budgets", json={"scope": "everyone", "hard": 9_000_000, "soft": 1})
    assert (changed["id"], changed["hard"], changed["period"]) == (made["id"], 9_000_000, "month")
    assert await admin("GET", f"/budgets/{made['id']}") == changed
    await admin("PUT", "/budgets", 400, json={"scope": "everyone"})
    await admin("PUT", "/budgets", 404, json={"scope": "key", "subject": "nobody", "hard": 1})
    await admin("DELETE", f"/budgets/{made['id']}")
    await admin("GET", f"/budgets/{made['id']}", 404)


async def test_lists_come_in_pages_that_miss_nothing(admin: Admin) -> None:
    for number in range(5):
        await admin("POST", "/teams", 201, json={"id": f"team-{number}"})
        await admin("POST", "/keys", 201, json={"name": f"key-{number}"})
    for path, count in (("/keys", 6), ("/teams", 5), ("/audit", 11)):
        seen: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = await admin("GET", path, params={"limit": 2, **after})
            seen += [each["id"] for each in page["data"]]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        assert (len(seen), len(set(seen))) == (count, count), path


async def test_every_verb_that_changes_something_leaves_its_line_in_the_audit_log(admin: Admin) -> None:
    bodies: dict[str, Any] = {
        "create_key": {"name": "ada"},
        "update_key": {"owner": "Ada"},
        "create_team": {"id": "red"},
        "update_team": {"name": "Rot"},
        "set_budget": {"scope": "team", "subject": "red", "hard": 1},
    }
    for verb in VERBS:
        if verb.method == "GET":
            continue
        name = verb.act.__name__
        which = "red" if "teams" in verb.path else "ada"
        if name in {"delete_team", "remove_budget"}:
            continue
        before = len((await admin("GET", "/audit", params={"limit": 1000}))["data"])
        path = verb.path.removeprefix("/admin").replace("{which:str}", which)
        told = {"json": bodies[name]} if name in bodies else {}
        if name == "prune_ledger":
            told = {"params": {"before": "2020-01-01", "confirm": "true"}}
        await admin(verb.method, path, verb.status, **told)
        acts = (await admin("GET", "/audit", params={"limit": 1000}))["data"]
        assert len(acts) > before, name
        verb_, thing = name.split("_")
        done = acts[: len(acts) - before]
        assert {(act["act"], act["actor"]) for act in done} == {(f"{thing}.{verb_}", admin.id)}
    (budget,) = (await admin("GET", "/budgets"))["data"]
    for path, act in ((f"/budgets/{budget['id']}", "budget.remove"), ("/teams/red", "team.delete")):
        await admin("DELETE", path)
        assert act in {each["act"] for each in (await admin("GET", "/audit", params={"limit": 2}))["data"]}


@pytest.mark.parametrize(
    ("method", "path", "body", "param"),
    [
        ("POST", "/keys", {}, "name"),
        ("POST", "/keys", {"name": "x", "rolle": "admin"}, "rolle"),
        ("POST", "/keys", {"name": "x", "limits": {"calls_at_once": -1}}, "limits.calls_at_once"),
        ("POST", "/keys", {"name": "x", "role": "root"}, "role"),
        ("PATCH", "/keys/boss", {"role": "user"}, "role"),
        ("POST", "/teams", {"id": "a b"}, "id"),
        ("PATCH", "/keys/boss", {"expires_at": "soon"}, "expires_at"),
    ],
)
async def test_an_order_that_is_wrong_is_refused_where_it_is_wrong(
    admin: Admin, method: str, path: str, body: Any, param: str
) -> None:
    assert (await admin(method, path, 400, json=body))["error"]["param"] == param


async def test_its_errors_are_not_those_of_unknown_paths_of_openai(admin: Admin) -> None:
    assert (await admin("GET", "/nothing", 404))["error"]["code"] == "unknown_url"
    assert (await admin("PUT", "/keys", 405))["error"]["code"] == "method_not_supported"


async def test_the_document_has_every_route_and_no_other(admin: Admin) -> None:
    told = await admin("GET", "/openapi.json")
    documented = {(method.upper(), path) for path, item in told["paths"].items() for method in item}
    served = {
        (str(method), path.replace(":str}", "}"))
        for handler in HANDLERS
        for path in handler.paths
        for method in handler.http_methods
        if path.startswith("/admin") and method != "OPTIONS" and not path.endswith("openapi.json")
    }
    assert documented == served
    assert told["openapi"].startswith("3.1")
    assert all(item["summary"] for path in told["paths"].values() for item in path.values())


@pytest.fixture(scope="module")
def busy(simulated: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A gateway in a thread, with a key, a team and an admin key: its address, and the admin key's secret."""
    ready, ending = threading.Event(), threading.Event()
    told: list[str] = []

    async def serve() -> None:
        async with opened(simulated, tmp_path_factory.mktemp("admin")) as gateway, listens(gateway) as url:
            await gateway.teams.create("red")
            await gateway.keys.create("ada", team="red")
            told.extend((url, (await gateway.keys.create("boss", role="admin"))[1]))
            ready.set()
            await asyncio.to_thread(ending.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    yield told[0], told[1]
    ending.set()
    thread.join()


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.act.__name__)
def test_no_answer_is_one_that_the_document_does_not_tell(busy: tuple[str, str], verb: Any) -> None:
    url, secret = busy
    schema = schemathesis.openapi.from_dict(document(VERBS))
    operation = schema[verb.path.replace(":str}", "}")][verb.method]

    there = "red" if "teams" in verb.path else "ada"

    @QUICKLY
    @hypothesis.given(case=operation.as_strategy(), known=st.booleans())
    def asked(case: Any, known: bool) -> None:
        if known and case.path_parameters:
            case.path_parameters["which"] = there
        headers = {"authorization": f"Bearer {secret}"}
        case.call_and_validate(base_url=url, headers=headers, checks=CHECKS)

    asked()
