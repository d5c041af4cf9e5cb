"""Drives one machine: hands it inputs and time, and performs what it gets ready.

The way of one message: a connection hands an envelope to `feed`; the machine handles it; what it
gives as `send` goes to the links at once; what it gives as `persist` goes to the disk thread, and
`send_after_persist` follows when that has returned.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from paxos.codec import encode_state
from paxos.errors import FaultError, MisuseError
from paxos.events import Event, Stopped
from paxos.heartbeat import HeartbeatNode
from paxos.machine import Machine, Propose, Tick
from paxos.messages import Envelope, Message
from paxos.node import DurableState
from paxos.runtime.disk_thread import DiskThread

NodeMachine = Machine[HeartbeatNode[bytes], DurableState[bytes], bytes]
NodeInput = Envelope[Message[bytes]] | Propose[bytes] | Tick


class Driver:
    """Between one machine, one disk and the links. Lives in one event loop.

    What goes wrong for good is in `failure`, or in `late_failure` if nobody waits any more.
    """

    def __init__(
        self,
        machine: NodeMachine,
        disk: DiskThread,
        send: Callable[[Envelope[Any]], None],
        publish: Callable[[Event[bytes]], None],
    ) -> None:
        """Take a machine, where to save, how to send to others, and whom to tell of events."""
        self._machine = machine
        self._disk = disk
        self._send = send
        self._publish = publish
        self._loop = asyncio.get_running_loop()
        self._to_self: deque[Envelope[Message[bytes]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.failure: asyncio.Future[None] = self._loop.create_future()
        self.late_failure: BaseException | None = None
        """What went wrong after the driver was closed, or `failure` cancelled."""

    @property
    def node(self) -> HeartbeatNode[bytes]:
        """The state of the node."""
        return self._machine.node

    def start(self) -> None:
        """Set the first timer."""
        self._perform()

    def feed(self, input: NodeInput) -> None:
        """Give the machine an input and do what follows from it. Ignored once stopped."""
        if self._closed:
            return
        try:
            self._machine.receive(input, self._loop.time())
            self._perform()
        except Exception as error:  # noqa: BLE001 - surfaces where the server waits for `failure`
            self._fail(error)

    def close(self) -> None:
        """Stop driving. A persist under way may complete, and nothing leaves after it."""
        self._stop_ticking()
        self.failure.cancel()

    def _perform(self) -> None:
        while True:
            while not (ready := self._machine.ready()).is_empty:
                for event in ready.events:
                    self._publish(event)
                    if isinstance(event, Stopped):
                        self._fail(event.error)
                self._dispatch(ready.send)
                if ready.persist is None:
                    self._dispatch(ready.send_after_persist)
                else:
                    self._persist(ready.persist, ready.send_after_persist)
            if not self._to_self:
                break
            self._machine.receive(self._to_self.popleft(), self._loop.time())
        self._set_timer()

    def _persist(self, state: DurableState[bytes], then_send: tuple[Envelope[Any], ...]) -> None:
        def done(error: BaseException | None) -> None:
            if self._closed:
                self.late_failure = self.late_failure or error
                return
            try:
                if error is None:
                    self._machine.persisted()
                    self._dispatch(then_send)
                    # The next persist begins now, not at the last input: it must not look old.
                    self._machine.receive(Tick(), self._loop.time())
                    self._perform()
                elif isinstance(error, FaultError):
                    self._machine.failed(error)
                    self._perform()
                else:
                    self._fail(error)
            except Exception as failure:  # noqa: BLE001 - surfaces as above
                self._fail(failure)

        try:
            data = encode_state(state)
        except MisuseError as error:  # our values fit; a number that a peer made up may not
            raise FaultError(f"a peer led this node where it cannot go on: {error}") from error
        self._disk.save(data, done)

    def _dispatch(self, envelopes: Iterable[Envelope[Any]]) -> None:
        """What a node says to itself skips all queues and is never lost."""
        for envelope in envelopes:
            if envelope.recipient == self.node.node_id:
                self._to_self.append(envelope)
            else:
                self._send(envelope)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._machine.deadline
        if deadline is not None and not self._closed:
            self._timer = self._loop.call_at(deadline, self.feed, Tick())

    def _fail(self, error: BaseException) -> None:
        self._stop_ticking()
        if not self.failure.done():
            self.failure.set_exception(error)
        elif self.failure.cancelled():
            self.late_failure = self.late_failure or error

    def _stop_ticking(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
