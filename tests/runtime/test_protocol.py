"""Frames, greetings, calls and replies: what fits the protocol, and what does not."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paxos.codec import MAX_NAME_LENGTH, MAX_NUMBER, MAX_VALUE_BYTES, MalformedError
from paxos.runtime import protocol
from paxos.runtime.protocol import (
    AskStatus,
    ClientGreeting,
    ConnectionClosedError,
    Decide,
    Happened,
    Outcome,
    PeerGreeting,
    Refused,
    Status,
    Watch,
)
from runtime.event_loop import in_event_loop

fuzz = settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # the clock on the wall proves nothing
)

GREETINGS: dict[str, protocol.Greeting] = {
    "greeting of a peer": PeerGreeting("shop", "A", "a1b2c3d4"),
    "greeting of a client": ClientGreeting("shop"),
}
CALLS: dict[str, protocol.Call] = {
    "decide": Decide(b"a value"),
    "decide, empty value": Decide(b""),
    "ask for the status": AskStatus(),
    "watch": Watch(),
}
REPLIES: dict[str, protocol.Reply] = {
    "outcome": Outcome(7, "A", b"a value"),
    "outcome, empty value": Outcome(1, "B", b""),
    "refused": Refused("no"),
    "status of a fresh node": Status("A", "a1b2c3d4", "none", False, "none", "none", None),
    "status of a leader": Status(
        "A", "a1b2c3d4", "7.A", True, "7.A", "7.A", Outcome(7, "A", b"a value")
    ),
    "happened": Happened("ValueChosen", "knows"),
}

DECODERS: dict[str, Callable[[bytes], object]] = {
    **dict.fromkeys(GREETINGS, protocol.decode_greeting),
    **dict.fromkeys(CALLS, protocol.decode_call),
    **dict.fromkeys(REPLIES, protocol.decode_reply),
}
ALL: dict[str, Any] = GREETINGS | CALLS | REPLIES

FROZEN: dict[str, str] = json.loads(
    (Path(__file__).parent / "fixtures" / "protocol-1.json").read_text(encoding="utf-8")
)


def body_of(name: str) -> bytes:
    """The bytes of one of them, without the frame."""
    return protocol.encode(ALL[name])[5:]


async def read(data: bytes, max_bytes: int = 100) -> bytes:
    """The first frame of a stream that ends after these bytes."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await protocol.read_frame(reader, max_bytes)


def test_there_is_one_of_each_kind() -> None:
    kinds = {*get_args(protocol.Greeting), *get_args(protocol.Call), *get_args(protocol.Reply)}
    assert {type(each) for each in ALL.values()} == kinds
    assert set(FROZEN) == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_what_is_said_is_understood(name: str) -> None:
    assert DECODERS[name](body_of(name)) == ALL[name]


@pytest.mark.parametrize("name", ALL)
def test_it_is_said_as_ever(name: str) -> None:
    assert protocol.encode(ALL[name]).hex() == FROZEN[name]


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_missing_and_nothing_unknown(name: str) -> None:
    parts = msgspec.msgpack.decode(body_of(name))
    for wrong in (parts[:-1], [*parts, 0]):
        with pytest.raises(MalformedError):
            DECODERS[name](msgspec.msgpack.encode(wrong))


WRONG: dict[str, list[object]] = {
    "empty name": ["client", ""],
    "name that is too long": ["client", "x" * (MAX_NAME_LENGTH + 1)],
    "name that is bytes": ["client", b"shop"],
    "value that is text": ["decide", "text"],
    "value that is too large": ["decide", bytes(MAX_VALUE_BYTES + 1)],
    "no value": ["decide", None],
    "reason that is too long": ["refused", "x" * 1001],
    "event that is too long": ["event", "ValueChosen", "x" * 1001],
    "unknown kind": ["hello", "shop"],
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_out_of_bounds_is_malformed(what: str) -> None:
    body = msgspec.msgpack.encode(WRONG[what])
    for decode in (protocol.decode_greeting, protocol.decode_call, protocol.decode_reply):
        with pytest.raises(MalformedError):
            decode(body)


def decodes_safely(body: bytes) -> None:
    for decode in (protocol.decode_greeting, protocol.decode_call, protocol.decode_reply):
        with contextlib.suppress(MalformedError):
            said: Any = decode(body)
            assert decode(protocol.encode(said)[5:]) == said


@fuzz
@given(st.binary(max_size=100))
def test_arbitrary_bodies_are_malformed_or_well_formed(body: bytes) -> None:
    decodes_safely(body)


@fuzz
@given(st.sampled_from(sorted(ALL)), st.data())
def test_damaged_bodies_are_malformed_or_well_formed(name: str, data: st.DataObject) -> None:
    body = bytearray(body_of(name))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    decodes_safely(bytes(body))


@in_event_loop
async def test_a_frame_is_read_as_it_was_written() -> None:
    assert await read(protocol.frame(b"body") + b"more") == b"body"
    assert await read(protocol.frame(b"")) == b""


@in_event_loop
async def test_a_frame_may_have_the_greatest_size_and_not_a_byte_more() -> None:
    assert await read(protocol.frame(bytes(100)), max_bytes=100) == bytes(100)
    with pytest.raises(MalformedError, match="a frame of 101 bytes; at most 100"):
        await read(protocol.frame(bytes(101)), max_bytes=100)


@in_event_loop
async def test_a_frame_that_is_too_large_is_refused_before_its_body_comes() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"\xff\xff\xff\xff\x01")  # and no end of the stream: the body may still come
    with pytest.raises(MalformedError, match="4294967295 bytes"):
        await protocol.read_frame(reader, 1 << 20)


@pytest.mark.parametrize("version", [0, 2, 255])
@in_event_loop
async def test_a_frame_of_another_version_says_which(version: int) -> None:
    with pytest.raises(MalformedError, match=f"version {version}; this side speaks 1"):
        await read(b"\0\0\0\x01" + bytes([version]) + b"x")


@pytest.mark.parametrize("end", range(8))
@in_event_loop
async def test_a_stream_that_ends_early_has_ended(end: int) -> None:
    with pytest.raises(ConnectionClosedError):
        await read(protocol.frame(b"body")[:end])


@in_event_loop
async def test_a_connection_that_breaks_has_ended() -> None:
    reader = asyncio.StreamReader()
    reader.set_exception(ConnectionResetError(104, "reset by peer"))
    with pytest.raises(ConnectionClosedError, match="reset by peer"):
        await protocol.read_frame(reader, 100)


def test_the_longest_replies_fit_what_a_client_reads() -> None:
    # Its bound is that of the largest envelope, in a cluster that allows the empty value only.
    name, text = "\N{SNAKE}" * MAX_NAME_LENGTH, "\N{SNAKE}" * 1000
    longest_id = f"{MAX_NUMBER}.{name}"
    replies: list[protocol.Reply] = [
        Outcome(MAX_NUMBER, name, b""),
        Status(
            name, name, longest_id, True, longest_id, longest_id, Outcome(MAX_NUMBER, name, b"")
        ),
        Refused(text),
        Happened("LeadershipAcquired", text),
    ]
    for reply in replies:
        assert len(protocol.encode(reply)) - 5 <= protocol.largest_frame(0)
