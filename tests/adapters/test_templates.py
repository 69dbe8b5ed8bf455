"""Named templates write what their families were trained on; an operator's own is checked before it is used."""

import pytest

from adapters.templates import TEMPLATES, Said, template_named, template_shown

TURNS = [Said("user", "Hi"), Said("assistant", "Hello"), Said("user", "And?")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("llama-2", "[INST] <<SYS>>\nS\n<</SYS>>\n\nHi [/INST] Hello </s><s>[INST] And? [/INST]"),
        ("mistral", "[INST] S\n\nHi [/INST] Hello</s>[INST] And? [/INST]"),
        (
            "chatml",
            (
                "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
                "<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n"
            ),
        ),
        (
            "zephyr",
            "<|system|>\nS</s>\n<|user|>\nHi</s>\n<|assistant|>\nHello</s>\n<|user|>\nAnd?</s>\n<|assistant|>\n",
        ),
        ("alpaca", "S\n\n### Instruction:\nHi\n\n### Response:\nHello\n\n### Instruction:\nAnd?\n\n### Response:\n"),
        ("vicuna", "S\nUSER: Hi\nASSISTANT: Hello</s>\nUSER: And?\nASSISTANT:"),
        ("transcript", "S\n\nUser: Hi\n\nAssistant: Hello\n\nUser: And?\n\nAssistant:"),
        ("deepseek", "S<｜User｜>Hi<｜Assistant｜>Hello<｜end▁of▁sentence｜><｜User｜>And?<｜Assistant｜>"),
        (
            "openchat",
            (
                "GPT4 Correct User: S\n\nHi<|end_of_turn|>GPT4 Correct Assistant: Hello<|end_of_turn|>"
                "GPT4 Correct User: And?<|end_of_turn|>GPT4 Correct Assistant:"
            ),
        ),
    ],
)
def test_a_template_writes_its_familys_markup(name: str, text: str) -> None:
    assert TEMPLATES[name].render("S", TURNS) == text


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_template_ends_where_the_answer_begins(name: str) -> None:
    text = TEMPLATES[name].render("S", TURNS)
    assert text.index("Hi") < text.index("Hello") < text.index("And?")
    assert not text.endswith(" ")


def test_words_that_mean_a_turn_mean_none_in_a_message() -> None:
    assert TEMPLATES["vicuna"].neutral("a\n  USER: b ASSISTANT: c") == "a\n  USER : b ASSISTANT: c"


def test_markup_shows_in_a_models_own_prompt() -> None:
    shown = template_shown(None, "plain", "<|user|>\nHi</s>\n<|assistant|>")
    assert shown is TEMPLATES["zephyr"]
    assert template_shown("What is the moon?") is None


@pytest.mark.parametrize("text", ["chatlm", "{{ system", "{% for turn in turns %}", "{{ turns.nothing.more }}"])
def test_a_template_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="chat template"):
        template_named(text)


def test_a_template_cannot_reach_out() -> None:
    with pytest.raises(ValueError, match="chat template"):
        template_named("{{ turns.__class__.__mro__ }}")
