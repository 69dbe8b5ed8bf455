"""Images: a prompt, or pictures, in; pictures out, as many as were asked for."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from adapters.base import Adapter, Mask, Prepared, Reading, Stamp, Table
from adapters.counts import shared_out
from adapters.edits import Colour, address, mask_place, pictures_placed, redrawn
from adapters.errors import ContentRefused, MissingParameter, PredictionFailed, Unsupported
from adapters.failures import failure, hints_refusal
from adapters.fanout import seeded
from adapters.outputs import files_of
from adapters.prompts import carrier_of
from adapters.refusals import refuse_other_kinds
from adapters.schema import Input, Schema
from adapters.sizes import AUTO, size_rule
from adapters.tables import Draft, into, substituted
from adapters.usage import logged_tokens
from adapters.wire.images import (
    Image,
    ImageEditRequest,
    ImageEvent,
    ImageFile,
    ImagesResponse,
    ImagesUsage,
    InputTokensDetails,
    PicturesRequest,
)
from adapters.wire.replicate import Inputs, Prediction

_PROMPTS = ("prompt", "text", "text_prompt", "prompt_text", "input_prompt", "positive_prompt", "caption", "description")
_QUALITIES = {"hd": ("high", "hd"), "standard": ("standard", "medium", "normal"), "auto": ("auto",)}
_REVISED = re.compile(
    r"^(?:prompt used|revised prompt|enhanced prompt|upsampled prompt)\s*:\s*(.+?)\s*$", re.IGNORECASE | re.MULTILINE
)


def _quality(value: Any, schema: Schema) -> Inputs:
    given = schema.get("quality", "image_quality", "rendering_speed", "quality_level")
    if given is None or not given.enum:
        return {}
    words = {str(word).lower(): word for word in given.enum}
    wanted = (str(value), *_QUALITIES.get(str(value), ()))
    return next(({given.name: words[word]} for word in wanted if word in words), {})


def _style(value: Any, schema: Schema) -> Inputs:
    given = schema.get("style", "style_type", "style_preset", "style_name")
    return {given.name: value} if given else {}


def _background(value: Any, schema: Schema) -> Inputs:
    given = schema.get("background", "background_type")
    if given and given.kind in ("string", "any") and given.medium is None:
        word = "rgba" if value == "transparent" and given.name == "background_type" else value
        return {given.name: word}
    switch = schema.get("transparent_background", "transparent")
    return {switch.name: value == "transparent"} if switch and switch.kind == "boolean" else {}


def _compression(value: Any, schema: Schema) -> Inputs:
    given = schema.get("output_compression", "output_quality", "jpeg_quality", "image_quality", "quality")
    return {given.name: value} if given and given.kind in ("integer", "number") and not given.enum else {}


STANDARD: Table = {
    "size": size_rule,
    "quality": _quality,
    "style": _style,
    "background": _background,
    "input_fidelity": into("input_fidelity"),
    "output_format": into("output_format", "image_format", "output_type", "format", "file_format"),
    "output_compression": _compression,
    "moderation": into("moderation", "moderation_level"),
    "user": into("user", "user_id"),
}
"""Parameters that become inputs where the model has one for them; `docs/models.md` says what becomes of the rest."""

_TRIVIAL = {"size": AUTO, "quality": "auto", "background": "auto", "moderation": "auto"}


class ImageAdapter(Adapter, frozen=True, kw_only=True):
    """Translates generations, edits and variations for a family.

    `counting` names the inputs that set how many pictures a prediction makes, where the usual names do not; () says
    there is none. `pictures` names the input for the client's picture, where the schema does not show it; `redraws`
    is the colour of a mask that is drawn anew, where its description does not say.
    """

    counting: tuple[str, ...] | None = None
    pictures: tuple[str, ...] = ()
    redraws: Colour | None = None

    def prepare(self, request: PicturesRequest, schema: Schema) -> Prepared:
        """The inputs of as many predictions as n pictures take. Raises InvalidRequest, Unsupported or
        MissingParameter; nothing was spent."""
        schema = substituted(schema, self.instead)
        refuse_other_kinds(schema, "images")
        draft = Draft(self, schema)
        masks: Mapping[str, Mask] = {}
        if isinstance(request, ImageEditRequest):
            masks = self._picture(draft, request, schema)
        else:
            draft.put("prompt", self._prompted(request, schema))
        draft.translate(_parameters(request), {**STANDARD, **self.table})
        draft.pass_on(request.extra)
        whole = draft.finish()
        shares = shared_out(request.n, whole, schema, self.renamed("n") or self.counting)
        inputs = seeded(whole, schema, shares.counts)
        told = [{**each, **share} for each, share in zip(inputs, shares.inputs, strict=True)]
        reading = Reading(counts=shares.counts, last=not shares.field)
        if request.partial_images and not (reading.last and schema.output == "files"):
            draft.ignored.append("partial_images")
        return replace(draft.prepared(told, reading), masks=masks)

    def files(self, request: PicturesRequest, predictions: Sequence[Prediction], prepared: Prepared) -> list[str]:
        """The pictures' addresses (URLs, data URIs), exactly the n asked for, in the predictions' order.

        Raises what a failed prediction means; ContentRefused or PredictionFailed when fewer came than were asked for.
        """
        found: list[str] = []
        for prediction, count in zip(predictions, prepared.reading.counts, strict=True):
            if error := failure(prediction, [request.prompt, *prepared.unsaid]):
                raise error
            made = files_of(prediction.output)
            # More than asked, where nothing sets the number, or list after list: a drawing's progress, and what came
            # last is the picture.
            last = prepared.reading.last or _in_lists(prediction.output)
            found += made[-count:] if last else made[:count]
        wanted = sum(prepared.reading.counts)
        if len(found) < wanted:
            raise _short(len(found), wanted, predictions)
        return found

    def parse(
        self, request: PicturesRequest, files: Sequence[ImageFile], predictions: Sequence[Prediction], stamp: Stamp
    ) -> ImagesResponse:
        """The reply: base64 or URLs as asked; `ImageFile.content` must be there for base64 (see `wants_content`)."""
        revised = _revised(predictions)
        encode = self.wants_content(request)
        images = tuple(
            Image(
                b64_json=b64encode(each.content or b"").decode() if encode else UNSET,
                url=UNSET if encode else each.url,
                revised_prompt=revised,
            )
            for each in files
        )
        return ImagesResponse(
            created=stamp.created, data=images, output_format=_format(files), usage=_usage(predictions)
        )

    def drafts(self, request: PicturesRequest, prepared: Prepared) -> int:
        """How many partial pictures the client wants and this model may show."""
        return 0 if "partial_images" in prepared.ignored else request.partial_images or 0

    def partial(self, request: PicturesRequest, file: ImageFile, number: int, stamp: Stamp) -> ImageEvent:
        """A draft, as a streamed reply tells of it."""
        return replace(_event(request, "partial_image", file, stamp), partial_image_index=number)

    def completed(
        self, request: PicturesRequest, files: Sequence[ImageFile], predictions: Sequence[Prediction], stamp: Stamp
    ) -> tuple[ImageEvent, ...]:
        """The pictures, as a streamed reply tells of them."""
        usage = _usage(predictions)
        return tuple(replace(_event(request, "completed", each, stamp), usage=usage) for each in files)

    def wants_content(self, request: PicturesRequest) -> bool:
        """The reply is base64: asked for, or what clients expect of a model with this name."""
        if request.response_format:
            return request.response_format == "b64_json"
        return request.model.rpartition("/")[2].startswith("gpt-image")

    def _picture(self, draft: Draft, request: ImageEditRequest, schema: Schema) -> Mapping[str, Mask]:
        """Places the client's pictures, mask and words; gives the masks among the inputs."""
        draft.put("image", pictures_placed(request, schema, (*self.renamed("image"), *self.pictures)))
        found = self._carrier(request, schema)
        if found and request.prompt.strip():
            draft.put("prompt", {found.name: [request.prompt] if found.kind == "array" else request.prompt})
        elif request.prompt.strip():
            draft.ignored.append("prompt")
        elif found and not found.settled:
            raise MissingParameter("Missing required parameter: 'prompt'.", param="prompt")
        return self._masked(draft, request, schema)

    def _masked(self, draft: Draft, request: ImageEditRequest, schema: Schema) -> Mapping[str, Mask]:
        place = mask_place(schema, self.renamed("mask"))
        if request.mask and place is None:
            raise Unsupported("This model takes no mask.", param="mask")
        # As at OpenAI, a picture's own transparency is the mask where there is no other.
        implied = place is not None and not (place.settled or place.name in request.extra)
        if place is None or not (request.mask or implied):
            return {}
        given = address(request.mask or request.images[0], "mask" if request.mask else "image")
        if not given.startswith("data:"):
            raise MissingParameter(
                "This model needs a mask in its own colours: send it as a file, a file id or a data URI.", param="mask"
            )
        draft.put("mask", {place.name: [given] if place.many else given})
        return {place.name: Mask(self.redraws or redrawn(place), transparent=request.mask is None)}

    def _carrier(self, request: PicturesRequest, schema: Schema) -> Input | None:
        usual = next((each for each in map(schema.get, _PROMPTS) if each and each.text), None)
        found = schema.get(*self.renamed("prompt")) or usual
        # Beside pictures, a text of any other name is more likely a knob than a place for words.
        return found if found or isinstance(request, ImageEditRequest) else carrier_of(schema)

    def _prompted(self, request: PicturesRequest, schema: Schema) -> Inputs:
        found = self._carrier(request, schema)
        if found is None:
            edits = " It works on an image: use /v1/images/edits." if schema.files else ""
            raise Unsupported(f"This model takes no prompt.{edits}", param="prompt")
        if not request.prompt.strip():
            raise MissingParameter("Missing required parameter: 'prompt'.", param="prompt")
        return {found.name: [request.prompt] if found.kind == "array" else request.prompt}


