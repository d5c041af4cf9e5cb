"""Which log is explored, and how much may happen to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from paxos.errors import MisuseError
from paxos.log.configurations import Configurations
from paxos.log.entries import Configuration, Member
from paxos.log.limits import Limits
from paxos.log.log import Log
from paxos.log.state import LogState, Record, records_since
from paxos.messages import Identity
from paxos.verify.model import MAX_COUNT

CLUSTER_NAME = "explored"
FIRST_INCARNATION = "first"


@dataclass(frozen=True)
class LogRules:
    """Whose rules the nodes keep: those of the library, or of a mutant."""

    log: type[Log[str]] = Log[str]
    records: Callable[[LogState[str], LogState[str]], tuple[Record[str], ...]] = records_since
    """What is written, and in which order."""


@dataclass(frozen=True)
class LogBounds:
    """A log's nodes, and how much may happen. Whatever is not bounded here is not bounded.

    Raises `MisuseError` for bounds that cannot be counted or do not fit each other.
    """

    members: tuple[str, ...]
    """Who decides at first."""

    proposers: tuple[str, ...]
    """Who may begin ballots, and is asked for commands while it leads. A proposer that is no
    member has no vote."""

    slots: int = 2
    """How many slots there are. Nobody is asked for what would need more."""

    ballots: int = 2
    """How many may begin, all nodes together."""

    number: int | None = None
    """The highest number that a node may prepare; 1 gives each proposer one ballot."""

    crashes: int = 0
    """How many there may be, of either kind. Restarts need no bound."""

    crashing: tuple[str, ...] | None = None
    """Which nodes may crash; all of them unless told. Where one crash is allowed, to explore it for
    one node after the other sees all that it can do: who never crashes need not ask how far its
    disk is, so its persists may be done at once."""

    restarts: bool = True
    """Whether who has crashed comes back."""

    window: int = 2
    page: int = 8
    """How many entries one message tells of at most."""

    asked: tuple[str, ...] | None = None
    """Which proposers are asked for commands; all of them unless told. Others only finish what
    they find."""

    changes: tuple[tuple[str, ...], ...] = ()
    """Which members a leader may be asked to have instead."""

    refusals: bool = False
    """Whether refusals are ever delivered. Who is refused only does less from then on."""

    taught: tuple[str, ...] | None = None
    """Which nodes are ever told by others what is chosen; all of them unless told. The others know
    only what they have counted votes for. This is a bound: who was told does other things than who
    was not, so what is exhausted without says nothing about a log whose nodes are told."""

    again: bool = False
    """Whether a proposer sends again what is unanswered. Whatever was sent once may arrive any
    number of times, so only that makes a difference which it says with another slot: a leader asks
    who has not promised yet from the slot on in which it proposes next."""

    every_step: bool = False
    """Whether to see also the states between steps that nobody notices. Only the count differs."""

    rules: LogRules = field(default_factory=LogRules)

    # A log has no timers here, and nothing asks how slow a disk is.
    timeouts: int = field(default=0, init=False)
    slow_disks: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        counts = (self.ballots, self.crashes, self.number or 0)
        if min(counts) < 0 or max(counts) > MAX_COUNT:
            raise MisuseError(f"a bound is 0 to {MAX_COUNT}: nobody can explore more")
        if self.slots < 1 or not self.proposers:
            raise MisuseError("a log needs a slot and a proposer, or nothing happens to it")
        if not set(self.asked or ()) <= set(self.proposers):
            raise MisuseError("only a proposer can be asked for commands")

    @property
    def newcomers(self) -> tuple[str, ...]:
        """Those who may come to decide, and do not at first."""
        named = dict.fromkeys(member for members in self.changes for member in members)
        return tuple(member for member in named if member not in self.members)

    @property
    def node_ids(self) -> tuple[str, ...]:
        """All nodes, in the order in which they are explored."""
        return tuple(dict.fromkeys((*self.members, *self.newcomers, *self.proposers)))

    @property
    def who_may_crash(self) -> tuple[str, ...]:
        """The nodes that may crash."""
        nodes = self.node_ids if self.crashing is None else self.crashing
        return nodes if self.crashes else ()

    @property
    def who_is_taught(self) -> tuple[str, ...]:
        """The nodes that others may tell what is chosen."""
        return self.node_ids if self.taught is None else self.taught

    @property
    def limits(self) -> Limits[str]:
        """Those of each node: a batch is one command, so a slot has one name for what is in it."""
        return Limits(window=self.window, batch=1, page=self.page)

    @property
    def initial(self) -> Configurations:
        """Who decides as long as nothing else is chosen."""
        return Configurations.fixed(configuration(self.members))

    @property
    def left_out(self) -> str | None:
        """What an exploration never sees, though it comes to its end; None if it is nothing.

        Who is refused may begin its next ballot, and its next number depends on what it heard: so
        without refusals all is seen only where there is no next one (see `Bounds.left_out`).
        """
        if not self.refusals and self.number != 1 and self.ballots > 2:
            return "without refusals, nobody who is refused begins again"
        return None

    def commands(self, node_id: str) -> tuple[str, ...]:
        """What this node is asked to put into each slot, if it is asked for any."""
        if node_id not in (self.proposers if self.asked is None else self.asked):
            return ()
        return tuple(f"{node_id.lower()}{slot}" for slot in range(self.slots))


def identity_of(node_id: str) -> Identity:
    """Every node, with its first disk."""
    return Identity(CLUSTER_NAME, node_id, FIRST_INCARNATION)


def configuration(members: tuple[str, ...]) -> Configuration:
    """These members, each with its first disk."""
    return Configuration.of(Member(node_id, FIRST_INCARNATION) for node_id in members)
