"""A Dockerfile done by hand in a folder, for machines without Docker: as much of its language as ours uses."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, field

OURS = ("app", "build", "data", "venv")
"""What our Dockerfile makes at the image's root; such paths in its commands are moved below the stage's folder."""


class Step(Struct, frozen=True):
    """An instruction, its argument as written, and its options."""

    verb: str
    argument: str
    options: dict[str, str]


class Stage(Struct):
    """What FROM begins: a folder for its root, and what the later steps have set."""

    root: Path
    workdir: str = "/"
    environ: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)

    def place(self, path: str) -> Path:
        """Where a path of the image is on this machine."""
        return self.root / os.path.normpath(Path(self.workdir, path)).lstrip("/")

    def moved(self, text: str) -> str:
        """The text, with the image's absolute paths below our folder."""
        return re.sub(rf"(?<![\w./:-])/(?=(?:{'|'.join(OURS)})\b)", f"{self.root}/", text)

    def command(self, verb: str) -> list[str]:
        """The words of an instruction in exec form, such as CMD."""
        words = json.loads(self.settings[verb].removeprefix("CMD "))
        return [self.moved(word) for word in words]

    def surroundings(self) -> dict[str, str]:
        """The environment of the image's processes, on a machine that knows nothing else of this project."""
        known = {
            name: value for name, value in os.environ.items() if not name.startswith(("REPLI", "PYTHON", "VIRTUAL"))
        }
        return known | {name: self.moved(value) for name, value in self.environ.items()}


class Builder:
    """Does the steps one after the other; `stages` are what came of it, the last is the image."""

    def __init__(self, context: Path, folder: Path, python: str, **arguments: str) -> None:
        """`python` stands for the interpreter of the base image; `arguments` are those of `--build-arg`."""
        self.arguments = arguments
        self.context, self.folder, self.python = context, folder, python
        self.ignored = (context / ".dockerignore").read_text("utf-8").splitlines()
        self.stages: dict[str, Stage] = {}

    def build(self) -> Stage:
        """The finished image. Raises AttributeError for an instruction that is not known here."""
        for step in steps((self.context / "Dockerfile").read_text("utf-8")):
            if step.verb in {"CMD", "EXPOSE", "HEALTHCHECK", "USER", "VOLUME"}:
                self.stage.settings[step.verb] = step.argument
            else:
                getattr(self, step.verb.lower())(step)
        return self.stage

    @property
    def stage(self) -> Stage:
        return list(self.stages.values())[-1]

    def from_(self, step: Step) -> None:
        name = step.argument.partition(" AS ")[2] or "image"
        stage = self.stages[name] = Stage(self.folder / name)
        (stage.root / "usr").mkdir(parents=True)
        (stage.root / "usr" / "python").symlink_to(self.python)
        stage.environ["PATH"] = f"{stage.root}/usr:{os.environ['PATH']}"

    def arg(self, step: Step) -> None:
        name, _, default = step.argument.partition("=")
        self.arguments.setdefault(name, default)

    def env(self, step: Step) -> None:
        for name, value in (pair.split("=", 1) for pair in shlex.split(step.argument)):
            self.stage.environ[name] = re.sub(r"\$(\w+)", lambda known: self.stage.environ[known[1]], value)

    def workdir(self, step: Step) -> None:
        self.stage.workdir = step.argument
        self.stage.place("").mkdir(parents=True)

    def run(self, step: Step) -> None:
        stage = self.stage
        subprocess.run(stage.moved(step.argument), shell=True, cwd=stage.root, env=stage.surroundings(), check=True)

    def copy(self, step: Step) -> None:
        *sources, target = re.sub(r"\$\{(\w+)\}", lambda known: self.arguments[known[1]], step.argument).split()
        for source in sources:
            place = self.stage.place(target)
            place = place / Path(source).name if target.endswith("/") else place
            place.parent.mkdir(parents=True, exist_ok=True)
            if "from" in step.options:
                shutil.copytree(self.stages[step.options["from"]].place(source), place, symlinks=True)
            else:
                self.send(source, place)

    def send(self, source: str, place: Path) -> None:
        """From the context, without what .dockerignore keeps out of it."""
        names = [source, *(str(file.relative_to(self.context)) for file in (self.context / source).rglob("*"))]
        names = [name for name in names if sent(name, self.ignored)]
        assert source in names, f".dockerignore keeps {source} out"
        for name in names:
            target = place / Path(name).relative_to(source)
            if (self.context / name).is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                shutil.copy2(self.context / name, target)


def steps(text: str) -> Iterator[Step]:
    """The instructions in order, with continued lines joined and comments left out."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in filter(str.strip, re.sub(r"\\\n\s*", " ", lines).splitlines()):
        verb, _, rest = line.strip().partition(" ")
        options = {}
        while option := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
            options[option[1]] = option[2]
            rest = rest[option.end() :]
        yield Step("from_" if verb == "FROM" else verb, rest.strip(), options)


def sent(path: str, ignored: list[str]) -> bool:
    """Whether .dockerignore lets a path of the context through: the last line that matches decides."""
    lines = [line for line in ignored if line and not line.startswith("#") and matches(path, line.removeprefix("!"))]
    return not lines or lines[-1].startswith("!")


def matches(path: str, pattern: str) -> bool:
    """A pattern means a path, or a folder that the path is in."""
    parts = path.split("/")
    if pattern.startswith("**/"):
        return any(fnmatch.fnmatchcase(part, pattern[3:]) for part in parts)
    return fnmatch.fnmatchcase("/".join(parts[: pattern.count("/") + 1]), pattern)