def _parameters(request: PicturesRequest) -> Mapping[str, Any]:
    given = {name: getattr(request, name, None) for name in STANDARD}
    return {name: value for name, value in given.items() if value != _TRIVIAL.get(name)}


def _in_lists(output: object) -> bool:
    return isinstance(output, list) and len(output) > 1 and isinstance(output[-1], list)


def _short(made: int, wanted: int, predictions: Sequence[Prediction]) -> Exception:
    if any(hints_refusal(prediction.logs) for prediction in predictions):
        return ContentRefused(f"The model's filter kept back {wanted - made} of the {wanted} images.")
    if any(prediction.data_removed for prediction in predictions):
        return PredictionFailed("The images are gone: Replicate removes outputs an hour after they were made.")
    return PredictionFailed(f"The model made {made} of the {wanted} images asked for.")


def _revised(predictions: Sequence[Prediction]) -> str | UnsetType:
    for prediction in predictions:
        if found := _REVISED.search(prediction.logs or ""):
            return found[1]
    return UNSET


def _format(files: Sequence[ImageFile]) -> str | UnsetType:
    kinds = {each.content_type.partition(";")[0] for each in files}
    kind = kinds.pop() if len(kinds) == 1 else ""
    return {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp"}.get(kind, UNSET)


def _event(request: PicturesRequest, step: str, file: ImageFile, stamp: Stamp) -> ImageEvent:
    noun = "image_edit" if isinstance(request, ImageEditRequest) else "image_generation"
    return ImageEvent(
        type=f"{noun}.{step}",
        b64_json=b64encode(file.content or b"").decode(),
        created_at=stamp.created,
        size=request.size or AUTO,
        quality=request.quality or "auto",
        background=request.background or "auto",
        output_format=_format([file]),
    )


def _usage(predictions: Sequence[Prediction]) -> ImagesUsage | UnsetType:
    logged = [logged_tokens(prediction.logs) for prediction in predictions]
    if not logged or not all("input" in each and "output" in each for each in logged):
        return UNSET
    given = sum(each["input"] for each in logged)
    made = sum(each["output"] for each in logged)
    pictures = sum(each.get("image", 0) for each in logged)
    return ImagesUsage(
        total_tokens=given + made,
        input_tokens=given,
        output_tokens=made,
        input_tokens_details=InputTokensDetails(given - pictures, pictures),
    )
