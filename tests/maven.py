"""Small Java programs that tests run, built by Maven with pinned versions and verified checksums.

    build/<name>/<digest>/lib         the libraries, as Maven resolved them
    build/<name>/<digest>/<name>.jar  the few classes of ours

The digest is that of the sources, so that a change is a build of its own.
"""

import hashlib
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from service.supervisor.unusable import Unusable

BUILD = Path(__file__).parents[1] / "build"

#: into an empty repository a few hundred megabytes are fetched
BUILD_S = 900


@dataclass(frozen=True, slots=True)
class Program:
    """A Maven project whose artifact has this name and version 1."""

    name: str
    sources: Path

    def build(self) -> Path:
        """Return the folder of the built program, and build it first where its sources have changed.

        Raises:
            Unusable: Maven cannot; its first complaint is said.
        """
        folder = self.built()
        if folder.exists():
            return folder
        all_builds = folder.parent
        all_builds.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=all_builds, prefix="half-") as half:
            target = Path(half) / "target"
            output = Path(half) / "output"
            # `--strict-checksums` refuses an artifact whose checksum is not the repository's.
            made = subprocess.run(
                [
                    *("mvn", "--batch-mode", "--no-transfer-progress", "--strict-checksums", "--quiet"),
                    *("--file", str(self.sources / "pom.xml"), f"-DbuildDirectory={target}"),
                    f"-DoutputDirectory={output / 'lib'}",
                    *("resources:resources", "compiler:compile", "jar:jar", "dependency:copy-dependencies"),
                ],
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=BUILD_S,
                check=False,
            )
            if made.returncode != 0:
                said = (made.stdout + made.stderr).strip().splitlines() or ["it says nothing"]
                raise Unusable(f"{self.name} cannot be built: {said[0].removeprefix('[ERROR] ')}")
            shutil.move(target / f"{self.name}-1.jar", output / f"{self.name}.jar")
            for older in all_builds.iterdir():
                if older.name != Path(half).name and not older.name.startswith("half-"):
                    shutil.rmtree(older, ignore_errors=True)
            output.rename(folder)
        return folder

    def built(self) -> Path:
        """Return the folder of the program as the sources are now, whether it is there or not."""
        digest = hashlib.sha256()
        for path in sorted(path for path in self.sources.rglob("*") if path.is_file()):
            digest.update(str(path.relative_to(self.sources)).encode() + b"\0" + path.read_bytes())
        return BUILD / self.name / digest.hexdigest()[:16]

    def class_path(self) -> str:
        """Return what `java -cp` takes; builds it first if need be.

        Raises:
            Unusable: as in `build`.
        """
        folder = self.build()
        return f"{folder / self.name}.jar:{folder / 'lib'}/*"
