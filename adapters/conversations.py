"""What was said, freed of OpenAI's shapes: a system text, turns, and the files that came with them."""

import json
from collections.abc import Iterator, Sequence

from msgspec import Struct

from adapters.errors import InvalidRequest, Unsupported
from adapters.media import Medium
from adapters.templates import Said
from adapters.wire.chat import MediaUrl, Message, Part


class Attached(Struct, frozen=True):
    """A file in a message: https or data: address, and where it stood, as OpenAI names places."""

    medium: Medium
    address: str
    path: str


class Turn(Struct, frozen=True):
    """What one side said, with its files."""

    role: str
    text: str
    files: tuple[Attached, ...] = ()


class Conversation(Struct, frozen=True):
    """The system text (all of it: models have one place for it at most) and the turns of user and assistant."""

    system: str
    turns: tuple[Turn, ...]

    @property
    def files(self) -> tuple[Attached, ...]:
        return tuple(each for turn in self.turns for each in turn.files)

    @property
    def said(self) -> tuple[Said, ...]:
        """The turns in strict alternation, as templates want them: one side's turns in a row become one."""
        joined: list[Said] = []
        for turn in self.turns:
            if joined and joined[-1].role == turn.role:
                last = joined.pop()
                joined.append(Said(turn.role, "\n\n".join(filter(None, (last.text, turn.text)))))
            else:
                joined.append(Said(turn.role, turn.text))
        return tuple(joined)

    @property
    def text(self) -> str:
        """All that was said, for counting."""
        return "\n".join([self.system, *(turn.text for turn in self.turns)])


def conversation(messages: Sequence[Message]) -> Conversation:
    """Developer messages are system messages; tools' results are told by the user, calls by the assistant.

    Raises Unsupported for parts that no model of Replicate's can be given, InvalidRequest for addresses that are none.
    """
    system: list[str] = []
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        turn = _turn(message, f"messages[{index}]")
        if turn.role == "system":
            system.append(turn.text)
        else:
            turns.append(turn)
    if not turns:
        # Nothing but instructions: they are what the model shall answer.
        return Conversation("", (Turn("user", "\n\n".join(system)),))
    return Conversation("\n\n".join(filter(None, system)), tuple(turns))


def unheard(messages: Sequence[Message]) -> Iterator[str]:
    """Names of what messages say that has no place in any model's prompt."""
    parts = [part for message in messages if isinstance(message.content, list) for part in message.content]
    if any(message.name for message in messages if message.role not in ("tool", "function")):
        yield "messages.name"
    if any(isinstance(part.image_url, MediaUrl) and part.image_url.detail not in (None, "auto") for part in parts):
        yield "messages.image_url.detail"


def _turn(message: Message, path: str) -> Turn:
    text = message.content if isinstance(message.content, str) else _text(message.content or ())
    files = () if isinstance(message.content, str) else tuple(_files(message.content or (), path))
    if message.role in ("tool", "function"):
        of = f" of {message.name}" if message.name else ""
        return Turn("user", f"Result{of}: {text}", files)
    if message.role == "assistant":
        return Turn("assistant", "\n".join(filter(None, (text or message.refusal or "", *_calls(message)))), files)
    return Turn("system" if message.role in ("system", "developer") else "user", text, files)


def _text(parts: Sequence[Part]) -> str:
    return "\n".join(filter(None, (part.text or part.refusal for part in parts)))


def _files(parts: Sequence[Part], path: str) -> Iterator[Attached]:
    for index, part in enumerate(parts):
        place = f"{path}.content[{index}]"
        if part.type == "image_url" and part.image_url is not None:
            yield Attached("image", _address(part.image_url, f"{place}.image_url"), place)
        elif part.type == "video_url" and part.video_url is not None:
            yield Attached("video", _address(part.video_url, f"{place}.video_url"), place)
        elif part.type == "input_audio" and part.input_audio is not None:
            kind = "mpeg" if part.input_audio.format == "mp3" else part.input_audio.format
            yield Attached("audio", f"data:audio/{kind};base64,{part.input_audio.data}", place)
        elif part.type == "file":
            raise Unsupported("Files in messages are not supported: send their text, or pictures of them.", param=place)


def _address(given: MediaUrl | str, path: str) -> str:
    address = given if isinstance(given, str) else given.url
    if not address.startswith(("https://", "http://", "data:")):
        raise InvalidRequest(
            "Invalid URL: expected an https: or a data: address.", param=path, code="invalid_image_url"
        )
    return address


def _calls(message: Message) -> Iterator[str]:
    for call in message.tool_calls or ():
        function = call.get("function")
        if isinstance(function, dict):
            yield f"Called {function.get('name')} with {function.get('arguments')}"
    if message.function_call:
        yield f"Called {json.dumps(message.function_call, ensure_ascii=False)}"
