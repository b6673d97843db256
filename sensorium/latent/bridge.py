"""Bridges: maps from the states of one model to input embeddings of another, applied by numpy.

A bridge is a folder: `bridge.yaml` declares it, `weights.safetensors` holds its arrays, `card.json` says what was
measured. For `x` of [rows, stride * width], neighbouring states laid side by side:

    n = layer_norm((states - mean) / deviation, laid side by side) * norm.weight + norm.bias
    y = gelu(n @ in.weight.T + in.bias) @ out.weight.T + out.bias  [+ n @ skip.weight.T]
    rows = y * scale

The last row is filled up with the last state where the positions are no multiple of the stride. With a `gate`, what is
laid side by side is the states of each token that it hears instead, see `bridge_gate`. Nowhere does a vocabulary come
in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BeforeValidator, Field

from sensorium.errors import AuthorError, CallerError, Fault
from sensorium.latent.bridge_card import BridgeCard, MeasuredOf, read_card
from sensorium.latent.bridge_gate import GateSpec, gate_shapes, gated, gelu
from sensorium.latent.bridge_weights import read_weights, weights_digest
from sensorium.spec.declared import CheckpointName, Declared
from sensorium.spec.validation import validate
from sensorium.spec.yaml import load_file

__all__ = [
    "MAX_PARAMETERS",
    "Bridge",
    "BridgeSpec",
    "Receiver",
    "Sender",
    "Training",
    "cross",
    "measured_of",
    "read_bridge",
]

MAX_PARAMETERS: Final = 5_000_000
"""Most numbers in a bridge's weights."""
NORM_EPSILON: Final = 1e-5
"""Added to the variance in the layer norm."""

Floats: TypeAlias = npt.NDArray[np.float32]

_DIGEST = re.compile(r"[0-9a-f]{64}")


def _digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise ValueError(f"{text!r} is not a digest; write sha256 as 64 lower-case hexadecimal digits")
    return text


def _listed(told: object) -> object:
    return [told] if isinstance(told, str) else told


Digest = Annotated[str, AfterValidator(_digest)]
Identities = Annotated[list[Digest], BeforeValidator(_listed), Field(min_length=1)]
"""What one model is known by, once for each element type that it is loaded in; one alone may stand without brackets."""
Width = Annotated[int, Field(ge=1, le=65_536)]


class Sender(Declared):
    """Where a bridge reads."""

    model: CheckpointName
    """The checkpoint that was read in training, for people: the digest decides."""
    weights: Identities
    """Identities of the sender's weights and tokenizer."""
    tap: Annotated[str, Field(pattern=r"^(hidden\[-?[0-9]+\]|encoder)$")]
    """Which states: `hidden[k]` are those after k layers of a language model, `encoder` an encoder's last ones."""
    width: Width


class Receiver(Declared):
    """Whose input embeddings a bridge gives."""

    model: CheckpointName
    weights: Identities
    width: Width


class Training(Declared):
    """How a bridge came to be."""

    texts: Annotated[list[str], Field(min_length=1)]
    """Kinds of texts, or of sound."""
    positions: Annotated[int, Field(ge=0)]
    """States that it was shown, repetitions included."""
    steps: Annotated[int, Field(ge=0)]
    cpu_minutes: Annotated[float, Field(ge=0)]
    seed: int
    stages: Annotated[list[str], Field(min_length=1)]
    """What was minimised, one after the other."""


