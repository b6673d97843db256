"""Servers of one model: which is asked, how long one that failed is left alone, and what is no server."""

from __future__ import annotations

import pytest

from sensorium.errors import OperatorError
from sensorium.model.vllm.endpoints import BackOff, Endpoint, Endpoints


def names(endpoints: Endpoints, prefixes: int = 40) -> list[str]:
    return [endpoints.choose(f"conversation {number}").name for number in range(prefixes)]


def test_a_conversation_keeps_to_its_server_and_many_are_spread() -> None:
    now_s = [100.0]
    every = [Endpoint.at(f"http://127.0.0.1:{port}", None, str(port)) for port in (1, 2, 3)]
    endpoints = Endpoints(every, BackOff(first_s=8.0), now=lambda: now_s[0])
    before = names(endpoints)
    assert before == names(endpoints)
    assert all(before.count(endpoint.name) >= 5 for endpoint in every)
    endpoints.failed(every[0])
    during = names(endpoints)
    assert "1" not in during
    assert [name for name in before if name != "1"] == [
        new for old, new in zip(before, during, strict=True) if old != "1"
    ]
    now_s[0] += 8.0
    assert names(endpoints) == before


def test_each_failure_in_a_row_doubles_the_wait_up_to_a_limit() -> None:
    back_off = BackOff(first_s=1.0, most_s=8.0)
    for failures, most_s in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (50, 8.0)):
        assert most_s / 2 <= back_off.seconds(failures, None) <= most_s
    assert back_off.seconds(1, 3.5) == 3.5


@pytest.mark.parametrize("key", ["sk-1\nX-Other: 2", "clé", "two words"])
def test_a_key_that_no_header_can_hold_is_told_without_it(key: str) -> None:
    with pytest.raises(OperatorError, match="key: of the profile, for the server here") as caught:
        Endpoint.at("http://host", key, "here")
    assert key not in str(caught.value)
    assert Endpoint.at("http://host", " sk-1\n", "here").key == "sk-1"


@pytest.mark.parametrize(
    "url", ["host:8000", "ftp://host/v1", "http://", "http://[::1", "http://me:secret@host/v1", "http://h/v1?x=1"]
)
def test_what_is_no_url_of_a_server_is_told(url: str) -> None:
    with pytest.raises(OperatorError, match=r"the server \$\{env:URL\} of the profile has no URL such as") as caught:
        Endpoint.at(url, None, "${env:URL}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://host:8000", "http://host:8000/", "http://host:8000/v1", "http://host:8000/v1/"]
)
def test_a_url_may_end_before_its_v1(url: str) -> None:
    assert Endpoint.at(url, None, "here").url == "http://host:8000/v1"
