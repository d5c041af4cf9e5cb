"""One node's copy of the application: applies what is chosen, slot by slot.

It holds the machine, the clients' sessions, and two digests by which nodes are compared. The digest
of the log runs along: each entry with its outcomes is hashed onto the one before, so nodes that
were asked the same and answered otherwise differ from that slot on, for ever. It costs little, and
sees no difference that no answer shows yet. That is seen in the digest of the state, which is taken
with each snapshot.

Nothing here does I/O, reads a clock or draws a number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, replace
from hashlib import blake2b
from inspect import isgeneratorfunction
from itertools import chain, takewhile
from typing import Generic, NoReturn, Self, TypeAlias, TypeVar

import msgspec

from paxos.codec import MalformedError
from paxos.errors import FaultError, MisuseError
from paxos.log.configurations import NO_CONFIGURATIONS, Configurations
from paxos.log.entries import Change, Commands, Entry
from paxos.sessions import (
    DEFAULT_LIMITS,
    ActivateVersion,
    ClientRequest,
    CloseSession,
    OpenSession,
    Outcome,
    SessionID,
    SessionLimits,
    Sessions,
    Verdict,
    answered,
    decode_request,
)
from paxos.snapshots import (
    DIGEST_BYTES,
    Digest,
    Kind,
    Manifest,
    SnapshotError,
    chunks_of,
    digest_of,
    parts_in,
    wire_configuration,
)
from paxos.state_machine import MachineError, StateMachine

M = TypeVar("M", bound=StateMachine)

Make: TypeAlias = Callable[[], M]
"""Makes a machine in its first state: a class, or a function without arguments."""

_encode = msgspec.msgpack.Encoder().encode


class OutdatedError(FaultError):
    """The log has activated a version of the commands that this node's code does not know."""


