"""The other nodes of a log: where they are, the links to them, and what goes over these.

Members come and go, so links do, too. A node that is about to join is in nobody's file: it says
itself where it is reached, and is answered there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from paxos.codec import MalformedError
from paxos.errors import MisuseError
from paxos.log.messages import ChosenBelow, LogMessage
from paxos.log_codec import Encoder
from paxos.messages import Envelope, Identity
from paxos.runtime import log_protocol as wire
from paxos.runtime import protocol
from paxos.runtime.cluster_file import Address
from paxos.runtime.links import Link

MAX_STRANGERS = 8
"""Nodes that are no members, and are answered: those that are about to join."""

LINGER = 0.01
"""Seconds that word of what is chosen waits for company. So much later do others apply it."""


class Peers:
    """The links of one node of a log."""

    def __init__(
        self,
        identity: Identity,
        encoder: Encoder,
        addresses: dict[str, Address],
        connect: Callable[[str, Address, bytes], tuple[Link, Callable[[], object]]],
    ) -> None:
        """Take who this node is, how envelopes are encoded, and where nodes were last.

        `connect` makes a link to a node, with this greeting, and what ends it.
        """
        self._identity = identity
        self._encoder = encoder
        self._addresses = dict(addresses)
        self._connect = connect
        self._links: dict[str, Link] = {}
        self._endings: dict[str, Callable[[], object]] = {}
        self._lingering: dict[str, Envelope[LogMessage[bytes]]] = {}
        self._members: dict[str, str] = {}

    def address_of(self, node_id: str) -> str:
        """Where this node is reached, or an empty text."""
        address = self._addresses.get(node_id)
        return "" if address is None else str(address)

    def is_connected(self, node_id: str) -> bool:
        """Whether there is a connection to this node just now."""
        return node_id in self._links and self._links[node_id].is_connected

    def keep_to(self, members: dict[str, str]) -> None:
        """Have a link to each of these nodes, given with their addresses, if they have any."""
        self._members = members
        for node_id, address in members.items():
            if node_id == self._identity.node_id or node_id in self._links:
                continue
            if node_id in self._addresses:
                self._link(node_id, self._addresses[node_id])
            elif address:
                self._link(node_id, Address.parse(address))

    def meet(self, greeting: wire.LogPeerGreeting) -> None:
        """A node has said where it is reached. Its own word is believed before any file's.

        Raises `MalformedError` if that is nowhere, or if there are too many strangers.
        """
        node_id = greeting.node_id
        try:
            address = Address.parse(greeting.address)
        except MisuseError as error:
            raise MalformedError(str(error)) from error
        if node_id not in self._links and node_id not in self._members:
            strangers = self._links.keys() - self._members.keys()
            if len(strangers) >= MAX_STRANGERS:
                raise MalformedError("too many nodes that are no members: add or remove some")
        self._link(node_id, address)
        self._links[node_id].wake()

    def send(self, envelopes: Sequence[Envelope[LogMessage[bytes]]]) -> None:
        """Send these, in one write to each peer. To whom there is no link, there is no way."""
        frames: dict[str, list[bytes]] = {}
        for envelope in envelopes:
            recipient = envelope.recipient
            if recipient not in self._links:
                continue
            if type(envelope.message) is ChosenBelow:
                self._linger(envelope)
                continue
            sent = frames.setdefault(recipient, [])
            if self._lingering:
                waiting = self._lingering.pop(recipient, None)
                if waiting is not None:
                    sent.append(self.frame(waiting))
            sent.append(self.frame(envelope))
        for recipient, sent in frames.items():
            self._links[recipient].send(sent[0] if len(sent) == 1 else b"".join(sent))

    def frame(self, envelope: Envelope[LogMessage[bytes]]) -> bytes:
        """An envelope as it goes over a link."""
        return protocol.frame(wire.ENVELOPE + self._encoder.envelope(envelope))

    def tell(self, recipient: str, frame: bytes) -> None:
        """Send a small frame."""
        if recipient in self._links:
            self._links[recipient].send(frame)

    def tell_much(self, recipient: str, frame: bytes) -> bool:
        """Send a large frame when nothing else wants to go. Says whether there was room."""
        return recipient in self._links and self._links[recipient].send_bulk(frame)

    def _linger(self, envelope: Envelope[LogMessage[bytes]]) -> None:
        """Hold back word of what is chosen until something else goes there, or for a moment.

        The newest such word says all that older ones say. Alone it would wake a process that has
        nothing to do but to apply, just when others have to vote.
        """
        if not self._lingering:
            asyncio.get_running_loop().call_later(LINGER, self._end_lingering)
        self._lingering[envelope.recipient] = envelope

    def _end_lingering(self) -> None:
        lingering, self._lingering = self._lingering, {}
        for recipient, envelope in lingering.items():
            self.tell(recipient, self.frame(envelope))

    def _link(self, node_id: str, address: Address) -> None:
        if node_id in self._links and self._addresses.get(node_id) == address:
            return
        self._addresses[node_id] = address
        if node_id in self._endings:
            self._endings[node_id]()
        own = self._identity
        greeting = wire.LogPeerGreeting(
            own.cluster, own.node_id, own.incarnation, self.address_of(own.node_id)
        )
        link, ending = self._connect(node_id, address, wire.encode(greeting))
        self._links[node_id], self._endings[node_id] = link, ending
