"""The part of the store's suite in which the disk damages what it holds, or loses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paxos.sim.disk_state import SECTOR_BYTES, DiskState
from paxos.sim.simulated_disk import SimulatedDisk
from paxos.testing.contract import ContractError, demand
from paxos.testing.store_bench import Acceptable, StoreBench


class StoreDamage(StoreBench):
    """Damage costs nothing, or is a fault. No older state is ever given in its place."""

    @pytest.mark.parametrize("bits", [0xFF, 0x01], ids=["all-bits", "one-bit"])
    def test_no_damaged_byte_goes_unnoticed(self, bits: int) -> None:
        """Anywhere in any file of a store."""
        state, right = self._saved_twice()
        for path, offset in self._places(state):
            how = f"Rot changed byte {offset} of {path}."
            self._require_right_or_fault(state.flip(path, offset, bits), right, how)

    @pytest.mark.parametrize("content", [bytes(SECTOR_BYTES), b"\xff" * SECTOR_BYTES],
                             ids=["zeros", "ones"])  # fmt: skip
    def test_no_damaged_sector_goes_unnoticed(self, content: bytes) -> None:
        """Such as one that cannot be read any more."""
        state, right = self._saved_twice()
        for path, at in self._sectors(state):
            size = len(state.content(path))
            damaged = state.damage(path, at, content[: size - at])
            how = f"Rot took the sector at byte {at} of {path}."
            self._require_right_or_fault(damaged, right, how)

    def test_no_misplaced_sector_goes_unnoticed(self) -> None:
        """A good one, which belongs elsewhere: the drive wrote it to the wrong place.

        What stood there before is no such damage: nothing in the file can tell a lost write.
        """
        disk = self.disk_with("x")
        store = self.open(disk)
        with disk.recorded() as record:
            store.save(self.filled("n"))
            store.close()
        right = {self.filled("n"): "acknowledged"}
        for path in disk.state.paths:
            was = [_split(state, path) for state in record.moments if path in state.paths]
            now = _split(disk.state, path)
            for at in range(len(now)):
                history = {sectors[at] for sectors in was if at < len(sectors)}
                for other, content in enumerate(now):
                    if content not in history and len(content) == len(now[at]):
                        damaged = disk.state.damage(path, at * SECTOR_BYTES, content)
                        how = f"Sector {other} of {path} was written to sector {at}, too."
                        self._require_right_or_fault(damaged, right, how)

    def test_damage_after_a_write_that_was_cut_off_brings_back_nothing_older(self) -> None:
        """The state that was acknowledged, or the one being saved, or a fault."""
        disk = self.disk_with("x", "o")
        store = self.open(disk)
        right = {self.filled("o"): "acknowledged", self.filled("n"): "being saved"}
        with disk.recorded() as record:
            store.save(self.filled("n"))
        cut_off = [state.flush() for state in record.moments[1:-1]]
        for state in (cut_off[n] for n in sorted({0, len(cut_off) // 2, len(cut_off) - 1})):
            for path, offset in self._places(state):
                how = f"A save was cut off, and rot changed byte {offset} of {path}."
                self._require_right_or_fault(state.flip(path, offset), right, how)

    def test_what_was_found_sound_is_saved_to_as_before(self) -> None:
        """Damage that costs nothing costs nothing later either."""
        state, right = self._saved_twice()
        for path, offset in self._sectors(state):
            damaged = state.flip(path, offset)
            how = f"Rot changed byte {offset} of {path}."
            if self.require(damaged, right, how, or_fault=True) is not None:
                disk = SimulatedDisk(damaged)
                store = self.require_opened(disk, right, how)
                store.save(self.filled("z"))
                saved = {self.filled("z"): "acknowledged"}
                self.require_after_power_cuts(disk.state, saved, f"{how} A save returned.")

    def test_a_crash_while_damage_is_mended_costs_nothing(self) -> None:
        """What was found sound was sound, and remains so at every moment of its opening."""
        state, right = self._saved_twice()
        for path, offset in self._sectors(state):
            how = f"Rot changed byte {offset} of {path}."
            if self.look(state.flip(path, offset), how) is not None:
                disk = SimulatedDisk(state.flip(path, offset))
                with disk.recorded() as record:
                    self.require_opened(disk, right, how)
                for crash in self.some(self.crashes("the opening", record)):
                    self.require(crash.state, right, f"{how} {crash}")

    def test_a_file_of_another_length_gives_no_other_state(self) -> None:
        """Cut short or extended, at a sector's end or anywhere."""
        state, right = self._saved_twice()
        for path in state.paths:
            content = state.content(path)
            ends = {end + by for end in range(0, len(content) + 1, 512) for by in (-1, 0, 1)}
            for end in sorted(ends | {len(content) + by for by in (-1, 0, 1, 512, 100_000)}):
                other = content[: max(0, end)].ljust(end, b"\0")
                how = f"{path} of {len(content)} bytes became one of {len(other)}."
                self._require_right_or_fault(state.with_content(path, other), right, how)

    @pytest.mark.parametrize("content", [b"", bytes(8192), b"my diary\n" * 1000],
                             ids=["empty", "zeros", "a-diary"])  # fmt: skip
    def test_somebody_elses_files_are_a_fault_and_left_alone(self, content: bytes) -> None:
        """Neither `open` nor `create` changes them."""
        state, _ = self._saved_twice()
        for path in state.paths:
            state = state.with_content(path, content)
        disk = SimulatedDisk(state)
        for what, action in (
            ("open", lambda: self.open(disk)),
            ("create", lambda: self.create(disk, self.filled("i"))),
        ):
            try:
                action()
            except (*self.faults, *self.misuse):
                pass
            else:
                raise ContractError(f"There were files of somebody else, and {what} took them")
            left = {path: disk.state.content(path) for path in disk.state.paths}
            demand(
                left == dict.fromkeys(state.paths, content),
                f"There were files of somebody else, and {what} changed them",
            )
            demand(disk.open_handles == 0, f"{what} failed, and left files open")

    def test_a_lost_file_is_a_fault_or_costs_nothing(self) -> None:
        """And nothing is made in its place."""
        state, right = self._saved_twice()
        for path in state.paths:
            self._require_right_or_fault(state.without(path), right, f"{path} was lost.")
        nothing = state.without(self.folder)
        demand(nothing != state, f"the store is not in {self.folder}")
        disk = SimulatedDisk(nothing)
        self.require_fault("open, where all was lost,", lambda: self.open(disk))
        demand(disk.state == nothing, "All was lost, and open changed the disk")

    def _saved_twice(self) -> tuple[DiskState, Acceptable]:
        state = self.disk_with("o", "n").state.flush()
        demand(state.paths, "a store has no file")
        return state, {self.filled("n"): "acknowledged"}

    def _sectors(self, state: DiskState) -> Iterator[tuple[Path, int]]:
        """Yield where each sector of each file begins."""
        for path in state.paths:
            yield from ((path, at) for at in range(0, len(state.content(path)), SECTOR_BYTES))

    def _places(self, state: DiskState) -> Iterator[tuple[Path, int]]:
        """Yield some bytes of each sector of each file, the first and the last among them."""
        for path in state.paths:
            size = len(state.content(path))
            places = {*range(0, size, self.flip_every), *range(0, size, SECTOR_BYTES)}
            places.update(range(SECTOR_BYTES - 1, size, SECTOR_BYTES))
            yield from ((path, offset) for offset in sorted(places))

    def _require_right_or_fault(self, damaged: DiskState, right: Acceptable, how: str) -> None:
        disk = SimulatedDisk(damaged)
        if self.require(damaged, right, how, or_fault=True) is None:
            self.attempt("open", lambda: self.open(disk))
            demand(_contents(disk.state) == _contents(damaged), f"{how} open changed a file")
            demand(disk.open_handles == 0, f"{how} open raised a fault, and left files open")


def _contents(state: DiskState) -> dict[Path, bytes]:
    return {path: state.content(path) for path in state.paths}


def _split(state: DiskState, path: Path) -> list[bytes]:
    content = state.content(path)
    return [content[at : at + SECTOR_BYTES] for at in range(0, len(content), SECTOR_BYTES)]
