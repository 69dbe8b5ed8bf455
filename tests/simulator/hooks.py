"""A receiver of webhooks on a real socket."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import msgspec


class Hook(msgspec.Struct):
    """One webhook as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def prediction(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body, type=dict[str, Any])


class Receiver:
    """Collects webhooks, answering each with the next of its statuses, and the last one from then on."""

    def __init__(self, *statuses: int) -> None:
        self.hooks: list[Hook] = []
        self._statuses = list(statuses or (200,))
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.hooks.append(
                    Hook(self.path, {key.lower(): value for key, value in self.headers.items()}, body)
                )
                self.send_response(receiver._next())
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def _next(self) -> int:
        return self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook?for=me"

    @property
    def statuses(self) -> list[str]:
        return [hook.prediction["status"] for hook in self.hooks]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
