"""Conversions: run once in a process of their own, on plain weights alone."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sensorium.checkpoint import Checkpoints
from sensorium.checkpoint.conversions import Conversion, conversion, run_conversion
from sensorium.errors import AuthorError, OperatorError
from sensorium.spec.manifest import Manifest
from sensorium.spec.read import read_project


def from_folder(folder: Path, name: str, convert: str) -> Manifest:
    data = (folder / name).read_bytes()
    files = [{"name": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}]
    fields: dict[str, Any] = {"about": "Test.", "licence": "MIT", "files": files, "convert": convert}
    return Manifest.model_validate({**fields, "places": [{"path": str(folder)}]})


def header(path: Path) -> dict[str, Any]:
    """A safetensors file's header: names, dtypes, shapes."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    found: dict[str, Any] = json.loads(data[8 : 8 + size])
    found.pop("__metadata__", None)
    return found


def test_a_pickle_becomes_safetensors_beside_it_once(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    weight = torch.arange(6.0).reshape(2, 3)
    nested = {"epoch": 3, "model": {"a.weight": weight, "tied.weight": weight, "b": torch.ones(2, dtype=torch.float16)}}
    torch.save(nested, tmp_path / "net.pth")
    checkpoints = Checkpoints(tmp_path / "home", {"net": from_folder(tmp_path, "net.pth", "pickle-to-safetensors")})
    directory = checkpoints.pull("net")
    found = header(directory / "model.safetensors")
    assert {name: (entry["dtype"], entry["shape"]) for name, entry in found.items()} == {
        "a.weight": ("F32", [2, 3]),
        "tied.weight": ("F32", [2, 3]),
        "b": ("F16", [2]),
    }
    assert (directory / "net.pth").is_file()
    changed = (directory / "model.safetensors").stat().st_mtime_ns
    checkpoints.pull("net")
    assert (directory / "model.safetensors").stat().st_mtime_ns == changed
    assert checkpoints.verify("net") == []


class Malicious:
    def __init__(self, trap: Path) -> None:
        self.trap = trap

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (str(self.trap), "w"))


def test_a_malicious_pickle_is_not_executed_and_nothing_is_kept_of_it(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    trap = tmp_path / "trap"
    (tmp_path / "net.pth").write_bytes(pickle.dumps({"model": Malicious(trap)}))
    checkpoints = Checkpoints(tmp_path / "home", {"net": from_folder(tmp_path, "net.pth", "pickle-to-safetensors")})
    with pytest.raises(OperatorError, match="cannot be read as plain weights"):
        checkpoints.pull("net")
    assert not trap.exists()
    assert checkpoints.state("net").state != "present"
    assert not list((tmp_path / "home").rglob("*.safetensors"))


def test_a_pickle_is_not_even_opened_when_its_digest_is_wrong(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (tmp_path / "net.pth").write_bytes(b"x" * 100)
    wanted = from_folder(tmp_path, "net.pth", "pickle-to-safetensors")
    (tmp_path / "net.pth").write_bytes(pickle.dumps({"model": Malicious(trap)}).ljust(100, b".")[:100])
    with pytest.raises(OperatorError, match="expected sha256"):
        Checkpoints(tmp_path / "home", {"net": wanted}).pull("net")
    assert not trap.exists()


def test_a_conversion_that_fails_says_why_in_its_own_last_words(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "target").mkdir()
    unknown = Conversion("lead-to-gold", 1, "nowhere", 1.0)
    with pytest.raises(OperatorError, match="failed with status 2:\nconversion 'lead-to-gold' is unknown"):
        run_conversion(unknown, tmp_path / "source", tmp_path / "target", lambda: None)
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".said")] == []


def test_what_interrupts_a_pull_ends_its_conversion(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "target").mkdir()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_conversion(conversion("pickle-to-safetensors"), tmp_path / "source", tmp_path / "target", interrupt)


def test_an_unknown_conversion_is_the_authors_fault(tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"x")
    checkpoints = Checkpoints(tmp_path / "home", {"net": from_folder(tmp_path, "net.pth", "pickle-to-gold")})
    with pytest.raises(AuthorError, match="'pickle-to-gold' is unknown; conversions: pickle-to-safetensors"):
        checkpoints.pull("net")


def test_the_engine_side_of_checkpoints_imports_no_torch() -> None:
    code = "import sys, sensorium.checkpoint.convert; print('torch' in sys.modules, 'httpx' in sys.modules)"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.models
@pytest.mark.slow
def test_a_gguf_model_becomes_a_directory_that_transformers_loads(tmp_path: Path) -> None:
    from sensorium.project.folders import box_folder, home_folder

    manifests = read_project(box_folder() / "sensorium.yaml").checkpoints
    source = Checkpoints(home_folder(), manifests).pull("smollm2-135m")
    target = tmp_path / "target"
    target.mkdir()
    run_conversion(conversion("gguf-to-transformers"), source, target, lambda: None)
    tensors = header(target / "model.safetensors")
    assert {entry["dtype"] for entry in tensors.values()} == {"BF16"}
    assert tensors["model.embed_tokens.weight"]["shape"] == [49152, 576]
    assert "<|im_start|>" in (target / "chat_template.jinja").read_text()
    assert (target / "tokenizer.json").is_file()
