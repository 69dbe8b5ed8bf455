"""Where the client's pictures and its mask go, and which colour of a mask this model redraws."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from adapters.errors import InvalidRequest, MissingParameter, Unsupported
from adapters.outputs import is_address
from adapters.pictures import places_for
from adapters.schema import Input, Schema
from adapters.wire.base import PASSTHROUGH
from adapters.wire.images import ImageEditRequest, Picture
from adapters.wire.replicate import Inputs

Colour = Literal["white", "black"]

_MASKS = ("mask", "mask_image", "image_mask", "inpaint_mask", "input_mask", "mask_img", "mask_url", "mask_path")
_CLAUSE = re.compile(r"[.,;()]|\band\b|\bwhile\b|\bbut\b")
_CHANGED = re.compile(r"inpaint|redraw|repaint|edit|replac|chang|modif|regenerat|fill|remov|alter|generat|paint|draw")
_KEPT = re.compile(r"preserv|kept|keep|unchang|remain|retain|stay|untouch|not")


def pictures_placed(request: ImageEditRequest, schema: Schema, first: tuple[str, ...]) -> Inputs:
    """The inputs that the pictures become: the model's list, its main picture and the numbered ones beside it, or all
    that it cannot do without, in its order. Raises Unsupported for more than it takes, MissingParameter for fewer."""
    given = [address(each, "image") for each in request.images]
    places = _places(request, schema, first)
    if not places:
        raise Unsupported("This model takes no image: use /v1/images/generations.", param="image")
    if places[0].many:
        _count(given, places[0].longest)
        return {places[0].name: given}
    _count(given, len(places))
    missing = [each for each in places[len(given) :] if not each.settled]
    if missing:
        raise MissingParameter(
            f"This model works on {len(places)} images, in this order: {', '.join(each.name for each in places)}.",
            param="image",
        )
    return {place.name: each for place, each in zip(places, given, strict=False)}


def mask_place(schema: Schema, first: tuple[str, ...]) -> Input | None:
    """The model's input for a mask."""
    named = schema.get(*first, *_MASKS)
    if named and named.medium in ("image", "file"):
        return named
    return next((each for each in schema.files if each.medium == "image" and "mask" in each.name.lower()), None)


def redrawn(place: Input) -> Colour:
    """The colour of the mask that this model draws anew: white, unless its description says black."""
    for clause in _CLAUSE.split(place.words.lower()):
        changed, kept = _CHANGED.search(clause), _KEPT.search(clause)
        if ("black" in clause and changed and not kept) or ("white" in clause and kept):
            return "black"
    return "white"


def address(picture: Picture, param: str) -> str:
    """What the model is sent: a URL as it is, an upload as a data URI. Raises InvalidRequest for what is no picture."""
    upload, url = picture.upload, picture.image_url
    if upload is not None:
        if not upload.content_type.startswith("image/"):
            raise InvalidRequest(
                f"Invalid file '{param}': unsupported mimetype ('{upload.content_type[:100]}'); images are expected.",
                param=param,
                code="unsupported_file_mimetype",
            )
        return upload.address
    if url is None or not is_address(url):
        raise InvalidRequest(
            "Invalid URL: expected an https: or a data: address.", param=param, code="invalid_image_url"
        )
    return url


def _places(request: ImageEditRequest, schema: Schema, first: tuple[str, ...]) -> list[Input]:
    mask = mask_place(schema, ())
    told = {*request.extra, *_named(request.extra)}
    found = [each for each in schema.files if each.medium in ("image", "file") and each != mask]
    if named := schema.get(*first):
        return [named, *(each for each in found if each != named and not each.settled and each.name not in told)]
    needed = [each for each in found if not each.settled and each.name not in told]
    if len(needed) > 1:
        return needed
    usual = [each for each in places_for(schema, "image") if each != mask]
    if needed and needed[0] not in usual:
        return needed
    return usual or [each for each in found if each.medium == "image"][:1]


def _named(extra: Mapping[str, Any]) -> Sequence[str]:
    raw = extra.get(PASSTHROUGH)
    return list(raw) if isinstance(raw, dict) else ()


def _count(given: Sequence[str], most: int | None) -> None:
    if most is not None and len(given) > most:
        things = "image" if most == 1 else "images"
        raise Unsupported(f"This model takes {most} {things} at most.", param="image")
