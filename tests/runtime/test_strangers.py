"""Whoever reaches the port may say anything: it is refused, and disturbs nobody else."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import replace

import msgspec
import pytest

from paxos import (
    NOTHING_ACCEPTED,
    Accept,
    Chosen,
    Envelope,
    EnvelopeRefused,
    Identity,
    Message,
    PaxosError,
    Prepare,
    Proposal,
    ProposalID,
)
from paxos.codec import ENVELOPE_OVERHEAD, MAX_NUMBER, encode_envelope
from paxos.runtime import NodeServer, RefusedError, client, inspect_store, protocol, server
from paxos.runtime.protocol import (
    ClientGreeting,
    ConnectionClosedError,
    Decide,
    PeerGreeting,
    Refused,
)
from runtime.event_loop import connection, in_event_loop, until
from runtime.loopback import Loopback

HELLO = protocol.encode(ClientGreeting("shop"))
B1 = ProposalID(1, "B")

TOO_LONG = 5.0
"""Seconds. Whatever is measured by it takes milliseconds, or for ever."""


def framed(message: object) -> bytes:
    return protocol.frame(msgspec.msgpack.encode(message))


def from_peer(sender: str, message: Message[bytes], incarnation: str = "first") -> bytes:
    """A frame as node `sender` would send it to A."""
    identity = Identity("shop", sender, incarnation)
    return protocol.frame(encode_envelope(Envelope(identity, "A", message)))


async def all_replies(reader: asyncio.StreamReader) -> list[protocol.Reply]:
    """Everything that the node says until it hangs up."""
    replies = []
    while True:
        try:
            replies.append(protocol.decode_reply(await protocol.read_frame(reader, 5000)))
        except ConnectionClosedError:
            return replies


async def answer_to(shop: Loopback, *said: bytes) -> list[protocol.Reply]:
    """What node A says to this before it hangs up."""
    async with connection(*shop.where("A")) as (reader, writer):
        writer.writelines(said)
        return await all_replies(reader)


@asynccontextmanager
async def undisturbed(shop: Loopback) -> AsyncGenerator[NodeServer]:
    """Node A, which must still decide at the end as if nothing had happened."""
    async with shop.serve("A") as (a,):
        yield a
        assert a.node.durable.accepted is NOTHING_ACCEPTED
        assert (await client.decide(shop.cluster, "A", b"a value")).value == b"a value"


GARBAGE = {
    "a web browser": b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n",
    "a TLS client": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32),
    "zeros": bytes(100),
    "ones": b"\xff" * 100,
    "an empty frame": protocol.frame(b""),
    "a frame of another protocol version": b"\0\0\0\x01\x02\xc0",
    "a frame longer than any greeting": (ENVELOPE_OVERHEAD + 1).to_bytes(4, "big") + b"\x01",
    "a greeting of an unknown kind": framed(["stranger", "shop"]),
    "a greeting with no name": framed(["client", ""]),
    "a greeting with a name that is too long": framed(["client", "x" * 65]),
    "a greeting with too many fields": framed(["client", "shop", 1]),
    "a greeting with too few fields": framed(["peer", "shop", "B"]),
    "a greeting that is no Unicode": protocol.frame(b"\x92\xa6client\xa1\xff"),
    "a greeting of a kind that is no Unicode": protocol.frame(b"\x92\xa6clien\xff\xa4shop"),
    "a greeting that is nested without end": protocol.frame(b"\x92" * 2000),
    "a call of an unknown kind": HELLO + framed(["drop tables"]),
    "a call that is no Unicode": HELLO + protocol.frame(b"\x92\xa6decid\xff\xc4\x00"),
    "a call with text for a value": HELLO + framed(["decide", "text"]),
    "a call with too many fields": HELLO + framed(["status", 1]),
    "a call longer than the cluster allows": HELLO + (10_000).to_bytes(4, "big") + b"\x01",
    "a second greeting": HELLO + HELLO,
    "a peer's frame that is no envelope": protocol.encode(PeerGreeting("shop", "B", "first"))
    + framed(["hello"]),
    "a peer's envelope that is no Unicode": protocol.encode(PeerGreeting("shop", "B", "first"))
    + from_peer("B", Prepare(B1)).replace(b"\xa4shop", b"\xa4sho\xff"),
}


@pytest.mark.parametrize("what", GARBAGE)
@in_event_loop
async def test_garbage_is_refused_and_disturbs_nobody(alone_with_b: Loopback, what: str) -> None:
    async with undisturbed(alone_with_b):
        (reply,) = await answer_to(alone_with_b, GARBAGE[what])
        assert isinstance(reply, Refused)
        assert reply.reason


@pytest.mark.parametrize("end", range(0, len(HELLO) + 5, 3))
@in_event_loop
async def test_who_hangs_up_in_the_middle_disturbs_nobody(alone_with_b: Loopback, end: int) -> None:
    whole = HELLO + protocol.encode(Decide(b"not this"))
    async with (
        undisturbed(alone_with_b),
        connection(*alone_with_b.where("A")) as (reader, writer),
    ):
        writer.write(whole[:end])
        writer.write_eof()
        assert await reader.read() == b""


@pytest.mark.parametrize("seed", range(3))
@in_event_loop
async def test_no_noise_disturbs_a_node(alone_with_b: Loopback, seed: int) -> None:
    draw = random.Random(seed)
    good = [
        HELLO + protocol.encode(protocol.AskStatus()),
        protocol.encode(PeerGreeting("shop", "B", "first")) + from_peer("B", Prepare(B1)),
    ]
    async with alone_with_b.serve("A"):
        for _ in range(100):
            said = bytearray(draw.choice(good))
            for _ in range(draw.randint(1, 3)):
                said[draw.randrange(len(said))] = draw.randrange(256)
            async with connection(*alone_with_b.where("A")) as (reader, writer):
                writer.write(said[: draw.randint(1, len(said))])
                writer.write_eof()
                await reader.read()
        await client.status(alone_with_b.cluster, "A")


@in_event_loop
async def test_a_silent_stranger_is_hung_up_on(
    alone: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GREETING_PATIENCE", 0.01)
    async with undisturbed(alone):
        assert await answer_to(alone) == []
        assert await answer_to(alone, HELLO) == []


@in_event_loop
async def test_a_client_of_another_cluster_is_told_so(alone: Loopback) -> None:
    other = replace(alone.cluster, name="bakery")
    async with undisturbed(alone):
        with pytest.raises(RefusedError, match="this is cluster shop, not bakery"):
            await client.decide(other, "A", b"not this")


@in_event_loop
async def test_a_peer_of_another_cluster_is_told_so(alone_with_b: Loopback) -> None:
    async with undisturbed(alone_with_b):
        (reply,) = await answer_to(
            alone_with_b, protocol.encode(PeerGreeting("bakery", "B", "first"))
        )
        assert reply == Refused("this is cluster shop, not bakery")


@in_event_loop
async def test_the_peer_that_is_refused_logs_why(
    pair: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    bakery = pair.with_cluster(name="bakery")
    bakery = replace(bakery, root=pair.root / "bakery")
    bakery.root.mkdir()
    bakery.create_stores("B")
    async with pair.serve("A"), bakery.serve("B"):
        await until(lambda: "refuses us: this is cluster shop, not bakery" in caplog.text)


@pytest.mark.parametrize("node_id", ["A", "Z"], ids=["itself", "nobody"])
@in_event_loop
async def test_who_claims_to_be_no_other_node_is_refused(
    alone_with_b: Loopback, node_id: str
) -> None:
    async with undisturbed(alone_with_b):
        (reply,) = await answer_to(
            alone_with_b, protocol.encode(PeerGreeting("shop", node_id, "first"))
        )
        assert reply == Refused(f"{node_id} is no other node of this cluster")


@pytest.mark.parametrize(
    ("sender", "incarnation"), [("A", "first"), ("C", "first"), ("B", "second")]
)
@in_event_loop
async def test_a_peer_that_speaks_for_another_is_hung_up_on(
    three: Loopback, sender: str, incarnation: str
) -> None:
    lie = from_peer(sender, Chosen(Proposal(B1, b"a lie")), incarnation)
    async with three.serve("A") as (a,):
        before = a.node.chosen
        (reply,) = await answer_to(three, protocol.encode(PeerGreeting("shop", "B", "first")), lie)
        assert reply == Refused(f"B speaks for {sender} of shop")
        assert a.node.chosen is before


@in_event_loop
async def test_a_peer_with_too_large_a_value_is_hung_up_on(alone_with_b: Loopback) -> None:
    large = Accept(Proposal(B1, bytes(alone_with_b.cluster.value_bytes + 1)))
    async with undisturbed(alone_with_b):
        (reply,) = await answer_to(
            alone_with_b, protocol.encode(PeerGreeting("shop", "B", "first")), from_peer("B", large)
        )
        assert isinstance(reply, Refused)
        assert "3001 bytes: at most 3000" in reply.reason


@in_event_loop
async def test_a_peer_with_another_format_is_heard_of_and_not_listened_to(three: Loopback) -> None:
    sent = replace(Envelope(Identity("shop", "B", "first"), "A", Prepare(B1)), version=2)
    async with (
        three.serve("A") as (a,),
        connection(*three.where("A")) as (_, writer),
    ):
        with a.watch() as events:
            writer.write(protocol.encode(PeerGreeting("shop", "B", "first")))
            writer.write(protocol.frame(encode_envelope(sent)))
            while not isinstance(event := await events.get(), EnvelopeRefused):
                pass
        assert event.reason == "format version 2 instead of 1"
        assert a.node.durable.promised != B1


@in_event_loop
async def test_a_peer_that_lost_its_disk_is_not_listened_to(three: Loopback) -> None:
    async with three.serve("A") as (a,):
        with a.watch() as events:
            for incarnation in ("first", "second"):
                async with connection(*three.where("A")) as (_, writer):
                    writer.write(protocol.encode(PeerGreeting("shop", "B", incarnation)))
                    writer.write(from_peer("B", Prepare(B1), incarnation))
                    await until(lambda: a.node.node.incarnations == (("B", "first"),))
                    if incarnation == "second":
                        while not isinstance(event := await events.get(), EnvelopeRefused):
                            pass
                        assert "lost its disk" in event.reason


@in_event_loop
async def test_the_value_of_a_client_that_hangs_up_is_proposed_all_the_same(pair: Loopback) -> None:
    async with pair.serve("A") as (a,):
        async with connection(*pair.where("A")) as (reader, writer):
            writer.write(HELLO + protocol.encode(Decide(b"a value")))
            writer.write_eof()
            assert await reader.read() == b""
        async with pair.serve("B"):
            assert (await a.chosen()).value == b"a value"


@in_event_loop
async def test_a_client_that_is_cancelled_leaves_a_proposal_and_no_connection(
    pair: Loopback,
) -> None:
    async with pair.serve("A") as (a,):
        deciding = asyncio.create_task(client.decide(pair.cluster, "A", b"a value"))
        await until(lambda: a.node.node.proposer.value == b"a value")
        deciding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deciding
        async with pair.serve("B"):
            assert (await a.chosen()).value == b"a value"


@in_event_loop
async def test_of_too_many_connections_the_last_are_not_served(
    alone: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
    async with alone.serve("A"):
        async with AsyncExitStack() as watchers:

            async def watch_more() -> None:
                for _ in range(4):
                    watching = client.watch(alone.cluster, "A")
                    await watchers.enter_async_context(aclosing(watching))
                    await anext(watching)

            with pytest.raises((RefusedError, ConnectionClosedError)):
                await watch_more()
        await until_answered(alone)


async def until_answered(shop: Loopback) -> None:
    """Ask for the status until there is an answer."""
    async with asyncio.timeout(TOO_LONG):
        while True:
            with suppress(RefusedError, ConnectionClosedError):
                await client.status(shop.cluster, "A")
                return


@in_event_loop
async def test_idle_clients_do_not_keep_peers_out(
    pair: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Or a few clients that wait, and never hang up, would cut a node off from its cluster.
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 5)
    async with pair.serve("A") as (a,):
        waiting = [
            asyncio.create_task(client.decide(pair.cluster, "A", b"a value")) for _ in range(8)
        ]
        await until(lambda: a.node.node.proposer.value == b"a value")
        async with pair.serve("B") as (b,), asyncio.timeout(TOO_LONG):
            assert (await b.chosen()).value == b"a value"
        await asyncio.gather(*waiting, return_exceptions=True)


@in_event_loop
async def test_connections_of_one_peer_do_not_add_up(
    alone_with_b: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A peer whose machine lost its power never hangs up. It comes back, and connects anew.
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 6)
    async with undisturbed(alone_with_b), AsyncExitStack() as half_open:
        for _ in range(10):
            _, writer = await half_open.enter_async_context(connection(*alone_with_b.where("A")))
            writer.write(protocol.encode(PeerGreeting("shop", "B", "first")))
            await until_answered(alone_with_b)


def test_the_greatest_number_of_all_does_not_ruin_a_store(alone_with_b: Loopback) -> None:
    greatest = ProposalID(MAX_NUMBER, "B")

    @in_event_loop
    async def go_beyond() -> None:
        async with (
            asyncio.timeout(TOO_LONG),
            alone_with_b.serve("A") as (a,),
            connection(*alone_with_b.where("A")) as (_, writer),
        ):
            writer.write(protocol.encode(PeerGreeting("shop", "B", "first")))
            writer.write(from_peer("B", Prepare(greatest)))
            await until(lambda: a.node.durable.promised == greatest)
            await a.decide(b"a value")

    with suppress(PaxosError, TimeoutError):
        go_beyond()
    assert inspect_store(alone_with_b.folder("A")).is_sound


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - to see the warning
@in_event_loop
async def test_who_listens_to_the_world_without_tls_is_warned(
    alone: Loopback, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    bind = replace(alone.address("A"), host=host)
    async with alone.with_cluster(binds={"A": bind}).serve("A"):
        assert f"A listens at {bind}, and its links are unauthenticated" in caplog.text


@in_event_loop
async def test_who_listens_on_loopback_is_not_warned(
    alone: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    async with alone.serve("A"):
        assert "unauthenticated" not in caplog.text
