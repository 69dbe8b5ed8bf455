"""Every file in examples/ runs as it stands against a real gateway, and prints what it promises."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.clients.conftest import Run
from tests.served import ROOT

EXAMPLES = ROOT / "examples"
WORDS = re.compile(r"\w+(\W+\w+)+")


def test_chat_prints_an_answer(run: Run, python: str) -> None:
    assert WORDS.search(run(python, EXAMPLES / "chat.py"))


def test_stream_prints_an_answer_and_its_tokens(run: Run, python: str) -> None:
    *answer, tokens = run(python, EXAMPLES / "stream.py").splitlines()
    assert WORDS.search("\n".join(answer))
    assert re.fullmatch(r"[1-9]\d* tokens", tokens)


def test_images_leaves_two_pictures_of_the_size_it_asked_for(run: Run, python: str, tmp_path: Path) -> None:
    names = run(python, EXAMPLES / "images.py").split()
    assert names == ["lighthouse-1.png", "lighthouse-2.png"]
    for name in names:
        with Image.open(tmp_path / name) as picture:
            assert (picture.format, picture.size) == ("PNG", (1024, 1024))


def test_vision_prints_what_is_in_a_picture(run: Run, python: str, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "teal").save(tmp_path / "teal.png")
    assert WORDS.search(run(python, EXAMPLES / "vision.py", "teal.png"))


def test_curl_prints_an_answer_and_a_stream(run: Run) -> None:
    if not shutil.which("curl"):
        pytest.skip("there is no curl here")
    whole, _, stream = run(EXAMPLES / "chat.sh").partition("\n")
    assert WORDS.search(json.loads(whole)["choices"][0]["message"]["content"])
    frames = re.findall(r"^data: (.*)$", stream, re.MULTILINE)
    assert frames[-1] == "[DONE]"
    assert all(json.loads(frame)["object"] == "chat.completion.chunk" for frame in frames[:-1])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["langchain_chat.py", "llamaindex_chat.py"])
def test_frameworks_print_an_answer_and_a_stream(run: Run, clients_python: Path, name: str) -> None:
    lines = run(clients_python, EXAMPLES / name).strip().splitlines()
    assert len(lines) >= 2
    assert WORDS.search(lines[0])
    assert WORDS.search(lines[-1])


@pytest.mark.slow
def test_openais_node_client_prints_an_answer_and_a_stream(
    run: Run, node: str, beside_packages: Callable[[Path], Path]
) -> None:
    lines = run(node, beside_packages(EXAMPLES / "chat.mjs")).strip().splitlines()
    assert len(lines) >= 2
    assert WORDS.search(lines[0])
    assert WORDS.search(lines[-1])


@pytest.mark.slow
def test_the_ai_sdk_prints_a_stream_and_its_tokens(
    run: Run, node: str, beside_packages: Callable[[Path], Path]
) -> None:
    *answer, tokens = run(node, beside_packages(EXAMPLES / "ai_sdk.mjs")).strip().splitlines()
    assert WORDS.search("\n".join(answer))
    assert re.fullmatch(r"[1-9]\d* tokens", tokens)


def test_every_example_is_run_here() -> None:
    source = Path(__file__).read_text("utf-8")
    assert [file.name for file in EXAMPLES.iterdir() if file.is_file() and f'"{file.name}"' not in source] == []
