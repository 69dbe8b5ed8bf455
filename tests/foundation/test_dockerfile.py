"""The Dockerfile, done step by step in an empty folder: the image installs, starts, is healthy, and stops."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # litestar brings it, without types

from gateway.loading import load
from tests import locks
from tests.foundation.dockerfile import Builder, Stage, sent, steps

ROOT = Path(__file__).resolve().parents[2]
STEPS = list(steps((ROOT / "Dockerfile").read_text("utf-8")))
IGNORED = (ROOT / ".dockerignore").read_text("utf-8").splitlines()


def argument(verb: str) -> str:
    return next(step.argument for step in reversed(STEPS) if step.verb == verb)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Built for real: its environment comes from requirements.lock, hashes and all."""
    python = f"{sys.base_prefix}/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    return Builder(ROOT, tmp_path_factory.mktemp("docker"), python).build()


@pytest.fixture
def container(image: Stage) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The image's command, running on a free port as `docker run -e` would have it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {**image.surroundings(), "REPLIGATE__SERVER__PORT": str(port)}
    command = image.command("CMD")
    process = subprocess.Popen(
        command, cwd=image.place(""), env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    yield process, environ
    process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("image")
def test_the_image_starts_is_healthy_and_stops_when_told(
    image: Stage, container: tuple[subprocess.Popen[str], dict[str, str]]
) -> None:
    process, environ = container

    def healthy() -> bool:
        return subprocess.run(image.command("HEALTHCHECK"), env=environ, capture_output=True).returncode == 0

    until = time.monotonic() + 60
    while not healthy():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.1)
    assert [file.name for file in image.place("/data").iterdir() if file.suffix == ".db"] == ["repligate.db"]
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert f"Repligate listens on http://127.0.0.1:{environ['REPLIGATE__SERVER__PORT']}/v1" in said
    assert not healthy()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("image")
def test_the_image_holds_what_it_needs_and_nothing_else(image: Stage) -> None:
    assert sorted(each.name for each in image.place("/app").iterdir()) == [
        "LICENSE",
        "adapters",
        "config.toml",
        "gateway",
    ]
    assert not list(image.place("/app").rglob("__pycache__"))
    shipped = subprocess.run(["git", "ls-files", "gateway", "adapters"], cwd=ROOT, capture_output=True, text=True)
    assert all((image.place("/app") / name).exists() for name in shipped.stdout.split() if (ROOT / name).exists())


def test_the_image_runs_one_process_as_nobody_in_particular() -> None:
    assert argument("CMD").startswith('["python", "-m", "gateway", "serve"')
    assert argument("HEALTHCHECK").startswith('CMD ["python", "-c"')
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", argument("USER"))
    owner = next(
        step.options["chown"] for step in STEPS if step.verb == "COPY" and step.argument.endswith(argument("VOLUME"))
    )
    assert owner == argument("USER")


def test_the_image_installs_only_what_is_hashed() -> None:
    installs = [step.argument for step in STEPS if step.verb == "RUN" and "pip" in step.argument]
    assert installs
    assert all("--require-hashes -r" in install for install in installs)


def test_the_image_listens_where_it_says() -> None:
    told = dict(pair.split("=", 1) for step in STEPS if step.verb == "ENV" for pair in step.argument.split())
    assert told["REPLIGATE__SERVER__HOST"] == "0.0.0.0"
    assert told["REPLIGATE__SERVER__PORT"] == argument("EXPOSE")
    assert told["REPLIGATE_DATA_DIR"] == argument("VOLUME")


@pytest.mark.parametrize(
    ("path", "goes"),
    [
        ("gateway", True),
        ("gateway/accounts/prices.toml", True),
        ("gateway/__pycache__/app.pyc", False),
        ("config.toml", True),
        ("data/repligate.db", False),
        (".git/config", False),
        (".env", False),
        ("tests/conftest.py", False),
        (".venv/bin/python", False),
    ],
)
def test_only_what_the_image_needs_is_sent_to_its_builder(path: str, goes: bool) -> None:
    assert sent(path, IGNORED) is goes


def test_compose_adds_nothing_but_the_volume() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    (service,) = [each for each in compose["services"].values() if "profiles" not in each]
    volume = next(iter(compose["volumes"]))
    port = argument("EXPOSE")
    assert service == {
        "build": ".",
        "ports": [f"{port}:{port}"],
        "environment": ["REPLICATE_API_TOKEN"],
        "volumes": [f"{volume}:{argument('VOLUME')}"],
    }


def test_replicas_have_what_they_share_in_their_lock_and_their_settings(tmp_path: Path) -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    assert {name for name, each in services.items() if "profiles" in each} == {"replica", "postgres", "redis"}
    replica = services["replica"]
    lock = (ROOT / replica["build"]["args"]["REQUIREMENTS"]).read_text("utf-8")
    assert {"psycopg", "redis"} <= {name for name, _ in locks.pins(lock)}
    assert sent(replica["build"]["args"]["REQUIREMENTS"], IGNORED)
    told = {name: value for name, value in replica["environment"].items() if name.startswith("REPLIGATE__")}
    config = load(None, {**told, "REPLIGATE_DATA_DIR": str(tmp_path)})
    assert (config.state.database[:13], config.shared.redis[:8]) == ("postgresql://", "redis://")
    assert [step.argument for step in STEPS if step.verb == "ARG"] == ["REQUIREMENTS=requirements.lock"]
