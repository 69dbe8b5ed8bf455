"""Every piece of code in README.md, and on the page of each class of models, runs as it stands."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import Run
from tests.served import ROOT

README = (ROOT / "README.md").read_text("utf-8")
PIECES = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
CLASSES = {
    f"{page.stem} {place}": code
    for page in sorted((ROOT / "docs" / "classes").glob("*.md"))
    for place, code in enumerate(
        re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    )
}
PYTHON = [code for language, code in PIECES if language == "python"]
NODE = [code for language, code in PIECES if language in {"js", "javascript"}]
CURL = [code for language, code in PIECES if language in {"sh", "bash"} and code.startswith("curl ")]


def first_import(code: str) -> str:
    return str(re.findall(r"^from (\w+)", code, re.MULTILINE)[0])


@pytest.mark.parametrize("code", PYTHON, ids=first_import)
def test_python(run: Run, code: str, python: str, request: pytest.FixtureRequest) -> None:
    interpreter = python if first_import(code) == "openai" else request.getfixturevalue("clients_python")
    assert run(interpreter, "-c", code).strip()


@pytest.mark.parametrize("code", CLASSES.values(), ids=CLASSES.keys())
def test_the_pages_of_the_classes(run: Run, code: str, python: str) -> None:
    assert run(python, "-c", code).strip()


@pytest.mark.parametrize("code", NODE)
def test_node(run: Run, code: str, node: str, beside_packages: Callable[[Path], Path], tmp_path: Path) -> None:
    program = tmp_path / "readme" / "piece.mjs"
    program.parent.mkdir()
    program.write_text(code, "utf-8")
    assert run(node, beside_packages(program)).strip()


@pytest.mark.parametrize("code", CURL)
def test_curl(run: Run, code: str) -> None:
    assert '"chat.completion"' in run("sh", "-c", code)


def test_there_is_a_piece_for_every_client_it_promises() -> None:
    assert {first_import(code) for code in PYTHON} >= {"openai", "langchain_openai"}
    assert "llama_index" in "".join(PYTHON)
    assert NODE
    assert CURL


def test_every_file_it_links_to_is_there() -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
