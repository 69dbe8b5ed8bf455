"""The command line as `python -m gateway`; says what to install where that is missing."""

import shlex
import sys
from pathlib import Path

# This file must stay readable to an old Python, which it turns away: nothing newer than 3.6 in here.
ROOT = Path(__file__).resolve().parent.parent
INSTALL = "python3 -m venv .venv && .venv/bin/python -m pip install --require-hashes -r requirements.lock && "


def main() -> None:
    """Runs the command line, or leaves with one sentence and status 1."""
    if sys.version_info < (3, 11):
        here = sys.version.split()[0]
        sys.exit(
            f"Repligate needs Python 3.11 or newer and this is {here}: run `make serve`, which looks for a newer one."
        )
    try:
        from gateway.cli import main as run
    except ModuleNotFoundError as missing:
        if str(missing.name).partition(".")[0] in {"adapters", "gateway"}:
            raise
        sys.exit(f"The package {missing.name!r} is not installed for this Python: run `{remedy()}`.")
    run()


def remedy() -> str:
    """What to type instead: the same in the environment that is there, else making one first."""
    ready = (ROOT / ".venv" / "requirements.stamp").exists()
    again = " ".join([".venv/bin/python -m gateway", *map(shlex.quote, sys.argv[1:])])
    return again if ready else INSTALL + again


if __name__ == "__main__":
    main()
