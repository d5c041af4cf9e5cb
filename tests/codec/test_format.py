"""The format is frozen: these bytes were written once, and every later version reads them.

A change that breaks this test needs a new version of the format, and a new fixture beside the old.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codec.samples import ENVELOPES, STATES
from paxos.codec import decode_envelope, decode_state, encode_envelope, encode_state

FROZEN: dict[str, str] = json.loads(
    (Path(__file__).parent / "fixtures" / "format-1.json").read_text(encoding="utf-8")
)


def test_the_fixture_has_one_of_each_kind() -> None:
    assert set(FROZEN) == {*ENVELOPES, *STATES}


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_is_written_as_ever(name: str) -> None:
    assert encode_envelope(ENVELOPES[name]).hex() == FROZEN[name]


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_is_read_as_ever(name: str) -> None:
    assert decode_envelope(bytes.fromhex(FROZEN[name])) == ENVELOPES[name]


@pytest.mark.parametrize("name", STATES)
def test_a_state_is_written_as_ever(name: str) -> None:
    assert encode_state(STATES[name]).hex() == FROZEN[name]


@pytest.mark.parametrize("name", STATES)
def test_a_state_is_read_as_ever(name: str) -> None:
    assert decode_state(bytes.fromhex(FROZEN[name])) == STATES[name]
