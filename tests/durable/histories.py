"""Every history that two slots can have: the long way to what the table of recovery says at once.

This is a second opinion, and shares no code with the first. It knows what the disk may do, and the
steps of `init`, `save` and `open`. It does not know the table: at first it recovers nothing, walks
through all histories that are possible nevertheless, and learns from them. Found a whole slot: was
the newest one *always* an acceptable answer? With what it has learnt, more histories are possible,
since now some recoveries happen. So it walks again, until it learns nothing new.

A history may have any length. That is possible because only the order of serials matters: after
each step they are numbered anew, 1, 2, 3 ..., and few situations remain. Nor does it matter which
sector of a slot, or which of the two slots, is which: so both are kept sorted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import cache
from itertools import product
from typing import NamedTuple, TypeAlias

MAX_VERSIONS = 3
"""How many contents of one sector may compete. More take sync after sync to fail."""

BAD = 0
"""What a reader finds in a sector that rotted. All else is a serial."""

Found: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""What a reader finds in two slots."""


class Sector(NamedTuple):
    """What a reader finds, what the disk may hold, and whether the next sync takes care of it."""

    cached: int
    on_disk: tuple[int, ...]
    dirty: bool = False


Slot: TypeAlias = tuple[Sector, ...]


class At(IntEnum):
    """Where a process is that has the store open, or is about to."""

    NOWHERE = 0  # there is no process
    REWRITTEN = 1  # open has rewritten the newest slot
    MENDED = 2  # and the bad sectors of the other one
    OPEN = 3


class Situation(NamedTuple):
    slots: tuple[Slot, Slot]
    acceptable: tuple[int, ...]
    """Serials whose state is the last one acknowledged, or the one being saved."""

    at: At = At.NOWHERE
    newest: int = 0  # what the process knows: the slot, its serial, ...
    serial: int = 0
    next_serial: int = 0
    bad: int = 0  # ... and how many bad sectors it saw in the other slot


def settled(serial: int) -> Sector:
    return Sector(serial, (serial,))


def written(sector: Sector, serial: int) -> Sector:
    return Sector(serial, tuple(sorted({*sector.on_disk, serial})), dirty=True)


def synced(slot: Slot) -> Slot:
    return tuple(settled(each.cached) if each.dirty else each for each in slot)


def sync_failed(slot: Slot) -> Slot:
    """The system shows what was written, and no longer intends to write it."""
    return tuple(each._replace(dirty=False) for each in slot)


def rotten(sector: Sector) -> Sector:
    return (
        sector._replace(on_disk=tuple(sorted({BAD, sector.cached})))
        if sector.dirty
        else settled(BAD)
    )


@cache  # most situations are reached in many ways
def numbered_anew(now: Situation) -> Situation:
    """Number the serials by their order, and sort all whose order does not matter."""
    present = {serial for slot in now.slots for sector in slot for serial in sector.on_disk}
    present |= {sector.cached for slot in now.slots for sector in slot}
    acceptable = present.intersection(now.acceptable)
    present |= {now.serial, now.next_serial, BAD}
    number = {serial: n for n, serial in enumerate(sorted(present))}
    slots = [
        tuple(
            sorted(
                Sector(number[cached], tuple(number[each] for each in on_disk), dirty)
                for cached, on_disk, dirty in slot
            )
        )
        for slot in now.slots
    ]
    swap = slots[1] < slots[0]
    return now._replace(
        slots=(slots[1], slots[0]) if swap else (slots[0], slots[1]),
        acceptable=tuple(sorted(number[serial] for serial in acceptable)),
        newest=1 - now.newest if swap and now.at else now.newest,
        serial=number[now.serial],
        next_serial=number[now.next_serial],
    )


def found(now: Situation) -> Found:
    one, two = (tuple(sector.cached for sector in slot) for slot in now.slots)
    return one, two


def by_order(one: Iterable[int], two: Iterable[int]) -> Found:
    """Put what is found into the form in which histories know it."""
    one, two = sorted(one), sorted(two)
    number = {serial: n for n, serial in enumerate(sorted({*one, *two, BAD}))}
    first, second = sorted((tuple(number[s] for s in one), tuple(number[s] for s in two)))
    return first, second


def newest_whole(slots: Found) -> int | None:
    """Return the number of the whole slot with the greater serial, if any is whole."""
    whole = [n for n in (0, 1) if BAD not in slots[n] and len(set(slots[n])) == 1]
    return max(whole, key=lambda n: slots[n][0], default=None)


def with_slot(slots: tuple[Slot, Slot], which: int, slot: Slot) -> tuple[Slot, Slot]:
    return (slots[0], slot) if which else (slot, slots[1])


