"""A gateway as people run it: a process of its own, on a free port, with an empty data folder."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import httpx
from openai import AsyncOpenAI, OpenAI

ROOT = Path(__file__).resolve().parent.parent
_ADDRESS = re.compile(r"(http://[\w.:\[\]]+/v1)\b")


class Served:
    """The running process; `output` is what it has printed so far, stderr after stdout."""

    def __init__(
        self,
        folder: Path,
        upstream: str,
        config: str = "",
        environ: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "config.toml"
        self.config.write_text(config, "utf-8")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("REPLICATE_", "REPLIGATE_"))}
        told = {"REPLICATE_API_BASE_URL": upstream, "REPLICATE_API_TOKEN": "r8_test"} if upstream else {}
        self.environ = {
            **clean,
            "REPLIGATE_DATA_DIR": str(folder / "data"),
            "PYTHONUNBUFFERED": "1",
            **told,
            **(environ or {}),
        }
        self._clients = ExitStack()
        self.printed: list[str] = []
        self.logged: list[str] = []
        self.start(*options)

    def start(self, *options: str) -> None:
        """Starts the process (again), and returns once it has printed where it listens."""
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(self.config), "--port", "0", *options]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=self.environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._listening = threading.Event()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.printed), (self.process.stderr, self.logged))
        ]
        del self.printed[:], self.logged[:]
        for reader in self._readers:
            reader.start()
        self._listening.wait(60)
        found = next(filter(None, map(_ADDRESS.search, self.printed)), None)
        if found is None:
            self.kill()
            raise AssertionError(f"the gateway did not start:\n{self.output}")
        self.base_url = found[1]

    @property
    def output(self) -> str:
        return "".join([*self.printed, *self.logged])

    @property
    def url(self) -> str:
        return self.base_url.removesuffix("/v1")

    @property
    def key(self) -> str:
        """A virtual key, issued once per gateway through the command line."""
        if not hasattr(self, "_key"):
            self._key = self.command("keys", "create", "test").splitlines()[-1]
        return self._key

    def command(self, *words: str) -> str:
        """What `repligate WORDS --config …` prints."""
        command = [sys.executable, "-m", "gateway", *words, "--config", str(self.config)]
        done = subprocess.run(command, cwd=ROOT, env=self.environ, text=True, capture_output=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def openai(self, key: str = "", **options: object) -> OpenAI:
        """A client that is closed with this gateway: one that is left to be collected may lose its socket first."""
        told = {"max_retries": 0, "timeout": 30, **options}
        client = OpenAI(base_url=self.base_url, api_key=key or self.key, **told)
        self._clients.callback(client.close)
        return client

    def async_openai(self, **options: object) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=self.base_url, api_key=self.key, **{"max_retries": 0, "timeout": 30, **options})

    def http(self) -> httpx.Client:
        """A plain client of the gateway's origin, with the key."""
        return httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {self.key}"}, timeout=30)

    def kill(self) -> None:
        """As a power cut would: SIGKILL."""
        self.process.kill()
        self.ended()

    def terminate(self, timeout: float = 30) -> int:
        """As an orchestrator would: SIGTERM, then wait; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout)
        return self.ended()

    def ended(self) -> int:
        """Waits for its end; the exit status."""
        status = self.process.wait(30)
        for reader in self._readers:
            reader.join(5)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        return status

    def _read(self, stream: object, lines: list[str]) -> None:
        for line in stream:  # type: ignore[attr-defined]
            lines.append(line)
            if _ADDRESS.search(line):
                self._listening.set()
        self._listening.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._clients.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.ended()
