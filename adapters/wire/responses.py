"""Responses: the request, with its items."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from msgspec import Meta, Struct, field
from msgspec.structs import replace

from adapters.errors import InvalidRequest, MissingParameter, Unsupported
from adapters.wire.base import Ratio, References, Request, Temperature, Upload, invalid_value
from adapters.wire.chat import Audio

ROLES = ("user", "assistant", "system", "developer")
PARTS = ("input_text", "output_text", "text", "refusal", "input_image", "input_file", "input_audio", "reasoning_text",
         "summary_text")  # fmt: skip
SUMMARIES = ("auto", "concise", "detailed")
INCLUDABLE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)
_EARLIER = "<earlier>"
"""The key of items that no client sends, but its earlier responses had."""


class ItemPart(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of an item's content; `type` says which of the other fields counts."""

    type: Annotated[str, Meta(max_length=64)]
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: Audio | None = None


class Item(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a response begins from, or what came of one: a message, a call, its result, thoughts. Clients send items
    of ours back whole, with fields that mean nothing here."""

    type: str | None = None
    id: str | None = None
    status: str | None = None
    role: str | None = None
    content: str | list[ItemPart] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | list[ItemPart] | None = None
    summary: list[ItemPart] | None = None

    @property
    def kind(self) -> str:
        """Its type, which easy messages and references may leave out."""
        if self.type is None and self.id and self.role is None and self.content is None:
            return "item_reference"
        return self.type or "message"

    @property
    def parts(self) -> list[ItemPart]:
        given = self.output if self.kind == "function_call_output" else self.content
        return given if isinstance(given, list) else []


class FlatTool(Struct, frozen=True, kw_only=True):
    """A tool; of other types than `function` nothing more is read."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class TextFormat(Struct, frozen=True, kw_only=True):
    """What form the text shall have."""

    type: str = "text"
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TextOptions(Struct, frozen=True, kw_only=True):
    """How the text shall be."""

    format: TextFormat | None = None
    verbosity: str | None = None


class Reasoning(Struct, frozen=True, kw_only=True):
    """How hard to think, and whether thoughts are wanted as a summary."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class Streaming(Struct, frozen=True):
    """How a stream shall be written."""

    include_obfuscation: bool | None = None


class ResponsesRequest(Request, frozen=True, kw_only=True):
    """Every field of OpenAI's document; what becomes of each stands in docs/models.md."""

    input: str | list[Item] = field(default_factory=list)
    background: bool | None = None
    context_management: list[dict[str, Any]] | None = None
    conversation: str | dict[str, Any] | None = None
    include: list[str] | None = None
    instructions: str | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_tool_calls: int | None = None
    metadata: Annotated[dict[str, Annotated[str, Meta(max_length=512)]], Meta(max_length=16)] | None = None
    moderation: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    prompt: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    reasoning: Reasoning | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: Streaming | None = None
    temperature: Temperature | None = None
    text: TextOptions | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: Annotated[list[FlatTool], Meta(max_length=128)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    top_p: Ratio | None = None
    truncation: str | None = None
    user: str | None = None
    earlier: list[Item] = field(default_factory=list, name=_EARLIER)

    @classmethod
    def shaped(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in given.items() if name != _EARLIER and (name != "input" or value)}

    @property
    def items(self) -> list[Item]:
        """What the client sent, as items."""
        if isinstance(self.input, str):
            return [Item(type="message", role="user", content=self.input)]
        return self.input

    @property
    def kept(self) -> bool:
        """Whether the response outlives its request."""
        return self.store is not False

    @property
    def summarised(self) -> bool:
        """Thoughts are wanted as a summary."""
        return bool(self.reasoning and (self.reasoning.summary or self.reasoning.generate_summary))

    def identified(self, response: str) -> list[Item]:
        """What the client sent, whole enough to be listed: with types, ids and states."""
        return [_identified(item, response, place) for place, item in enumerate(self.items)]

    def references(self) -> References:
        # Earlier items all have the one place in this request, and each its own file.
        places = [f"previous_response_id.items[{number}]" for number in range(len(self.earlier))]
        places += [f"input[{number}]" for number in range(len(self.items))]
        return {
            f"{place}.content[{index}].file_id": part.file_id
            for place, item in zip(places, (*self.earlier, *self.items), strict=True)
            for index, part in enumerate(item.parts)
            if part.file_id and not (part.image_url or part.file_data)
        }

    def resolved(self, found: Mapping[str, Upload]) -> Self:
        """The same with the files beside their ids."""
        return replace(
            self, input=[_filled(item, found) for item in self.items], earlier=[_filled(x, found) for x in self.earlier]
        )

    def located(self) -> Iterator[tuple[str, Item]]:
        """All items, the earlier ones first, with their places in the request."""
        for item in self.earlier:
            yield "previous_response_id", item
        for index, item in enumerate(self.items):
            yield ("input" if isinstance(self.input, str) else f"input[{index}]"), item

    def check(self) -> None:
        for name in ("conversation", "prompt", "moderation"):
            if getattr(self, name):
                raise Unsupported(f"Unsupported parameter: '{name}' is not supported here.", param=name)
        if not self.input and not self.previous_response_id:
            raise MissingParameter("Missing required parameter: 'input'.", param="input")
        if self.background and not self.kept:
            raise InvalidRequest("A response in the background must be stored.", param="background")
        if self.stream_options is not None and not self.stream:
            raise InvalidRequest(
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
            )
        _check_words(self)
        for index, item in enumerate(self.items):
            _check_item(item, f"input[{index}]")


def _check_words(request: ResponsesRequest) -> None:
    if request.truncation not in (None, "auto", "disabled"):
        raise invalid_value("truncation", request.truncation, ("auto", "disabled"))
    for summary in (request.reasoning.summary, request.reasoning.generate_summary) if request.reasoning else ():
        if summary not in (None, *SUMMARIES):
            raise invalid_value("reasoning.summary", summary, SUMMARIES)
    for index, wanted in enumerate(request.include or ()):
        if wanted not in INCLUDABLE:
            raise invalid_value(f"include[{index}]", wanted, INCLUDABLE)


_NEEDED: Mapping[str, tuple[str, ...]] = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "item_reference": ("id",),
    "reasoning": (),
}
"""The types of items that there are here, and what each cannot do without."""


def _check_item(item: Item, path: str) -> None:
    if (needed := _NEEDED.get(item.kind)) is None:
        raise Unsupported(f"Items of type '{item.kind[:60]}' are not supported.", param=f"{path}.type")
    for name in needed:
        if getattr(item, name) is None:
            raise MissingParameter(f"Missing required parameter: '{path}.{name}'.", param=f"{path}.{name}")
    if item.kind == "message" and item.role not in ROLES:
        raise invalid_value(f"{path}.role", item.role, ROLES)
    for index, part in enumerate(item.parts):
        if part.type not in PARTS:
            raise invalid_value(f"{path}.content[{index}].type", part.type, PARTS)


def _identified(item: Item, response: str, place: int) -> Item:
    prefix = {"message": "msg", "function_call": "fc", "function_call_output": "fco"}.get(item.kind, "item")
    id = item.id or f"{prefix}_{response.removeprefix('resp_')}in{place:02x}"
    kind = "output_text" if item.role == "assistant" else "input_text"
    content = [ItemPart(type=kind, text=item.content)] if isinstance(item.content, str) else item.content
    return replace(item, type=item.kind, id=id, status=item.status or "completed", content=content)


def _filled(item: Item, found: Mapping[str, Upload]) -> Item:
    def filled(part: ItemPart) -> ItemPart:
        file = found.get(part.file_id or "")
        if file is None or part.image_url or part.file_data:
            return part
        if part.type == "input_image":
            return replace(part, image_url=file.address)
        return replace(part, file_data=file.address, filename=part.filename or file.name)

    parts = [filled(part) for part in item.parts]
    if not parts:
        return item
    return replace(item, output=parts) if item.kind == "function_call_output" else replace(item, content=parts)
