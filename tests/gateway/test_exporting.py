"""What programs may rely on of `repligate ledger export`."""

import csv
import io
import json
from datetime import UTC, datetime

from tests.served import Served

PROMPT = "canary of the prompt"


def test_every_call_is_a_line_of_csv_and_of_json_and_no_prompt_is_in_it(own_gateway: Served) -> None:
    client = own_gateway.openai()
    own_gateway.command("teams", "create", "red")
    for name in ("=cmd()", "plain"):
        key = json.loads(own_gateway.command("keys", "create", name, "--team", "red", "--json"))["key"]
        client.with_options(api_key=key).chat.completions.create(
            model="sim/echo", messages=[{"role": "user", "content": PROMPT}]
        )
    text = own_gateway.command("ledger", "export")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["key_name"], row["model"], row["status"]) for row in rows] == [
        ("'=cmd()", "sim/echo", "succeeded"),
        ("plain", "sim/echo", "succeeded"),
    ]
    lines = own_gateway.command("ledger", "export", "--format", "jsonl").splitlines()
    assert [json.loads(line)["entry"] for line in lines] == [row["entry"] for row in rows]
    assert json.loads(lines[0])["key_name"] == "=cmd()"
    assert PROMPT not in text + "".join(lines)


def test_days_and_sums_can_be_asked_for(own_gateway: Served) -> None:
    own_gateway.openai().chat.completions.create(model="sim/echo", messages=[{"role": "user", "content": PROMPT}])
    today = datetime.now(UTC).date().isoformat()
    for words, count in (
        (("--to", "2020-01-01"), 0),
        (("--from", today), 1),
        (("--from", today, "--to", "2999-12-31"), 1),
    ):
        assert len(own_gateway.command("ledger", "export", *words).splitlines()) == count + 1
    (line,) = own_gateway.command("ledger", "export", "--by", "day", "--format", "jsonl").splitlines()
    assert (json.loads(line)["subject"], json.loads(line)["calls"]) == (today, 1)
    table = own_gateway.command("ledger", "export", "--by", "model")
    assert next(csv.DictReader(io.StringIO(table)))["subject"] == "sim/echo"
