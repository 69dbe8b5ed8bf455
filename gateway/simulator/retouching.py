"""Pictures made of other pictures: what was sent, drawn over where a mask allows it, or cut out."""

import io

from msgspec import Struct
from PIL import Image, ImageDraw, ImageOps


class Given(Struct, frozen=True, kw_only=True):
    """What an editing model was sent. `black` says that this model redraws a mask's black instead of its white; `cut`
    that it cuts the picture out."""

    picture: bytes
    mask: bytes | None = None
    black: bool = False
    cut: bool = False


def retouched(given: Given, fresh: Image.Image) -> Image.Image | None:
    """The given picture in the size of the fresh one, which shows through where the mask says; None for what is no
    picture."""
    try:
        picture = Image.open(io.BytesIO(given.picture)).convert("RGB").resize(fresh.size)
        mask = Image.open(io.BytesIO(given.mask)).convert("L").resize(fresh.size) if given.mask else None
    except (OSError, ValueError):
        return None
    if mask:
        picture.paste(fresh, mask=ImageOps.invert(mask) if given.black else mask)
    if given.cut:
        shape = Image.new("L", fresh.size)
        ImageDraw.Draw(shape).ellipse((0, 0, fresh.width - 1, fresh.height - 1), fill=255)
        picture.putalpha(shape)
    return picture
