"""Reads the Dockerfile, and does outside a container what its builder stage does inside one.

The steps run as they stand, in a scratch folder: only `/build` and `/opt/hipway` lead there.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"

#: the folders of the image that lie elsewhere outside one
MOVED = re.compile(r"(?<![\w./-])/(?=build\b|opt/hipway\b)")


@dataclass(frozen=True)
class Step:
    """One instruction: `RUN`, and what to run."""

    word: str
    text: str


@dataclass(frozen=True)
class Stage:
    """One stage of the build."""

    base: str
    steps: tuple[Step, ...]

    def all(self, word: str) -> list[str]:
        """What every instruction of a kind says."""
        return [step.text for step in self.steps if step.word == word]

    def variables(self) -> dict[str, str]:
        """The environment that the stage sets."""
        words = [word for text in self.all("ENV") for word in shlex.split(text)]
        return dict(word.split("=", 1) for word in words)


@dataclass(frozen=True)
class Image:
    """What the final stage copies, in a scratch folder that stands for `/`."""

    root: Path

    @property
    def programs(self) -> Path:
        """The folder of hipway and its Python."""
        return self.root / "opt" / "hipway" / "bin"

    def environment(self) -> dict[str, str]:
        """The environment of every container of the image."""
        variables = stages()[-1].variables()
        return variables | {"PATH": f"{self.programs}:{os.defpath}"}


def stages() -> list[Stage]:
    """The stages, the final one last."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: list[Stage] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append(Stage(base=rest.partition(" ")[0], steps=()))
        else:
            found[-1] = Stage(base=found[-1].base, steps=(*found[-1].steps, Step(word, rest.strip())))
    return found


def context() -> set[str]:
    """The files that a build may see: those that .dockerignore names, without what it takes away again."""
    named = [ROOT / rule.removeprefix("!") for rule in _rules() if rule.startswith("!")]
    files = [file for path in named for file in ([path] if path.is_file() else path.rglob("*"))]
    found = {str(file.relative_to(ROOT)) for file in files if file.is_file()}
    return {name for name in found if not ignored(name)}


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a file out of the build: its last rule that fits decides.

    https://docs.docker.com/build/concepts/context/#dockerignore-files
    """
    parts = path.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    verdict = False
    for line in _rules():
        rule = line.removeprefix("!").rstrip("/")
        anywhere = rule.startswith("**/")
        if any(fnmatch(name, rule.removeprefix("**/")) for name in (parts if anywhere else above)):
            verdict = not line.startswith("!")
    return verdict


def _rules() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def build(root: Path) -> Image:
    """Run the builder stage into a folder that stands for `/`."""
    builder = stages()[0]
    (root / "build").mkdir(parents=True)
    _python_of_base(root / "base")
    # Everything is installed as in the image, but packages that this machine has fetched before are used.
    variables = {k: v for k, v in builder.variables().items() if k not in ("UV_NO_CACHE", "PIP_NO_CACHE_DIR")}
    here = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "HIPWAY_"))}
    environment = {**here, **variables, "PATH": f"{root}/base/bin:{os.environ['PATH']}"}
    for step in builder.steps:
        if step.word == "COPY":
            _copy(step.text, root / "build")
        elif step.word == "RUN":
            command = MOVED.sub(f"{root}/", step.text)
            done = subprocess.run(
                ["sh", "-ec", command],
                cwd=root / "build",
                env=environment,
                text=True,
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return Image(root=root)


def _python_of_base(folder: Path) -> None:
    """Make what the base image has: a Python with pip, of its minor version where that is here."""
    uv = Path(sys.executable).with_name("uv")
    version = stages()[0].base.partition(":")[2].partition("-")[0]
    for candidate in (version, sys.executable):
        made = subprocess.run(
            [uv, "venv", "--quiet", "--seed", "--no-project", "--python", candidate, folder],
            env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"},
            text=True,
            capture_output=True,
            check=False,
        )
        if made.returncode == 0:
            return
    raise AssertionError(made.stderr)


def _copy(text: str, folder: Path) -> None:
    """Copy what the build may see, as COPY does: the content of a folder, not the folder."""
    *sources, target = text.split()
    seen = context()
    for source in sources:
        inside = [name for name in seen if name == source or name.startswith(f"{source}/")]
        assert inside, f"COPY {source}: the build does not see it"
        for name in inside:
            rest = name.removeprefix(source).lstrip("/") or Path(source).name
            path = folder / target / rest
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, path)
