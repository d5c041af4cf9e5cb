"""Whatever a crash leaves, the store holds what was acknowledged, or what was being written."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TypeAlias

import pytest

from log_store.stores import Account, at, made, members, opened, proposal
from paxos import NOTHING_ACCEPTED
from paxos.log.configurations import Configurations
from paxos.log.entries import Change, Commands, Entry
from paxos.log.state import LogState, records_since
from paxos.log_anchor import SnapshotInfo
from paxos.log_store import LogStore
from paxos.sim.disk_state import DiskState, Drawn
from paxos.sim.simulated_disk import SimulatedDisk, nth_call_fails
from paxos.snapshot_files import digest_of_stream
from paxos.storage_errors import StorageError

pytestmark = pytest.mark.long


Step: TypeAlias = Callable[[LogStore, Account], None]
"""Does something to a store, and to the account of it."""


def differs(found: LogState[bytes], account: Account) -> str:
    return f"found {found}\nright {account.state()}"


def is_held(disk: SimulatedDisk, account: Account) -> bool:
    """Whether the store on this disk holds all of the account, entries included."""
    store = opened(disk)
    try:
        right = account.state()
        if store.state != right:
            return False
        votes = account.votes
        for slot in range(store.first_kept, store.chosen_below):
            if store.entries(slot, 0) != (votes[slot],):
                return False
        return store.first_kept <= right.chosen_below
    finally:
        disk.kill()


class Life:
    """Draws what a node does next, so that all of it makes sense."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice

    def step(self) -> Step:
        return self.dice.choices(
            [self.promise, self.accept, self.choose, self.snapshot, self.install, self.trim],
            [2, 8, 6, 1, 1, 2],
        )[0]

    def entry(self) -> Entry[bytes]:
        if self.dice.random() < 0.2:
            return Change(members("A", self.dice.choice("BCD"), "Z"))
        return Commands((self.dice.randbytes(self.dice.choice([0, 50, 600, 1500])),))

    def promise(self, store: LogStore, account: Account) -> None:
        number = store.state.promised.number + 1
        self.save(store, account, replace(store.state, ballot=number, promised=at(number)))

    def accept(self, store: LogStore, account: Account) -> None:
        """Accept in the next slots, and perhaps once more in one that is not chosen."""
        state = store.state
        number = max(state.promised.number, 1)
        votes = list(state.votes)
        for _ in range(self.dice.randrange(1, 4)):
            if votes and self.dice.random() < 0.3:
                first_open = store.chosen_below - state.first
                if first_open < len(votes):
                    number += 1
                    again = self.dice.randrange(first_open, len(votes))
                    votes[again] = proposal(number, self.entry())
            else:
                if self.dice.random() < 0.1:
                    votes.append(NOTHING_ACCEPTED)  # type: ignore[arg-type]  # a hole
                votes.append(proposal(number, self.entry()))
        self.save(store, account, replace(state, promised=at(number), votes=tuple(votes)))

    def choose(self, store: LogStore, account: Account) -> None:
        """Know more to be chosen, and accept something besides, for a mark never goes alone."""
        state = store.state
        known = state.chosen_below
        while known < state.first + len(state.votes) and state.vote(known) is not NOTHING_ACCEPTED:
            known += 1
        number = max(state.promised.number, 1)  # who accepts promises, too
        state = replace(
            state,
            promised=at(number),
            votes=(*state.votes, proposal(number, self.entry())),
            chosen_below=known,
        )
        self.save(store, account, state)

    def save(self, store: LogStore, account: Account, state: LogState[bytes]) -> None:
        account.records += records_since(store.state, state)
        store.save(state)

    def snapshot(self, store: LogStore, account: Account) -> None:
        if store.chosen_below:
            self.take_on(store, account, store.chosen_below, account.configurations)

    def install(self, store: LogStore, account: Account) -> None:
        configurations = Configurations.fixed(members("A", self.dice.choice("BCD"), "Z"))
        self.take_on(store, account, store.chosen_below + self.dice.randrange(1, 4), configurations)

    def take_on(
        self, store: LogStore, account: Account, below: int, configurations: Configurations
    ) -> None:
        account.snapshot = (below, configurations)
        stream = self.dice.randbytes(self.dice.choice([0, 10, 1000]))
        digest = digest_of_stream()
        digest.update(stream)
        info = SnapshotInfo(below, configurations, len(stream), digest.digest())
        incoming = store.receive_snapshot(info)
        incoming.add(0, stream)
        store.install(incoming)

    def trim(self, store: LogStore, account: Account) -> None:
        store.trim(keep=self.dice.randrange(4))


def crashed(disk: SimulatedDisk, dice: Random, moments: list[DiskState]) -> None:
    """Let a crash of some kind fall at one of these moments."""
    disk.state = dice.choice(moments)
    disk.kill()
    if dice.random() < 0.6:
        disk.power_cut(Drawn(dice))


def lived(seed: int) -> None:
    """Live twelve lives on one disk. Each ends somehow, and the next finds what it should."""
    dice = Random(seed)
    life, disk = Life(dice), made()
    accounts = [Account()]
    for number in range(12):
        where = f"seed {seed}, life {number}"
        store = opened(disk)
        right = [each for each in accounts if each.state() == store.state]
        assert right, f"{where}: {differs(store.state, accounts[-1])}"
        account = right[-1]
        for _ in range(dice.randrange(1, 6)):
            before = account.copy()
            if dice.random() < 0.1:
                error = dice.choice([errno.EIO, errno.ENOSPC])
                disk.fault = nth_call_fails(dice.randrange(20), error)
            with disk.recorded() as record:
                try:
                    life.step()(store, account)
                    failed = False
                except StorageError:
                    failed = True
            disk.fault = None
            held = [before, account] if failed else [account]
            if failed or dice.random() < 0.15:
                accounts = [before, account]
                crashed(disk, dice, [disk.state] if failed else record.moments)
                break
            accounts = held
            if dice.random() < 0.1:
                crashed(disk, dice, [disk.state])
                break
        else:
            if dice.random() < 0.5:
                store.close()
            disk.kill()
        assert any(is_held(SimulatedDisk(disk.state), each) for each in accounts), where


@pytest.mark.parametrize("decade", range(10))
def test_no_history_loses_anything_acknowledged(decade: int) -> None:
    for seed in range(decade * 10, decade * 10 + 10):
        lived(seed)


@pytest.mark.parametrize("hundred", range(1, 9))
def test_no_longer_row_of_histories_loses_anything(hundred: int) -> None:
    for seed in range(hundred * 100, hundred * 100 + 100):
        lived(seed)


@pytest.mark.parametrize("what", ["accept", "choose", "snapshot", "install", "trim"])
def test_a_crash_amid_any_step_leaves_what_was_before_or_after(what: str) -> None:
    for seed in range(3):
        life, disk = Life(Random(seed)), made()
        store, account = opened(disk), Account()
        for _ in range(12):
            life.accept(store, account)
            life.choose(store, account)
        life.snapshot(store, account)
        before = account.copy()
        with disk.recorded() as record:
            getattr(life, what)(store, account)
        dice, seen = Random(seed), set[int]()
        for number, moment in enumerate(record.moments):
            for state in (moment, *moment.some_power_cuts(6, dice)):
                held = [is_held(SimulatedDisk(state), each) for each in (before, account)]
                assert any(held), f"{what} of seed {seed}, moment {number}"
                seen.update(which for which in (0, 1) if held[which])
        assert is_held(SimulatedDisk(disk.state), account)
        assert seen == {0, 1}
