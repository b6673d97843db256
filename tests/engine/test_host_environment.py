"""Environments of tools, made by the real pip from wheels that the test writes, with no network."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import subprocess
import zipfile
from pathlib import Path

import pytest

from sensorium.errors import OperatorError
from sensorium.host.environment import Environments


def write_wheel(folder: Path, name: str, version: str, needs: str = "") -> None:
    """A wheel with one module that knows its version."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + needs,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,"]) + "\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only packages that pip finds."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for needed in ("numpy", "pillow", "msgspec"):
        write_wheel(folder, needed, importlib.metadata.version(needed))
    write_wheel(folder, "greeting", "1.0")
    write_wheel(folder, "picky", "2.0", "Requires-Dist: nowhere-to-be-found\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """A requirements file of a tool."""
    folder = tmp_path / "tools/sample"
    folder.mkdir(parents=True)
    (folder / "requirements.txt").write_text("greeting==1.0\n")
    return folder / "requirements.txt"


@pytest.fixture
def environments(tmp_path: Path, wheels: Path) -> Environments:
    return Environments(tmp_path / "home")


def printed(python: Path, code: str) -> str:
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_an_environment_has_what_is_asked_for_and_what_a_worker_needs(
    environments: Environments, requirements: Path
) -> None:
    requirements.with_name("requirements.no-deps.txt").write_text("picky==2.0\n")
    said: list[str] = []
    python = environments.make(requirements, said.append)
    code = "import greeting, picky, numpy; print(greeting.VERSION, picky.VERSION, numpy.VERSION)"
    assert printed(python, code) == f"1.0 2.0 {importlib.metadata.version('numpy')}"
    assert any("Successfully installed" in line for line in said)
    assert environments.python(requirements) == python
    said.clear()
    assert environments.make(requirements, said.append) == python
    assert said == []


def test_requirements_may_name_another_version_of_what_a_worker_needs(
    environments: Environments, requirements: Path, wheels: Path
) -> None:
    write_wheel(wheels, "numpy", "1.9.9")
    before = environments.place(requirements)
    requirements.write_text("greeting==1.0\nnumpy==1.9.9\n")
    assert environments.place(requirements) != before
    python = environments.make(requirements)
    code = "import numpy, msgspec; print(numpy.VERSION, msgspec.VERSION)"
    assert printed(python, code) == f"1.9.9 {importlib.metadata.version('msgspec')}"


def test_an_environment_that_was_not_made_says_which_command_makes_it(
    environments: Environments, requirements: Path
) -> None:
    with pytest.raises(OperatorError, match="was not made; run `sensorium models pull sample`"):
        environments.python(requirements)


def test_other_requirements_are_another_environment(environments: Environments, requirements: Path) -> None:
    first = environments.place(requirements)
    requirements.with_name("requirements.no-deps.txt").write_text("picky==2.0\n")
    second = environments.place(requirements)
    requirements.write_text("greeting\n")
    assert len({first, second, environments.place(requirements)}) == 3


def test_what_cannot_be_installed_is_told_in_pips_last_lines_and_nothing_is_left(
    environments: Environments, requirements: Path
) -> None:
    requirements.write_text("not-there==3.0\n")
    with pytest.raises(OperatorError, match=r"(?s)cannot be made: .*exit code 1.*No matching distribution.*not-there"):
        environments.make(requirements)
    assert not environments.place(requirements).exists()


def test_an_interrupt_leaves_nothing_that_counts_as_made(environments: Environments, requirements: Path) -> None:
    def interrupt(line: str) -> None:
        if "greeting" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        environments.make(requirements, interrupt)
    with pytest.raises(OperatorError, match="was not made"):
        environments.python(requirements)
    assert environments.make(requirements).is_file()


def test_requirements_that_are_missing_are_the_operators_error(environments: Environments, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"requirements .*gone.txt cannot be read"):
        environments.python(tmp_path / "gone.txt")
