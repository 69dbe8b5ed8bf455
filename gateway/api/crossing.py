"""Pages of other origins, which Litestar answers as CORS asks; other requests need not come by there."""

from typing import Any, cast

from litestar import Litestar
from litestar.types import Receive, Scope, Send

from gateway.api.headers import headers_of


def only_pages(app: Litestar) -> None:
    """Litestar's part for CORS, which reads every header, is for requests that tell an origin."""
    cors = cast(Any, app.asgi_handler)
    straight = cors.app

    async def chosen(scope: Scope, receive: Receive, send: Send) -> None:
        await (cors if b"origin" in headers_of(scope) else straight)(scope, receive, send)

    app.asgi_handler = chosen
