"""What a world does for the machine of a log: performs its effects, in the order that it gives.

Here is also what a server does beside: it applies what is chosen, answers its clients, takes
snapshots, and sends what others have missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from paxos.durable import CorruptError
from paxos.events import LeaderChanged, LeadershipAcquired, LeadershipLost, Stopped
from paxos.log.events import (
    CommandsRefused,
    EntriesWanted,
    EntryChosen,
    ReadFailed,
    ReadReady,
)
from paxos.log.inputs import Installed
from paxos.log.messages import Decisions, TakeOver
from paxos.log_store import IncomingSnapshot, SnapshotInfo
from paxos.messages import NOTHING_ACCEPTED, Envelope
from paxos.scenario.happenings import Broke
from paxos.sessions import Verdict, decode_request
from paxos.sim.log.claims import (
    ACKNOWLEDGED_STAYS,
    DECAY_IS_FOUND,
    HANDED_OVER,
    IN_ORDER,
    INSTALLED,
    NO_SURPRISE,
    NOTHING_LOST,
    READS_ARE_FRESH,
)
from paxos.sim.log.clients import REFUSED
from paxos.sim.log.server import PAGE_BYTES, Chore, LogServer, Process
from paxos.sim.log.transfer import Chunk, ChunkWanted
from paxos.snapshots import CHUNK_BYTES, decode_manifest, encode_manifest
from paxos.storage_errors import FullError, StorageError

if TYPE_CHECKING:
    from paxos.sim.log.run import LogRun

MOST_OUTGOING = 2
"""Snapshots that are kept readable for others: one that is under way, and a newer one."""


class Performing:
    """Performs what the machines of one run want."""

    def __init__(self, run: LogRun) -> None:
        self._run = run
        self._handed_to: dict[str, Any] = {}
        """Who was asked to take over, and whose ballot asked."""

    # From a start to the end of a process.

    def start(self, server: LogServer) -> None:
        """Start a process, and see whether all is there that was acknowledged."""
        run, node_id = self._run, server.node_id
        run.effects += 1
        try:
            process = server.start(run.now)
        except StorageError as error:
            self._stayed_down(server, error)
            return
        finally:
            server.mend()
        run.schedules[node_id].starts += 1
        run.schedules[node_id].is_held = False
        self._judge_start(server, process)
        self._serve(server, process)
        run.wake(server)

    def _stayed_down(self, server: LogServer, error: StorageError) -> None:
        if isinstance(error, CorruptError):
            if not server.may_be_damaged:
                self._break(DECAY_IS_FOUND.id, f"{server.node_id} did not decay: {error}")
            self._run.reached_here.add(DECAY_IS_FOUND.id)
            server.is_lost = True
        else:
            self._run.reached_here.add(NO_SURPRISE.id)

    def _judge_start(self, server: LogServer, process: Process) -> None:
        """What was acknowledged is there, and perhaps a part of what was on its way."""
        run, node_id, found = self._run, server.node_id, process.store.state
        before, cut_off = server.acknowledged, server.cut_off
        if cut_off is not None:
            run.reached_here.add(NOTHING_LOST.id)
        fits = (found.ballot, found.promised) == (before.ballot, before.promised) or (
            cut_off is not None
            and (found.ballot, found.promised) == (cut_off.ballot, cut_off.promised)
        )
        if not fits or found.chosen_below < 0:
            self._lost(node_id, f"{before.ballot}, {before.promised}", found)
        for slot, vote in enumerate(before.votes, before.first):
            now = found.vote(slot)
            kept = slot < found.first or now == vote
            if cut_off is not None and now == cut_off.vote(slot):
                kept = True
            if vote is not NOTHING_ACCEPTED and not kept:
                self._lost(node_id, f"the vote for {vote} in slot {slot}", now)
        store = process.store
        if store.first_kept > 0:
            run.reached_here.add(ACKNOWLEDGED_STAYS.id)
        for slot in range(store.first_kept, store.chosen_below):
            (proposal,) = store.entries(slot, 1, at_most=1)
            run.witness.believes(node_id, slot, proposal)
        run.ledger.restored(node_id, process.replica.applied_below, process.replica.digest)
        server.acknowledged, server.cut_off = found, None

    def _lost(self, node_id: str, what: str, found: object) -> None:
        self._break(NOTHING_LOST.id, f"{node_id} acknowledged {what}, and finds {found}")

    def lose(self, server: LogServer) -> None:
        """A process has ended: what was planned for it is void."""
        schedule = self._run.schedules[server.node_id]
        schedule.starts += 1
        schedule.is_held = False
        self._run.leaders.forget(server.node_id)
        self._run.wake(server)

    # What comes to a machine, and what it wants.

    def input(self, server: LogServer, process: Process, input: Any) -> None:
        """Give it an input, and do what it wants then."""
        run = self._run
        reading = server.clock.reading(run.now)
        run.effects += 1
        process.machine.receive(input, reading)
        self._serve(server, process)
        deadline = run.wake(server)
        if server.process is process and process.machine.node.heartbeats.leads:
            quorums = process.machine.node.heartbeats.quorums
            run.leaders.judge(server.node_id, quorums, deadline, reading)
        run.striker.strike_at_effect(server)

    def deliver(self, server: LogServer, process: Process, envelope: Envelope[Any]) -> None:
        """A message comes: most are for the machine, and those with a snapshot for its server."""
        message = envelope.message
        if isinstance(message, Chunk):
            self._receive_chunk(server, process, envelope.sender.node_id, message)
        elif isinstance(message, ChunkWanted):
            self._run.effects += 1
            self._guarded(
                server, process,
                lambda: self._send_chunk(server, process, envelope.sender.node_id, message),
            )  # fmt: skip
        else:
            if isinstance(message, TakeOver):
                self._handed_to[server.node_id] = message.id
            self.input(server, process, envelope)

    def _serve(self, server: LogServer, process: Process) -> None:
        run = self._run
        ready = process.machine.ready()
        for event in ready.events:  # first: what is chosen may say who decides in what is sent
            self._told(server, process, event)
            if server.process is not process:
                return
        self._leave(server, ready.send)
        if ready.persist is None:
            self._leave(server, ready.send_after_persist)
        else:
            process.under_way = (ready.persist, ready.send_after_persist)
            run.persist_began(server)
        if process.machine.stopped is not None:
            self.stop(server, process)
        elif process.chores and process.under_way is None:
            self._do_chores(server, process)

    def complete(self, server: LogServer, process: Process) -> None:
        """End the persist under way, one way or the other."""
        run = self._run
        run.effects += 1
        assert process.under_way is not None  # noqa: S101 - who calls has looked
        state, then_send = process.under_way
        try:
            process.store.save(state)
        except StorageError as error:
            server.cut_off = state
            process.under_way = None
            self.fail(server, process, error)
            return
        process.under_way = None
        server.acknowledged = process.store.state
        run.leaders.persist_ended(server.node_id)
        process.machine.persisted()
        self._leave(server, then_send)
        self._serve(server, process)
        run.wake(server)
        run.striker.strike_at_effect(server)

    def _leave(self, server: LogServer, envelopes: Iterable[Envelope[Any]]) -> None:
        for envelope in envelopes:
            self._run.leave(server, envelope)

    def fail(self, server: LogServer, process: Process, error: StorageError) -> None:
        """The disk has failed: the node stops in order."""
        run = self._run
        run.reached_here.add(NO_SURPRISE.id)
        if isinstance(error, CorruptError):
            self._stayed_down(server, error)
        process.machine.failed(error)
        self._serve(server, process)
        if isinstance(error, FullError):
            with suppress(StorageError):
                process.store.close()  # as a node does that stops in order
        self.stop(server, process)
        run.wake(server)

    def stop(self, server: LogServer, process: Process) -> None:
        """Its machine has stopped, and so the process ends."""
        if server.process is process:
            server.process = None
            server.disk.kill()
            server.mend()
            self.lose(server)

    def _guarded(self, server: LogServer, process: Process, action: Callable[[], object]) -> bool:
        """Do something with the disk. A full one costs nothing but that; any other fault stops."""
        try:
            return bool(action())
        except FullError:
            return False
        except StorageError as error:
            self.fail(server, process, error)
            return False

    # What the machine tells.

    def _told(self, server: LogServer, process: Process, event: Any) -> None:
        match event:
            case EntryChosen():
                self._chosen(server, process, event)
            case CommandsRefused():
                self._refused(server, process, event)
            case ReadReady() | ReadFailed():
                self._told_of_read(server, process, event)
            case EntriesWanted(recipient, slot):
                self._guarded(
                    server, process, lambda: self._teach(server, process, recipient, slot)
                )
            case LeadershipAcquired() | LeadershipLost() | LeaderChanged():
                self._told_of_leader(server, event)
            case Stopped(error) if not isinstance(error, StorageError):
                self._break(NO_SURPRISE.id, f"{server.node_id} stops: {error}")
            case _:
                pass

    def _told_of_read(
        self, server: LogServer, process: Process, event: ReadReady | ReadFailed
    ) -> None:
        if isinstance(event, ReadFailed):
            failed = process.reads.pop(event.number, None)
            if failed is not None:
                failed.answer(None)
            return
        self._run.ledger.read_ready(server.node_id, event.number, event.slot)
        if not process.machine.node.heartbeats.leads:
            self._run.reached_here.add(READS_ARE_FRESH.id)
        process.reads[event.number].slot = event.slot
        self._answer_reads(process)

    def _told_of_leader(self, server: LogServer, event: Any) -> None:
        run = self._run
        run.news += 1
        run.leaders.told(server.node_id, event, server.clock.reading(run.now))
        if isinstance(event, LeadershipAcquired):
            run.last_leader = server.node_id
            run.probe(server.node_id)
            if self._handed_to.pop(server.node_id, None) is not None:
                run.reached_here.add(HANDED_OVER.id)

    def _chosen(self, server: LogServer, process: Process, event: Any) -> None:
        run, replica = self._run, process.replica
        run.witness.learned(server.node_id, event)
        if event.slot != replica.applied_below:
            self._break(
                IN_ORDER.id,
                f"{server.node_id} reports slot {event.slot}, and {replica.applied_below} is next",
            )
            return
        run.effects += 1
        run.news += 1
        entry = event.proposal.value
        outcomes = replica.apply(event.slot, entry)
        run.ledger.applied(server.node_id, event.slot, entry, outcomes, replica.digest)
        for deposed in run.leaders.below(event.proposal.id):
            run.probe(deposed)
        for outcome in outcomes:
            opened = outcome.verdict is Verdict.OPENED
            key = ("open" if opened else outcome.session, outcome.sequence)
            tell = process.requests.pop(key, None)
            if tell is not None:
                tell(outcome)
        self._answer_reads(process)
        if replica.applied_below >= process.snapshot_below + run.plan.snapshot_every:
            process.snapshot_below = replica.applied_below
            process.chores.append(Chore(lambda: self._take_snapshot(server, process), lambda: None))

    def _refused(self, server: LogServer, process: Process, event: Any) -> None:
        commands: tuple[bytes, ...] = event.commands
        self._run.ledger.refused(commands)
        for data in commands:
            request = decode_request(data)
            session, number = getattr(request, "session", "open"), getattr(request, "sequence", 0)
            key = (session, number if session != "open" else getattr(request, "number", 0))
            tell = process.requests.pop(key, None)
            if tell is not None:
                tell(REFUSED)

    def _answer_reads(self, process: Process) -> None:
        below = process.replica.applied_below
        due = [w for w in process.reads.values() if w.slot is not None and w.slot <= below]
        for wait in due:
            del process.reads[wait.number]
            wait.answer(process.replica.query(wait.query).value())

    # Snapshots, and what others have missed.

    def _do_chores(self, server: LogServer, process: Process) -> None:
        while process.chores and process.under_way is None and server.process is process:
            chore = process.chores.popleft()
            self._run.effects += 1
            if self._run.striker.strikes_amid(server, chore.on_disk):
                return
            if self._guarded(server, process, chore.on_disk):
                chore.then()

    def _take_snapshot(self, server: LogServer, process: Process) -> bool:
        """Of what is applied, if all of that is in the store."""
        store, replica, plan = process.store, process.replica, self._run.plan
        if replica.applied_below > store.chosen_below:
            process.snapshot_below = replica.applied_below - plan.snapshot_every + 1
            return False  # its votes are still on their way to the disk
        if store.snapshot is not None and store.snapshot.chosen_below >= replica.applied_below:
            return False
        taking = replica.snapshot()
        chunks = list(taking)
        manifest = taking.manifest
        self._run.ledger.whole_state(server.node_id, manifest.chosen_below, manifest.state_digest)
        store.save_snapshot(
            manifest.chosen_below,
            manifest.configurations,
            chunks,
            digest=manifest.state_digest,
            manifest=encode_manifest(manifest),
        )
        store.trim(plan.keep)
        return True

    def _teach(self, server: LogServer, process: Process, recipient: str, slot: int) -> None:
        """Answer from the disk: by a page of entries, or by the snapshot."""
        store = process.store
        if slot < store.first_kept:
            self._send_first_chunk(server, process, recipient)
            return
        proposals = store.entries(slot, PAGE_BYTES, at_most=self._run.plan.limits.page)
        if proposals:
            answer = Decisions(slot, proposals, store.chosen_below)
            self._run.leave(server, Envelope(server.identity, recipient, answer))

    def _send_first_chunk(self, server: LogServer, process: Process, recipient: str) -> None:
        info = process.store.snapshot
        if info is not None:
            self._send_chunk(server, process, recipient, ChunkWanted(info, 0))

    def _send_chunk(
        self, server: LogServer, process: Process, recipient: str, wanted: ChunkWanted
    ) -> None:
        """The next chunk; from the start of a newer snapshot, if that one is gone."""
        info = wanted.info
        reader, offset = process.outgoing.get(info.digest), wanted.offset
        if reader is None:
            newest, reader = process.store.snapshot, process.store.open_snapshot()
            if newest is None or reader is None:
                return
            offset = offset if newest.digest == info.digest else 0
            info = newest
            replaced = process.outgoing.pop(info.digest, None)
            if replaced is not None:
                replaced.close()
            process.outgoing[info.digest] = reader
            while len(process.outgoing) > MOST_OUTGOING:
                process.outgoing.pop(next(iter(process.outgoing))).close()
        data = reader.read(offset, self._run.plan.chunk)
        if data or not info.size:  # an empty state is a snapshot, too
            chunk = Chunk(info, offset, data)
            self._run.leave(server, Envelope(server.identity, recipient, chunk))

    def _receive_chunk(
        self, server: LogServer, process: Process, sender: str, chunk: Chunk
    ) -> None:
        self._run.effects += 1
        self._guarded(server, process, lambda: self._add_chunk(server, process, sender, chunk))
        if server.process is process:
            self._do_chores(server, process)
        self._run.striker.strike_at_effect(server)

    def _add_chunk(self, server: LogServer, process: Process, sender: str, chunk: Chunk) -> None:
        """Take it, and ask for the next. One snapshot at a time, as long as it comes on."""
        info = chunk.info
        if info.chosen_below <= process.replica.applied_below:
            return
        incoming = self._incoming(process, chunk)
        before = incoming.wanted
        if incoming.info == info:
            try:
                incoming.add(chunk.offset, chunk.data)
            except StorageError:
                process.incoming = None
                raise
        if not incoming.is_whole:
            self._ask_for_more(server, process, sender, is_new=incoming.wanted != before)
            return
        process.incoming = None
        process.chores.append(
            Chore(
                lambda: self._install(process, incoming),
                lambda: self._installed(server, process, incoming.info),
            )
        )

    def _ask_for_more(
        self, server: LogServer, process: Process, sender: str, *, is_new: bool
    ) -> None:
        """Each chunk asks for one more. A repeated one asks only if all has been quiet for long.

        If it always asked, too, then each message that arrives twice would double the talk.
        """
        run, incoming = self._run, process.incoming
        if incoming is None:
            return
        if is_new:
            process.incoming_at = run.now
        elif run.now < process.asked_at + run.plan.timing.interval:
            return
        process.asked_at = run.now
        more = ChunkWanted(incoming.info, incoming.wanted)
        run.leave(server, Envelope(server.identity, sender, more))

    def _incoming(self, process: Process, chunk: Chunk) -> IncomingSnapshot:
        """The one that is on its way in; another one if that stands still."""
        incoming, run = process.incoming, self._run
        stalls = run.now > process.incoming_at + run.plan.timing.window
        if incoming is not None and incoming.info != chunk.info and stalls:
            incoming.give_up()
            incoming = None
        if incoming is None:
            incoming = process.incoming = process.store.receive_snapshot(chunk.info)
            process.incoming_at = run.now
        return incoming

    @staticmethod
    def _install(process: Process, incoming: IncomingSnapshot) -> bool:
        if incoming.info.chosen_below <= process.replica.applied_below:
            incoming.give_up()
            return False
        process.store.install(incoming)
        return True

    def _installed(self, server: LogServer, process: Process, info: SnapshotInfo) -> None:
        """Take on the state, and let the machine go on from there."""
        run = self._run
        server.acknowledged = process.store.state
        reader = process.store.open_snapshot()
        if reader is None:
            raise AssertionError("a snapshot was installed, and is not there")
        with closing(reader):
            process.replica.restore(
                decode_manifest(info.manifest), list(reader.chunks(CHUNK_BYTES))
            )
        process.snapshot_below = info.chosen_below
        run.reached_here.add(INSTALLED.id)
        run.ledger.restored(server.node_id, info.chosen_below, process.replica.digest)
        run.news += 1
        self._answer_reads(process)
        self.input(server, process, Installed(info.chosen_below, info.configurations))

    def _break(self, claim: str, sentence: str) -> None:
        self._run.find(Broke(claim, sentence))