class Replica(Generic[M]):
    """A machine, and all that is replicated with it. It belongs to one thread."""

    def __init__(
        self,
        make: Make[M],
        *,
        limits: SessionLimits = DEFAULT_LIMITS,
        configurations: Configurations = NO_CONFIGURATIONS,
        window: int = 0,
    ) -> None:
        """Begin before slot 0.

        `window` is the log's: from so many slots after a change of members on, it governs. A log
        whose members never change needs none.
        """
        self._make = make
        self.machine = make()
        if self.machine.snapshot_stays and isgeneratorfunction(self.machine.snapshot):
            raise MisuseError("a generator begins too late: let `snapshot` copy, and return one")
        self.limits = limits
        self.configurations = configurations
        self.window = window
        self.applied_below = 0
        """All slots below are applied."""
        self.digest = _hash(astuple(limits))
        """Of all entries that were applied, and of all answers. Equal on all nodes here."""
        self._sessions = Sessions(limits)
        self._failure: FaultError | None = None
        self._taking: Taking | None = None

    @property
    def sessions(self) -> int:
        """How many are open."""
        return len(self._sessions)

    def apply(self, slot: int, entry: Entry[bytes]) -> list[Outcome]:
        """Apply what was chosen in this slot; return one outcome for each command, in order.

        Raises `MachineError` if the machine fails, `OutdatedError` if its code is too old: then
        this replica is of no use any more, and the node must stop. Raises `MisuseError` for a slot
        that is not the next, and while a snapshot is being taken.
        """
        self._check_ready_to_apply(slot)
        outcomes: list[Outcome] = []
        record: tuple[object, ...] = (self.digest, slot)
        if isinstance(entry, Commands):
            for place, command in enumerate(entry.commands):
                outcomes.append(self._apply_command(SessionID(slot, place), command))
            record = (*record, entry.commands, outcomes)
        elif isinstance(entry, Change):
            self._change(slot, entry)
            record = (*record, wire_configuration(entry.configuration))
        self.digest = _hash(record)
        self.applied_below = slot + 1
        return outcomes

    def query(self, query: bytes) -> Outcome:
        """Ask the machine, here and now. Raises `MachineError` if it fails.

        Whether it is too early to ask, the log says: see its read points.
        """
        self._check_alive()
        try:
            return answered(None, 0, self.machine.query, query, self.limits)
        except Exception as error:
            raise MachineError(f"a query failed: {_words(error)}") from error

    def snapshot(self) -> Taking:
        """Begin to take a snapshot of this moment: an iterator over its chunks.

        Take a chunk, see to the heartbeats, take the next. Unless the machine's snapshots stay as
        they are, nothing can be applied before the last chunk is taken, or this is closed; the log
        goes on meanwhile. Raises `MachineError` if the machine fails.
        """
        self._check_alive()
        self._check_not_taking()
        self._taking = Taking(self._stream(), self._begun_manifest(), self._ended_taking)
        return self._taking

    def state_digest(self) -> bytes:
        """The digest of the whole state. Takes as long as a snapshot. Equal on all nodes here."""
        self._check_alive()
        self._check_not_taking()
        return digest_of(self._stream()).value()

    def restore(self, manifest: Manifest, chunks: Iterable[bytes]) -> None:
        """Take on the state of a snapshot, in the place of this one.

        Raises `SnapshotError` if it is damaged, older than what is applied here, or does not fit
        this machine; then nothing has changed. The chunks are gone over more than once: before the
        machine sees a byte of them, the digest of the whole is checked.
        """
        self._check_alive()
        self._check_not_taking()
        if iter(chunks) is chunks:
            raise MisuseError(
                "chunks are read more than once: give a list, or what opens its file anew"
            )
        self._check_fits(manifest)
        found = digest_of(chunks)
        if (found.size, found.value()) != (manifest.size, manifest.state_digest):
            raise SnapshotError(f"damaged: {found.size} of {manifest.size} bytes, or other ones")
        sessions, machine = self._restored(manifest, chunks)
        self._sessions, self.machine = sessions, machine
        self.configurations = manifest.configurations
        self.applied_below = manifest.chosen_below
        self.digest = manifest.log_digest

    def _apply_command(self, here: SessionID, command: bytes) -> Outcome:
        try:
            request = decode_request(command)
        except MalformedError:
            # The error's words may change with a library's release: never answer with them.
            return Outcome(None, 0, Verdict.MALFORMED, b"this is no request")
        match request:
            case ClientRequest():
                try:
                    return self._sessions.apply(request, self.machine)
                except BaseException as error:  # noqa: BLE001 - an interrupt, too, leaves half a change
                    self._fail(here, error)
            case OpenSession(number):
                return self._sessions.open(here, number)
            case CloseSession(session):
                return self._sessions.close(session)
            case _:
                return self._activate(here, request)

    def _activate(self, here: SessionID, request: ActivateVersion) -> Outcome:
        if request.version > self.machine.version:
            self._failure = OutdatedError(
                f"slot {here.slot} activates version {request.version}, and this node's code "
                f"knows {self.machine.version}: install newer code, and start again"
            )
            raise self._failure
        self.machine.active_version = max(request.version, self.machine.active_version)
        return Outcome(None, request.number, Verdict.ACTIVATED)

    def _fail(self, here: SessionID, error: BaseException) -> NoReturn:
        self._failure = MachineError(
            f"slot {here.slot}, command {here.place}: {_words(error)}. This node's state can no "
            "longer be trusted. Mend the machine, on all nodes, and start again"
        )
        if isinstance(error, Exception):
            raise self._failure from error
        raise error

    def _change(self, slot: int, change: Change) -> None:
        if not self.window:
            raise MisuseError("the members change: give Replica the log's window")
        changed = self.configurations.having_chosen(slot, change, self.window)
        self.configurations = changed.from_slot(slot + 1)

    def _restored(self, manifest: Manifest, chunks: Iterable[bytes]) -> tuple[Sessions, M]:
        """A machine and sessions of their own, made from the chunks, and seen to be the same."""
        try:
            machine = self._make()
            machine.active_version = manifest.active_version
            sessions = Sessions.of_parts(_session_parts(chunks), self.limits)
            machine.restore(part for kind, part in parts_in(chunks) if kind is Kind.MACHINE)
            again = digest_of(_stream(sessions, machine)).value()
        except Exception as error:
            raise SnapshotError(f"it cannot be restored: {_words(error)}") from error
        if again != manifest.state_digest:
            raise SnapshotError("what was restored from it yields another one: see to `restore`")
        return sessions, machine

    def _stream(self) -> Iterator[bytes]:
        try:
            return _stream(self._sessions, self.machine)
        except Exception as error:
            raise MachineError(f"the machine's snapshot failed: {_words(error)}") from error

    def _begun_manifest(self) -> Manifest:
        """Of a snapshot of this moment, before a chunk of it was taken."""
        return Manifest(
            chosen_below=self.applied_below,
            configurations=self.configurations.from_slot(self.applied_below),
            active_version=self.machine.active_version,
            limits=self.limits,
            log_digest=self.digest,
            state_digest=b"",
            size=0,
        )

    def _ended_taking(self) -> None:
        self._taking = None

    def _check_alive(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _check_not_taking(self) -> None:
        if self._taking is not None:
            raise MisuseError("a snapshot is being taken: take it to its end, or close it")

    def _check_ready_to_apply(self, slot: int) -> None:
        self._check_alive()
        if not self.machine.snapshot_stays:
            self._check_not_taking()
        if slot != self.applied_below:
            raise MisuseError(
                f"slot {self.applied_below} comes next, not {slot}: apply all in order"
            )

    def _check_fits(self, manifest: Manifest) -> None:
        if manifest.chosen_below < self.applied_below:
            raise SnapshotError(
                f"it ends below slot {manifest.chosen_below}, and {self.applied_below} is here"
            )
        if manifest.active_version > self.machine.version:
            raise SnapshotError(
                f"its commands are of version {manifest.active_version}, and this node's code "
                f"knows {self.machine.version}: install newer code"
            )
        if manifest.limits != self.limits:
            raise SnapshotError(f"it has {manifest.limits}: give this replica the same")


class Taking:
    """A snapshot on its way out: an iterator over its chunks. At its end it has a manifest."""

    def __init__(self, stream: Iterator[bytes], begun: Manifest, ended: Callable[[], None]) -> None:
        self._stream = stream
        self._begun = begun
        self._ended = ended
        self._digest = Digest()
        self._manifest: Manifest | None = None
        self._closed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """The next chunk. Raises `MachineError` if the machine fails to give one."""
        if self._closed:
            raise MisuseError("this snapshot was given up: take another")
        try:
            chunk = next(self._stream)
        except StopIteration:
            self._finish()
            raise
        except Exception as error:
            self.close()
            raise MachineError(f"the machine's snapshot failed: {_words(error)}") from error
        self._digest.add(chunk)
        return chunk

    @property
    def manifest(self) -> Manifest:
        """What the chunks are. Raises `MisuseError` before the last one was taken."""
        if self._manifest is None:
            raise MisuseError("the manifest comes last: take all chunks first")
        return self._manifest

    def close(self) -> None:
        """Give it up, unless it is complete. The replica may go on."""
        if self._manifest is None and not self._closed:
            self._closed = True
            self._ended()

    def _finish(self) -> None:
        if self._manifest is None:
            self._manifest = replace(
                self._begun, state_digest=self._digest.value(), size=self._digest.size
            )
            self._ended()


def _stream(sessions: Sessions, machine: StateMachine) -> Iterator[bytes]:
    """All that is replicated. If the machine's snapshot stays as it is, so does this."""
    chunks = machine.snapshot()
    parts = list(sessions.parts()) if machine.snapshot_stays else sessions.parts()
    return chunks_of(
        chain(
            ((Kind.SESSIONS, part) for part in parts), ((Kind.MACHINE, chunk) for chunk in chunks)
        )
    )


def _session_parts(chunks: Iterable[bytes]) -> Iterator[bytes]:
    parts = takewhile(lambda part: part[0] is Kind.SESSIONS, parts_in(chunks))
    return (part for _, part in parts)


def _hash(record: object) -> bytes:
    return blake2b(_encode(record), digest_size=DIGEST_BYTES).digest()


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
