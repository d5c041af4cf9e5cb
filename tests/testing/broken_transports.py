"""Transports that each get one thing wrong, and the test of the suite that notices it."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from paxos import Envelope, Identity, Request
from paxos.codec import encode_envelope
from testing.plain_transport import PlainTransport

BROKEN: list[tuple[type[PlainTransport], str, str]] = []
"""Each with the name of the test that must fail, and with what it must say."""


def fails(test: str, says: str) -> Callable[[type[PlainTransport]], type[PlainTransport]]:
    def note(transport: type[PlainTransport]) -> type[PlainTransport]:
        BROKEN.append((transport, test, says))
        return transport

    return note


# Who hears what.


@fails("test_what_arrives_is_what_was_sent", "B heard what .* never sent")
class StripsValues(PlainTransport):
    """As a transport does that reads lines."""

    def heard(self, envelope: Envelope[Any]) -> None:
        message = envelope.message
        if isinstance(message, Request):
            message = Request(message.value.strip(b" a"))
        super().heard(replace(envelope, message=message))


@fails("test_what_arrives_is_what_was_sent", "B never heard it")
class CarriesNoMoreThanADatagram(PlainTransport):
    def send(self, envelope: Envelope[Any], /) -> None:
        if len(encode_envelope(envelope)) < 1400:
            super().send(envelope)


@fails("test_every_node_reaches_every_other", "never heard it")
class ConnectsOneWayOnly(PlainTransport):
    """The lower node connects, and the other one never answers on that connection."""

    async def use(self, peer: str) -> None:
        if peer > self.identity.node_id:
            await super().use(peer)


@fails("test_only_the_recipient_hears_it", "B heard what was for [CZ]")
class TellsEverybody(PlainTransport):
    def send(self, envelope: Envelope[Any], /) -> None:
        for waiting in self.waiting.values():
            waiting.append(encode_envelope(envelope))


@fails("test_nobody_speaks_for_another", "node_id='C'.* never sent")
class BelievesEveryEnvelope(PlainTransport):
    def believes(self, sender: Identity, greeting: tuple[str, str, str]) -> bool:
        return True


@fails("test_nobody_speaks_for_another", "incarnation='second'.* never sent")
class BelievesEveryIncarnation(PlainTransport):
    def believes(self, sender: Identity, greeting: tuple[str, str, str]) -> bool:
        return (sender.cluster, sender.node_id) == greeting[:2]


@fails("test_nobody_speaks_for_another_cluster", "cluster='bakery'.* never sent")
class BelievesEveryNameOfACluster(PlainTransport):
    """It has asked whom it talks to, and does not look again."""

    def believes(self, sender: Identity, greeting: tuple[str, str, str]) -> bool:
        return (sender.node_id, sender.incarnation) == greeting[1:]


@fails("test_another_cluster_is_not_heard", "cluster='bakery'.* never sent")
class HearsEveryCluster(PlainTransport):
    """It looks at the name of the node alone, and X is a name in both clusters."""

    def knows(self, cluster: object, node_id: object) -> bool:
        return node_id in {*self.addresses, "X"}


@fails("test_who_is_no_member_is_not_heard", "node_id='Z'.* never sent")
class HearsStrangers(PlainTransport):
    def knows(self, cluster: object, node_id: object) -> bool:
        return cluster == self.identity.cluster


@fails("test_what_is_too_large_harms_nobody", "B never heard it")
class DiesOfALargeEnvelope(PlainTransport):
    def send(self, envelope: Envelope[Any], /) -> None:
        if len(encode_envelope(envelope)) > 10_000:
            self.waiting.clear()
        super().send(envelope)


# What peers may do.


@fails("test_sending_never_waits_and_what_waits_is_bounded", "bytes wait for peers")
class KeepsAllThatWaits(PlainTransport):
    def queue(self) -> deque[bytes]:
        return deque()


@fails("test_sending_never_waits_and_what_waits_is_bounded", "send raised ConnectionError")
class RaisesWhenAPeerIsNotThere(PlainTransport):
    def send(self, envelope: Envelope[Any], /) -> None:
        waiting = self.waiting.get(envelope.recipient, deque())
        if len(waiting) == waiting.maxlen:
            raise ConnectionError(f"{envelope.recipient} is not there")
        super().send(envelope)


@fails("test_a_peer_that_never_reads_does_not_hold_up_another", "B never heard it")
class HasOneQueueForAll(PlainTransport):
    """One lock for all writing, held by whoever waits for a peer that does not read."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.lock = asyncio.Lock()

    async def say_all(self, writer: asyncio.StreamWriter, peer: str) -> None:
        async with self.lock:
            await super().say_all(writer, peer)


