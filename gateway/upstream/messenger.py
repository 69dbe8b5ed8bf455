"""Messages to an address of the operator's own, signed so that whoever receives them knows whose they are.

The operator names the address in the settings, as they name the database: it may well be inside of their network, so no
address is refused. Whoever answers there is not trusted: redirects are not followed, nothing of the reply but its
status is read, and nobody is told what it said. A path may be a secret: only the host is logged.
"""

from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import stamina
from standardwebhooks import Webhook

ATTEMPTS, IN_ALL_SECONDS, EACH_SECONDS = 3, 25.0, 7.0
"""A round of attempts ends well within the lease of what is sent."""


class Undelivered(Exception):
    """The address did not take it; the message says why, without the address."""


class Messenger:
    """Sends in the form of Standard Webhooks."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def send(self, url: str, secret: str, identity: str, body: str) -> None:
        """Returns when it was taken. Tried again, the message has the same id. Raises Undelivered."""
        async for attempt in stamina.retry_context(
            on=Undelivered, attempts=ATTEMPTS, timeout=IN_ALL_SECONDS, wait_initial=0.2, wait_max=2.0
        ):
            with attempt:
                await self._post(url, _signed(secret, identity, body), body)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _post(self, url: str, headers: dict[str, str], body: str) -> None:
        try:
            async with self._http.stream("POST", url, content=body, headers=headers, timeout=EACH_SECONDS) as reply:
                if not reply.is_success:
                    raise Undelivered(f"{_host(url)} answered with status {reply.status_code}")
        except (httpx.HTTPError, httpx.InvalidURL) as wrong:
            raise Undelivered(f"{_host(url)} cannot be reached: {type(wrong).__name__}") from None


def _signed(secret: str, identity: str, body: str) -> dict[str, str]:
    # Signed anew for each attempt: receivers refuse what was signed minutes ago.
    now = datetime.now(UTC)
    return {
        "content-type": "application/json",
        "webhook-id": identity,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(identity, now, body),
    }


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the address"
