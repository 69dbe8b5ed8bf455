"""A response's items as the messages of a chat."""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from adapters.errors import InvalidRequest, Unsupported
from adapters.wire.chat import MediaUrl, Message, Part
from adapters.wire.responses import Item, ItemPart
from adapters.wire.tools import CalledFunction, ToolCall


class Told(NamedTuple):
    """A message, and the place of the item it came from."""

    path: str
    message: Message


def messages_of(instructions: str | None, located: Iterable[tuple[str, Item]]) -> list[Told]:
    """The instructions first; calls in a row become one message. Thoughts are not told again. Raises InvalidRequest
    for a result without its call, Unsupported for what no message can hold."""
    told = [Told("instructions", Message(role="developer", content=instructions))] if instructions else []
    called: set[str | None] = set()
    for path, item in located:
        if item.kind == "function_call":
            called.add(item.call_id)
            _call(told, path, item)
        elif item.kind == "function_call_output":
            if item.call_id not in called:
                raise InvalidRequest(
                    f"No tool call found for function call output with call_id {(item.call_id or '')[:100]}.",
                    param="input",
                )
            _result(told, path, item)
        elif item.kind == "message":
            told.append(Told(path, Message(role=item.role or "user", content=_content(item, path))))
    return _answered(told)


def _call(told: list[Told], path: str, item: Item) -> None:
    call = ToolCall(id=item.call_id, function=CalledFunction(item.name or "", item.arguments or "{}"))
    if told and told[-1].message.role == "assistant":
        last = told.pop()
        calls = [*(last.message.tool_calls or ()), call]
        told.append(Told(last.path, replace(last.message, tool_calls=calls)))
    else:
        told.append(Told(path, Message(role="assistant", tool_calls=[call])))


def _result(told: list[Told], path: str, item: Item) -> None:
    content = item.output if isinstance(item.output, str) else [_part(part, path) for part in item.output or ()]
    told.append(Told(path, Message(role="tool", tool_call_id=item.call_id, content=content)))


def _answered(told: list[Told]) -> list[Told]:
    """Results directly behind the message that has their calls, as a chat wants them."""
    results = {each.message.tool_call_id: each for each in told if each.message.role == "tool"}
    ordered: list[Told] = []
    for each in told:
        if each.message.role == "tool":
            continue
        ordered.append(each)
        ordered += [results[call.id] for call in each.message.tool_calls or () if call.id in results]
    return ordered


def _content(item: Item, path: str) -> str | list[Part] | None:
    if not isinstance(item.content, list):
        return item.content
    return [_part(part, f"{path}.content[{index}]") for index, part in enumerate(item.content)]


def _part(part: ItemPart, path: str) -> Part:
    if part.type == "input_image":
        if not part.image_url:
            raise InvalidRequest("An image needs 'image_url' or 'file_id'.", param=path)
        return Part(type="image_url", image_url=MediaUrl(part.image_url, part.detail))
    if part.type == "input_file":
        return _file(part, path)
    if part.type == "input_audio":
        return Part(type="input_audio", input_audio=part.input_audio)
    if part.type == "refusal":
        return Part(type="refusal", refusal=part.refusal or "")
    return Part(type="text", text=part.text or "")


def _file(part: ItemPart, path: str) -> Part:
    address = part.file_data or part.file_url
    if not address:
        raise Unsupported("A file needs 'file_data' (a data URL), 'file_url' or 'file_id'.", param=path)
    return Part(type="file", file={"file_data": address, "filename": part.filename})
