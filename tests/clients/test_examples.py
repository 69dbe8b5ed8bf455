"""Every file in examples/ runs as it stands against a real gateway, and prints what it promises."""

import json
import re
import shutil
import wave
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


def test_sound_is_spoken_and_written_down(run: Run, python: str, tmp_path: Path) -> None:
    lines = run(python, EXAMPLES / "sound.py").splitlines()
    assert " ".join(line[14:] for line in lines) == "The lamp is lit at dusk. Ships turn away from the rocks."
    with wave.open(str(tmp_path / "lighthouse.wav")) as file:
        assert file.getnframes() / file.getframerate() > 1


def test_curl_speaks_and_prints_subtitles(run: Run, tmp_path: Path) -> None:
    if not shutil.which("curl"):
        pytest.skip("there is no curl here")
    number, times, words = run(EXAMPLES / "sound.sh").strip().splitlines()
    assert (number, words) == ("1", "The lamp is lit at dusk.")
    assert re.fullmatch(r"00:00:00,000 --> 00:00:0\d,\d{3}", times)
    assert (tmp_path / "lighthouse.wav").read_bytes().startswith(b"RIFF")


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


def test_embeddings_prints_how_near_each_text_is(run: Run, python: str) -> None:
    lines = run(python, EXAMPLES / "embeddings.py").splitlines()
    assert [re.fullmatch(r"-?\d\.\d\d (.+)", line)[1] for line in lines] == ["a heron", "a tax return"]  # type: ignore[index]


@pytest.mark.slow
def test_langchain_finds_the_nearest_text(run: Run, clients_python: Path) -> None:
    nearest, *_, last = run(clients_python, EXAMPLES / "langchain_search.py").splitlines()
    assert nearest == "the heron stands in the reeds"
    assert "tax" in last


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


def test_a_model_calls_functions_and_answers_with_their_results(run: Run, python: str) -> None:
    *calls, answer = run(python, EXAMPLES / "tools.py").strip().splitlines()
    assert calls == ['calls get_weather({"city":"Paris"})', 'calls get_weather({"city":"Oslo"})']
    assert "21 degrees in Paris" in answer
    assert "21 degrees in Oslo" in answer


@pytest.mark.slow
@pytest.mark.parametrize("name", ["agents_sdk.py", "agents_responses.py"])
def test_an_agent_uses_two_tools(run: Run, clients_python: Path, name: str) -> None:
    answer = run(clients_python, EXAMPLES / name)
    assert "21 degrees in Lisbon" in answer
    assert "5.5" in answer


@pytest.mark.slow
def test_instructor_extracts_by_tools_and_by_schema(run: Run, clients_python: Path) -> None:
    assert run(clients_python, EXAMPLES / "instructor_extract.py").split("\n")[:2] == ["Ada 36", "Ada 36"]


@pytest.mark.slow
def test_langchain_calls_tools_and_extracts(run: Run, clients_python: Path) -> None:
    answer, *people = run(clients_python, EXAMPLES / "langchain_tools.py").strip().splitlines()
    assert "21 degrees in Paris" in answer
    assert people == ["name='Ada' age=36"] * 2


@pytest.mark.slow
def test_llamaindex_calls_a_tool(run: Run, clients_python: Path) -> None:
    assert "21 degrees in Paris" in run(clients_python, EXAMPLES / "llamaindex_tools.py")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ai_sdk_tools.mjs", "ai_sdk_responses.mjs"])
def test_the_ai_sdk_calls_tools_extracts_and_streams_messages_for_a_page(
    run: Run, node: str, beside_packages: Callable[[Path], Path], name: str
) -> None:
    answer, person, parts = run(node, beside_packages(EXAMPLES / name)).strip().splitlines()
    assert "21 degrees in Paris" in answer
    assert person == "Ada 36"
    assert {"tool-input-available", "tool-output-available", "text-delta", "finish"} <= set(parts.split())


def test_every_example_is_run_here() -> None:
    source = Path(__file__).read_text("utf-8")
    assert [file.name for file in EXAMPLES.iterdir() if file.is_file() and f'"{file.name}"' not in source] == []
