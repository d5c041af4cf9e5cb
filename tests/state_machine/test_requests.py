"""Requests as bytes: whatever the bytes, `MalformedError` or a request that encodes to them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos.codec import MAX_VALUE_BYTES, MalformedError
from paxos.errors import MisuseError
from paxos.log.entries import Commands
from paxos.replica import Replica
from paxos.sessions import (
    REQUEST_OVERHEAD,
    ActivateVersion,
    ClientRequest,
    CloseSession,
    OpenSession,
    Request,
    SessionID,
    Verdict,
    decode_request,
    encode_request,
)
from state_machine.machines import Journal

LARGEST = (1 << 63) - 1

REQUESTS: tuple[Request, ...] = (
    ClientRequest(SessionID(7, 3), 9, 4, b"command"),
    ClientRequest(None, 0, 0, b""),
    ClientRequest(SessionID(LARGEST, LARGEST), LARGEST, LARGEST, b"x"),
    OpenSession(LARGEST),
    CloseSession(SessionID(0, 0)),
    ActivateVersion(2, 5),
)

fuzz = settings(max_examples=600, deadline=None, derandomize=True)


@pytest.mark.parametrize("request_", REQUESTS, ids=repr)
def test_a_request_comes_back_as_it_was(request_: Request) -> None:
    assert decode_request(encode_request(request_)) == request_


def test_the_largest_command_takes_no_more_than_the_stated_overhead() -> None:
    command = b"x" * (MAX_VALUE_BYTES - REQUEST_OVERHEAD)
    data = encode_request(ClientRequest(SessionID(LARGEST, LARGEST), LARGEST, LARGEST, command))
    assert len(data) <= MAX_VALUE_BYTES


@pytest.mark.parametrize(
    "request_",
    [
        ClientRequest(None, 0, 0, b"x" * MAX_VALUE_BYTES),
        ClientRequest(None, -1, 0, b"x"),
        ClientRequest(None, 1 << 63, 0, b"x"),
        ClientRequest(None, 3, 4, b"x"),
        OpenSession(1 << 70),
        OpenSession("x"),  # type: ignore[arg-type]  # that is the point
    ],
    ids=["too large", "negative", "above the bound", "acknowledges itself", "no integer", "a text"],
)
def test_what_nobody_would_take_is_not_encoded(request_: Request) -> None:
    with pytest.raises(MisuseError, match="no request that can be sent"):
        encode_request(request_)


def test_a_request_of_another_version_is_malformed() -> None:
    with pytest.raises(MalformedError, match="version 02"):
        decode_request(b"\x02" + encode_request(REQUESTS[0])[1:])


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(encode_request(draw(st.sampled_from(REQUESTS))))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


@fuzz
@given(st.binary(max_size=80) | st.binary(max_size=80).map(b"\x01".__add__) | damaged())
def test_any_bytes_are_a_request_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedError):
        decoded = decode_request(data)
        assert decode_request(encode_request(decoded)) == decoded


@fuzz
@given(st.binary(max_size=80) | damaged())
def test_bytes_that_are_no_request_are_answered_alike_by_all_when_they_are_chosen(
    data: bytes,
) -> None:
    try:
        decode_request(data)
    except MalformedError:
        (outcome,) = Replica(Journal).apply(0, Commands((data,)))
        assert (outcome.session, outcome.verdict) == (None, Verdict.MALFORMED)
        assert outcome.answer == b"this is no request"


@pytest.mark.parametrize("start", [b"", b"\x95\xa7request", b"\x93\xa4open\x01", b"\x92\xa4open"])
def test_bytes_that_nest_deep_are_malformed_on_every_stack(start: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_request(b"\x01" + start + b"\x91" * 200_000 + b"\xc0")
