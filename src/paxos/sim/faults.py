"""The kinds of faults that a simulated run may have: each with its name and one sentence."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from paxos.errors import MisuseError


class Fault(enum.Enum):
    """One kind of fault. Its value is its name on the command line, and what it does."""

    LATE = "late", "A message is held up for whole liveness windows, while life goes on."
    REORDER = "reorder", "Messages on one link overtake each other."
    LOSS = "loss", "Messages are lost, each by itself."
    REPEAT = "repeat", "Messages arrive twice."
    ONE_WAY = "one-way", "A link loses everything in one direction."
    LINK = "link", "A link loses everything, both ways."
    PARTITION = "partition", "The nodes fall into groups that hear nothing of each other."
    PARTIAL = "partial", "Some links lose everything, each direction by itself."
    BRIDGE = "bridge", "Two halves of the nodes hear each other by one node alone."
    KILL = "kill", "A process ends at any effect; what it wrote is read back, synced or not."
    POWER = "power", "The power is cut at any effect; of an unsynced write, all or nothing is left."
    TEAR = "tear", "The power is cut in the middle of a write; some of its sectors are left."
    OPENING = "opening", "A crash or a power cut falls into a write with which a store is opened."
    PAUSE = "pause", "A process stands still for a while, and goes on where it was."
    SLOW = "slow", "All disks take a good part of a liveness window for each persist."
    HANG = "hang", "A disk does not finish a persist for whole liveness windows."
    IO = "io", "A persist fails with EIO, and the node stops."
    FULL = "full", "A persist fails with ENOSPC, and the node stops."
    SHORT = "short", "A write takes a part of its bytes, then fails, and the node stops."
    ROT = "rot", "Acknowledged bytes on a disk decay; its node must find that, and stays down."
    DRIFT = "drift", "Clocks run at speeds of their own, from half to double."
    JUMP = "jump", "A clock jumps ahead by whole liveness windows."
    WIPE = "wipe", "A node loses its disk for good; another one may join in its place."

    def __init__(self, label: str, what: str) -> None:
        self.label = label
        self.what = what

    def __repr__(self) -> str:
        return f"Fault.{self.name}"


LOG_FAULTS = tuple(Fault)
"""What a log survives, if its members may change."""

ALL_FAULTS = tuple(fault for fault in Fault if fault is not Fault.WIPE)
"""What one decision survives, too. Its members never change, so none may lose its disk."""

WEATHER = (Fault.LATE, Fault.REORDER, Fault.LOSS, Fault.REPEAT, Fault.SLOW)
"""Those that come and go for the whole cluster at once."""

STORM = (Fault.LATE, Fault.REPEAT, Fault.KILL, Fault.POWER)
"""Those that go well with a network at its worst."""

CUTS = (Fault.ONE_WAY, Fault.LINK, Fault.PARTITION, Fault.PARTIAL, Fault.BRIDGE)
"""Those that cut links."""

CRASHES = (Fault.KILL, Fault.POWER, Fault.TEAR)
"""Those that end a process, which then comes back."""

FAILURES = (Fault.IO, Fault.FULL, Fault.SHORT)
"""Those that make a persist fail."""


def parse_faults(text: str, known: tuple[Fault, ...] = ALL_FAULTS) -> tuple[Fault, ...]:
    """The kinds that a list such as "loss,kill,rot" names; "all" is all known, "none" is none.

    Raises `MisuseError` for a name that stands for none.
    """
    if text in ("all", "none"):
        return known if text == "all" else ()
    by_label = {fault.label: fault for fault in known}
    wanted = [label.strip() for label in text.split(",")]
    for label in wanted:
        if label not in by_label:
            raise MisuseError(
                f"there is no fault {label!r}: all, none, or some of {', '.join(by_label)}"
            )
    return tuple(fault for fault in Fault if fault.label in wanted)


def format_faults(faults: Iterable[Fault], known: tuple[Fault, ...] = ALL_FAULTS) -> str:
    """The list that `parse_faults` understands."""
    chosen = tuple(faults)
    if not chosen:
        return "none"
    return "all" if chosen == known else ",".join(fault.label for fault in chosen)
