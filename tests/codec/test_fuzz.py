"""Whatever the bytes: `MalformedError`, or something well-formed that encodes again."""

from __future__ import annotations

import contextlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codec.samples import ENVELOPES, STATES
from paxos.codec import (
    MalformedError,
    decode_envelope,
    decode_state,
    encode_envelope,
    encode_state,
)

fuzz = settings(
    max_examples=1000,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # the clock on the wall proves nothing
)

WHOLE = tuple(encode_envelope(each) for each in ENVELOPES.values()) + tuple(
    encode_state(each) for each in STATES.values()
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Good bytes, of which some were flipped, cut away, or put in from elsewhere."""
    data = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["flip", "truncate", "splice", "insert"])):
            case "flip":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "truncate":
                del data[at:]
            case "splice":
                other = draw(st.sampled_from(WHOLE))
                data[at:] = other[draw(st.integers(0, len(other))) :]
            case _:
                data[at:at] = draw(st.binary(max_size=9))
    return bytes(data)


def decodes_safely(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        envelope = decode_envelope(data)
        assert decode_envelope(encode_envelope(envelope)) == envelope
    with contextlib.suppress(MalformedError):
        state = decode_state(data)
        assert decode_state(encode_state(state)) == state


@fuzz
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_malformed_or_well_formed(data: bytes) -> None:
    decodes_safely(data)


@fuzz
@given(damaged())
def test_damaged_bytes_are_malformed_or_well_formed(data: bytes) -> None:
    decodes_safely(data)


def test_each_single_byte_may_be_anything() -> None:
    for whole in WHOLE:
        for at in range(len(whole)):
            for byte in (0x00, 0x7F, 0x80, 0x90, 0xA0, 0xC0, 0xC1, 0xC4, 0xCB, 0xD9, 0xDC, 0xFF):
                decodes_safely(whole[:at] + bytes([byte]) + whole[at + 1 :])


def test_no_beginning_of_something_whole_is_whole() -> None:
    for whole in WHOLE:
        for end in range(len(whole)):
            for decode in (decode_envelope, decode_state):
                with contextlib.suppress(MalformedError):
                    decode(whole[:end])
                    raise AssertionError(f"{whole[:end]!r} decodes, and is only a beginning")


def test_nothing_may_follow_what_is_whole() -> None:
    for whole in WHOLE:
        for decode in (decode_envelope, decode_state):
            with contextlib.suppress(MalformedError):
                decode(whole + b"\x00")
                raise AssertionError(f"{whole!r} decodes with a byte after it")


def test_nesting_without_end_is_malformed() -> None:
    for opening in (b"\x91", b"\x97", b"\x94", b"\x81\xa1a", b"\xdd\xff\xff\xff\xff"):
        decodes_safely(opening * 100_000)


def test_claimed_lengths_are_not_believed() -> None:
    whole = encode_envelope(ENVELOPES["request"])
    value = whole.index(b"\xc4\x07a value")
    for claim in (b"\xc6\xff\xff\xff\xff", b"\xc5\xff\xff", b"\xdb\xff\xff\xff\xff"):
        decodes_safely(whole[:value] + claim + b"a value")
