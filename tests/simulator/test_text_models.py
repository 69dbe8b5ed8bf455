"""What text models say, and how it is counted."""

from typing import Any

import pytest

from gateway.simulator import SCENES, Settings, Simulator
from gateway.simulator.conversation import Conversation, Turn, read
from gateway.simulator.writer import count, tokens, write
from tests.simulator.calls import Api

LLAMA_3 = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nWhat is a heron?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
MARKUPS = {
    "llama-3": LLAMA_3,
    "llama-2": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello. </s><s>[INST] What is a heron? [/INST]",
    "mistral": "<s>[INST] Hi [/INST] Hello.</s>[INST] What is a heron? [/INST]",
    "chatml": (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is a heron?<|im_end|>\n<|im_start|>assistant\n"
    ),
    "gemma": "<start_of_turn>user\nWhat is a heron?<end_of_turn>\n<start_of_turn>model\n",
    "zephyr": "<|system|>\nBe brief.</s>\n<|user|>\nWhat is a heron?</s>\n<|assistant|>\n",
    "phi": "<|user|>\nWhat is a heron?<|end|>\n<|assistant|>\n",
    "granite": (
        "<|start_of_role|>user<|end_of_role|>What is a heron?<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>"
    ),
    "deepseek": "<｜begin▁of▁sentence｜><｜User｜>What is a heron?<｜Assistant｜>",
    "transcript": "System: Be brief.\n\nUser: Hi\n\nAssistant: Hello.\n\nUser: What is a heron?\n\nAssistant:",
    "claude": "\n\nHuman: What is a heron?\n\nAssistant:",
    "alpaca": "### Instruction:\nWhat is a heron?\n\n### Response:\n",
    "plain": "What is a heron?",
}


@pytest.mark.parametrize("markup", MARKUPS)
def test_the_last_words_are_found_in_every_chat_markup(markup: str) -> None:
    assert read({"prompt": MARKUPS[markup]}).words == "What is a heron?"


@pytest.mark.parametrize("markup", ["llama-3", "llama-2", "chatml", "zephyr", "transcript"])
def test_the_system_text_is_told_apart(markup: str) -> None:
    assert read({"prompt": MARKUPS[markup]}).system == "Be brief."


def test_message_lists_are_read_as_lists_and_as_json_text() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": [{"type": "text", "text": "What is a heron?"}]},
    ]
    for given in (messages, str(messages).replace("'", '"')):
        conversation = read({"messages": given, "prompt": "ignored"})
        assert (conversation.words, conversation.earlier, conversation.system) == (
            "What is a heron?",
            "Hi",
            "Be brief.",
        )


@pytest.mark.parametrize("text", ["hello", "  a\n\nb\t c_d 12.5 — 日本語 😀👩‍👩‍👧", "", "\n", " "])
def test_tokens_joined_are_the_text_again(text: str) -> None:
    assert "".join(tokens(text)) == text


def test_an_answer_quotes_the_person_and_names_the_model(api: Api) -> None:
    said = "".join(api.run("meta/meta-llama-3-70b-instruct", prompt=LLAMA_3)["output"])
    assert said.startswith('You asked: "What is a heron?"')
    assert "meta/meta-llama-3-70b-instruct" in said
    assert "Be brief." in said
    assert "<|" not in said


@pytest.mark.parametrize(("words", "begins"), [
    ("Who are you?", 'You asked: "Who are you?" '),
    ("Stop!", 'You said: "Stop!" '),
    ("hello", 'You said: "hello". '),
    ("日本の首都はどこですか？", 'You asked: "日本の首都はどこですか？" '),
    ("请告诉我。", 'You said: "请告诉我。" '),
    ("ما هي عاصمة مصر؟", 'You asked: "ما هي عاصمة مصر؟" '),
    ("Ответь: что такое цапля?", 'You asked: "Ответь: что такое цапля?" '),
])  # fmt: skip
def test_what_was_said_is_quoted_with_its_own_stops_in_any_script(api: Api, words: str, begins: str) -> None:
    assert "".join(api.run("sim/community", prompt=words)["output"]).startswith(begins)


def test_what_was_said_before_is_quoted_with_its_own_stops_too() -> None:
    turns = (Turn("user", "Who are you?"), Turn("assistant", "A model."), Turn("user", "Go on"))
    pieces, _ = write(Conversation(turns, system="Be brief."), {}, "a/model", SCENES["says"])
    assert 'Before that you said: "Who are you?" I keep to what I was told: "Be brief." I am a/model' in "".join(pieces)


@pytest.mark.parametrize(("words", "topic"), [
    ("Wie wird das Wetter in Rom?", '"Wetter"'),
    ("😀👍", "that"),
    ("日本の首都はどこですか？", '"日本の首都はどこですか"'),
    ("x" * 99, '"xxx'),
])  # fmt: skip
def test_the_longest_word_is_talked_about(api: Api, words: str, topic: str) -> None:
    said = "".join(api.run("sim/community", prompt=words)["output"]).partition("rehearsal. ")[2]
    assert topic in said
    assert "x" * 40 not in said


def test_code_comes_back_as_it_was_written(api: Api) -> None:
    code = "```python\ndef add(a, b):\n    return a + b\n```"
    said = "".join(api.run("sim/community", prompt=f"Explain this:\n{code}\nplease")["output"])
    assert said.startswith('You said: "Explain this: [code] please". ')
    assert said.endswith(f"Here is your code again:\n\n{code}")


