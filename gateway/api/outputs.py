"""GET /outputs/{name}: our copies of files, by signed links that expire."""

from litestar import get
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from gateway.api.requests import Asked, gateway_of


@get("/outputs/{name:str}", status_code=200)
async def get_output(
    request: Asked, name: FromPath[str], expires: FromQuery[str] = "", signature: FromQuery[str] = ""
) -> Stream:
    """The file, to whoever holds the link; no key needed, so that browsers can show it."""
    output = await gateway_of(request).outputs.open(name, expires, signature)
    headers = {**output.headers, "content-length": str(output.size)}
    return Stream(output.content, media_type=output.content_type, status_code=200, headers=headers)
