"""Names for what has none of its own."""

from __future__ import annotations

from sensorium.spec.names import free_name


def test_a_name_that_is_taken_gets_the_first_number_that_is_free() -> None:
    assert free_name("look", ()) == "look"
    assert free_name("look", {"look", "look-2", "look-4"}) == "look-3"
