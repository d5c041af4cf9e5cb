"""The bench for a store: a simulated disk, what a crash left on it, and a look at that.

`StoreBench` is what all parts of the suite have in common: the two methods that a tester writes,
the numbers that say how thorough the tests are, and the one question that all of them ask. Take
this disk, open the store on it: is what it holds one of the states that are right?
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import ClassVar, NamedTuple, Protocol

from paxos.durable import Disk
from paxos.errors import FaultError, MisuseError
from paxos.sim.disk_state import DiskState, File
from paxos.sim.simulated_disk import Record, SimulatedDisk
from paxos.testing.contract import ContractError, demand, short


class StoreUnderTest(Protocol):
    """What the suite asks of an open store. `paxos.durable.Store` is one."""

    @property
    def state(self) -> bytes:
        """The state that was saved last, or found on opening."""
        ...

    def save(self, state: bytes) -> None:
        """Return when this state is on stable storage."""
        ...

    def close(self) -> None:
        """Give everything back, the lock included."""
        ...


Acceptable = Mapping[bytes, str]
"""The states that are right, and in a few words, why."""


class Kill(NamedTuple):
    """The end of a process amid something. What it wrote is there, synced or not."""

    what: str
    """During what."""

    record: Record
    moment: int

    def __str__(self) -> str:
        return f"The process was killed during {self.what}, {self.when}."

    @property
    def when(self) -> str:
        """Say at which call it was."""
        began = self.record.after[self.moment]
        calls = f"call {began} of {len(self.record.calls)}"
        return f"at {calls}, {self.record.calls[began - 1]}" if began else "before the first call"


class PowerCut(NamedTuple):
    """The end of all that was unsynced, but for some of it."""

    how: object
    """What happened before."""

    before: DiskState
    left: DiskState

    def __str__(self) -> str:
        return f"{self.how} Then the power was cut ({what_survived(self.before, self.left)})."


class Crash(NamedTuple):
    """What is on the disk after a crash, and how it came to that."""

    state: DiskState
    how: Kill | PowerCut

    def __str__(self) -> str:
        return str(self.how)

    @property
    def is_kill(self) -> bool:
        """Whether all that was written is there."""
        return isinstance(self.how, Kill)


class StoreBench:
    """What a tester gives, and what the parts of the suite share."""

    folder: ClassVar[Path] = Path("/store")
    """Where the store shall be. Its parent is there, itself it is not."""

    faults: ClassVar[tuple[type[Exception], ...]] = (FaultError,)
    """What the store raises when the disk or a file is at fault. Nothing else may come out then."""

    misuse: ClassVar[tuple[type[Exception], ...]] = (MisuseError,)
    """What it raises when its caller is."""

    state_bytes: ClassVar[int] = 3000
    """How large the saved states are. The more sectors they fill, the more can go wrong."""

    power_cuts_at_most: ClassVar[int] = 64
    """At one moment so many power cuts are tried, or all if there are no more: see
    `DiskState.some_power_cuts`."""

    flip_every: ClassVar[int] = 61
    """Of so many bytes of a file one is damaged. 1 takes long, and leaves nothing out."""

    histories: ClassVar[int] = 10
    """How many random histories are lived through."""

    def create(self, disk: Disk, initial: bytes) -> None:
        """Make a store in `folder` that holds the state `initial`."""
        raise NotImplementedError("a StoreSuite needs a method create(self, disk, initial)")

    def open(self, disk: Disk) -> StoreUnderTest:
        """Open the store in `folder`, for one process alone."""
        raise NotImplementedError("a StoreSuite needs a method open(self, disk)")

    def filled(self, letter: str) -> bytes:
        """Return a state that says everywhere whose it is, and where that is in it."""
        words = (b"%s%07d" % (letter.encode(), n) for n in range(self.state_bytes // 8 + 1))
        return b"".join(words)[: self.state_bytes]

    def created(self) -> SimulatedDisk:
        """Return a disk with a store that holds the initial state."""
        disk = SimulatedDisk()
        self.create(disk, self.filled("i"))
        return disk

    def disk_with(self, *letters: str) -> SimulatedDisk:
        """Return a disk with a store to which these states were saved, and which was closed."""
        disk = self.created()
        store = self.open(disk)
        for letter in letters:
            store.save(self.filled(letter))
        store.close()
        return disk

    def look(self, state: DiskState, how: object) -> bytes | None:
        """Return what the store on this disk holds; None if it says that it is at fault."""
        try:
            store = self.open(SimulatedDisk(state))
            found = store.state
            store.close()
        except self.faults:
            return None
        except Exception as error:
            raise ContractError(f"{how}\n{_no(self.faults, 'open', error)}") from error
        return found

    def require(
        self, state: DiskState, acceptable: Acceptable, how: object, *, or_fault: bool = False
    ) -> bytes | None:
        """Demand that the store on this disk holds one of these states; return which."""
        found = self.look(state, how)
        if not (found in acceptable or (found is None and or_fault)):
            raise ContractError(f"{how}\n{_wrong(found, acceptable, or_fault=or_fault)}")
        return found

    def require_opened(
        self, disk: SimulatedDisk, acceptable: Acceptable, how: object
    ) -> StoreUnderTest:
        """Open the store on this disk, and demand that it holds one of these states."""
        try:
            store = self.open(disk)
        except Exception as error:
            raise ContractError(f"{how}\nBut open raised {error!r}") from error
        if store.state not in acceptable:
            raise ContractError(f"{how}\n{_wrong(store.state, acceptable, or_fault=False)}")
        return store

    def require_after_power_cuts(
        self, state: DiskState, acceptable: Acceptable, how: object
    ) -> None:
        """Demand the same whatever a power cut leaves at this moment."""
        for left in self.power_cuts(state):
            self.require(left, acceptable, PowerCut(how, state, left))

    def power_cuts(self, state: DiskState) -> Iterator[DiskState]:
        """Yield what a power cut can leave at this moment, each once."""
        seen: set[DiskState] = set()
        dice = Random(0)  # noqa: S311 - to be repeated is what it is for
        for left in state.some_power_cuts(self.power_cuts_at_most, dice):
            if left not in seen:
                seen.add(left)
                yield left

    def crashes(self, what: str, record: Record) -> list[Crash]:
        """Return every crash during what was recorded, of both kinds, but none after it."""
        found: dict[DiskState, Crash] = {}
        for moment, state in enumerate(record.moments[:-1]):
            kill = Kill(what, record, moment)
            found.setdefault(state, Crash(state, kill))
            for left in self.power_cuts(state):
                how = f"During {what}, {kill.when}, the process stood still."
                found.setdefault(left, Crash(left, PowerCut(how, state, left)))
        return list(found.values())

    def some(self, crashes: list[Crash]) -> list[Crash]:
        """Return a quarter of `power_cuts_at_most`, or fewer: for where each has consequences."""
        return crashes[:: 1 + len(crashes) * 4 // self.power_cuts_at_most]

    def attempt(self, what: str, action: Callable[[], object]) -> Exception | None:
        """Return the fault that an action ends with, or None if it returns."""
        try:
            action()
        except self.faults as fault:
            return fault
        except Exception as error:
            raise ContractError(_no(self.faults, what, error)) from error
        return None

    def require_fault(self, what: str, action: Callable[[], object]) -> None:
        """Demand that an action ends with a fault."""
        demand(self.attempt(what, action) is not None, f"{what} raised no fault")

    def require_misuse(self, what: str, action: Callable[[], object]) -> None:
        """Demand that an action is refused as misuse."""
        try:
            action()
        except self.misuse:
            return
        except Exception as error:
            raise ContractError(_no(self.misuse, what, error)) from error
        raise ContractError(f"{what} was not refused")


def _no(expected: tuple[type[Exception], ...], what: str, error: Exception) -> str:
    names = " or ".join(each.__name__ for each in expected)
    return f"{what} raised {error!r}, which is no {names}"


def _wrong(found: bytes | None, acceptable: Acceptable, *, or_fault: bool) -> str:
    right = " or ".join(f"{short(each)}, {why}" for each, why in acceptable.items())
    what = "found a fault" if found is None else f"gave {short(found)}"
    (only, *others) = acceptable
    if found is not None and not others and len(found) == len(only):
        at = next(n for n in range(len(only)) if found[n] != only[n])
        what += f", which differs from that at byte {at}"
    return f"Right would have been {right}{', or a fault' if or_fault else ''}. But open {what}."


def what_survived(before: DiskState, after: DiskState) -> str:
    """Say in words what a power cut left of all that was unsynced."""
    fates: dict[bool, list[str]] = {True: [], False: []}
    for path, cell in before.names:
        if not cell.is_settled:
            fates[after.lookup(path) == cell.cached].append(f"the name {path}")
    for path in after.paths:
        number = after.lookup(path)
        if number is not None and number < len(before.files):
            _sort_by_fate(path, before.files[number], after.files[number], fates)
    survived, lost = (", ".join(fates[each]) or "nothing" for each in (True, False))
    return f"survived: {survived}; lost: {lost}"


def _sort_by_fate(path: Path, before: File, after: File, fates: dict[bool, list[str]]) -> None:
    if not before.size.is_settled:
        fates[after.size.cached == before.size.cached].append(f"the size of {path}")
    sectors: dict[bool, list[int]] = {True: [], False: []}
    for number, cell in enumerate(before.sectors):
        if not cell.is_settled:
            left = after.sectors[number].cached if number < len(after.sectors) else None
            sectors[left == cell.cached].append(number)
    for is_kept, numbers in sectors.items():
        if numbers:
            fates[is_kept].append(f"{_sectors(numbers)} of {path}")


def _sectors(numbers: list[int]) -> str:
    """Say which sectors these are, in as few words as that takes."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    spans = (f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"{'sector' if len(numbers) == 1 else 'sectors'} {', '.join(spans)}"
