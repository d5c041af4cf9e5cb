"""The part of the transport's suite in which peers go, come back, are deaf, or talk nonsense."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import suppress

import pytest

from paxos.messages import Envelope, Request
from paxos.testing.contract import demand
from paxos.testing.event_loop import demand_no_tasks, in_event_loop, no_files_left_open, turns
from paxos.testing.transport_bench import TALKS, TURNS, Network, Node, TransportBench, noises


class TransportTrouble(TransportBench):
    """No peer, whatever it does, holds up a node, or another peer, or the end."""

    @in_event_loop
    async def test_sending_never_waits_and_what_waits_is_bounded(self) -> None:
        """For a peer that is down, and for one that never reads."""
        with self.network("ABC") as network, self.deaf(network.addresses["C"]):
            async with network.node("A") as a:
                tracemalloc.start()
                try:
                    for recipient in "BC":
                        await self._flood(network, a, recipient, 2 * self.most_bytes_waiting)
                    taken, _ = tracemalloc.get_traced_memory()
                finally:
                    tracemalloc.stop()
                demand(
                    taken < self.most_bytes_waiting,
                    f"{taken} bytes wait for peers that do not take them",
                )

    @in_event_loop
    async def test_a_peer_that_never_reads_does_not_hold_up_another(self) -> None:
        """There is a way to each peer of its own."""
        with self.network("ABC") as network, self.deaf(network.addresses["C"]):
            async with network.node("A") as a, network.node("B") as b:
                for _ in range(20):
                    await self._flood(network, a, "C", self.most_bytes_waiting // 20)
                    await network.talk(a, b)

    @in_event_loop
    async def test_a_peer_that_comes_back_is_reached_again(self) -> None:
        """As often as it goes, at the same address."""
        with self.network("AB") as network:
            async with network.node("A") as a:
                for _ in range(3):
                    async with network.node("B") as b:
                        await network.talk(a, b)
                    network.send(a, network.news(a, "B"))
                    await turns(TURNS)

    @in_event_loop
    async def test_a_peer_may_be_up_long_before_another(self) -> None:
        """Whoever comes first tries until the other is there."""
        with self.network("AB") as network:
            async with network.node("A") as a:
                for _ in range(20):
                    network.send(a, network.news(a, "B"))
                    await turns(TURNS)
                async with network.node("B") as b:
                    await network.talk(a, b)

    @in_event_loop
    async def test_a_peer_that_lost_its_disk_comes_back_under_another_incarnation(self) -> None:
        """The transport says who it is now; what that means, the node decides."""
        with self.network("AB") as network:
            async with network.node("A") as a:
                for incarnation in ("first", "second"):
                    async with network.node("B", incarnation=incarnation) as b:
                        await network.talk(a, b)

    @pytest.mark.parametrize("seed", range(3))
    @in_event_loop
    async def test_noise_disturbs_nobody(self, seed: int) -> None:
        """Whatever a stranger says, also if it sounds like a peer until a bit is wrong.

        What a stranger says exactly as a peer would is heard: to tell them apart takes TLS.
        """
        with self.network("AB") as network:
            async with network.node("A") as a:
                said = await self.overhear(
                    network.addresses["B"], lambda: network.send(a, network.news(a, "B"))
                )
                async with network.node("B") as b:
                    network.nodes.remove(b)  # what it hears of strangers, nobody can judge
                    for noise in noises(said, seed):
                        await self.say(network.addresses["B"], noise)
                    await network.talk(a, b)

    @in_event_loop
    async def test_it_ends_with_everything_that_it_opened(self) -> None:
        """And another may begin at the same address."""
        with self.network("AB") as network, no_files_left_open():
            for _ in range(3):
                async with network.node("A") as a, network.node("B") as b:
                    await network.talk(a, b)
                demand_no_tasks()

    @in_event_loop
    async def test_nothing_is_heard_after_the_end(self) -> None:
        """Though it is still said, and others hear what is said meanwhile."""
        with self.network("ABC") as network:
            async with network.node("A") as a, network.node("C") as c:
                async with network.node("B") as b:
                    await network.talk(a, b)
                heard = len(b.heard)
                for _ in range(TALKS):
                    network.send(a, network.news(a, "B"))
                    await network.talk(a, c)
                demand(len(b.heard) == heard, "B had ended, and something was heard there")

    @in_event_loop
    async def test_it_ends_though_much_still_waits(self) -> None:
        """A peer that never reads does not hold up the end."""
        with self.network("ABC") as network, self.deaf(network.addresses["C"]):
            async with network.node("A") as a:
                await self._flood(network, a, "C", self.most_bytes_waiting)

    @in_event_loop
    async def test_it_may_be_cancelled_while_it_starts(self) -> None:
        """Whenever that is, nothing is left, and the address is free."""

        async def run(network: Network) -> None:
            async with network.node("A"):
                await asyncio.Event().wait()

        with self.network("AB") as network, no_files_left_open():
            for count in range(12):
                task = asyncio.create_task(run(network))
                await turns(count)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                demand_no_tasks()
            async with network.node("A") as a, network.node("B") as b:
                await network.talk(a, b)

    async def _flood(self, network: Network, sender: Node, recipient: str, size: int) -> None:
        """Send so many bytes to one that takes none."""
        for _ in range(size // self.value_bytes // 50 + 1):
            for _ in range(50):
                value = bytes(self.value_bytes)  # each its own, or to keep it would cost nothing
                envelope = Envelope(sender.identity, recipient, Request(value))
                network.forge(sender, envelope)
            await turns(5)
