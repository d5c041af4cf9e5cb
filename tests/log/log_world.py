"""A small world with a clock for nodes of a log: `core.virtual_time`, with a log on each disk.

A disk takes records one after the other; a crash during a persist leaves any prefix of them. What
the nodes say about a slot is shown to a witness of that slot, which knows Paxos for one decision
and nothing of logs: each slot, projected, is a legal history of single-decree Paxos. The world
also looks at every read, at every command, and at every bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from core.virtual_time import World
from log.log_disk import LogDisk
from log.log_witness import Witnesses
from paxos import NOTHING_ACCEPTED, DurableState, Envelope, Identity
from paxos.log.configurations import Configurations
from paxos.log.entries import Commands, Configuration, Entry, Member
from paxos.log.events import CommandsRefused, EntriesWanted, EntryChosen, ReadReady
from paxos.log.inputs import Append, ChangeMembers, Installed, Read, Transfer
from paxos.log.limits import Limits
from paxos.log.log import Log
from paxos.log.log_node import LogMachine, LogNode
from paxos.log.messages import Decisions
from paxos.log.slots import vote_of
from paxos.log.state import LogState, records_since

SMALL = Limits[str](window=4, batch=3, batch_weight=1 << 20, queue=64, page=3)

Made: TypeAlias = Callable[[LogNode[str]], LogNode[str]]
"""What becomes of a node when it starts: itself, or a mutant of it."""


def as_it_is(node: LogNode[str]) -> LogNode[str]:
    return node


class LogWorld(World):
    """Nodes of one log that start together, clients, and what can happen to them."""

    def __init__(
        self,
        nodes: Iterable[str] = "ABC",
        *,
        limits: Limits[str] = SMALL,
        newcomers: str = "",
        made: Made = as_it_is,
        **kwargs: Any,
    ) -> None:
        self.limits, self.made = limits, made
        self.initial = Configurations.fixed(configuration(*nodes))
        self.applied: dict[str, list[Entry[str]]] = {n: [] for n in (*nodes, *newcomers)}
        self.refused: set[str] = set()
        self.slot_of: dict[str, int] = {}
        """In which slot each command was chosen."""
        self.read_needs: dict[int, int] = {}
        """For each read: below which slot all was known to somebody when it was asked."""
        self.reads_done: dict[int, int] = {}
        self.saved: dict[str, LogState[str]] = {}
        """What each process has persisted last."""
        self._witnesses: Witnesses | None = None
        super().__init__((*nodes, *newcomers), **kwargs)

    # What a test may do.

    def start(self, node_id: str) -> None:
        server: Any = self.servers[node_id]
        if isinstance(server.disk, DurableState):
            server.disk = LogDisk(self.initial, self.limits.window)
        if self._witnesses is None:
            self._witnesses = Witnesses(self.initial, self.limits.window)
            self.witness: Any = self._witnesses
        server.run, server.persist, server.tick_at = server.run + 1, None, None
        clock, identity = self.now + server.ahead, Identity("test", node_id, "first")
        state = self.saved[node_id] = server.disk.state()
        node = LogNode[str].recover(
            identity, state, limits=self.limits, timing=self.timing, now=clock
        )
        self.applied[node_id] = server.disk.prefix()
        server.machine = LogMachine(self.made(node), clock)
        self._perform(node_id)

    def crash(self, node_id: str) -> None:
        server: Any = self.servers[node_id]
        if server.persist is not None:
            records, _, _ = server.persist
            server.disk.write(records[: self.random.randint(0, len(records))])
        server.machine, server.persist, server.run = None, None, server.run + 1

    def ask(self, node_id: str, input: Any) -> None:
        """Give a node any input of a log."""
        self._input(node_id, input)

    def append(self, node_id: str, *commands: str) -> None:
        self.ask(node_id, Append(commands))

    def read(self, node_id: str) -> int:
        """Ask to read, and remember what the answer must not miss. Gives the read's number."""
        number = len(self.read_needs) + 1
        self.read_needs[number] = max(map(len, self.applied.values()))
        self.ask(node_id, Read(number))
        return number

    def change(self, node_id: str, *members: str) -> None:
        self.ask(node_id, ChangeMembers(configuration(*members)))

    def transfer(self, node_id: str, to: str) -> None:
        self.ask(node_id, Transfer(to))

    def trim(self, node_id: str) -> None:
        """Put all that its disk knows to be chosen into a snapshot, and drop it from the log."""
        disk = self.disk(node_id)
        disk.trimmed_below = disk.chosen_below

    # What a test may ask.

    def log(self, node_id: str) -> Log[str]:
        node: Any = self.node(node_id)
        log: Log[str] = node.log
        return log

    def disk(self, node_id: str) -> LogDisk:
        disk: Any = self.servers[node_id].disk
        assert isinstance(disk, LogDisk)
        return disk

    @property
    def leader(self) -> str:
        """The node that leads under the highest ballot, or "" if none does."""
        leaders = self.leaders
        return max(leaders, key=lambda node_id: leaders[node_id], default="")

    @property
    def members(self) -> tuple[str, ...]:
        """Who decides, as far as anybody has been told."""
        newest = self._seen_by_all().configurations.newest
        return tuple(member.node_id for member in newest.members)

    def commands(self, node_id: str) -> list[str]:
        """What this node has applied, in order."""
        entries = self.applied[node_id]
        return [c for entry in entries if isinstance(entry, Commands) for c in entry.commands]

    def has_applied(self, command: str, nodes: Iterable[str]) -> bool:
        return all(command in self.commands(node_id) for node_id in nodes)

    def elect(self, windows: float = 10) -> str:
        """Let time pass until somebody leads, and duels are over: who."""
        assert self.run(windows, until=lambda: self.leader != ""), f"{self} has no leader"
        self.run(1)
        assert self.leader, f"{self} has no leader"
        return self.leader

    # What a world does for its nodes.

    def _seen_by_all(self) -> Witnesses:
        assert self._witnesses is not None
        return self._witnesses

    def _perform(self, node_id: str) -> None:
        server: Any = self.servers[node_id]
        machine = server.machine
        ready, deadline = machine.ready(), machine.deadline
        for event in ready.events:  # first: what is chosen may say who decides in what is sent
            self.events.append((self.now, node_id, event))
            self._told(node_id, event)
        self._leave(ready.send)
        if ready.persist is None:
            self._leave(ready.send_after_persist)
        else:
            records = records_since(self.saved[node_id], ready.persist)
            persist = server.persist = (records, ready.send_after_persist, ready.persist)
            self.after(self.random.uniform(*self.sync), lambda: self._persisted(server, persist))
        if machine.stopped is None:
            self._look_at(node_id)
        if deadline is not None and deadline != server.tick_at:
            server.tick_at = deadline
            wait = max(deadline - self.now - server.ahead, 0.0) + 1e-9
            self.after(wait, lambda: self._tick(node_id, deadline))

    def _told(self, node_id: str, event: Any) -> None:
        match event:
            case EntryChosen(slot, proposal):
                assert slot == len(self.applied[node_id]), f"{node_id} skips to slot {slot}"
                self.applied[node_id].append(proposal.value)
                self.witness.learned(node_id, event)
                self._check_commands(slot, proposal.value)
            case CommandsRefused(commands):
                self.refused |= set(commands)
                assert not self.refused & set(self.slot_of), "refused, and chosen all the same"
            case EntriesWanted(recipient, slot):
                self._teach(node_id, recipient, slot)
            case ReadReady(number, slot):
                needed = self.read_needs[number]
                assert slot >= needed, f"{node_id}: read {number} misses {slot} to {needed}"
                self.reads_done[number] = slot
            case _:
                pass

    def _check_commands(self, slot: int, entry: Entry[str]) -> None:
        for command in entry.commands if isinstance(entry, Commands) else ():
            assert self.slot_of.setdefault(command, slot) == slot, f"{command} is chosen twice"
            assert command not in self.refused, f"{command} was refused, and is chosen"

    def _teach(self, node_id: str, recipient: str, slot: int) -> None:
        """Answer from the disk: by a page of entries, or by the snapshot."""
        disk = self.disk(node_id)
        if slot < disk.trimmed_below:
            snapshot = disk.chosen_below
            self.after(self.latency[1], partial(self._install, disk, recipient, snapshot))
            return
        end = min(disk.chosen_below, slot + self.limits.page)
        if slot < end:
            proposals = tuple(disk.entries[each] for each in range(slot, end))
            answer = Decisions(slot, proposals, disk.chosen_below)
            self._leave([Envelope(Identity("test", node_id, "first"), recipient, answer)])

    def _install(self, source: LogDisk, recipient: str, below: int) -> None:
        server = self.servers[recipient]
        if server.machine is None or below <= len(self.applied[recipient]):
            return
        disk = self.disk(recipient)
        for slot in range(below):
            disk.install(slot, source.entries[slot])
        disk.chosen_below = disk.trimmed_below = max(below, disk.chosen_below)
        self.applied[recipient] = disk.prefix()[:below]
        self.ask(recipient, Installed(below, disk.configurations(below)))

    def _persisted(self, server: Any, persist: Any) -> None:
        if persist is None or server.persist is not persist or not server.machine or server.hangs:
            return
        server.persist = None
        node_id = server.machine.node.node_id
        records, then_send, self.saved[node_id] = persist
        server.disk.write(records)
        server.machine.persisted()
        self._leave(then_send)
        self._perform(node_id)

    def _look_at(self, node_id: str) -> None:
        """Nothing grows beyond its bound, and a leader stays within its window."""
        log, limits = self.log(node_id), self.limits
        votes = (vote_of(node) for node in log.window.nodes)
        assert all(vote is NOTHING_ACCEPTED or vote.id <= log.promised for vote in votes), log
        assert log.window.first <= log.chosen_below <= log.window.end, log
        assert log.window.end <= log.chosen_below + 2 * limits.reach, log
        assert len(log.window.nodes) <= 4 * limits.reach + limits.page, "the window grows"
        assert len(log.queue) <= limits.queue
        assert len(log.learners) <= limits.window
        assert {member for member, _, _ in log.promises.of} <= set(self.servers)
        if log.leads:
            assert log.next_slot <= log.chosen_below + limits.window, log


def configuration(*node_ids: str) -> Configuration:
    """These nodes, each with its first disk."""
    return Configuration.of(Member(node_id, "first") for node_id in node_ids)


def with_log(kind: type[Log[str]]) -> Made:
    """Nodes whose log is of this class: a mutant, which keeps to another rule."""

    def made(node: LogNode[str]) -> LogNode[str]:
        log = node.log
        fields = {name: getattr(log, name) for name in log.__dataclass_fields__}
        return replace(node, log=kind(**fields))

    return made
