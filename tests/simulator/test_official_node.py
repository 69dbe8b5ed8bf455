"""A tour with Replicate's own client for JavaScript, where Node and the client can be had."""

import json
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

import pytest

from gateway.simulator import Simulator

HERE = Path(__file__).parent / "node"


class Mailbox(BaseHTTPRequestHandler):
    """Takes a webhook, and gives it to whoever asks for it."""

    taken: SimpleQueue[dict[str, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        names = {"id": "webhook-id", "timestamp": "webhook-timestamp", "signature": "webhook-signature"}
        self.taken.put({"body": body} | {key: self.headers[name] for key, name in names.items()})
        self._answer(b"{}")

    def do_GET(self) -> None:
        self._answer(json.dumps(self.taken.get(timeout=10)).encode())

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def node() -> str:
    """Node, with the official client installed beside the tour."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("NOT SHOWN: Node.js and npm are not here, so the official JavaScript client was not tried")
    if not (HERE / "node_modules" / "replicate").exists():
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        installed = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=90, check=False)
        if installed.returncode:
            pytest.skip(f"NOT SHOWN: npm could not install the official JavaScript client: {installed.stderr[-300:]}")
    return node


def test_the_official_javascript_client_takes_its_whole_tour(node: str, simulator: Simulator) -> None:
    handler = type("OneMailbox", (Mailbox,), {"taken": SimpleQueue()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        hook = f"http://127.0.0.1:{server.server_address[1]}/?for=me"
        command = [node, str(HERE / "tour.mjs"), simulator.base_url, simulator.token, hook, simulator.webhook_secret]
        tour = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        server.shutdown()
        serving.join()
    assert tour.returncode == 0, tour.stderr
    found = json.loads(tour.stdout.strip().splitlines()[-1])
    assert {name: result for name, result in found.items() if result is not True} == {}
    assert len(found) == 14
