"""Outputs kept: a prediction's files copied into our store before Replicate deletes them."""

from collections.abc import Sequence

from adapters.wire.images import ImageFile
from gateway.together import together
from gateway.upstream.outputs import Outputs


async def kept(outputs: Outputs, urls: Sequence[str]) -> list[ImageFile]:
    """Our copy of each file, in order, with its bytes and a signed link to it."""
    copies = await together(*(outputs.keep(url) for url in urls))
    return [ImageFile(url=outputs.link(copy), content_type=copy.content_type, content=copy.content) for copy in copies]
