"""Drives one machine: hands it inputs and time, and performs what it gets ready.

The way of one message: a connection hands an envelope to `feed`; the machine handles it; what it
gives as `send` goes to the links at once; what it gives as `persist` goes to the disk thread, and
`send_after_persist` follows when that has returned.

It drives a node of one decision and a node of a log alike. What differs is handed in: how a state
is saved, how an envelope is sent, and who is told of events.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from paxos.errors import FaultError, MisuseError
from paxos.events import Stopped
from paxos.heartbeat import HeartbeatNode
from paxos.machine import Machine, Tick
from paxos.messages import Envelope
from paxos.node import DurableState

Done: TypeAlias = Callable[[BaseException | None], None]
"""Called in the event loop when a save has ended, with what went wrong or None."""

NodeMachine: TypeAlias = Machine[HeartbeatNode[bytes], DurableState[bytes], bytes]

MAX_AT_ONCE = 64
"""Inputs that are handled before their outputs are taken: that costs more than a small message."""

ENOUGH_OUTPUTS = 256
"""With so many outputs they are taken at once: the machine bounds what it keeps of them."""

RESOLUTION = 0.01
"""Seconds that a tick may come late. To ask for the deadline after each input costs more."""

TOLERANCE = 0.01
"""Seconds by which a persist may look older than it is: far less than a liveness window."""

N = TypeVar("N")
D = TypeVar("D")


class Driver(Generic[N, D]):
    """Between one machine, one disk and the links. Lives in one event loop.

    What goes wrong for good is in `failure`, or in `late_failure` if nobody waits any more.
    """

    def __init__(
        self,
        machine: Machine[Any, D, Any],
        save: Callable[[D, Done], None],
        send: Callable[[Sequence[Envelope[Any]]], None],
        publish: Callable[[Sequence[Any]], None],
    ) -> None:
        """Take a machine, how to save its state, how to send to others, and whom to tell."""
        self._machine = machine
        self._own: str = machine.node.node_id
        self._save = save
        self._send = send
        self._publish = publish
        self._loop = asyncio.get_running_loop()
        self._inputs: deque[Any] = deque()
        self._to_self: deque[Envelope[Any]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._looked_at = self._handled_at = float("-inf")
        self._performing = False
        self._closed = False
        self.failure: asyncio.Future[None] = self._loop.create_future()
        self.late_failure: BaseException | None = None
        """What went wrong after the driver was closed, or `failure` cancelled."""

    @property
    def node(self) -> N:
        """The state of the node."""
        node: N = self._machine.node
        return node

    @property
    def is_closed(self) -> bool:
        """Whether it takes no more inputs."""
        return self._closed

    def start(self) -> None:
        """Set the first timer."""
        self._perform()

    def feed(self, *inputs: Any) -> None:
        """Give the machine inputs, and do what follows from them. Ignored once stopped.

        What comes together is handled together: inputs at once, then all outputs (contract,
        point 1). Called from within `publish`, it only queues.
        """
        if self._closed:
            return
        self._inputs.extend(inputs)
        if not self._performing:
            self._perform()

    def fail(self, error: BaseException) -> None:
        """End the node: something around the machine failed for good."""
        self._fail(error)

    def close(self) -> None:
        """Stop driving. A persist under way may complete, and nothing leaves after it."""
        self._stop_ticking()
        self.failure.cancel()

    def _perform(self) -> None:
        """Handle what waits, and whatever that leads to, until nothing is left to do."""
        self._performing = True
        try:
            while True:
                self._handle()
                self._carry_out()
                if self._closed or not (self._inputs or self._to_self):
                    break
            self._set_timer()
        except Exception as error:  # noqa: BLE001 - surfaces where the server waits for `failure`
            self._fail(error)
        finally:
            self._performing = False

    def _handle(self) -> None:
        """Hand over inputs: first what the node says to itself, which skips all queues."""
        machine, now = self._machine, self._loop.time()
        self._handled_at = now
        for queue in (self._to_self, self._inputs):
            for _ in range(min(len(queue), MAX_AT_ONCE)):
                if machine.outputs >= ENOUGH_OUTPUTS:
                    return
                if machine.stopped is None:
                    machine.receive(queue.popleft(), now)

    def _carry_out(self) -> None:
        ready = self._machine.ready()
        if ready.send:
            self._dispatch(ready.send)
        if ready.persist is not None:
            self._persist(ready.persist, ready.send_after_persist)
        elif ready.send_after_persist:
            self._dispatch(ready.send_after_persist)
        if ready.events:  # last: others wait for our messages and our disk, and may work meanwhile
            self._publish(ready.events)
            for event in ready.events:
                if isinstance(event, Stopped):
                    self._fail(event.error)

    def _persist(self, state: D, then_send: tuple[Envelope[Any], ...]) -> None:
        def done(error: BaseException | None) -> None:
            if self._closed:
                self.late_failure = self.late_failure or error
                return
            try:
                if error is None:
                    self._machine.persisted()
                    self._dispatch(then_send)
                    now = self._loop.time()
                    if now > self._handled_at + TOLERANCE and self._machine.stopped is None:
                        # The next persist begins now, not at the last input: it must not look old.
                        self._machine.receive(Tick(), now)
                elif isinstance(error, FaultError):
                    self._machine.failed(error)
                else:
                    self._fail(error)
                    return
            except Exception as failure:  # noqa: BLE001 - surfaces as above
                self._fail(failure)
                return
            self._perform()

        try:
            self._save(state, done)
        except MisuseError as error:
            raise led_astray(error) from error

    def _dispatch(self, envelopes: Iterable[Envelope[Any]]) -> None:
        """What a node says to itself skips all queues and is never lost."""
        own = self._own
        others: list[Envelope[Any]] = []
        for envelope in envelopes:
            (self._to_self if envelope.recipient == own else others).append(envelope)
        if others:
            self._send(others)

    def _set_timer(self) -> None:
        """See to it that a tick comes at the deadline, or at most `RESOLUTION` later.

        A timer that comes too early does no harm: it sets itself anew. So one that is due before
        is kept, for deadlines move with almost every input, and are asked for now and then only.
        """
        now = self._loop.time()
        if self._closed or (self._timer is not None and self._timer.when() <= now + RESOLUTION):
            return
        at: float | None = self._looked_at + RESOLUTION
        if now >= self._looked_at + RESOLUTION:
            self._looked_at, at = now, self._machine.deadline
        if at is None or (self._timer is not None and self._timer.when() <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        deadline = self._machine.deadline
        if deadline is not None and self._loop.time() >= deadline:
            self.feed(Tick())
        else:
            self._set_timer()

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


def led_astray(error: MisuseError) -> FaultError:
    """Our own values fit what is saved; a number that a peer made up may not."""
    return FaultError(f"a peer led this node where it cannot go on: {error}")
