"""Named chat templates: how families of models mark whose turn it is.

The markup of each is public knowledge of its family (what the model was trained on); the texts inside are the
client's, and lose whatever in them looks like markup.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import minijinja
from msgspec import Struct


class Said(Struct, frozen=True):
    """One turn as a template sees it: `user` or `assistant`, and the text."""

    role: str
    text: str


class Template(Struct, frozen=True, kw_only=True):
    """How a conversation is written down for a family.

    `marks` are the tokens that only the template may write; `labels` the words that mean a turn at the start of a
    line. `stops` end an answer. `system` says whether there is a place of its own for it; else it opens the first
    turn. `signs` are what betrays the template in a model's own prompts.
    """

    name: str
    source: str
    marks: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    system: bool = True
    signs: tuple[str, ...] = ()

    def render(self, system: str, turns: Sequence[Said]) -> str:
        """The conversation, ending where the assistant's answer begins."""
        if system and not self.system:
            first, *rest = turns or [Said("user", "")]
            turns, system = [Said(first.role, f"{system}\n\n{first.text}".strip()), *rest], ""
        said = [{"role": turn.role, "text": self.neutral(turn.text)} for turn in turns]
        return _ENVIRONMENT.render_str(self.source, system=self.neutral(system), turns=said)

    def neutral(self, text: str) -> str:
        """`text` without markup: a space inside each mark keeps it readable and takes its power."""
        for mark in self.marks:
            if mark in text:
                text = text.replace(mark, f"{mark[0]} {mark[1:]}")
        for label in self.labels:
            if label in text:
                text = "\n".join(_unlabelled(line, label) for line in text.split("\n"))
        return text


@lru_cache(maxsize=256)
def template_named(text: str) -> Template:
    """The shipped template of this name, else `text` itself as one (variables `system` and `turns`).

    Raises ValueError when it is neither: configurations are checked with this before they are used.
    """
    if text in TEMPLATES:
        return TEMPLATES[text]
    if "{{" not in text and "{%" not in text:
        raise ValueError(f"there is no chat template {text!r}; there are {', '.join(sorted(TEMPLATES))}")
    template = Template(name="custom", source=text)
    try:
        template.render("system", [Said("user", "Hi"), Said("assistant", "Hello"), Said("user", "And?")])
    except minijinja.TemplateError as wrong:
        raise ValueError(f"the chat template does not render: {wrong}") from None
    return template


def template_shown(*prompts: object) -> Template | None:
    """The template whose markup shows in a model's own default or example prompt."""
    for prompt in prompts:
        if not isinstance(prompt, str):
            continue
        for template in TEMPLATES.values():
            if template.signs and all(sign in prompt for sign in template.signs):
                return template
    return None


def _unlabelled(line: str, label: str) -> str:
    bare = line.lstrip()
    if not bare.startswith(label):
        return line
    indent = line[: len(line) - len(bare)]
    return f"{indent}{label[:-1]} {label[-1]}{bare[len(label) :]}"


_ENVIRONMENT = minijinja.Environment(auto_escape_callback=lambda name: False, keep_trailing_newline=True)

