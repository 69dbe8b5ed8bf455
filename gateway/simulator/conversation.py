"""Who said what, read out of a text model's input: message lists, chat templates, transcripts and plain prompts."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

_ROLES = {"human": "user", "model": "assistant", "ai": "assistant", "bot": "assistant", "developer": "system"}

# Chat markup whose turns carry their role: one pattern per family of templates, with a role and a text.
_TURNS = tuple(
    re.compile(pattern, re.DOTALL | re.MULTILINE)
    for pattern in (
        r"<\|start_header_id\|>\s*(\w+)\s*<\|end_header_id\|>\s*(.*?)\s*(?=<\|eot_id\|>|<\|start_header_id\|>|\Z)",
        r"<\|im_start\|>\s*(\w+)\s*\n(.*?)\s*(?=<\|im_end\|>|<\|im_start\|>|\Z)",
        r"<\|start_of_role\|>\s*(\w+)\s*<\|end_of_role\|>\s*(.*?)\s*(?=<\|end_of_text\|>|<\|start_of_role\|>|\Z)",
        r"<start_of_turn>\s*(\w+)\s*\n(.*?)\s*(?=<end_of_turn>|<start_of_turn>|\Z)",
        r"<\|(user|assistant|system)\|>\s*(.*?)\s*(?=<\|(?:user|assistant|system|end|endoftext)\|>|</s>|\Z)",
        r"<[|｜](User|Assistant|System)[|｜]>\s*(.*?)\s*(?=<[|｜]|\Z)",
        r"^(User|Human|Assistant|AI|System|Bot):[ \t]*(.*?)\s*(?=^(?:User|Human|Assistant|AI|System|Bot):|\Z)",
        r"^### ?(Instruction|Response|System|User|Assistant|Human):?\s*(.*?)\s*(?=^###|\Z)",
    )
)
_TOKENS = re.compile(r"<[|｜][^<>]*[|｜]>|<s>|<bos>")
_INSTRUCTION = re.compile(r"\[INST\]\s*(.*?)\s*\[/INST\]\s*(.*?)\s*(?=</s>|<s>|\[INST\]|\Z)", re.DOTALL)
_SYSTEM = re.compile(r"<<SYS>>\s*(.*?)\s*<</SYS>>\s*", re.DOTALL)
_ROLE_WORDS = {"instruction": "user", "response": "assistant"} | _ROLES

_CARRIERS = ("prompt", "message", "input", "text", "question", "query", "instruction", "input_text", "text_input")
_SYSTEM_CARRIERS = ("system_prompt", "system_message", "system_instruction", "instructions")
_PICTURES = ("image", "images", "image_input", "input_images", "input_image", "image_path")


class Turn(Struct, frozen=True):
    """One thing said."""

    role: str
    text: str


class Conversation(Struct, frozen=True):
    """What a text model was told."""

    turns: tuple[Turn, ...]
    system: str = ""
    pictures: int = 0

    @property
    def words(self) -> str:
        """The last thing the person said."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")

    @property
    def earlier(self) -> str:
        """What the person said before that; empty when there was nothing."""
        said = [turn.text for turn in self.turns if turn.role == "user"]
        return said[-2] if len(said) > 1 else ""


def read(inputs: Mapping[str, Any]) -> Conversation:
    """Read the conversation in a model's input, whichever way it is carried."""
    turns = tuple(_turns(inputs))
    systems = [turn.text for turn in turns if turn.role == "system"]
    system = next((text for name in _SYSTEM_CARRIERS if (text := inputs.get(name)) and isinstance(text, str)), "")
    return Conversation(
        turns=tuple(turn for turn in turns if turn.role != "system"),
        system="\n".join([system, *systems]).strip(),
        pictures=_count_pictures(inputs),
    )


def _turns(inputs: Mapping[str, Any]) -> Iterator[Turn]:
    messages = _listed(inputs.get("messages") or inputs.get("input_item_list"))
    if messages:
        yield from map(_message, messages)
        return
    for exchange in (inputs.get("history"), inputs.get("message_history")):
        if isinstance(exchange, list):
            yield from (Turn("assistant" if place % 2 else "user", _text(said)) for place, said in enumerate(exchange))
    yield from unfolded(carried(inputs))


def _message(message: Mapping[str, Any]) -> Turn:
    """A message of a list; calls and results as chat templates write them down."""
    text = _text(message.get("content"))
    if message.get("role") == "tool":
        told = msgspec.json.encode({"content": text}).decode()
        return Turn("user", f"<tool_response>\n{told}\n</tool_response>")
    calls = [call["function"] for call in message.get("tool_calls") or () if isinstance(call.get("function"), dict)]
    written = [
        f'<tool_call>\n{{"name": "{call.get("name")}", "arguments": {call.get("arguments")}}}\n</tool_call>'
        for call in calls
    ]
    return Turn(_role(message.get("role")), "\n".join(filter(None, (text, *written))))


def carried(inputs: Mapping[str, Any]) -> str:
    """Return the text that carries the prompt; the template where that holds everything."""
    prompt = next((text for name in _CARRIERS if isinstance(text := inputs.get(name), str) and text), "")
    template = inputs.get("prompt_template")
    return prompt or (template if isinstance(template, str) and "{prompt}" not in template else "")


def _listed(messages: Any) -> list[dict[str, Any]]:
    if isinstance(messages, str):
        try:
            messages = msgspec.json.decode(messages)
        except msgspec.DecodeError:
            return []
    return [message for message in messages or () if isinstance(message, dict)]


def _role(role: Any) -> str:
    word = str(role or "user").lower()
    return _ROLE_WORDS.get(word, word)


def _text(content: Any) -> str:
    match content:
        case str():
            return content
        case list():
            return "\n".join(filter(None, map(_text, content)))
        case {"text": str(text)} | {"content": str(text)}:
            return text
    return ""


def _count_pictures(inputs: Mapping[str, Any]) -> int:
    found = (inputs.get(name) for name in _PICTURES)
    return sum(len(value) if isinstance(value, list) else 1 for value in found if value)


def unfolded(prompt: str) -> list[Turn]:
    """Take the chat markup off a prompt; a prompt without any is one thing the user said."""
    if "[INST]" in prompt:
        return list(_instructions(prompt))
    for pattern in _TURNS:
        turns = [Turn(_role(role), text.strip()) for role, text in pattern.findall(prompt)]
        turns = [turn for turn in turns if turn.text]
        if turns:
            # What stands before the first turn has no role of its own: it is the instructions.
            before = _TOKENS.sub("", prompt[: next(pattern.finditer(prompt)).start()]).strip()
            return [*([Turn("system", before)] if before else []), *turns]
    return [Turn("user", prompt.strip())]


def _instructions(prompt: str) -> Iterator[Turn]:
    for asked, answered in _INSTRUCTION.findall(prompt):
        for system in _SYSTEM.findall(asked):
            yield Turn("system", system)
        yield Turn("user", _SYSTEM.sub("", asked).strip())
        if answered:
            yield Turn("assistant", answered)
