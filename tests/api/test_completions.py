"""Completions through the official client: whole and streamed, several prompts, stops, and what is refused."""

import pytest
from openai import BadRequestError

from tests.served import Served

BASE = "meta/meta-llama-3-8b"


def test_a_text_goes_on_whole_and_streamed(gateway: Served) -> None:
    client = gateway.openai()
    whole = client.completions.create(model=BASE, prompt="the sea", max_tokens=400)
    [choice] = whole.choices
    assert (whole.object, choice.index, choice.finish_reason) == ("text_completion", 0, "stop")
    assert whole.id.startswith("cmpl-")
    assert choice.text
    assert whole.usage
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    chunks = list(client.completions.create(model=BASE, prompt="the sea", max_tokens=400, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == choice.text
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert all(chunk.usage is None for chunk in chunks)


async def test_every_prompt_has_its_answers_with_the_prompt_before_them_if_asked(gateway: Served) -> None:
    async with gateway.async_openai() as client:
        reply = await client.completions.create(model=BASE, prompt=["one", "two"], n=2, echo=True, max_tokens=64)
        assert [choice.index for choice in reply.choices] == [0, 1, 2, 3]
        for choice, prompt in zip(reply.choices, ("one", "one", "two", "two"), strict=True):
            assert choice.text.startswith(prompt)
            assert len(choice.text) > len(prompt)
        stream = await client.completions.create(
            model=BASE,
            prompt=["one", "two"],
            echo=True,
            max_tokens=64,
            stream=True,
            stream_options={"include_usage": True},
        )
        texts, usages = {0: "", 1: ""}, []
        async for chunk in stream:
            usages.append(chunk.usage)
            for piece in chunk.choices:
                texts[piece.index] += piece.text
        assert texts == {0: reply.choices[0].text, 1: reply.choices[2].text}
        assert usages[:-1] == [None] * (len(usages) - 1)
        assert usages[-1]


def test_a_stop_ends_the_text_and_a_length_cuts_it(gateway: Served) -> None:
    client = gateway.openai()
    whole = client.completions.create(model=BASE, prompt="of whales", max_tokens=200).choices[0].text
    stop = whole.split()[2]
    stopped = client.completions.create(model=BASE, prompt="of whales", max_tokens=200, stop=[stop]).choices[0]
    assert stopped.text == whole[: whole.index(stop)]
    cut = client.completions.create(model=BASE, prompt="of whales", max_tokens=1).choices[0]
    assert cut.finish_reason == "length"
    assert whole.startswith(cut.text)


def test_what_no_model_can_do_is_refused_by_name(gateway: Served) -> None:
    client = gateway.openai()
    with pytest.raises(BadRequestError, match="token ids") as refused:
        client.completions.create(model=BASE, prompt=[[1, 2], [3]])
    assert refused.value.param == "prompt"
    with pytest.raises(BadRequestError) as refused:
        client.completions.create(model=BASE, prompt="Hi", best_of=2)
    assert (refused.value.param, refused.value.code) == ("best_of", "unsupported_parameter")
    with pytest.raises(BadRequestError, match="/v1/images/generations"):
        client.completions.create(model="black-forest-labs/flux-schnell", prompt="Hi")


def test_a_dry_run_tells_the_prompt_as_it_would_be_sent(gateway: Served) -> None:
    told = gateway.openai().completions.with_raw_response.create(
        model=BASE, prompt="<s>raw", extra_headers={"x-repligate-dry-run": "1"}
    )
    assert told.http_response.json()["inputs"] == [{"prompt": "<s>raw", "max_tokens": 16}]
