"""The tests on every Python we support that is here, except the one this runs on.

    python tests/interpreters.py [--newest] [pytest arguments]

`--newest` takes only the newest of them. Each gets its own environment, `.venv-3.12` for one, from
requirements-dev.lock.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = ("3.11", "3.12", "3.13")


def others() -> dict[str, Path]:
    """Version → interpreter, for each supported version but our own that PATH or pyenv has."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = {version: next(working(version), None) for version in SUPPORTED if version != own}
    return {version: path for version, path in found.items() if path}


def working(version: str) -> Iterator[Path]:
    """Interpreters of this version that start; pyenv's stand-ins may be on PATH and not start."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    named = shutil.which(f"python{version}")
    for candidate in [*([Path(named)] if named else []), *sorted(pyenv.glob(f"versions/{version}.*/bin/python"))]:
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            yield candidate


def prepare(version: str, interpreter: Path) -> Path:
    """The environment's own interpreter; installs only what the lock changed."""
    folder, lock = ROOT / f".venv-{version}", ROOT / "requirements-dev.lock"
    python, stamp = folder / "bin" / "python", folder / "requirements-dev.stamp"
    if not stamp.exists() or stamp.stat().st_mtime < lock.stat().st_mtime:
        say([interpreter, "-m", "venv", "--clear", folder])
        say(
            [
                sys.executable,
                "-m",
                "uv",
                "pip",
                "install",
                "--quiet",
                "--require-hashes",
                "--python",
                python,
                "-r",
                lock,
            ]
        )
        stamp.touch()
    return python


def say(command: list[str | Path]) -> None:
    """Prints the command, with paths as seen from here, then runs it; raises CalledProcessError when it fails."""
    print(shlex.join(str(part).removeprefix(f"{ROOT}/") for part in command), flush=True)
    subprocess.run(command, cwd=ROOT, check=True)


def main(arguments: list[str]) -> int:
    """Exits 1 when the tests fail on any of them."""
    interpreters = others()
    if arguments[:1] == ["--newest"]:
        arguments, interpreters = arguments[1:], dict(list(interpreters.items())[-1:])
    if not interpreters:
        print(f"No other Python of {', '.join(SUPPORTED)} is here.")
    failed = []
    for version, interpreter in interpreters.items():
        try:
            say([prepare(version, interpreter), "-m", "pytest", "-n", "auto", "--dist", "loadgroup", "-q", *arguments])
        except subprocess.CalledProcessError:
            failed.append(version)
    if failed:
        print(f"Failed on Python {', '.join(failed)}.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
