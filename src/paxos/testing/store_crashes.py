"""The part of the store's suite in which processes are killed and the power is cut."""

from __future__ import annotations

import errno
from functools import partial
from random import Random

from paxos.sim.disk_state import DiskState, Drawn
from paxos.sim.simulated_disk import SimulatedDisk, nth_call_fails
from paxos.testing.contract import ContractError
from paxos.testing.store_bench import Acceptable, Crash, StoreBench, StoreUnderTest


class StoreCrashes(StoreBench):
    """At any moment, with anything left of what was unsynced: nothing acknowledged is lost."""

    def test_a_save_that_returned_survives_a_power_cut(self) -> None:
        """Whatever is unsynced when `save` returns may be gone."""
        disk = self.created()
        store = self.open(disk)
        for letter in "abcab":
            store.save(self.filled(letter))
            acknowledged = {self.filled(letter): "acknowledged"}
            self.require_after_power_cuts(disk.state, acknowledged, "save returned.")

    def test_a_crash_during_a_save_leaves_the_old_state_or_the_new_one(self) -> None:
        """And never an error: a write that was cut off is no damage."""
        for before in (self.created(), self.disk_with("o"), self.disk_with("x", "o")):
            crashes, acceptable = self._crashes_of_a_save(before)
            for crash in crashes:
                self.require(crash.state, acceptable, crash)

    def test_a_new_store_survives_a_power_cut(self) -> None:
        """Its file, and the names of its file and of its folder."""
        initial = {self.filled("i"): "the initial one"}
        self.require_after_power_cuts(self.created().state, initial, "create returned.")

    def test_a_crash_during_create_leaves_a_whole_store_or_none(self) -> None:
        """A whole one holds the initial state; where there is none, `create` works."""
        disk = SimulatedDisk()
        with disk.recorded() as record:
            self.create(disk, self.filled("i"))
        for crash in self.crashes("create", record):
            self._require_whole_or_none(crash)

    def test_opening_ends_with_a_write(self) -> None:
        """What `open` has given is on stable storage, though a killed process never synced it."""
        crashes, acceptable = self._crashes_of_a_save(self.disk_with("x", "o"))
        for crash in crashes:
            if crash.is_kill:
                self._require_settled_by_opening(crash.state, acceptable, crash)

    def test_opening_settles_what_a_failed_sync_left(self) -> None:
        """The system shows it, and has forgotten to write it; a mere sync would change nothing."""
        for failing in range(self._calls_of_a_save()):
            disk = self.disk_with("o")
            store = self.open(disk)
            disk.fault = nth_call_fails(failing, errno.EIO)
            fault = self.attempt("save", partial(store.save, self.filled("n")))
            if fault is not None:
                how = f"save raised {fault!r}."
                self._require_settled_by_opening(disk.state, self._old_or_new, how)

    def test_opening_settles_what_a_killed_create_left(self) -> None:
        """If it finds a store at all."""
        disk = SimulatedDisk()
        with disk.recorded() as record:
            self.create(disk, self.filled("i"))
        for crash in self.crashes("create", record):
            if crash.is_kill and self.look(crash.state, crash) is not None:
                initial = {self.filled("i"): "the initial one"}
                self._require_settled_by_opening(crash.state, initial, crash)

    def test_a_second_crash_during_opening_costs_nothing_more(self) -> None:
        """Crash amid a save, and again amid the opening that follows."""
        checked: set[tuple[DiskState, frozenset[bytes]]] = set()
        crashes, acceptable = self._crashes_of_a_save(self.disk_with("x", "o"))
        for crash in self.some(crashes):
            disk = SimulatedDisk(crash.state)
            with disk.recorded() as record:
                found = self.require_opened(disk, acceptable, crash).state
            for again in self.crashes("the opening that followed", record):
                if (again.state, frozenset(acceptable)) not in checked:
                    checked.add((again.state, frozenset(acceptable)))
                    self.require(again.state, acceptable, f"{crash}\n{again}")
            given = {found: "what open had given"}
            self.require_after_power_cuts(disk.state, given, f"{crash}\nopen returned.")

    def test_two_saves_that_were_cut_off_never_pass_for_one(self) -> None:
        """Part of the first attempt and part of the second must not look whole together."""
        crashes, acceptable = self._crashes_of_a_save(self.disk_with("x", "o"), "p")
        for first in self.some(crashes):
            disk = SimulatedDisk(first.state)
            store = self.require_opened(disk, acceptable, first)
            right = {store.state: "what open had given", self.filled("n"): "being saved"}
            with disk.recorded() as record:
                store.save(self.filled("n"))
            for second in self.crashes("the next save", record):
                self.require(second.state, right, f"{first}\n{second}")

    def test_no_history_of_crashes_loses_what_was_acknowledged(self) -> None:
        """Saves, kills, power cuts and failing calls in any order, drawn from seeds."""
        for seed in range(self.histories):
            dice = Random(seed)  # noqa: S311 - to be repeated is what it is for
            self._live(dice, f"In the history of seed {seed}")

    @property
    def _old_or_new(self) -> Acceptable:
        return {self.filled("o"): "acknowledged", self.filled("n"): "being saved"}

    def _calls_of_a_save(self) -> int:
        disk = self.disk_with("o")
        store = self.open(disk)
        with disk.recorded() as record:
            store.save(self.filled("n"))
        return len(record.calls)

    def _crashes_of_a_save(
        self, disk: SimulatedDisk, letter: str = "n"
    ) -> tuple[list[Crash], Acceptable]:
        """Return every crash during a save to the store on this disk, and what is right after."""
        store = self.open(disk)
        acceptable = {store.state: "acknowledged", self.filled(letter): "being saved"}
        with disk.recorded() as record:
            store.save(self.filled(letter))
        return self.crashes("save", record), acceptable

    def _require_settled_by_opening(
        self, state: DiskState, acceptable: Acceptable, how: object
    ) -> None:
        disk = SimulatedDisk(state)
        given = {self.require_opened(disk, acceptable, how).state: "what open had given"}
        self.require_after_power_cuts(disk.state, given, f"{how}\nThen the store was opened.")

    def _require_whole_or_none(self, crash: Crash) -> None:
        initial = {self.filled("i"): "the initial one"}
        disk = SimulatedDisk(crash.state)
        if self.require(crash.state, initial, crash, or_fault=True) is not None:
            what = f"{crash}\nThen there was a store, and create"
            self.require_misuse(what, lambda: self.create(disk, self.filled("x")))
            self.require(disk.state, initial, f"{what} was refused.")
            return
        how = f"{crash}\nThen there was no store, and create was called again."
        try:
            self.create(disk, self.filled("a"))
        except Exception as error:
            raise ContractError(f"{how} It raised {error!r}") from error
        self.require(disk.state, {self.filled("a"): "the initial one"}, how)

    def _live(self, random: Random, where: str) -> None:
        """Live many lives on one disk, each of which ends somehow."""
        disk = self.created()
        acceptable = {self.filled("i"): "the initial one"}
        for life in range(20):
            how = f"{where}, in life {life}:"
            with disk.recorded() as record:
                store = self.require_opened(disk, acceptable, how)
            if random.random() < 0.2:
                _crash(disk, random, record.moments)
                continue
            acceptable = {store.state: "what open had given"}
            for number in range(random.randrange(3)):
                state = b"%d of life %d" % (number, life)
                store.save(state)
                acceptable = {state: "acknowledged"}
            if random.random() < 0.2:
                store.close()
                continue
            last = self.filled(chr(ord("a") + life))
            if self._is_saved(disk, store, random, last):
                acceptable = {}
            acceptable[last] = "the last of the life before"

    def _is_saved(
        self, disk: SimulatedDisk, store: StoreUnderTest, random: Random, state: bytes
    ) -> bool:
        """End a life amid a save or after it; return whether it was acknowledged."""
        if random.random() < 0.5:
            with disk.recorded() as record:
                store.save(state)
            _crash(disk, random, record.moments)
            return False
        disk.fault = nth_call_fails(random.randrange(10), errno.EIO)
        fault = self.attempt("save", lambda: store.save(state))
        disk.fault = None
        _crash(disk, random, [disk.state])
        return fault is None


def _crash(disk: SimulatedDisk, random: Random, moments: list[DiskState]) -> None:
    """Let a crash of some kind fall at one of these moments."""
    disk.state = random.choice(moments)
    if random.random() < 0.5:
        disk.kill()
    else:
        disk.power_cut(Drawn(random))