@fails("test_a_peer_that_comes_back_is_reached_again", "B never heard it")
class ConnectsOnce(PlainTransport):
    async def reach(self, peer: str) -> None:
        while True:
            try:
                await self.use(peer)
            except ConnectionRefusedError:
                await asyncio.sleep(0.005)
            else:
                return


@fails("test_a_peer_may_be_up_long_before_another", "B never heard it")
class GivesUpSoon(PlainTransport):
    async def reach(self, peer: str) -> None:
        for _ in range(3):
            try:
                await self.use(peer)
            except OSError:
                await asyncio.sleep(0)


@fails("test_a_peer_that_lost_its_disk_comes_back_under_another_incarnation", "A never heard it")
class RemembersIncarnations(PlainTransport):
    """That is for the node to judge: it alone knows what it has heard of whom."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.known: dict[str, str] = {}

    def believes(self, sender: Identity, greeting: tuple[str, str, str]) -> bool:
        first = self.known.setdefault(sender.node_id, sender.incarnation)
        return super().believes(sender, greeting) and first == sender.incarnation


@fails("test_noise_disturbs_nobody", "B never heard it")
class DiesOfNoise(PlainTransport):
    """One connection that talks nonsense ends them all."""

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.hear_all(reader)
        except ValueError:
            self.hear = lambda envelope: None
        except (OSError, EOFError):
            pass
        finally:
            writer.transport.abort()


@fails("test_noise_disturbs_nobody", "errors that nobody saw")
class LetsErrorsThrough(PlainTransport):
    """It goes on; only that nobody sees what goes wrong."""

    async def attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.hear_all(reader)
        finally:
            writer.transport.abort()


# How it ends.


@fails("test_it_ends_with_everything_that_it_opened", "left running")
class LeavesATask(PlainTransport):
    async def end(self, server: asyncio.Server) -> None:
        await super().end(server)
        self.run(asyncio.sleep(1000))


@fails("test_it_ends_with_everything_that_it_opened", "left open")
class LeavesASocket(PlainTransport):
    """With which it wakes itself."""

    left: ClassVar[list[object]] = []

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.left.append(socket.socketpair())


@fails("test_nothing_is_heard_after_the_end", "something was heard there")
class HearsAfterItsEnd(PlainTransport):
    """A connection that it forgot goes on as before."""

    async def end(self, server: asyncio.Server) -> None:
        server.close()
        for task in self.tasks:
            if "reach" in repr(task):
                task.cancel()


@fails("test_it_ends_though_much_still_waits", "did not end")
class SendsAllBeforeItEnds(PlainTransport):
    async def end(self, server: asyncio.Server) -> None:
        while any(self.waiting[peer] for peer in self.addresses):  # noqa: ASYNC110 - it is wrong
            await asyncio.sleep(0.005)
        await super().end(server)


@fails("test_it_may_be_cancelled_while_it_starts", "left running")
class CannotBeCancelled(PlainTransport):
    """What it has begun before it was cancelled is never ended."""

    async def listen(self) -> asyncio.Server:
        self.connect()
        for _ in range(3):
            await asyncio.sleep(0)
        return await super().listen()
