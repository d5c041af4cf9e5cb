"""The part of the transport's suite in which the network is whole: who hears what."""

from __future__ import annotations

from dataclasses import replace

from paxos.codec import MAX_NUMBER, MAX_VALUE_BYTES
from paxos.messages import (
    NOTHING_ACCEPTED,
    Accept,
    Accepted,
    Chosen,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Request,
)
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.testing.event_loop import in_event_loop, turns
from paxos.testing.transport_bench import TALKS, TransportBench


def messages(value_bytes: int) -> list[Message[bytes]]:
    """Return one message of each kind, with values and numbers from the smallest to the largest."""
    one, last = ProposalID(1, "A"), ProposalID(MAX_NUMBER, "C")
    return [
        Prepare(last),
        Promise(one, NOTHING_ACCEPTED),
        Promise(last, Proposal(one, b"")),
        Accept(Proposal(one, bytes(range(256)))),
        Accepted(Proposal(last, b"\0")),
        Nack(one, last),
        Chosen(Proposal(one, b"\xff" * value_bytes)),
        Request(b"a value"),
        Heartbeat(NO_PROPOSAL, 0.1),
        HeartbeatAnswer(one, 1e9),
    ]


class TransportDelivery(TransportBench):
    """What was sent arrives as it was sent, where it was sent to, from whom it says."""

    @in_event_loop
    async def test_what_arrives_is_what_was_sent(self) -> None:
        """Messages of every kind, and values of every size."""
        with self.network("AB") as network:
            async with network.node("A") as a, network.node("B") as b:
                for message in messages(self.value_bytes):
                    await network.arrives(a, b, Envelope(a.identity, "B", message))

    @in_event_loop
    async def test_every_node_reaches_every_other(self) -> None:
        """Both ways between any two."""
        with self.network("ABC") as network:
            async with network.node("A") as a, network.node("B") as b, network.node("C") as c:
                for one, other in ((a, b), (b, c), (c, a)):
                    await network.talk(one, other)

    @in_event_loop
    async def test_only_the_recipient_hears_it(self) -> None:
        """Nobody else does, and what is for a stranger goes nowhere."""
        with self.network("ABC") as network:
            async with network.node("A") as a, network.node("B") as b, network.node("C") as c:
                for _ in range(TALKS):
                    network.send(a, network.news(a, "Z"))
                    network.send(a, network.news(a, "C"))
                    await network.talk(a, b)
                await network.talk(a, c)

    @in_event_loop
    async def test_nobody_speaks_for_another(self) -> None:
        """What is heard as from C was sent by C, and by the incarnation that it names."""
        with self.network("ABC") as network:
            async with network.node("A") as a, network.node("B") as b, network.node("C") as c:
                await network.talk(a, b)
                for sender in (
                    c.identity,
                    b.identity,
                    replace(a.identity, incarnation="second"),
                ):
                    network.forge(a, replace(network.news(a, "B"), sender=sender))
                    await network.talk(a, b)
                    await network.talk(c, b)

    @in_event_loop
    async def test_nobody_speaks_for_another_cluster(self) -> None:
        """Who is connected as a node of this cluster is heard as one, or not at all."""
        with self.network("AB") as network:
            async with network.node("A") as a, network.node("B") as b:
                await network.talk(a, b)
                elsewhere = replace(a.identity, cluster="bakery")
                network.forge(a, replace(network.news(a, "B"), sender=elsewhere))
                await network.talk(a, b)

    @in_event_loop
    async def test_another_cluster_is_not_heard(self) -> None:
        """Though it has nodes of the same names, and knows our addresses."""
        with self.network("ABX") as network:
            network_of_x = {"cluster": "bakery", "members": "ABX"}
            async with (
                network.node("A", members="AB") as a,
                network.node("B", members="AB") as b,
                network.node("X", **network_of_x) as x,
            ):
                for _ in range(TALKS):
                    network.forge(x, network.news(x, "B"))
                    await network.talk(a, b)

    @in_event_loop
    async def test_who_is_no_member_is_not_heard(self) -> None:
        """Though it says that it is of our cluster, and knows our addresses."""
        with self.network("ABZ") as network:
            async with (
                network.node("A", members="AB") as a,
                network.node("B", members="AB") as b,
                network.node("Z") as z,
            ):
                for _ in range(TALKS):
                    network.forge(z, network.news(z, "B"))
                    await network.talk(a, b)

    @in_event_loop
    async def test_what_is_too_large_harms_nobody(self) -> None:
        """It arrives whole, or is refused, or is dropped; others arrive as before."""
        with self.network("AB") as network:
            async with network.node("A") as a, network.node("B") as b:
                for size in (self.value_bytes + 5000, MAX_VALUE_BYTES, MAX_VALUE_BYTES + 1):
                    large = Request(bytes(size))
                    network.send(a, Envelope(a.identity, "B", large))
                    await turns(TALKS)
                    await network.talk(a, b)