class BridgeSpec(Declared):
    """A bridge's `bridge.yaml`."""

    sensorium: Literal[1]
    name: CheckpointName
    about: Annotated[str, Field(min_length=1, max_length=2000)]
    sender: Annotated[Sender, Field(alias="from")]
    receiver: Annotated[Receiver, Field(alias="to")]
    stride: Annotated[int, Field(ge=1, le=64)] = 1
    """Neighbouring states that become one row; 1 with a gate."""
    gate: GateSpec | None = None
    """What finds the states of each row, where rows are not evenly apart."""
    hidden: Annotated[int, Field(ge=0, le=65_536)]
    """Width between the two linear maps; 0 for a bridge that is the skip alone."""
    skip: bool
    """Whether a linear map stands beside the two."""
    parameters: Annotated[int, Field(ge=1, le=MAX_PARAMETERS)]
    sha256: Digest
    """Of `weights.safetensors`."""
    licences: Annotated[list[str], Field(min_length=1)]
    """Of the sender's, the receiver's and the bridge's own weights."""
    training: Training

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array in `weights.safetensors`; all are float16."""
        laid = self.gate.wide if self.gate else self.stride
        wide, between, out = self.sender.width * laid, self.hidden, self.receiver.width
        shapes: dict[str, tuple[int, ...]] = {
            "mean": (self.sender.width,),
            "deviation": (self.sender.width,),
            "norm.weight": (wide,),
            "norm.bias": (wide,),
            "out.bias": (out,),
            "scale": (out,),
        }
        if between:
            shapes |= {"in.weight": (between, wide), "in.bias": (between,), "out.weight": (out, between)}
        shapes |= gate_shapes(self.gate, self.sender.width) if self.gate else {}
        return shapes | ({"skip.weight": (out, wide)} if self.skip else {})


@dataclass(frozen=True)
class Bridge:
    """A map from a sender's states to rows that a receiver reads as input embeddings."""

    folder: Path
    spec: BridgeSpec
    card: BridgeCard | None = None
    """What `card.json` says; None where nothing was measured, or another bridge, or between other ends."""

    def leads(self, sender: str, receiver: str) -> bool:
        """Whether it reads what the one computes, and gives what the other reads, both known by their identities."""
        return sender in self.spec.sender.weights and receiver in self.spec.receiver.weights

    @cached_property
    def arrays(self) -> dict[str, Floats]:
        """The weights, read and checked when they are first asked for.

        Raises:
            AuthorError: The file is not what `bridge.yaml` says, or holds what is not finite.
        """
        path = self.folder / "weights.safetensors"
        if (found := weights_digest(path, self.spec.shapes)) != self.spec.sha256:
            raise AuthorError([Fault(str(path), 0, 0, f"its sha256 is {found}", f"{self.spec.sha256} would be right")])
        return read_weights(path, self.spec.shapes)

    def cross(self, states: Floats) -> Floats:
        """Rows for the receiver, float32 [positions / stride rounded up, receiver's width]; with a gate, [tokens, …].

        Args:
            states: What the sender computed at the tap, [positions, sender's width].

        Raises:
            CallerError: The states have another shape, are no floats, or are not finite.
            AuthorError: The bridge's weights are wrong.
        """
        width = self.spec.sender.width
        if states.ndim != 2 or states.shape[1] != width or not len(states):
            raise CallerError(
                f"bridge {self.spec.name}: states are {list(states.shape)}; [positions, {width}] would be right"
            )
        if states.dtype.kind != "f" or not np.isfinite(states).all():
            raise CallerError(f"bridge {self.spec.name}: states are no finite floats; the sender's are needed as such")
        return cross(self.arrays, states.astype(np.float32), self.spec.stride, self.spec.gate)


def cross(arrays: Mapping[str, Floats], states: Floats, stride: int, gate: GateSpec | None = None) -> Floats:
    """The map itself, without checks: float32 [positions, width] to [rows, receiver's width]."""
    even = (states - arrays["mean"]) / arrays["deviation"]
    laid = gated(arrays, even, gate) if gate else _side_by_side(even, stride)
    centred = laid - laid.mean(axis=1, keepdims=True)
    normal = centred / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + NORM_EPSILON)
    normal = normal * arrays["norm.weight"] + arrays["norm.bias"]
    rows = np.broadcast_to(arrays["out.bias"], (len(normal), len(arrays["out.bias"])))
    if "in.weight" in arrays:
        rows = rows + gelu(normal @ arrays["in.weight"].T + arrays["in.bias"]) @ arrays["out.weight"].T
    if "skip.weight" in arrays:
        rows = rows + normal @ arrays["skip.weight"].T
    return np.asarray(rows * arrays["scale"], np.float32)


def _side_by_side(states: Floats, stride: int) -> Floats:
    missing = -len(states) % stride
    whole = np.concatenate([states, np.repeat(states[-1:], missing, axis=0)])
    return whole.reshape(len(whole) // stride, -1)


def read_bridge(folder: str | Path) -> Bridge:
    """The bridge in a folder. Its weights are read when they are first needed.

    Raises:
        AuthorError: The folder declares none; every fault is told at once.
    """
    folder = Path(folder)
    document = load_file(folder / "bridge.yaml")
    spec = validate(BridgeSpec, document)
    faults: list[Fault] = []
    if spec.name != folder.resolve().name:
        found = f"name is {spec.name!r} in folder {folder.resolve().name!r}"
        faults.append(document.fault(("name",), found, "a folder has the name of what it holds"))
    if not spec.hidden and not spec.skip:
        faults.append(
            document.fault(("skip",), "neither hidden nor skip is there", "write hidden above 0, or skip: true")
        )
    if spec.gate and spec.stride != 1:
        faults.append(document.fault(("stride",), f"stride is {spec.stride} beside a gate", "leave it out"))
    counted = sum(int(np.prod(shape)) for shape in spec.shapes.values())
    if counted != spec.parameters:
        found = f"parameters is {spec.parameters:,}, and the widths make {counted:,}"
        right = f"at most {MAX_PARAMETERS:,} are allowed" if counted > MAX_PARAMETERS else f"write {counted}"
        faults.append(document.fault(("parameters",), found, right))
    if not (folder / "weights.safetensors").is_file():
        faults.append(Fault(str(folder), 0, 0, "the bridge has no weights.safetensors", "add its weights"))
    if faults:
        raise AuthorError(faults)
    card = read_card(folder / "card.json")
    return Bridge(folder, spec, card if card is not None and card.of == measured_of(spec) else None)


def measured_of(spec: BridgeSpec) -> MeasuredOf:
    """What a card of a bridge is of."""
    return MeasuredOf(spec.sha256, spec.sender.weights, spec.receiver.weights)
