"""What was encoded decodes to the same, and what cannot be decoded cannot be encoded."""

from __future__ import annotations

import contextlib
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings

from codec.samples import (
    ANY_ENVELOPES,
    ANY_STATES,
    ENVELOPES,
    GOOD_ENVELOPES,
    GOOD_STATES,
    MESSAGES,
    STATES,
    AnyEnvelope,
    State,
)
from paxos import Message, MisuseError
from paxos.codec import decode_envelope, decode_state, encode_envelope, encode_state

thorough = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # the clock on the wall proves nothing
)


def test_every_kind_of_message_has_a_sample() -> None:
    kinds = {getattr(kind, "__origin__", kind) for kind in get_args(Message)}
    assert {type(message) for message in MESSAGES.values()} == kinds


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_comes_back_as_it_was(name: str) -> None:
    assert decode_envelope(encode_envelope(ENVELOPES[name])) == ENVELOPES[name]


@pytest.mark.parametrize("name", STATES)
def test_a_state_comes_back_as_it_was(name: str) -> None:
    assert decode_state(encode_state(STATES[name])) == STATES[name]


@thorough
@given(GOOD_ENVELOPES)
def test_every_envelope_of_a_running_node_comes_back(envelope: AnyEnvelope) -> None:
    assert decode_envelope(encode_envelope(envelope)) == envelope


@thorough
@given(GOOD_STATES)
def test_every_state_of_a_running_node_comes_back(state: State) -> None:
    assert decode_state(encode_state(state)) == state


@thorough
@given(ANY_ENVELOPES)
def test_an_envelope_that_cannot_be_decoded_cannot_be_encoded(envelope: AnyEnvelope) -> None:
    with contextlib.suppress(MisuseError):
        assert decode_envelope(encode_envelope(envelope)) == envelope


@thorough
@given(ANY_STATES)
def test_a_state_that_cannot_be_decoded_cannot_be_encoded(state: State) -> None:
    # Such a state would be on disk, and its node could not start again.
    with contextlib.suppress(MisuseError):
        assert decode_state(encode_state(state)) == state
