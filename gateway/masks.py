"""Masks in a model's own colours: OpenAI marks what is to change by transparency, models by white or by black."""

import io

from PIL import Image, ImageOps

from adapters.base import Mask
from adapters.errors import InvalidRequest, MissingParameter

LARGEST = 64_000_000
"""Pixels; a small file may hold more than fits in memory."""


def recoloured(content: bytes, mask: Mask) -> bytes:
    """A black and white PNG of the same size. What is transparent is redrawn; a mask without transparency is taken to
    be black and white already, its white to be redrawn. Raises InvalidRequest for what cannot be read."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.width * picture.height > LARGEST:
                raise InvalidRequest(f"The mask has more than {LARGEST // 1_000_000} megapixels.", param="mask")
            white = _white_where_redrawn(picture, mask)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise InvalidRequest(
            "The mask cannot be read as an image.", param="mask", code="invalid_image_format"
        ) from None
    file = io.BytesIO()
    (ImageOps.invert(white) if mask.redrawn == "black" else white).save(file, "PNG")
    return file.getvalue()


def _white_where_redrawn(picture: Image.Image, mask: Mask) -> Image.Image:
    if picture.has_transparency_data:
        opacity = picture.convert("RGBA").getchannel("A")
        if opacity.getextrema() != (255, 255):
            return ImageOps.invert(opacity)
    if mask.transparent:
        raise MissingParameter(
            "Missing required parameter: 'mask'. The image has no transparent area that could be the mask.",
            param="mask",
        )
    return picture.convert("L")
