"""A model hub over HTTP: pinned revision, resumable, redirected to https alone."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

from sensorium.checkpoint.places import CHUNK_BYTES, CutOffError, Opened, UnavailableError
from sensorium.spec.manifest import FileSpec, HubPlace

if TYPE_CHECKING:
    import httpx

__all__ = ["Hub", "HubFolder"]

_ENDPOINT = "https://huggingface.co"
_CONNECT_S, _READ_S = 5.0, 30.0
_MOST_REDIRECTS = 5
_RANGE = re.compile(r"bytes (\d+)-")
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Hub:
    """One hub, as `HF_ENDPOINT` and `HF_TOKEN` say. Once it could not be reached it is not asked again."""

    def __init__(self) -> None:
        self.endpoint = (os.environ.get("HF_ENDPOINT") or _ENDPOINT).rstrip("/")
        self._token = os.environ.get("HF_TOKEN")
        self._client: httpx.Client | None = None
        self._trouble = ""

    @contextmanager
    def get(self, url: str, start: int) -> Generator[httpx.Response]:
        """The answer to a request for the bytes from `start` on; redirects have been followed.

        Raises:
            UnavailableError: The hub is out of reach, refuses, or leads to an address that is not https.
            CutOffError: The connection ended in the middle.
        """
        import httpx  # half the time of `sensorium --help` where it is not needed

        if self._trouble:
            raise UnavailableError(self._trouble, is_known=True)
        try:
            with self._answer(self._open_client(), httpx.URL(url), start) as response:
                yield response
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            self._trouble = f"{self.endpoint} cannot be reached ({error})"
            raise UnavailableError(self._trouble) from error
        except httpx.TransportError as error:
            raise CutOffError(str(error) or type(error).__name__) from error
        except httpx.InvalidURL as error:
            raise UnavailableError(f"{url} is no address ({error}); is HF_ENDPOINT right?") from error

    def _open_client(self) -> httpx.Client:
        import httpx  # as above

        if self._client is None:
            timeout = httpx.Timeout(_READ_S, connect=_CONNECT_S)
            self._client = httpx.Client(timeout=timeout, headers={"Accept-Encoding": "identity"})
        return self._client

    @contextmanager
    def _answer(self, client: httpx.Client, url: httpx.URL, start: int) -> Generator[httpx.Response]:
        for _ in range(_MOST_REDIRECTS + 1):
            with client.stream("GET", url, headers=self._headers(url, start)) as response:
                if not response.has_redirect_location:
                    _require_success(response, start)
                    yield response
                    return
                url = self._next(url, response.headers["Location"])
        raise UnavailableError(f"{self.endpoint} redirects more than {_MOST_REDIRECTS} times")

    def _next(self, url: httpx.URL, location: str) -> httpx.URL:
        target = url.join(location)
        if target.scheme != "https" and not self._is_own(target):
            raise UnavailableError(f"{self.endpoint} redirects to {target.scheme}://{target.host}, which is not https")
        return target

    def _is_own(self, url: httpx.URL) -> bool:
        own = url.join(self.endpoint)
        return (url.scheme, url.host, url.port) == (own.scheme, own.host, own.port)

    def _headers(self, url: httpx.URL, start: int) -> dict[str, str]:
        headers = {"Range": f"bytes={start}-"} if start else {}
        if self._token and self._is_own(url) and (url.scheme == "https" or url.host in _LOOPBACK):
            headers["Authorization"] = f"Bearer {self._token}"
        return headers


def _require_success(response: httpx.Response, start: int) -> None:
    code = response.status_code
    if code in (200, 206):
        return
    if code in (401, 403):
        raise UnavailableError(f"it refuses ({code}); its terms may want to be accepted there, and HF_TOKEN to be set")
    if code == 416 and start:
        raise UnavailableError("it has fewer bytes of the file than are here already")
    raise UnavailableError(f"it answers {code} {response.reason_phrase}".rstrip())


class HubFolder:
    """A repository of the hub at its pinned revision."""

    step = "download"

    def __init__(self, place: HubPlace, hub: Hub) -> None:
        self._place = place
        self._hub = hub
        self.label = f"hub {place.hub}@{place.revision[:12]}"

    @contextmanager
    def open(self, file: FileSpec, start: int) -> Generator[Opened]:
        """The file's bytes from `start` on, or from 0 where the hub does not resume."""
        path = quote(self._place.names.get(file.name, file.name))
        url = f"{self._hub.endpoint}/{self._place.hub}/resolve/{quote(self._place.revision, safe='')}/{path}"
        with self._hub.get(url, start) as response:
            yield Opened(_start(response), response.iter_raw(CHUNK_BYTES))

    def reject(self) -> None:
        """Nothing is kept between requests."""


def _start(response: httpx.Response) -> int:
    match = _RANGE.match(response.headers.get("Content-Range", ""))
    return int(match[1]) if response.status_code == 206 and match else 0
