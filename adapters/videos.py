"""Videos: a prompt, perhaps a picture or a video beside it, in; one video out."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from adapters.base import Adapter, Prepared, Reading, Table
from adapters.durations import length_of, length_rule
from adapters.edits import address
from adapters.errors import MissingParameter, PredictionFailed, Unsupported
from adapters.failures import failure
from adapters.media import Medium, medium_of_address
from adapters.outputs import files_of
from adapters.pictures import places_for
from adapters.prompts import carrier_of
from adapters.refusals import refuse_other_kinds
from adapters.schema import Input, Schema
from adapters.sizes import AUTO, size_rule
from adapters.tables import Draft, substituted
from adapters.wire.replicate import Inputs, Prediction
from adapters.wire.videos import VideoRequest

REFERENCE = "input_reference"

_FIRST = (
    "image",
    "first_frame_image",
    "start_image",
    "first_frame",
    "start_frame",
    "input_image",
    "input_reference",
    "image_prompt",
    "init_image",
)

STANDARD: Table = {"size": size_rule}
"""Parameters that become inputs where the model has one for them, beside `seconds`, whose rule asks for the rate."""


class Planned(Struct, frozen=True):
    """What a video will be like, as far as its inputs tell; `auto` is for its model to know."""

    seconds: str
    size: str


class VideoAdapter(Adapter, frozen=True, kw_only=True):
    """Translates requests for videos for a family.

    `pictures` names the input for the client's picture, where the schema does not show it.
    """

    pictures: tuple[str, ...] = ()

    def prepare(self, request: VideoRequest, schema: Schema) -> Prepared:
        """The inputs of the one prediction. Raises InvalidRequest, Unsupported or MissingParameter; nothing was
        spent."""
        schema = substituted(schema, self.instead)
        refuse_other_kinds(schema, "videos")
        draft = Draft(self, schema)
        self._reference(draft, request, schema)
        self._prompt(draft, request, schema)
        draft.translate(_parameters(request), self._table(request))
        draft.pass_on(request.extra)
        inputs = draft.finish()
        length = length_of(inputs, schema)
        return draft.prepared([inputs], Reading(seconds=length.seconds if length else None))

    def planned(self, request: VideoRequest, schema: Schema, prepared: Prepared) -> Planned:
        """What to say of the video before it is there."""
        (inputs,) = prepared.inputs
        length = length_of(inputs, substituted(schema, self.instead))
        kept = request.size and "size" not in (*prepared.ignored, *prepared.adjusted)
        return Planned(str(length) if length else AUTO, request.size if kept and request.size else _sides(inputs))

    def _table(self, request: VideoRequest) -> Table:
        told = {**self.defaults, **(self.row.defaults if self.row else {}), **request.extra}
        told |= self.row.fixed if self.row else {}

        def seconds(value: Any, schema: Schema) -> Inputs:
            return length_rule(value, schema, told)

        return {**STANDARD, "seconds": seconds, **self.table}

    def _prompt(self, draft: Draft, request: VideoRequest, schema: Schema) -> None:
        found = schema.get(*self.renamed("prompt")) or carrier_of(schema)
        if request.prompt.strip():
            if found:
                draft.put("prompt", {found.name: [request.prompt] if found.many else request.prompt})
            else:
                draft.ignored.append("prompt")
        elif found and not (request.input_reference and found.settled):
            raise MissingParameter("Missing required parameter: 'prompt'.", param="prompt")

    def _reference(self, draft: Draft, request: VideoRequest, schema: Schema) -> None:
        if request.input_reference is None:
            self._needed(draft, request, schema)
            return
        given, medium = _given(request)
        places = self._places(schema, medium)
        if not places:
            thing = "video" if medium == "video" else "image"
            raise Unsupported(f"This model takes no {thing}.", param=REFERENCE)
        draft.put(REFERENCE, {places[0].name: [given] if places[0].many else given})

    def _needed(self, draft: Draft, request: VideoRequest, schema: Schema) -> None:
        """Raises MissingParameter for a model that works on what the client did not send, by its name here."""
        raw = request.extra.get("replicate")
        told = {*request.extra, *draft.inputs, *(raw if isinstance(raw, dict) else ())}
        told |= set(self.row.fixed) if self.row else set()
        for each in schema.files:
            if not each.settled and each.name not in told and each.medium in ("image", "video", "file"):
                thing = "a video" if each.medium == "video" else "an image"
                raise MissingParameter(f"This model works on {thing}: send it as '{REFERENCE}'.", param=REFERENCE)

    def _places(self, schema: Schema, medium: Medium) -> list[Input]:
        first = (*self.renamed(REFERENCE), *self.renamed("image"), *self.pictures)
        if named := schema.get(*first):
            return [named]
        return places_for(schema, medium, _FIRST if medium == "image" else ())


def video_of(prediction: Prediction, private: Iterable[str]) -> str:
    """The video's address. Raises what a failed prediction means, PredictionFailed where there is no file; texts in
    `private` never appear."""
    if error := failure(prediction, private):
        raise error
    found = files_of(prediction.output)
    if files := [each for each in found if medium_of_address(each) == "video"] or found:
        return files[0]
    if prediction.data_removed:
        raise PredictionFailed("The video is gone: Replicate removes outputs an hour after they were made.")
    raise PredictionFailed("The model made no video.")


def _given(request: VideoRequest) -> tuple[str, Medium]:
    """What the model is sent, and what it is: an image, unless it is plainly a video."""
    assert request.input_reference
    upload = request.input_reference.upload
    if upload and upload.content_type.startswith("video/"):
        return upload.address, "video"
    given = address(request.input_reference, REFERENCE)
    return given, "video" if medium_of_address(given) == "video" else "image"


def _parameters(request: VideoRequest) -> Mapping[str, Any]:
    size = None if request.size == AUTO else request.size
    return {"seconds": request.seconds, "size": size}


def _sides(inputs: Inputs) -> str:
    width, height = inputs.get("width"), inputs.get("height")
    return f"{width}x{height}" if isinstance(width, int) and isinstance(height, int) else AUTO