def test_the_same_input_gets_the_same_answer_and_another_seed_another(api: Api) -> None:
    answers = [api.run("sim/slow", prompt="x", seed=seed)["output"] for seed in (1, 1)]
    assert answers[0] == answers[1]
    long = [api.run("meta/meta-llama-3-70b-instruct", prompt="x", seed=seed)["output"] for seed in (1, 2)]
    assert long[0] != long[1]


@pytest.mark.parametrize(
    ("model", "name", "least"),
    [
        ("sim/echo", "max_tokens", 3),
        ("meta/llama-2-70b-chat", "max_new_tokens", 3),
        ("openai/gpt-4o", "max_completion_tokens", 3),
        ("google/gemini-2.5-flash", "max_output_tokens", 3),
    ],
)
def test_the_length_asked_for_is_kept(api: Api, model: str, name: str, least: int) -> None:
    output = api.run(model, prompt="one two three four five six seven", **{name: least})["output"]
    assert len(output) == least + 1
    assert output[-1] == ""


def test_a_least_length_is_reached(api: Api) -> None:
    assert api.run("meta/meta-llama-3-70b-instruct", prompt="x", min_tokens=300)["metrics"]["output_token_count"] >= 300


def test_a_least_length_without_a_bound_is_bounded_all_the_same(api: Api) -> None:
    output = api.run("meta/llama-2-70b-chat", prompt="x", min_new_tokens=10**9, max_new_tokens=50)["output"]
    assert len(output) == 51


def test_stop_sequences_end_the_answer(api: Api) -> None:
    assert "".join(api.run("sim/echo", prompt="one, two; three", stop_sequences=";")["output"]) == "one, two"


def test_tokens_are_counted_as_they_are_put_out(api: Api) -> None:
    prediction = api.run("sim/slow", prompt="Count with me", system_prompt="Be exact")
    metrics = prediction["metrics"]
    assert metrics["output_token_count"] == len(prediction["output"]) - 1 == 12
    assert metrics["input_token_count"] == count("Count with me") + count("Be exact")
    assert metrics["tokens_per_second"] == pytest.approx(12, rel=0.5)
    assert metrics["time_to_first_token"] > 0


def test_each_kind_of_model_counts_in_its_own_vocabulary(api: Api, simulator: Simulator) -> None:
    def names(model: str) -> set[str]:
        return {name for name in api.run(model, prompt="x")["metrics"] if "token" in name and "count" in name}

    runtime, billing = {"input_token_count", "output_token_count"}, {"token_input_count", "token_output_count"}
    assert names("meta/meta-llama-3.1-405b-instruct") == runtime
    assert names("anthropic/claude-4-sonnet") == billing
    assert names("sim/community") == set()
    assert names("openai/gpt-5-nano") == set()
    simulator.switch(token_counts="both")
    assert names("sim/community") == runtime | billing


def test_some_models_count_in_their_logs_only(api: Api) -> None:
    logs = api.run("openai/gpt-5-nano", prompt="What is a heron?")["logs"]
    assert f"Input token count: {count('What is a heron?')}\n" in logs


def test_a_model_that_thinks_does_so_first(api: Api) -> None:
    for model in ("sim/reasoning", "deepseek-ai/deepseek-r1"):
        said = "".join(api.run(model, prompt="What is a heron?")["output"])
        thought, _, answer = said.partition("</think>\n\n")
        assert thought.startswith("<think>\n")
        assert answer.startswith('You asked: "What is a heron?"')


def test_an_old_model_answers_in_one_string(api: Api) -> None:
    prediction = api.run("salesforce/blip", image="data:image/png;base64,AAAA", task="image_captioning")
    assert isinstance(prediction["output"], str)
    assert "stream" not in prediction["urls"]


def test_pictures_shown_are_counted(api: Api) -> None:
    said = "".join(
        api.run("openai/gpt-4o", prompt="x", image_input=["https://a.example/1.png", "https://a.example/2.png"])[
            "output"
        ]
    )
    assert "2 pictures" in said


def test_the_pace_is_kept(started: Any) -> None:
    api = started(Settings(pace=100))
    metrics = api.run("meta/meta-llama-3-70b-instruct", prompt="x", min_tokens=50, max_tokens=50)["metrics"]
    assert metrics["tokens_per_second"] == pytest.approx(100, rel=0.25)


def test_a_scene_can_put_words_in_a_models_mouth(api: Api, simulator: Simulator) -> None:
    simulator.scene("openai/gpt-4o", "says", times=1, text="Exactly this.")
    assert "".join(api.run("openai/gpt-4o", prompt="x")["output"]) == "Exactly this."
    assert "".join(api.run("openai/gpt-4o", prompt="x")["output"]) != "Exactly this."


def test_a_scene_can_set_any_output(api: Api, simulator: Simulator) -> None:
    simulator.scene("falcons-ai/nsfw_image_detection", "says", output='{"verdict": [1, 2]}')
    prediction = api.run("falcons-ai/nsfw_image_detection", image="https://a.example/x.png")
    assert prediction["output"] == {"verdict": [1, 2]}


def test_hello_world_greets(api: Api) -> None:
    assert api.run("replicate/hello-world", text="Alice")["output"] == "hello Alice"
