"""What is measured, each behind the same address: ours, a bare relay, and the peers, all in front of one upstream."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from msgspec import Struct

from benchmarks.load import NUMBER, Target
from benchmarks.processes import OURS, Process, Started, free_port, python

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "r8_benchmark"  # opens nothing but our own upstream
_KEY = "sk-benchmark-0000000000000000"
_MESSAGES = [{"role": "user", "content": f"Hello, who are you and what can you do for me today? I am {NUMBER}"}]


class Origin(Struct, frozen=True):
    """The upstream that all of them stand before."""

    url: str
    process: Process

    def asked(self) -> int:
        """How many requests it has had."""
        with urllib.request.urlopen(f"{self.url}/count", timeout=10) as told:
            requests: int = json.load(told)["requests"]
            return requests


class Peer(Struct, frozen=True):
    """Something that answers OpenAI's chat completions; `process` is None where nothing stands in between."""

    name: str
    origin: Origin
    process: Process | None
    address: str
    headers: dict[str, str]
    started: Started = Started()

    def target(self, model: str, *, stream: bool = False) -> Target:
        """One request for a model of the upstream's."""
        body = {"model": model, "messages": _MESSAGES, **({"stream": True} if stream else {})}
        return Target(f"{self.address}/chat/completions", self.headers, body)

    def picture(self, model: str) -> Target:
        """One picture, which only ours can be asked for."""
        return Target(f"{self.address}/images/generations", self.headers, {"model": model, "prompt": "a cat"})


Opener = Callable[[Origin, Path], AbstractContextManager[Peer]]


@contextmanager
def upstream(folder: Path) -> Iterator[Origin]:
    """The upstream, on the core of the clients."""
    port = free_port()
    with Process(python("benchmarks", "upstream", str(port)), folder, {"PYTHONPATH": str(ROOT)}, OURS) as process:
        process.ready(port, "/count")
        yield Origin(f"http://127.0.0.1:{port}", process)


@contextmanager
def direct(origin: Origin, folder: Path) -> Iterator[Peer]:
    """No gateway at all."""
    yield Peer("direct", origin, None, f"{origin.url}/v1", {})


@contextmanager
def relay(origin: Origin, folder: Path) -> Iterator[Peer]:
    """The floor: nginx with one worker, or where it is not there, a relay of bytes on asyncio."""
    port, home = free_port(), folder / "relay"
    home.mkdir(exist_ok=True)
    if nginx := _nginx():
        (home / "nginx.conf").write_text(_NGINX.format(home=home, port=port, origin=origin.url.removeprefix("http://")))
        name, command = "nginx", [nginx, "-p", str(home), "-c", str(home / "nginx.conf"), "-e", str(home / "error.log")]
    else:
        name, command = "raw relay", python("benchmarks", "relay", str(port), origin.url)
    with Process(command, home, {"PYTHONPATH": str(ROOT)}) as process:
        started = process.started(port, "/count")
        yield Peer(name, origin, process, f"http://127.0.0.1:{port}/v1", {}, started)


@contextmanager
def litellm(origin: Origin, folder: Path) -> Iterator[Peer]:
    """LiteLLM's proxy in front of the upstream's OpenAI face."""
    provider = f"openai/*\n      api_base: {origin.url}/v1\n      api_key: none"
    with _litellm("litellm", [], provider, origin, folder) as peer:
        yield peer


@contextmanager
def litellm_replicate(origin: Origin, folder: Path) -> Iterator[Peer]:
    """LiteLLM's proxy with its own Replicate provider."""
    script = [str(ROOT / "benchmarks/peers/litellm_here.py"), origin.url]
    with _litellm("litellm + replicate", script, f"replicate/*\n      api_key: {TOKEN}", origin, folder) as peer:
        yield peer


@contextmanager
def _litellm(name: str, script: list[str], provider: str, origin: Origin, folder: Path) -> Iterator[Peer]:
    port, home = free_port(), folder / name.replace(" ", "")
    home.mkdir(exist_ok=True)
    (home / "config.yaml").write_text(_LITELLM.format(provider=provider, key=_KEY))
    options = ["--config", "config.yaml", "--port", str(port), "--host", "127.0.0.1"]
    folder_of_peers = ROOT / ".venv-peers/bin"
    command = [str(folder_of_peers / "python"), *script] if script else [str(folder_of_peers / "litellm")]
    with Process([*command, *options], home, _LITELLM_ENVIRON) as process:
        started = process.started(port, "/health/liveliness")
        headers = {"authorization": f"Bearer {_KEY}"}
        yield Peer(name, origin, process, f"http://127.0.0.1:{port}/v1", headers, started)


@contextmanager
def portkey(origin: Origin, folder: Path) -> Iterator[Peer]:
    """Portkey's gateway as a plain relay to the upstream's OpenAI face."""
    port, home = free_port(), folder / "portkey"
    home.mkdir(exist_ok=True)
    headers = {
        "authorization": "Bearer none",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"{origin.url}/v1",
    }
    command = [shutil.which("node") or "node", str(_PORTKEY / "build/start-server.js"), "--headless", f"--port={port}"]
    with Process(command, home, {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}) as process:
        started = process.started(port, "/")
        yield Peer("portkey", origin, process, f"http://127.0.0.1:{port}/v1", headers, started)


def described() -> dict[str, str]:
    """What each of them is, as far as its own word goes."""
    told = {"Python": sys.version.split()[0]}
    if nginx := _nginx():
        said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
        told["nginx"] = said.partition("nginx/")[2].strip()
    if node := shutil.which("node"):
        told["Node"] = subprocess.run([node, "-v"], capture_output=True, text=True, check=True).stdout.strip()
    if (package := _PORTKEY / "package.json").exists():
        told["Portkey's gateway"] = json.loads(package.read_text())["version"]
    for found in ROOT.glob(".venv-peers/lib/*/site-packages/litellm-*.dist-info"):
        told["LiteLLM"] = found.name.removesuffix(".dist-info").partition("-")[2]
    return told


def installed() -> dict[str, float]:
    """How many seconds each environment took that was made for this; nothing of one that was there long before."""
    told = {}
    for name in (".venv", ".venv-peers"):
        made, ready = ROOT / name / "pyvenv.cfg", ROOT / name / "requirements.stamp"
        if made.exists() and ready.exists() and 0 < (took := ready.stat().st_mtime - made.stat().st_mtime) < 600:
            told[f"installing {name}"] = took
    return told


def _nginx() -> str | None:
    """The system's, or the one that `make` has unpacked."""
    places = (os.environ["PATH"], "/usr/sbin", str(ROOT / "benchmarks/peers/debian/usr/sbin"))
    return shutil.which("nginx", path=os.pathsep.join(places))


_PORTKEY = ROOT / "benchmarks/peers/node_modules/@portkey-ai/gateway"

_NGINX = """
daemon off; worker_processes 1; pid {home}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi; uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
  keepalive_requests 10000000;
  upstream origin {{ server {origin}; keepalive 1200; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""

_LITELLM = """
model_list:
  - model_name: "*"
    litellm_params:
      model: {provider}
general_settings:
  master_key: {key}
litellm_settings:
  telemetry: false
  drop_params: true
"""

_LITELLM_ENVIRON = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOG": "ERROR",
    "LITELLM_TELEMETRY": "False",
    # Else its Replicate provider looks for a tokenizer on the internet before the first token, for 23 s.
    "HF_HUB_OFFLINE": "1",
}
