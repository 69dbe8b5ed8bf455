"""The design holds in the code: who imports whom, what adapters may know, how modules are named; sizes are printed.

python tests/test_architecture.py     prints what has grown larger than we like
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(file.relative_to(ROOT) for folder in ("adapters", "gateway") for file in (ROOT / folder).rglob("*.py"))
ADAPTERS = [module for module in MODULES if module.parts[0] == "adapters"]

PARSERS = {"jiter", "jsonschema_rs", "minijinja", "msgspec"}
ACTING = {
    *(
        "asyncio",
        "concurrent",
        "ctypes",
        "ftplib",
        "http",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "pathlib",
        "random",
    ),
    *("sched", "secrets", "select", "selectors", "shelve", "shutil", "signal", "smtplib", "socket", "socketserver"),
    *("sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib.request", "uuid", "warnings"),
}
IN_MEMORY = {"io.BytesIO"}
"""A file that is only bytes, as the standard library's readers want them: nothing is opened."""
SAYS_NOTHING = {
    "base_utils",
    "common",
    "core",
    "helper",
    "helpers",
    "manager",
    "misc",
    "service",
    "services",
    "util",
    "utils",
}

HEAVY = {
    "PIL": "reading pictures, for masks",
    "aiohttp": "proxies",
    "alembic": "books of an older form",
    "attr": "nothing",
    "gateway.simulator": "those without a token",
    "psycopg": "books on PostgreSQL",
    "pygments": "nothing",
    "redis": "several gateways",
    "rich": "tables on a terminal",
    "sqlalchemy.dialects.postgresql": "books on PostgreSQL",
    "sqlalchemy.orm": "nothing",
}
"""What a gateway that serves loads only where it needs it, and for what."""

LONGEST_MODULE, LONGEST_FUNCTION, MOST_PARAMETERS = 300, 40, 5


def tree(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text("utf-8"))


def imported(module: Path) -> Iterator[str]:
    """The modules that this one imports, by their whole names."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{each.name}" for each in node.names}
            if not names <= IN_MEMORY:
                yield from {node.module, *names}


def test_every_layer_imports_only_those_below_it() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    checked = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("module", ADAPTERS, ids=str)
def test_adapters_know_and_do_not_act(module: Path) -> None:
    names = set(imported(module))
    tops = {name.partition(".")[0] for name in names}
    assert not (names | tops) & ACTING
    assert tops <= {*sys.stdlib_module_names, *PARSERS, "adapters"}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_the_first_line_of_a_module_says_what_it_is_for(module: Path) -> None:
    said = ast.get_docstring(tree(module)) or ""
    assert said.splitlines()[:1]
    assert said.splitlines()[0].endswith((".", "?", ":"))


def test_no_module_is_named_for_nothing() -> None:
    assert not {module.stem for module in MODULES} & SAYS_NOTHING
    assert not [module for module in MODULES if module.stem[-1].isdigit()]


def test_a_gateway_loads_nothing_heavy_that_it_may_never_need() -> None:
    serving = "import sys, gateway.cli; gateway.cli.server(); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", serving], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not HEAVY.keys() & set(ran.stdout.split())


def functions(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def smells() -> Iterator[str]:
    """What is larger than we like, one line each; a reason to look again, no fault."""
    for module in MODULES:
        lines = len((ROOT / module).read_text("utf-8").splitlines())
        if lines > LONGEST_MODULE:
            yield f"{module}: {lines} lines"
        for function in functions(module):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > LONGEST_FUNCTION:
                yield f"{module}:{function.lineno}: {function.name} has {length} lines"
            parameters = [
                each.arg for each in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
            ]
            count = len([each for each in parameters if each not in {"self", "cls"}])
            if count > MOST_PARAMETERS:
                yield f"{module}:{function.lineno}: {function.name} has {count} parameters"


if __name__ == "__main__":
    print("\n".join(["Larger than we like:", *smells()]))
