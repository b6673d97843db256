"""Servers that somebody else runs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator

from sensorium.errors import OperatorError
from sensorium.model.contract import Preparing
from sensorium.model.vllm.client import Served
from sensorium.model.vllm.endpoints import Attachment, BackOff, Endpoint, Endpoints

__all__ = ["Attached"]

_SHOWN, _SHOWN_NAMES = 200, 20
_DIGEST = re.compile(r"@([0-9a-f]{12})$")


class Attached:
    """Servers that were there before, and stay.

    What they serve is known by its name alone: a server that has other weights under the same name is taken for the
    same model. A name that ends with `@` and twelve digits of a checkpoint's digest, as servers that are started here
    have it, says more, and is held to the profile's checkpoint.

    Args:
        attachment: What the profile says.
        back_off: How long one that failed is left alone.

    Raises:
        OperatorError: The profile's checkpoint has other weights than the name tells of.
    """

    def __init__(self, attachment: Attachment, back_off: BackOff) -> None:
        self.endpoints = Endpoints(attachment.endpoints, back_off)
        self._told = attachment
        if attachment.served is not None:
            self._require_digest(attachment.served, "the profile wants")

    @property
    def identity(self) -> str:
        """Digest of what the profile says about the model."""
        told = self._told
        return hashlib.sha256(
            f"vllm served\n{told.served or told.checkpoint}\n{told.digest or ''}".encode()
        ).hexdigest()

    async def ready(self) -> AsyncGenerator[Preparing, None]:
        """Nothing: they are there, or are found not to be when they are asked."""
        nothing: tuple[Preparing, ...] = ()
        for preparing in nothing:
            yield preparing

    def model_of(self, endpoint: Endpoint, listed: list[Served]) -> Served:
        """The model that a server is to answer as.

        Raises:
            OperatorError: It serves none of that name, or the same with other weights.
        """
        wanted = self._told.served or self._told.checkpoint
        for served in listed:
            name = served.id if self._told.served is not None else _DIGEST.sub("", served.id)
            if name == wanted:
                self._require_digest(served.id, f"the server {endpoint.name} serves")
                return served
        names = ", ".join(repr(served.id[:_SHOWN]) for served in listed[:_SHOWN_NAMES]) or "nothing"
        raise OperatorError(
            f"the server {endpoint.name} serves {names}, and the profile wants {wanted!r}; set served: in the profile "
            "to what is meant, or serve that model"
        )

    def _require_digest(self, served: str, who: str) -> None:
        found = _DIGEST.search(served)
        if found is not None and self._told.digest is not None and not self._told.digest.startswith(found[1]):
            raise OperatorError(
                f"{who} {served!r}, and checkpoint {self._told.checkpoint} of the profile is "
                f"@{self._told.digest[:12]}: these are other weights; serve those, or change the profile"
            )
