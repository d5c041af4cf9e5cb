"""Links to peers: what waits is bounded, and no peer holds up a link, whatever it does."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from paxos.runtime import Address, links, protocol
from paxos.runtime.links import Link, Outbox
from paxos.runtime.protocol import PeerGreeting, Refused
from runtime.event_loop import in_event_loop, until

GREETING = protocol.encode(PeerGreeting("shop", "A", "first"))
HOST = "127.0.0.1"
TOO_LONG = 5.0
"""Seconds. Whatever is measured by it takes milliseconds, or for ever."""

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@in_event_loop
async def test_an_outbox_gives_all_that_waits_in_its_order() -> None:
    outbox = Outbox()
    for frame in (b"one", b"", b"two"):
        outbox.put(frame)
    assert await outbox.take() == b"onetwo"
    assert outbox.dropped == 0


@in_event_loop
async def test_an_outbox_waits_for_something() -> None:
    outbox = Outbox()
    for frame in (b"one", b"two"):
        taking = asyncio.create_task(outbox.take())
        await asyncio.sleep(0)
        assert not taking.done()
        outbox.put(frame)
        assert await taking == frame


@in_event_loop
async def test_of_too_many_frames_the_oldest_go() -> None:
    outbox = Outbox(max_frames=2)
    for frame in (b"1", b"2", b"3", b"4"):
        outbox.put(frame)
    assert outbox.dropped == 2
    assert await outbox.take() == b"34"


@in_event_loop
async def test_of_too_many_bytes_the_oldest_go() -> None:
    outbox = Outbox(max_bytes=5)
    for frame in (b"111", b"22", b"333"):
        outbox.put(frame)
    assert outbox.dropped == 1
    assert await outbox.take() == b"22333"


@in_event_loop
async def test_a_frame_larger_than_all_that_may_wait_goes_itself() -> None:
    outbox = Outbox(max_bytes=5)
    outbox.put(b"1")
    outbox.put(b"666666")
    assert outbox.dropped == 2
    outbox.put(b"2")
    assert await outbox.take() == b"2"


@in_event_loop
async def test_what_was_taken_does_not_count_any_more() -> None:
    outbox = Outbox(max_frames=2, max_bytes=4)
    for _ in range(3):
        outbox.put(b"11")
        outbox.put(b"22")
        assert await outbox.take() == b"1122"
    assert outbox.dropped == 0


@asynccontextmanager
async def listening(peer: Peer) -> AsyncGenerator[Address]:
    """A peer that does this with each connection, until the other side hangs up."""
    connections: set[asyncio.Task[None]] = set()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await peer(reader, writer)
        writer.transport.abort()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(attend(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(connected, HOST, 0)
    try:
        yield Address(HOST, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        if connections:
            await asyncio.wait(connections)


@asynccontextmanager
async def running(link: Link) -> AsyncGenerator[asyncio.Task[None]]:
    """The link, until the block ends."""
    task = asyncio.create_task(link.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def link_to(address: Address) -> Link:
    return Link("B", address, GREETING, jitter=lambda: 1.0)


@in_event_loop
async def test_a_link_greets_and_then_sends() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.readexactly(len(GREETING)))
        link.send(b"a frame")
        heard.put_nowait(await reader.readexactly(7))
        writer.close()

    async with listening(peer) as address:
        link = link_to(address)
        async with running(link):
            assert await heard.get() == GREETING
            assert await heard.get() == b"a frame"


@in_event_loop
async def test_a_link_connects_again_when_the_connection_ends() -> None:
    greeted: asyncio.Queue[None] = asyncio.Queue()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(GREETING))
        greeted.put_nowait(None)
        writer.close()

    async with listening(peer) as address, running(link_to(address)):
        for _ in range(3):
            await greeted.get()


@in_event_loop
async def test_nothing_waits_for_a_peer_that_is_not_there() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(GREETING))
        link.send(b"new")
        heard.put_nowait(await reader.readexactly(3))
        writer.close()

    async with listening(peer) as address:
        link = link_to(address)
        for _ in range(2000):
            link.send(b"old")
        async with running(link):
            assert await heard.get() == b"new"


@in_event_loop
async def test_a_refusal_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    async def peer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(protocol.encode(Refused("you are no node of ours")))
        writer.close()

    caplog.set_level(logging.WARNING)
    async with listening(peer) as address, running(link_to(address)):
        await until(lambda: "refuses us: you are no node of ours" in caplog.text)


@pytest.mark.parametrize(
    "said",
    [
        protocol.encode(protocol.Outcome(1, "B", b"")),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        protocol.frame(b"\x92\xa7refuse\xff\xa2no"),
        protocol.frame(b"\xc1"),
        b"\xff" * 5,
    ],
    ids=["out of turn", "not ours", "no Unicode", "no MessagePack", "endless"],
)
@in_event_loop
async def test_whatever_a_peer_says_the_link_connects_again(said: bytes) -> None:
    greeted: asyncio.Queue[None] = asyncio.Queue()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(GREETING))
        greeted.put_nowait(None)
        writer.write(said)
        await reader.read()  # until the link has hung up
        writer.close()

    async with listening(peer) as address, running(link_to(address)), asyncio.timeout(TOO_LONG):
        for _ in range(2):
            await greeted.get()


@in_event_loop
async def test_a_link_rests_longer_each_time_a_peer_hangs_up_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Else a peer that refuses us gets a hundred connections a second, and as many lines of log.
    rests: list[float] = []

    async def rest(_: Link, seconds: float) -> None:
        rests.append(seconds)
        await asyncio.sleep(0)

    async def peer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(protocol.encode(Refused("no")))
        writer.close()

    monkeypatch.setattr(Link, "_rest", rest)
    async with listening(peer) as address, running(link_to(address)):
        await until(lambda: len(rests) >= 8)
    assert rests[:7] == sorted(rests[:7])
    assert rests[6] == links.LAST_RETRY


@in_event_loop
async def test_a_link_rests_longer_each_time_that_nobody_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rests: list[float] = []

    async def rest(_: Link, seconds: float) -> None:
        rests.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(Link, "_rest", rest)
    with socket.socket() as nobody:
        nobody.bind((HOST, 0))  # and does not listen
        async with running(link_to(Address(HOST, nobody.getsockname()[1]))):
            await until(lambda: len(rests) >= 8)
    assert rests[:3] == [0.02, 0.04, 0.08]
    assert rests[6:8] == [1.0, 1.0]


@in_event_loop
async def test_news_of_a_peer_cuts_the_rest_short() -> None:
    greeted = asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(GREETING))
        greeted.set()
        writer.close()

    async with listening(peer) as address:
        link = link_to(address)
        resting = asyncio.create_task(link._rest(1000.0))
        await asyncio.sleep(0)
        link.wake()
        await resting
        async with running(link):
            await greeted.wait()


@in_event_loop
async def test_a_peer_that_does_not_read_does_not_hold_up_a_stop() -> None:
    # So is a peer whose process is stopped, or whose machine is cut off: nothing that we send is
    # ever acknowledged.
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind((HOST, 0))
        deaf.listen()
        link = link_to(Address(HOST, deaf.getsockname()[1]))
        task = asyncio.create_task(link.run())
        await until(lambda: link._outbox is not None)
        for _ in range(8):
            link.send(bytes(1 << 20))
        await until(lambda: not link._outbox or not link._outbox._frames)
        task.cancel()
        _, pending = await asyncio.wait([task], timeout=TOO_LONG)
        deaf.close()
        if pending:
            # Let it go, so that the test ends: the next line fails.
            connected = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
            for each in connected:
                each.cancel()
            await asyncio.wait(connected)
        assert not pending


@in_event_loop
async def test_a_link_that_is_cancelled_while_it_connects_leaves_nothing() -> None:
    for turn in range(6):
        with socket.create_server((HOST, 0)) as server:
            task = asyncio.create_task(link_to(Address(HOST, server.getsockname()[1])).run())
            for _ in range(turn):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
