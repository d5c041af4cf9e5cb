"""The shell around every kind of node: it orders effects, and performs none.

A world feeds a machine with `receive`, and performs what `ready` gives it:

1. `send` and `events` may go at once.
2. `persist` goes to stable storage. Then, and only then, `persisted()` is called and
   `send_after_persist` leaves. If `persist` is None, `send_after_persist` may leave at once.
3. If the storage fails, `failed(error)` is called, and the machine stops for good.

At most one persist is under way. What comes meanwhile is handled at once, and its answers wait
for the next one, which covers them all: group commit.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeAlias, TypeVar, cast

from paxos.errors import FaultError, MisuseError
from paxos.events import Event, Stopped
from paxos.messages import Binding, Envelope, Free, Message, V, Waiting

MAX_QUEUED = 4096
"""How many messages may wait for a persist. A hung disk must not eat all memory.

Above it the older half is dropped, as a network may drop it, except what the node says to itself.
With as many outputs not taken, `receive` raises `MisuseError`. Messages differ only by ballot and
peer, so thousands are far beyond need.
"""


@dataclass(frozen=True)
class Propose(Generic[V]):
    """Input: the application wants this value to be chosen."""

    value: V


@dataclass(frozen=True, slots=True)
class Tick:
    """Input: time has passed."""


@dataclass(frozen=True, slots=True)
class PersistBegan:
    """Input from the shell: the durable state is on its way to stable storage."""


@dataclass(frozen=True, slots=True)
class PersistEnded:
    """Input from the shell: it is there."""


@dataclass(frozen=True, slots=True)
class PersistFailed:
    """Input from the shell: it is not there and never will be. The last input of all."""


Input: TypeAlias = (
    Envelope[Message[V]] | Propose[V] | Tick | PersistBegan | PersistEnded | PersistFailed
)

D = TypeVar("D", bound=Hashable)
S = TypeVar("S")


class Step(NamedTuple, Generic[S, V]):
    """What one input does to a node: its next state, and what comes out of it."""

    node: S
    messages: tuple[Envelope[Message[V]], ...] = ()
    events: tuple[Event[V], ...] = ()


class Steps(Protocol[D, V]):
    """What the shell asks of a node: to be a value with a pure step."""

    @property
    def durable(self) -> D:
        """What must survive a crash."""
        ...

    @property
    def deadline(self) -> float | None:
        """When it wants the next tick (seconds), or None."""
        ...

    def is_saved_by(self, saved: D) -> bool:
        """Whether a disk that holds `saved` holds all that must survive."""
        ...

    def step(self, input: Input[V], now: float) -> Step[Self, V]:
        """The next state, messages and events. Pure: the same input gives the same output."""
        ...


N = TypeVar("N", bound=Steps[Any, Any])


@dataclass(frozen=True)
class Ready(Generic[D, V]):
    """What a world has to do now. Taken once: the machine does not offer it again."""

    persist: D | None
    """To be made durable, or None if nothing changed or a persist is still under way."""

    send: tuple[Envelope[Free[V]], ...]
    send_after_persist: tuple[Envelope[Waiting[V]], ...]
    """May leave only when *this* persist is done."""

    events: tuple[Event[V], ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.persist is None and not (self.send or self.send_after_persist or self.events)


class Snapshot(NamedTuple, Generic[N, D]):
    """Everything that a machine holds, as one hashable value."""

    node: N
    now: float
    saved: D
    saving: D | None
    send: tuple[Envelope[Any], ...]
    waiting: tuple[Envelope[Any], ...]
    events: tuple[Event[Any], ...]
    stopped: FaultError | None


class Machine(Generic[N, D, V]):
    """One node, and the order of its effects. Belongs to one thread."""

    __slots__ = ("_entry", "_events", "_node", "_now", "_saved", "_saving", "_send", "_stopped",
                 "_waiting")  # fmt: skip

    def __init__(self, node: N, now: float = float("-inf")) -> None:
        """Take a node as it is on disk: what it holds as durable must have been read from there.

        `now` is the instant (seconds, monotonic) at which it starts.
        """
        self._node: N = node
        self._now = now
        self._saved: D = node.durable
        self._saving: D | None = None
        self._send: tuple[Envelope[Free[V]], ...] = ()
        # A dict for its order and because an answer that already waits need not wait twice.
        self._waiting: dict[Envelope[Waiting[V]], None] = {}
        self._events: tuple[Event[V], ...] = ()
        self._stopped: FaultError | None = None
        self._entry = [None]

    @property
    def node(self) -> N:
        """The state of the node: immutable, to look at."""
        return self._node

    @property
    def stopped(self) -> FaultError | None:
        """Why the machine stopped, or None while it runs."""
        return self._stopped

    @property
    def deadline(self) -> float | None:
        """When it wants the next tick (seconds, the clock of `receive`), or None."""
        return None if self._stopped else self._node.deadline

    @property
    def outputs(self) -> int:
        """How many messages and events wait to be taken: `receive` refuses at `MAX_QUEUED`."""
        return len(self._send) + len(self._events)

    def receive(self, input: Envelope[Message[V]] | Propose[V] | Tick, now: float) -> None:
        """Handle one input at the instant `now` (seconds, monotonic).

        Raises `MisuseError` if time runs back, if the machine has stopped, if it is already
        handling something, or if what is proposed has no hash or does not equal itself. A fault
        that proves damage stops the machine and comes as an event.
        """
        self._enter()
        try:
            if self._stopped:
                raise MisuseError(
                    f"this machine has stopped ({self._stopped}): open its store anew"
                )
            if not self._now <= now < float("inf"):
                raise MisuseError(f"time went from {self._now} to {now}: use a monotonic clock")
            if self.outputs >= MAX_QUEUED:
                raise MisuseError("outputs pile up: take them by ready() after each receive()")
            if isinstance(input, Propose):
                _demand_possible(input.value)
            self._now = now
            self._step(input)
        finally:
            self._leave()

    def ready(self) -> Ready[D, V]:
        """What there is to do. Empty once everything is under way."""
        self._enter()
        try:
            persist: D | None = None
            after: tuple[Envelope[Waiting[V]], ...] = ()
            if self._saving is None and not self._stopped:
                after, self._waiting = tuple(self._waiting), {}
                if not self._node.is_saved_by(self._saved):
                    persist = self._saving = self._node.durable
                    self._step(PersistBegan())
            ready = Ready(persist, self._send, after, self._events)
            self._send, self._events = (), ()
            return ready
        finally:
            self._leave()

    def persisted(self) -> None:
        """The persist of the last `Ready` is on stable storage."""
        self._enter()
        try:
            if self._stopped:
                return
            if self._saving is None:
                raise MisuseError("nothing is being persisted: call this once for each persist")
            self._saved, self._saving = self._saving, None
            self._step(PersistEnded())
        finally:
            self._leave()

    def failed(self, error: FaultError) -> None:
        """The persist under way failed, or the storage did. The machine stops; nothing leaves."""
        self._enter()
        try:
            if self._stopped:
                return
            self._step(PersistFailed())
            self._stop(error)
        finally:
            self._leave()

    def snapshot(self) -> Snapshot[N, D]:
        """All of it as one immutable value, for worlds that go back in time."""
        return Snapshot(
            self._node,
            self._now,
            self._saved,
            self._saving,
            self._send,
            tuple(self._waiting),
            self._events,
            self._stopped,
        )

    @classmethod
    def restore(cls, snapshot: Snapshot[N, D]) -> Self:
        """The machine that a snapshot was taken of."""
        machine = cls(snapshot.node, snapshot.now)
        machine._saved, machine._saving = snapshot.saved, snapshot.saving
        machine._send, machine._events = snapshot.send, snapshot.events
        machine._waiting = dict.fromkeys(snapshot.waiting)
        machine._stopped = snapshot.stopped
        return machine

    def _step(self, input: Input[V]) -> None:
        try:
            step = self._node.step(input, self._now)
        except FaultError as fault:
            self._stop(fault)
            return
        self._node = step.node
        if step.messages:
            self._route(step.messages)
        if step.events:
            self._events += step.events

    def _route(self, envelopes: Iterable[Envelope[Message[V]]]) -> None:
        for envelope in envelopes:
            if waits_for_persist(envelope.message):
                self._waiting[cast("Envelope[Waiting[V]]", envelope)] = None
            else:
                self._send += (cast("Envelope[Free[V]]", envelope),)
        if len(self._waiting) > MAX_QUEUED:
            self._waiting = dict.fromkeys(_newest(tuple(self._waiting)))

    def _stop(self, error: FaultError) -> None:
        self._stopped = error
        self._send, self._waiting = (), {}
        self._events += (Stopped(error),)

    def _enter(self) -> None:
        # Taking the only token is atomic, so of two threads one is sure to find the list empty.
        try:
            self._entry.pop()
        except IndexError:
            raise MisuseError(
                "a machine belongs to one thread, and handles one call at a time"
            ) from None

    def _leave(self) -> None:
        self._entry.append(None)


def waits_for_persist(message: Message[V]) -> bool:
    """Which of the two lists a message goes to."""
    return isinstance(message, Binding)


def _demand_possible(value: object) -> None:
    try:
        hash(value)
    except TypeError as error:
        raise MisuseError(f"{value!r} cannot be a value, for it has no hash: freeze it") from error
    if value != value:  # noqa: PLR0124 - NaN is not itself, and would look like damage
        raise MisuseError(f"{value!r} cannot be a value, for it does not equal itself")


def _newest(envelopes: tuple[Envelope[Any], ...]) -> tuple[Envelope[Any], ...]:
    """The newer half of a full queue, and whatever the node says to itself: that is never lost."""
    half = MAX_QUEUED // 2
    older, newer = envelopes[:half], envelopes[half:]
    return tuple(e for e in older if e.recipient == e.sender.node_id) + newer