_CHATML = (
    "{% if system %}<|im_start|>system\n{{ system }}<|im_end|>\n{% endif %}"
    "{% for turn in turns %}<|im_start|>{{ turn.role }}\n{{ turn.text }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
_LLAMA_3 = (
    "<|begin_of_text|>"
    "{% if system %}<|start_header_id|>system<|end_header_id|>\n\n{{ system }}<|eot_id|>{% endif %}"
    "{% for turn in turns %}<|start_header_id|>{{ turn.role }}<|end_header_id|>\n\n{{ turn.text }}<|eot_id|>"
    "{% endfor %}<|start_header_id|>assistant<|end_header_id|>\n\n"
)
# The first <s> is the tokenizer's own; the system text stands inside the first turn.
_LLAMA_2 = (
    "{% if system and (not turns or turns[0].role != 'user') %}[INST] <<SYS>>\n{{ system }}\n<</SYS>>\n\n [/INST]"
    "{% endif %}"
    "{% for turn in turns %}{% if turn.role == 'user' %}{% if not loop.first %}<s>{% endif %}[INST] "
    "{% if loop.first and system %}<<SYS>>\n{{ system }}\n<</SYS>>\n\n{% endif %}{{ turn.text }} [/INST]"
    "{% else %} {{ turn.text }} </s>{% endif %}{% endfor %}"
)
_MISTRAL = (
    "{% for turn in turns %}{% if turn.role == 'user' %}[INST] {{ turn.text }} [/INST]"
    "{% else %} {{ turn.text }}</s>{% endif %}{% endfor %}"
)
_GEMMA = (
    "{% for turn in turns %}<start_of_turn>{% if turn.role == 'user' %}user{% else %}model{% endif %}\n"
    "{{ turn.text }}<end_of_turn>\n{% endfor %}<start_of_turn>model\n"
)
_DEEPSEEK = (
    "{{ system }}{% for turn in turns %}{% if turn.role == 'user' %}<｜User｜>{{ turn.text }}"
    "{% else %}<｜Assistant｜>{{ turn.text }}<｜end▁of▁sentence｜>{% endif %}{% endfor %}<｜Assistant｜>"
)
_GRANITE = (
    "{% if system %}<|start_of_role|>system<|end_of_role|>{{ system }}<|end_of_text|>\n{% endif %}"
    "{% for turn in turns %}<|start_of_role|>{{ turn.role }}<|end_of_role|>{{ turn.text }}<|end_of_text|>\n"
    "{% endfor %}<|start_of_role|>assistant<|end_of_role|>"
)


def _tagged(open_: str, after: str, close: str, last: str) -> str:
    """A template whose turns are a tag with the role in it, the text, and an end."""
    tag = open_ + "{{ role }}" + after
    system = tag.replace("{{ role }}", "system") + "{{ system }}" + close
    turn = tag.replace("{{ role }}", "{{ turn.role }}") + "{{ turn.text }}" + close
    start = tag.replace("{{ role }}", "assistant").removesuffix(after) + last
    return "{% if system %}" + system + "{% endif %}{% for turn in turns %}" + turn + "{% endfor %}" + start


def _spoken(system: str, user: str, assistant: str, end: str, between: str = "\n\n") -> str:
    """A template of plain words: a label for each side, and what ends an answer."""
    return (
        "{% if system %}" + system + "{{ system }}" + between + "{% endif %}{% for turn in turns %}"
        "{% if turn.role == 'user' %}"
        + user
        + "{{ turn.text }}"
        + between
        + "{% else %}"
        + assistant
        + "{{ turn.text }}"
        + end
        + between
        + "{% endif %}{% endfor %}"
        + assistant.rstrip(" ")
    )


_PIPED = ("<|system|>", "<|user|>", "<|assistant|>")

_ALL = (
    Template(
        name="chatml",
        source=_CHATML,
        marks=("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
        stops=("<|im_end|>",),
        signs=("<|im_start|>",),
    ),
    Template(
        name="llama-3",
        source=_LLAMA_3,
        marks=("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>"),
        stops=("<|eot_id|>", "<|end_of_text|>"),
        signs=("<|start_header_id|>",),
    ),
    Template(
        name="llama-2",
        source=_LLAMA_2,
        marks=("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>"),
        stops=("</s>", "[INST]"),
        signs=("[INST]", "<<SYS>>"),
    ),
    Template(
        name="mistral",
        source=_MISTRAL,
        marks=("[INST]", "[/INST]", "<s>", "</s>"),
        stops=("</s>", "[INST]"),
        system=False,
        signs=("[INST]",),
    ),
    Template(
        name="gemma",
        source=_GEMMA,
        marks=("<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>"),
        stops=("<end_of_turn>",),
        system=False,
        signs=("<start_of_turn>",),
    ),
    Template(
        name="zephyr",
        source=_tagged("<|", "|>\n", "</s>\n", "|>\n"),
        marks=(*_PIPED, "</s>"),
        stops=("</s>", "<|user|>"),
        signs=("<|user|>", "</s>"),
    ),
    Template(
        name="phi",
        source=_tagged("<|", "|>\n", "<|end|>\n", "|>\n"),
        marks=(*_PIPED, "<|end|>", "<|endoftext|>"),
        stops=("<|end|>", "<|endoftext|>"),
        signs=("<|user|>", "<|end|>"),
    ),
    Template(
        name="chatglm",
        source=_tagged("<|", "|>\n", "\n", "|>\n"),
        marks=(*_PIPED, "<|observation|>"),
        stops=("<|user|>", "<|observation|>"),
        signs=("<|user|>", "<|assistant|>"),
    ),
    Template(
        name="granite",
        source=_GRANITE,
        marks=("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"),
        stops=("<|end_of_text|>", "<|start_of_role|>"),
        signs=("<|start_of_role|>",),
    ),
    Template(
        name="deepseek",
        source=_DEEPSEEK,
        marks=("<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
        stops=("<｜end▁of▁sentence｜>", "<｜User｜>"),
        signs=("<｜User｜>",),
    ),
    Template(
        name="openchat",
        source=_spoken("", "GPT4 Correct User: ", "GPT4 Correct Assistant: ", "<|end_of_turn|>", between="").replace(
            "{{ turn.text }}{% else %}", "{{ turn.text }}<|end_of_turn|>{% else %}"
        ),
        marks=("<|end_of_turn|>",),
        stops=("<|end_of_turn|>",),
        system=False,
        signs=("GPT4 Correct User",),
    ),
    Template(
        name="oasst",
        source=_spoken("<|system|>", "<|prompter|>", "<|assistant|>", "<|endoftext|>", between="").replace(
            "{{ turn.text }}{% else %}", "{{ turn.text }}<|endoftext|>{% else %}"
        ),
        marks=("<|prompter|>", "<|assistant|>", "<|system|>", "<|endoftext|>"),
        stops=("<|endoftext|>", "<|prompter|>"),
        signs=("<|prompter|>",),
    ),
    Template(
        name="stablelm",
        source=_spoken("<|SYSTEM|>", "<|USER|>", "<|ASSISTANT|>", "", between=""),
        marks=("<|SYSTEM|>", "<|USER|>", "<|ASSISTANT|>"),
        stops=("<|USER|>",),
        signs=("<|USER|>",),
    ),
    Template(
        name="solar",
        source=_spoken("### System:\n", "### User:\n", "### Assistant:\n", ""),
        labels=("### System:", "### User:", "### Assistant:"),
        stops=("\n### User:",),
        signs=("### User:",),
    ),
    Template(
        name="alpaca",
        source=_spoken("", "### Instruction:\n", "### Response:\n", ""),
        labels=("### Instruction:", "### Response:", "### Input:"),
        stops=("\n### Instruction:",),
        signs=("### Instruction",),
    ),
    Template(
        name="granite-code",
        source=_spoken("System:\n", "Question:\n", "Answer:\n", ""),
        labels=("System:", "Question:", "Answer:"),
        stops=("\nQuestion:",),
        signs=("Question:\n", "Answer:\n"),
    ),
    Template(
        name="vicuna",
        source=_spoken("", "USER: ", "ASSISTANT: ", "</s>", between="\n"),
        marks=("</s>",),
        labels=("USER:", "ASSISTANT:"),
        stops=("</s>", "\nUSER:"),
        signs=("USER:", "ASSISTANT:"),
    ),
    Template(
        name="transcript",
        source=_spoken("", "User: ", "Assistant: ", ""),
        labels=("User:", "Assistant:"),
        stops=("\nUser:",),
    ),
)

TEMPLATES: Mapping[str, Template] = {template.name: template for template in _ALL}

TRANSCRIPT = TEMPLATES["transcript"]
