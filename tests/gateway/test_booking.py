"""What a call may come to before it runs, and what it did come to."""

import pytest

from adapters.base import Prepared, Reading
from adapters.schema import Schema
from adapters.wire.replicate import Inputs
from gateway.accounts.entries import Settlement
from gateway.accounts.rates import Estimate
from gateway.booking import came_to, foreseen

TEXT, PICTURE = Schema({}, "stream", {}, {}), Schema({}, "file", {}, {})
PROMPT = "four words of prompt"


def tokens(*inputs: Inputs, limit: int | None = None) -> int:
    return foreseen(TEXT, Prepared(inputs, reading=Reading(limit=limit))).tokens


def test_every_prompt_counts_and_every_answer_as_far_as_the_client_lets_it() -> None:
    prompt = tokens({"prompt": PROMPT})
    assert 3 < prompt < 12
    assert tokens({"prompt": PROMPT}, limit=100) == prompt + 100
    assert tokens({"prompt": PROMPT}, {"prompt": PROMPT}, limit=100) == 2 * (prompt + 100)


def test_where_the_client_sets_no_bound_the_models_own_is_assumed() -> None:
    said = {"properties": {"max_tokens": {"type": "integer", "default": 300}}}
    told = {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"}
    model = Schema.parse({"components": {"schemas": {"Input": said, "Output": told}}})
    one = foreseen(model, Prepared(({"prompt": PROMPT}, {"prompt": PROMPT})))
    assert (one.tokens, one.assumed) == (2 * tokens({"prompt": PROMPT}), 600)
    assert foreseen(model, Prepared(({"prompt": PROMPT, "max_tokens": 20},))).assumed == 20
    assert foreseen(model, Prepared(({"prompt": PROMPT},), reading=Reading(limit=50))).assumed == 0
    assert foreseen(TEXT, Prepared(({"prompt": PROMPT},))).assumed == 0


@pytest.mark.parametrize("form", [[PROMPT], [{"role": "user", "content": PROMPT}], [{"content": [{"text": PROMPT}]}]])
def test_words_count_wherever_they_stand(form: object) -> None:
    assert tokens({"messages": form}) >= tokens({"prompt": PROMPT})


@pytest.mark.parametrize("file", ["data:image/png;base64," + "A" * 10_000, "https://files.example/" + "a" * 10_000])
def test_files_are_no_words(file: str) -> None:
    for inputs in ({"image": file}, {"images": [file, file]}, {"messages": [{"content": [{"image_url": file}]}]}):
        assert tokens({"prompt": PROMPT, **inputs}) < 20


def test_pictures_count_as_many_as_were_asked_for_and_no_tokens() -> None:
    prepared = Prepared(({"prompt": PROMPT}, {"prompt": PROMPT}), reading=Reading(counts=(4, 3)))
    assert foreseen(PICTURE, prepared) == Estimate(tokens=0, images=7)


def test_what_the_predictions_came_to_is_added_up() -> None:
    told = [
        Settlement(status="succeeded", tokens_in=5, tokens_out=7, images=0),
        Settlement(status="canceled", tokens_in=5, tokens_out=1, images=0),
        Settlement(status="never created"),
    ]
    assert came_to(told) == Estimate(tokens=18)
    assert came_to([Settlement(status="succeeded", images=3)]) == Estimate(images=3)
    assert came_to([]) == Estimate()


def test_nobody_knows_what_a_lost_prediction_came_to() -> None:
    assert came_to([Settlement(status="succeeded", tokens_in=5), Settlement(status="lost")]) is None
