"""The product installed as the Dockerfile does it: from a wheel, far from the checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


def dockerfile() -> list[tuple[str, str]]:
    """The instructions: name and arguments, with continued lines joined."""
    text = (ROOT / "Dockerfile").read_text()
    joined = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def arguments(instruction: str) -> list[str]:
    return [rest for name, rest in dockerfile() if name == instruction]


def image_environment() -> dict[str, str]:
    """The image's variables but PATH."""
    return {name: value for name, value in re.findall(r"(\w+)=(\S+)", " ".join(arguments("ENV"))) if name != "PATH"}


@dataclass(frozen=True)
class Installation:
    """What the image would hold.

    Attributes:
        environment: The virtual environment, ``/opt/loyalty`` in the image.
        workdir: The last stage's WORKDIR, with what is copied there.
    """

    environment: Path
    workdir: Path

    def run(self, *argv: str, env: dict[str, str] | None = None) -> str:
        """Run one of its commands as in the image, with the checkout on no path, and return what it prints."""
        done = subprocess.run(
            self.command(argv), env=self.variables(env), cwd=self.workdir, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *argv: str, env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Start one of its commands."""
        with log.open("wb") as out:
            return subprocess.Popen(
                self.command(argv), env=self.variables(env), cwd=self.workdir, stdout=out, stderr=out
            )

    def command(self, argv: tuple[str, ...]) -> list[str]:
        own = self.environment / "bin" / argv[0]
        return [str(own) if own.exists() else argv[0], *argv[1:]]

    def variables(self, env: dict[str, str] | None = None) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LOYALTY_"))}
        return {**clean, **(env or {}), "PATH": f"{self.environment / 'bin'}:{clean['PATH']}"}


def install(folder: Path) -> Installation:
    """Build the wheel from what the Dockerfile copies, and install it into an environment of its own."""
    stages = [number for number, (name, _rest) in enumerate(dockerfile()) if name == "FROM"]
    build, final = folder / "build", folder / "app"
    for destination, instructions in ((build, dockerfile()[: stages[1]]), (final, dockerfile()[stages[1] :])):
        destination.mkdir(parents=True)
        for name, rest in instructions:
            if name == "COPY" and not rest.startswith("--from"):
                _copy(rest.split(), destination)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder / "wheels"), str(build))
    (wheel,) = (folder / "wheels").glob("*.whl")
    environment = folder / "loyalty"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    _pip("install", "--no-deps", "--no-index", str(wheel), python=environment / "bin" / "python")
    # The dependencies are those of this environment. A folder named in a .pth file is searched, but its own .pth files
    # are not read: the checkout, which an editable install adds that way, stays out.
    site = environment / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    faust = Path(sys.executable).parent / "faust"
    script = faust.read_text().splitlines(keepends=True)
    (environment / "bin" / "faust").write_text("".join([f"#!{environment / 'bin' / 'python'}\n", *script[1:]]))
    (environment / "bin" / "faust").chmod(0o755)
    return Installation(environment, final)


def _copy(words: list[str], destination: Path) -> None:
    *sources, target = words
    for source in sources:
        path = ROOT / source
        if path.is_dir():
            shutil.copytree(path, destination / target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy2(path, destination / target)


def _pip(*words: str, python: Path | None = None) -> None:
    which = ["--python", str(python)] if python else []
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *which, *words],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
