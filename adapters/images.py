"""Images: a prompt in, pictures out, as many as were asked for."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from adapters.base import Adapter, Prepared, Reading, Stamp, Table
from adapters.counts import shared_out
from adapters.errors import ContentRefused, MissingParameter, PredictionFailed, Unsupported
from adapters.failures import failure, hints_refusal
from adapters.fanout import seeded
from adapters.outputs import files_of
from adapters.prompts import carrier_of
from adapters.refusals import refuse_other_kinds
from adapters.schema import Schema
from adapters.sizes import AUTO, size_rule
from adapters.tables import Draft, into, substituted
from adapters.usage import logged_tokens
from adapters.wire.images import Image, ImageFile, ImageRequest, ImagesResponse, ImagesUsage, InputTokensDetails
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


def _compression(value: Any, schema: Schema) -> Inputs:
    given = schema.get("output_compression", "output_quality", "jpeg_quality", "image_quality", "quality")
    return {given.name: value} if given and given.kind in ("integer", "number") and not given.enum else {}


STANDARD: Table = {
    "size": size_rule,
    "quality": _quality,
    "style": _style,
    "background": into("background"),
    "output_format": into("output_format", "image_format", "output_type", "format", "file_format"),
    "output_compression": _compression,
    "moderation": into("moderation", "moderation_level"),
    "user": into("user", "user_id"),
}
"""Parameters that become inputs where the model has one for them; `docs/models.md` says what becomes of the rest."""

_TRIVIAL = {"size": AUTO, "quality": "auto", "background": "auto", "moderation": "auto"}


class ImageAdapter(Adapter, frozen=True, kw_only=True):
    """Translates image generations for a family. `counting` names the inputs that set how many pictures a prediction
    makes, where the usual names do not; () says there is none."""

    counting: tuple[str, ...] | None = None

    def prepare(self, request: ImageRequest, schema: Schema) -> Prepared:
        """The inputs of as many predictions as n pictures take. Raises InvalidRequest, Unsupported or
        MissingParameter; nothing was spent."""
        if request.stream:
            raise Unsupported("Unsupported parameter: 'stream' is not supported with this model.", param="stream")
        schema = substituted(schema, self.instead)
        refuse_other_kinds(schema, "images")
        draft = Draft(self, schema)
        draft.put("prompt", self._prompted(request, schema))
        draft.translate(_parameters(request), {**STANDARD, **self.table})
        if request.partial_images:
            draft.ignored.append("partial_images")
        draft.pass_on(request.extra)
        whole = draft.finish()
        shares = shared_out(request.n, whole, schema, self.renamed("n") or self.counting)
        inputs = seeded(whole, schema, shares.counts)
        told = [{**each, **share} for each, share in zip(inputs, shares.inputs, strict=True)]
        return draft.prepared(told, Reading(counts=shares.counts, last=not shares.field))

    def files(self, request: ImageRequest, predictions: Sequence[Prediction], prepared: Prepared) -> list[str]:
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
        self, request: ImageRequest, files: Sequence[ImageFile], predictions: Sequence[Prediction], stamp: Stamp
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

    def wants_content(self, request: ImageRequest) -> bool:
        """The reply is base64: asked for, or what clients expect of a model with this name."""
        if request.response_format:
            return request.response_format == "b64_json"
        return request.model.rpartition("/")[2].startswith("gpt-image")

    def _prompted(self, request: ImageRequest, schema: Schema) -> Inputs:
        names = self.renamed("prompt")
        usual = next((each for each in map(schema.get, _PROMPTS) if each and each.text), None)
        found = schema.get(*names) or usual or carrier_of(schema)
        if found is None:
            edits = " It works on an image: use /v1/images/edits." if schema.files else ""
            raise Unsupported(f"This model takes no prompt.{edits}", param="prompt")
        if not request.prompt.strip():
            raise MissingParameter("Missing required parameter: 'prompt'.", param="prompt")
        return {found.name: [request.prompt] if found.kind == "array" else request.prompt}


def _parameters(request: ImageRequest) -> Mapping[str, Any]:
    given = {name: getattr(request, name) for name in STANDARD}
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