def crashes_of_a_write(
    now: Situation, which: int, sectors: Iterable[int], serial: int
) -> Iterator[Situation]:
    """Yield every way in which a write and its sync can fail, and at last how they succeed."""
    acceptable = (*now.acceptable, serial)
    slots = now.slots
    sectors = list(sectors)
    for chosen in product((False, True), repeat=len(sectors)):
        slot = list(now.slots[which])
        for sector, is_written in zip(sectors, chosen, strict=True):
            if is_written:
                slot[sector] = written(slot[sector], serial)
        slots = with_slot(now.slots, which, tuple(slot))
        yield Situation(slots, acceptable)  # killed
    yield Situation((sync_failed(slots[0]), sync_failed(slots[1])), acceptable)
    yield now._replace(slots=(synced(slots[0]), synced(slots[1])), acceptable=acceptable)


def misfortunes(now: Situation) -> Iterator[Situation]:
    """What happens without the process's doing."""
    killed = Situation(now.slots, now.acceptable)
    yield killed
    one, two = now.slots
    for kept in product(*(sector.on_disk for sector in one + two)):  # a power cut
        after = tuple(map(settled, kept))
        yield killed._replace(slots=(after[: len(one)], after[len(one) :]))
    for which in (0, 1):
        slot = now.slots[which]
        for n, sector in enumerate(slot):
            for changed in forgotten_or_rotten(sector):
                changed_slot = (*slot[:n], changed, *slot[n + 1 :])
                yield now._replace(slots=with_slot(now.slots, which, changed_slot))


def forgotten_or_rotten(sector: Sector) -> Iterator[Sector]:
    """The cache drops the sector, or the disk damages it."""
    if not sector.dirty:
        yield from map(settled, sector.on_disk)
    yield rotten(sector)


def steps(now: Situation, sound: set[Found]) -> Iterator[Situation]:
    """What a process does next, how it can fail, and how it succeeds."""
    other = 1 - now.newest
    all_sectors = range(len(now.slots[other]))
    if now.at == At.NOWHERE and by_order(*found(now)) in sound:  # open
        seen = found(now)
        newest = newest_whole(seen)
        assert newest is not None
        knows = now._replace(
            at=At.REWRITTEN,
            newest=newest,
            serial=seen[newest][0],
            next_serial=max(*seen[0], *seen[1]) + 1,
            bad=seen[1 - newest].count(BAD),
        )
        *failures, done = crashes_of_a_write(knows, newest, all_sectors, knows.serial)
        yield from failures
        is_whole = not knows.bad and len(set(seen[1 - newest])) == 1
        yield done._replace(acceptable=(knows.serial,), at=At.OPEN) if is_whole else done
    elif now.at == At.REWRITTEN:  # mend what is bad
        where = [n for n in all_sectors if now.slots[other][n].cached == BAD][: now.bad]
        *failures, done = crashes_of_a_write(now, other, where, now.next_serial)
        yield from failures
        yield done._replace(at=At.MENDED, bad=0)
    elif now.at == At.MENDED:  # mend the rest
        *failures, done = crashes_of_a_write(now, other, all_sectors, now.next_serial)
        yield from failures
        yield opened(done, other, (now.serial, now.next_serial))
    elif now.at == At.OPEN:  # save
        *failures, done = crashes_of_a_write(now, other, all_sectors, now.next_serial)
        yield from failures
        yield opened(done, other, (now.next_serial,))


def opened(now: Situation, newest: int, acceptable: tuple[int, ...]) -> Situation:
    serial = now.next_serial
    return Situation(now.slots, acceptable, At.OPEN, newest, serial, serial + 1)


def is_within_bounds(now: Situation, *, syncs_may_fail: bool) -> bool:
    for sector in now.slots[0] + now.slots[1]:
        sync_has_failed = len(sector.on_disk) > 1 and not sector.dirty
        if len(sector.on_disk) > MAX_VERSIONS or (sync_has_failed and not syncs_may_fail):
            return False
    return True


def walk(sound: set[Found], sectors: int, *, syncs_may_fail: bool) -> dict[Found, bool]:
    """Go through all histories in which exactly these findings are recovered from."""
    after_init = (settled(1),) * sectors, (settled(2),) * sectors
    start = numbered_anew(Situation(after_init, acceptable=(1, 2)))
    known = {start}
    ahead = [start]
    findings: dict[Found, bool] = {}
    while ahead:
        now = ahead.pop()
        seen = found(now)
        newest = newest_whole(seen)
        is_right = newest is not None and seen[newest][0] in now.acceptable
        findings[by_order(*seen)] = findings.get(by_order(*seen), True) and is_right
        for after in map(numbered_anew, (*misfortunes(now), *steps(now, sound))):
            if after not in known and is_within_bounds(after, syncs_may_fail=syncs_may_fail):
                known.add(after)
                ahead.append(after)
    return findings


def learn(sectors: int, *, syncs_may_fail: bool) -> dict[Found, bool]:
    """Return all that a reader can ever find, and whether the newest whole slot is the answer.

    `sectors` are those of a slot. Three show every kind of slot that there is: an old sector beside
    two that were written later, or beside a bad one.
    """
    sound: set[Found] = set()
    while True:
        findings = walk(sound, sectors, syncs_may_fail=syncs_may_fail)
        learnt = {seen for seen, is_right in findings.items() if is_right}
        if learnt == sound:
            return findings
        sound = learnt
