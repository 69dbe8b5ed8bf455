"""What was said, freed of OpenAI's shapes: a system text, turns, and the files that came with them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from adapters.errors import InvalidRequest, Unsupported
from adapters.functions import Convention, arguments_of
from adapters.media import Medium, medium_of_address
from adapters.templates import Said
from adapters.wire.chat import MediaUrl, Message, Part
from adapters.wire.tools import CalledFunction


class Attached(Struct, frozen=True):
    """A file in a message: https or data: address, and where it stood, as OpenAI names places."""

    medium: Medium
    address: str
    path: str


class Turn(Struct, frozen=True):
    """What one side said, with its files. `message` is the turn as OpenAI's messages have it, for models that know
    calls and results themselves: there alone it differs from role and text."""

    role: str
    text: str
    files: tuple[Attached, ...] = ()
    message: Mapping[str, Any] | None = None


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


def conversation(messages: Sequence[Message], convention: Convention | None = None) -> Conversation:
    """Developer messages are system messages; tools' results are told by the user, calls by the assistant, in the
    words of the convention, or in plain ones.

    Raises Unsupported for parts that no model of Replicate's can be given, InvalidRequest for addresses that are none.
    """
    system: list[str] = []
    turns: list[Turn] = []
    names = {call.id: call.function.name for each in messages for call in each.tool_calls or () if call.function}
    for index, message in enumerate(messages):
        turn = _turn(message, f"messages[{index}]", message.name or names.get(message.tool_call_id), convention)
        if turn.role == "system":
            system.append(turn.text)
        else:
            turns.append(turn)
    if not turns:
        # Nothing but instructions: they are what the model shall answer.
        return Conversation("", (Turn("user", "\n\n".join(system)),))
    return Conversation("\n\n".join(filter(None, system)), tuple(turns))


def instructed(talk: Conversation, *instructions: str) -> Conversation:
    """The conversation with our own words behind the client's instructions."""
    return replace(talk, system="\n\n".join(filter(None, (talk.system, *instructions))))


def unheard(messages: Sequence[Message]) -> Iterator[str]:
    """Names of what messages say that has no place in any model's prompt."""
    parts = [part for message in messages if isinstance(message.content, list) for part in message.content]
    if any(message.name for message in messages if message.role not in ("tool", "function")):
        yield "messages.name"
    if any(isinstance(part.image_url, MediaUrl) and part.image_url.detail not in (None, "auto") for part in parts):
        yield "messages.image_url.detail"


def _turn(message: Message, path: str, tool: str | None, convention: Convention | None) -> Turn:
    text = message.content if isinstance(message.content, str) else _text(message.content or ())
    files = () if isinstance(message.content, str) else tuple(_files(message.content or (), path))
    if message.role in ("tool", "function"):
        of = f" of {tool}" if tool else ""
        said = convention.answered(tool, convention.neutral(text)) if convention else f"Result{of}: {text}"
        return Turn("user", said, files, _result(message, text))
    if message.role == "assistant":
        said = text or message.refusal or ""
        return Turn(
            "assistant", "\n".join(filter(None, (said, *_calls(message, convention)))), files, _made(message, said)
        )
    if message.role in ("system", "developer"):
        return Turn("system", text, files)
    return Turn("user", convention.neutral(text) if convention else text, files)


def _result(message: Message, text: str) -> dict[str, Any]:
    if message.role == "function":
        return {"role": "function", "name": message.name, "content": text}
    return {"role": "tool", "tool_call_id": message.tool_call_id, "content": text}


def _made(message: Message, said: str) -> dict[str, Any] | None:
    calls = [
        {"id": call.id, "type": "function", "function": {"name": made.name, "arguments": _told(made)}}
        for call in message.tool_calls or ()
        if (made := call.function)
    ]
    return {"role": "assistant", "content": said or None, "tool_calls": calls} if calls else None


def _told(function: CalledFunction) -> str:
    told = function.arguments
    return told if isinstance(told, str) else json.dumps(told, ensure_ascii=False)


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
            yield _file(part.file or {}, place)


def _file(given: Mapping[str, Any], place: str) -> Attached:
    address = given.get("file_data")
    if not isinstance(address, str) or not (medium := medium_of_address(address)):
        raise Unsupported("Files in messages need 'file_data', the file itself as a data URL.", param=place)
    return Attached("file" if medium == "unknown" else medium, address, place)


def _address(given: MediaUrl | str, path: str) -> str:
    address = given if isinstance(given, str) else given.url
    if not address.startswith(("https://", "http://", "data:")):
        raise InvalidRequest(
            "Invalid URL: expected an https: or a data: address.", param=path, code="invalid_image_url"
        )
    return address


def _calls(message: Message, convention: Convention | None) -> Iterator[str]:
    made = [call.function for call in message.tool_calls or () if call.function]
    made += [message.function_call] if message.function_call else []
    if convention and made:
        yield convention.said([(each.name, arguments_of(each)) for each in made])
    elif made:
        yield from (f"Called {each.name} with {_told(each)}" for each in made)
