"""The suite for a write-ahead log: what it owes beyond what any store does.

A log holds batches of bytes in the order in which they were appended, and a label. Its contract is
that of `paxos.testing.store` for its newest batch, and besides:

1. `append` returns when the batch is on stable storage. After a crash at any moment, all batches
   that were acknowledged are there, in order, and perhaps the one being appended: whole, and
   behind them. Nothing else is.
2. A batch that was cut off is left out without an error, and what is appended next takes its
   place.
3. Damage to any batch that is kept is a fault, or costs nothing. The log is never shorter for it.
4. `trim` loses none of the newest batches that were to stay, at no moment. The label changes with
   it, or not at all.
5. When an append fails, the batches before it are there, and the log takes no more.
"""

from __future__ import annotations

import errno
from functools import partial
from random import Random

import pytest

from paxos.sim.disk_state import SECTOR_BYTES, DiskState, Drawn
from paxos.sim.simulated_disk import SimulatedDisk, nth_call_fails
from paxos.testing.contract import demand
from paxos.testing.log_bench import LogBench, LogUnderTest
from paxos.testing.store import StoreSuite
from paxos.testing.store_bench import Crash

__all__ = ["LogUnderTest", "WriteAheadLogSuite"]


class WriteAheadLogSuite(LogBench, StoreSuite):
    """Derive a test class from it, and write `create_log` and `open_log`; the tests are inherited.

    All that `StoreSuite` says of itself holds here, too.
    """

    def test_all_batches_come_back_in_order(self) -> None:
        """Of all sizes, over several lives."""
        disk = self.log_with(0)
        for life in range(6):
            log = self.open_log(disk)
            demand(log.label == b"label", f"the label is {log.label!r}")
            for number in range(life * 5, life * 5 + 5):
                log.append(self.batch(number))
            log.close()
            self.require_batches(disk.state, [life * 5 + 5], f"Life {life} ended.")

    def test_a_crash_during_an_append_loses_nothing_before_it(self) -> None:
        """The batch itself is there whole, or not at all."""
        for number in range(2 * len(self.batch_sizes)):
            for crash in self._crashes_of_an_append(number):
                self.require_batches(crash.state, [number, number + 1], crash)

    def test_an_append_after_a_crash_takes_its_place(self) -> None:
        """And a second crash costs nothing more."""
        for number in (0, 1, 3, 4, 8):
            for crash in self.some(self._crashes_of_an_append(number)):
                disk = SimulatedDisk(crash.state)
                log = self.open_log(disk)
                count = len(log.batches)
                with disk.recorded() as record:
                    log.append(self.batch(count))
                for again in self.some(self.crashes("the next append", record)):
                    how = f"{crash}\n{again}"
                    self.require_batches(again.state, [count, count + 1], how)
                self.require_batches(disk.state, [count + 1], f"{crash}\nThen append returned.")

    def test_no_history_of_crashes_loses_a_batch(self) -> None:
        """Appends, kills, power cuts and failing calls in any order, drawn from seeds."""
        for seed in range(self.histories):
            dice = Random(seed)  # noqa: S311 - to be repeated is what it is for
            self._append_in_many_lives(dice, f"In the history of seed {seed}")

    @pytest.mark.parametrize("bits", [0xFF, 0x01], ids=["all-bits", "one-bit"])
    def test_damage_to_any_batch_is_a_fault_or_costs_nothing(self, bits: int) -> None:
        """Anywhere in any file."""
        state = self.log_with(9).state.flush()
        for path, offset in self._places(state):
            how = f"Rot changed byte {offset} of {path}."
            self.require_batches(state.flip(path, offset, bits), [9], how, or_fault=True)

    def test_damage_to_two_sectors_is_a_fault_or_costs_nothing(self) -> None:
        """Neighbours, such as rot together."""
        state = self.log_with(9).state.flush()
        for path, at in self._sectors(state):
            size = len(state.content(path))
            damaged = state.damage(path, at, (b"\x55" * 2 * SECTOR_BYTES)[: size - at])
            how = f"Rot took two sectors at byte {at} of {path}."
            self.require_batches(damaged, [9], how, or_fault=True)

    def test_trimming_never_loses_the_tail(self) -> None:
        """At every moment the newest batches are there, and the label is the old one or the new."""
        for keep in (0, 1, 4):
            disk = self.log_with(12)
            log = self.open_log(disk)
            with disk.recorded() as record:
                log.trim(keep, b"trimmed")
            for crash in self.crashes("trim", record):
                self._require_tail(crash.state, keep, {b"label", b"trimmed"}, crash)
            self._require_tail(disk.state, keep, {b"trimmed"}, "trim returned.")
            log.append(self.batch(12))
            log.close()
            self._require_tail(disk.state, keep, {b"trimmed"}, "trim and append returned.", 13)

    @pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
    def test_a_trim_whose_disk_fails_loses_no_tail(self, error: int) -> None:
        """Each call in turn."""
        before = self.log_with(12).state
        well = SimulatedDisk(before)
        log = self.open_log(well)
        with well.recorded() as record:
            log.trim(3, b"trimmed")
        for nth in range(len(record.calls)):
            disk = SimulatedDisk(before)
            log = self.open_log(disk)
            disk.fault = nth_call_fails(nth, error)
            how = f"Call {nth + 1} of a trim, {record.calls[nth]}, failed."
            self.attempt(how, partial(log.trim, 3, b"trimmed"))
            for left in (disk.state, *self.power_cuts(disk.state)):
                self._require_tail(left, 3, {b"label", b"trimmed"}, how)

    def test_a_log_that_is_trimmed_and_appended_to_stays_small(self) -> None:
        """Files that nothing needs are removed."""
        disk = self.log_with(8)
        most = 0
        for number in range(8, 60):
            log = self.open_log(disk)
            log.append(self.batch(number))
            log.trim(2, b"label")
            log.close()
            size = sum(len(disk.state.content(path)) for path in disk.state.paths)
            most = most or 3 * size
            demand(size <= most, f"{number} batches, of which 2 are kept, take {size} bytes")

    def _crashes_of_an_append(self, number: int) -> list[Crash]:
        """Return every crash during the append of this batch behind those before it."""
        disk = self.log_with(number)
        log = self.open_log(disk)
        with disk.recorded() as record:
            log.append(self.batch(number))
        return self.crashes(f"the append of batch {number}", record)

    def _require_tail(
        self, state: DiskState, keep: int, labels: set[bytes], how: object, count: int = 12
    ) -> None:
        found = self.look_at_log(state, how)
        demand(found is not None, f"{how}\nBut open raised a fault")
        label, batches = found or (b"", ())
        demand(label in labels, f"{how}\nThe label is {label!r}")
        demand(len(batches) >= keep, f"{how}\n{keep} batches were to stay; {len(batches)} are left")
        newest = tuple(map(self.batch, range(count - len(batches), count)))
        demand(batches == newest, f"{how}\nThe batches that are left are not the newest ones")

    def _append_in_many_lives(self, dice: Random, where: str) -> None:
        """Live many lives on one disk, each of which ends somehow."""
        disk = self.log_with(0)
        least = most = 0
        for life in range(20):
            log = self.open_log(disk)
            least = most = self._require_counted(log, least, most, f"{where}, in life {life}:")
            moments = [disk.state]
            for _ in range(dice.randrange(5)):
                if dice.random() < 0.1:
                    disk.fault = nth_call_fails(dice.randrange(12), errno.EIO)
                with disk.recorded() as record:
                    fault = self.fault_of(log, self.batch(most))
                disk.fault = None
                most += 1
                moments = [disk.state] if fault is not None else record.moments
                if fault is not None:
                    break
                least = most
            if dice.random() < 0.3:
                log.close()
                continue
            if len(moments) > 1 and dice.random() < 0.5:
                least -= 1  # the last append may be cut off
                disk.state = dice.choice(moments)
            disk.kill()
            if dice.random() < 0.5:
                disk.power_cut(Drawn(dice))

    def _require_counted(self, log: LogUnderTest, least: int, most: int, how: str) -> int:
        batches = tuple(log.batches)
        demand(
            least <= len(batches) <= most,
            f"{how} {least} to {most} batches would be right; open gave {len(batches)}",
        )
        right = tuple(map(self.batch, range(len(batches))))
        demand(batches == right, f"{how} the batches are not those that were appended")
        return len(batches)
