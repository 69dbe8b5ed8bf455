"""However many pictures a model makes at a time, together they are as many as were asked for."""

from typing import Any

import pytest

from adapters.counts import shared_out
from adapters.schema import Schema

FILES = {"type": "array", "items": {"type": "string", "format": "uri"}}


def schema(output: dict[str, Any], **inputs: dict[str, Any]) -> Schema:
    return Schema.parse({"components": {"schemas": {"Input": {"properties": inputs}, "Output": output}}})


@pytest.mark.parametrize(
    ("field", "asked", "counts", "told"),
    [
        ({"type": "integer", "maximum": 4}, 9, (4, 4, 1), [4, 4, 1]),
        ({"type": "integer", "enum": [1, 4]}, 6, (4, 1, 1), [4, 1, 1]),
        ({"type": "integer", "enum": [4, 2]}, 3, (2, 1), [2, 2]),
        ({"enum": ["1", "4"]}, 5, (4, 1), ["4", "1"]),
        ({"type": "integer", "minimum": 3}, 1, (1,), [3]),
        ({"type": "integer"}, 10, (10,), [10]),
        ({"type": "string", "enum": ["few", "many"]}, 2, (1, 1), [None, None]),
    ],
)
def test_counts_add_up(field: dict[str, Any], asked: int, counts: tuple[int, ...], told: list[Any]) -> None:
    shares = shared_out(asked, {}, schema(FILES, num_outputs=field), None)
    assert shares.counts == counts
    assert sum(shares.counts) == asked
    assert [each.get("num_outputs") for each in shares.inputs] == told


def test_a_model_of_one_file_makes_one_at_a_time() -> None:
    one_file = schema({"type": "string", "format": "uri"}, batch_size={"type": "integer", "maximum": 8})
    assert shared_out(3, {}, one_file, None).counts == (1, 1, 1)


def test_a_ceiling_is_no_count() -> None:
    assert shared_out(3, {}, schema(FILES, max_images={"type": "integer"}), None).counts == (1, 1, 1)


def test_the_models_own_count_is_meant_where_the_client_gave_none() -> None:
    model = schema(FILES, num_outputs={"type": "integer", "maximum": 4})
    assert shared_out(None, {"num_outputs": 3}, model, None).counts == (3,)
    assert shared_out(None, {}, model, None).counts == (1,)
    assert shared_out(2, {"num_outputs": 3}, model, None).counts == (2,)
