"""Servers of one model: which one is asked, and which are left alone for a while."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sensorium.errors import OperatorError

__all__ = ["Attachment", "BackOff", "Endpoint", "Endpoints"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server."""

    url: str = field(repr=False)
    """Up to `/v1`."""
    key: str | None = field(repr=False)
    """What it is shown."""
    name: str
    """What messages call it: the URL as the profile has it, where `${env:NAME}` stays as it is written."""

    @classmethod
    def at(cls, url: str, key: str | None, name: str) -> Endpoint:
        """The server at a URL, which may end before its `/v1`.

        Raises:
            OperatorError: It is no URL of a server.
        """
        wanted = f"the server {name} of the profile has no URL such as http://127.0.0.1:8000/v1"
        try:
            parts = urlsplit(url.strip())
            has_host = bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise OperatorError(f"{wanted}: {error}") from error
        if not has_host or parts.scheme not in ("http", "https"):
            raise OperatorError(f"{wanted}; set it, with http:// or https:// and a host")
        if parts.username is not None or parts.query or parts.fragment:
            raise OperatorError(f"{wanted}: it holds a user, a ? or a #; what a server is shown is key: of the profile")
        path = parts.path.rstrip("/") or "/v1"
        shown = (key or "").strip()
        if not (shown.isascii() and all(ord(character) >= 33 for character in shown)):
            raise OperatorError(f"key: of the profile, for the server {name}, holds what no key has; set it anew")
        return cls(f"{parts.scheme}://{parts.netloc}{path}", shown or None, name)


@dataclass(frozen=True, slots=True)
class Attachment:
    """What a profile says of servers that run already, with its variables in place."""

    endpoints: tuple[Endpoint, ...]
    served: str | None
    """The model by name; None for the checkpoint's."""
    checkpoint: str | None
    """Name of the checkpoint that they serve, where the profile tells it."""
    digest: str | None
    """Identity of its weights."""
    reads: frozenset[str] = frozenset()
    """Kinds of part that it takes beside text."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long a server that could not answer is left alone, and how often a call goes on."""

    first_s: float = 0.5
    """After the first failure; each further one doubles it."""
    most_s: float = 30.0
    """Longest that a call waits for a server, whatever the server says."""
    tries: int = 5
    """How often a call is made in all, for each server."""

    def seconds(self, failures: int, told_s: float | None) -> float:
        """What a server says, else what the number of its failures in a row says, less up to half of it by chance."""
        if told_s is not None:
            return told_s
        return min(self.most_s, self.first_s * 2.0 ** (failures - 1)) * random.uniform(0.5, 1.0)


class Endpoints:
    """One conversation keeps to one server, whose prefix cache it has filled, while that server answers.

    Args:
        endpoints: Servers of the same model, at least one.
        back_off: How long one that failed is left alone.
        now: A clock, in seconds.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], back_off: BackOff, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.every = tuple(endpoints)
        self._back_off = back_off
        self._now = now
        self._failures: dict[Endpoint, int] = {}
        self._free_from_s: dict[Endpoint, float] = {}

    @property
    def tries(self) -> int:
        """How often a call is made in all."""
        return self._back_off.tries * len(self.every)

    def choose(self, prefix: str) -> Endpoint:
        """The server of all conversations that begin like this; the next in their order where it is left alone.

        Where all are, the one that is free first.
        """
        order = sorted(self.every, key=lambda endpoint: _rank(prefix, endpoint))
        return min(order, key=self.wait_s)

    def wait_s(self, endpoint: Endpoint) -> float:
        """How long a server is to be left alone from now."""
        return max(0.0, self._free_from_s.get(endpoint, 0.0) - self._now())

    def can_wait(self, endpoint: Endpoint) -> bool:
        """Whether a call may wait for it."""
        return self.wait_s(endpoint) <= self._back_off.most_s

    def failed(self, endpoint: Endpoint, told_s: float | None = None) -> None:
        """It could not answer, and said to come back in so many seconds, or did not say."""
        failures = self._failures.get(endpoint, 0) + 1
        self._failures[endpoint] = failures
        self._free_from_s[endpoint] = self._now() + self._back_off.seconds(failures, told_s)

    def answered(self, endpoint: Endpoint) -> None:
        """It is well."""
        self._failures.pop(endpoint, None)
        self._free_from_s.pop(endpoint, None)


def _rank(prefix: str, endpoint: Endpoint) -> bytes:
    return hashlib.sha256(f"{prefix}\0{endpoint.url}".encode("utf-8", "surrogatepass")).digest()
