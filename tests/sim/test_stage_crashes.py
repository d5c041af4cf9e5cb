"""What a crash leaves: the memory is real, its disk may lose what was not synced."""

from __future__ import annotations

import pytest

from paxos.errors import MisuseError
from paxos.node import DurableState
from paxos.proposal_id import ProposalID
from paxos.scenario.happenings import Crashed, Restarted, StayedDown
from paxos.storage_errors import CorruptError, DiskError, FullError
from sim.theatre import Theatre

A1, B1 = ProposalID(1, "A"), ProposalID(1, "B")
NOTHING = DurableState[str]()
PROMISED = DurableState[str](promised=A1)
PROMISED_MORE = DurableState[str](promised=B1)


def on_its_way() -> Theatre:
    """C has promised 1.A, and a promise of 1.B is on its way to its disk."""
    theatre = Theatre("cluster node A B C")
    theatre.play("propose A x", "propose B y", "deliver A>C prepare 1.A")
    theatre.play("hang C", "deliver B>C prepare 1.B")
    return theatre


@pytest.mark.parametrize(
    ("how", "left"),
    [
        ("kill", PROMISED_MORE),
        ("kill unwritten", PROMISED),
        ("power", PROMISED),
        ("power new", PROMISED_MORE),
        ("power torn", PROMISED),
    ],
)
def test_each_crash_leaves_what_it_leaves(how: str, left: DurableState[str]) -> None:
    theatre = on_its_way()
    theatre.play(f"crash C {how}", "restart C")
    assert theatre.of(Crashed) == [Crashed("C", how)]
    assert theatre.of(Restarted) == [Restarted("C", left)]


@pytest.mark.parametrize("how", ["kill", "kill unwritten", "power", "power new"])
def test_without_a_persist_under_way_each_crash_leaves_what_was_acknowledged(how: str) -> None:
    theatre = on_its_way()
    theatre.play("persist C", f"crash C {how}", "restart C")
    assert theatre.of(Restarted) == [Restarted("C", PROMISED_MORE)]


def test_a_power_cut_after_a_kill_takes_what_only_the_cache_held() -> None:
    theatre = on_its_way()
    theatre.play("crash C kill", "crash C power", "restart C")
    assert theatre.of(Restarted) == [Restarted("C", PROMISED)]


def test_a_restart_syncs_what_it_has_read() -> None:
    theatre = on_its_way()
    theatre.play("crash C kill", "restart C", "crash C power", "restart C")
    assert theatre.of(Restarted) == [Restarted("C", PROMISED_MORE)] * 2


def test_a_torn_write_is_noticed_and_rolled_back() -> None:
    theatre = on_its_way()
    theatre.play("crash C power torn", "restart C")
    process = theatre.stage.servers["C"].process
    assert process is not None
    assert process.store.report.torn


def test_what_waited_for_the_disk_dies_with_the_process() -> None:
    theatre = on_its_way()
    theatre.play("crash C kill", "restart C")
    assert not theatre.stage.servers["C"].is_saving
    theatre.play("deliver B>C prepare 1.B")
    assert theatre.envelope("C>B promise 1.B nothing") in theatre.stage.sent


def test_rot_is_found_and_the_node_stays_down() -> None:
    theatre = on_its_way()
    theatre.play("persist C", "rot C", "crash C kill", "restart C")
    (stayed,) = theatre.of(StayedDown)
    assert isinstance(stayed.error, CorruptError)
    assert "damaged at byte" in theatre.stage.servers["C"].why_down
    theatre.play("restart C")
    assert len(theatre.of(StayedDown)) == 2


def test_rot_beside_a_whole_newer_state_does_no_harm() -> None:
    theatre = on_its_way()
    theatre.play("rot C", "persist C", "crash C power", "restart C")
    assert theatre.of(Restarted) == [Restarted("C", PROMISED_MORE)]


def test_rot_hits_what_was_acknowledged_and_not_what_is_under_way() -> None:
    theatre = on_its_way()
    theatre.play("crash C kill unwritten", "rot C", "restart C")
    (stayed,) = theatre.of(StayedDown)
    assert isinstance(stayed.error, CorruptError)


def test_a_disk_may_fail_while_its_store_is_opened() -> None:
    theatre = Theatre("cluster node A")
    theatre.play("crash A kill", "fail A io", "restart A", "fail A full", "restart A", "restart A")
    assert [type(stayed.error) for stayed in theatre.of(StayedDown)] == [DiskError, FullError]
    assert theatre.of(Restarted) == [Restarted("A", NOTHING)]


def test_a_disk_that_is_about_to_fail_does_so_after_a_crash_too() -> None:
    theatre = on_its_way()
    theatre.play("persist C", "fail C io", "crash C power", "restart C", "restart C")
    assert len(theatre.of(StayedDown)) == 1
    assert theatre.of(Restarted) == [Restarted("C", PROMISED_MORE)]


def test_after_a_failed_sync_either_state_may_be_there_and_it_is_one_of_them() -> None:
    theatre = on_its_way()
    theatre.play("fail C io", "restart C")
    assert theatre.of(Restarted)[0].state in (PROMISED, PROMISED_MORE)


def test_a_vote_with_any_text_for_a_value_comes_back() -> None:
    value = '"größe = 10 µm"'
    theatre = Theatre("cluster node A")
    theatre.play(f"propose A {value}", "deliver A>A prepare 1.A")
    theatre.play("deliver A>A promise 1.A nothing", f"deliver A>A accept 1.A={value}")
    theatre.play("crash A power", "restart A")
    accepted = theatre.of(Restarted)[0].state.accepted
    assert "größe = 10 µm" in str(accepted)


def test_a_mutant_that_goes_on_with_a_broken_store_can_be_ended() -> None:
    theatre = Theatre("cluster node A B C breaks=failed-persist-stops")
    theatre.play("fail A io", "propose A x", "hang A", "propose B y", "deliver B>A prepare 1.B")
    assert theatre.stage.servers["A"].is_saving
    theatre.play("crash A kill", "restart A")
    assert theatre.of(Restarted)[0].state.promised < B1


def test_a_mutant_that_never_syncs_has_written_all_the_same() -> None:
    theatre = Theatre("cluster node A breaks=saved-means-synced")
    theatre.play("hang A", "propose A x", "crash A kill", "restart A")
    assert theatre.of(Restarted) == [Restarted("A", DurableState(1))]
    theatre.play("crash A power", "restart A")
    assert theatre.of(Restarted)[1:] == [Restarted("A", NOTHING)]


def test_what_a_failed_sync_left_unsynced_can_be_torn() -> None:
    theatre = on_its_way()
    theatre.play("fail C io", "crash C power torn", "restart C")
    assert theatre.of(Crashed) == [Crashed("C", "power torn")]
    assert theatre.of(Restarted) == [Restarted("C", PROMISED)]
    process = theatre.stage.servers["C"].process
    assert process is not None
    assert process.store.report.torn


def test_what_a_killed_process_left_unsynced_can_be_torn() -> None:
    theatre = on_its_way()
    theatre.play("crash C kill", "crash C power torn", "restart C")
    assert theatre.of(Restarted) == [Restarted("C", PROMISED)]


def test_where_all_is_synced_nothing_can_be_torn() -> None:
    theatre = on_its_way()
    theatre.play("persist C", "crash C power")
    with pytest.raises(MisuseError, match="nothing on the disk of C is unsynced"):
        theatre.play("crash C power torn")


@pytest.mark.parametrize(
    ("how", "left"),
    [
        ("kill", PROMISED_MORE),
        ("kill unwritten", PROMISED_MORE),
        ("power", PROMISED),
        ("power new", PROMISED_MORE),
        ("power torn", PROMISED),
    ],
)
def test_a_crash_may_fall_into_the_write_with_which_opening_ends(
    how: str, left: DurableState[str]
) -> None:
    """What is read back was never synced, so until that write is synced it may be lost."""
    theatre = on_its_way()
    theatre.play("crash C kill", f"crash C opening 1 {how}")
    assert theatre.of(Crashed)[1:] == [Crashed("C", f"opening 1 {how}")]
    assert theatre.of(Restarted) == []
    assert theatre.stage.servers["C"].why_down == f"crash C opening 1 {how}"
    theatre.play("restart C")
    assert theatre.of(Restarted) == [Restarted("C", left)]


def test_a_power_cut_before_opening_has_written_takes_what_only_the_cache_held() -> None:
    theatre = on_its_way()
    theatre.play("crash C kill", "crash C opening 1 kill unwritten", "crash C power", "restart C")
    assert theatre.of(Restarted) == [Restarted("C", PROMISED)]


def test_what_opening_has_synced_survives_a_crash_in_its_next_write() -> None:
    """The torn slot is mended by a second write, and that is torn as well."""
    theatre = on_its_way()
    theatre.play("crash C power torn", "crash C opening 2 power torn", "restart C")
    process = theatre.stage.servers["C"].process
    assert process is not None
    assert process.store.report.torn
    assert theatre.of(Restarted) == [Restarted("C", PROMISED)]


def test_a_crash_behind_the_last_write_of_opening_falls_at_its_end() -> None:
    theatre = on_its_way()
    theatre.play("crash C kill", "crash C opening 2 power", "restart C")
    assert theatre.of(Restarted) == [Restarted("C", PROMISED_MORE)]


def test_a_store_that_is_damaged_is_not_written_to_so_no_crash_falls_into_that() -> None:
    theatre = on_its_way()
    theatre.play("crash C kill unwritten", "rot C", "crash C opening 1 power torn")
    assert len(theatre.of(StayedDown)) == 1
    assert theatre.of(Crashed) == [Crashed("C", "kill unwritten")]


def test_a_disk_that_is_about_to_fail_is_so_after_a_crash_in_its_opening() -> None:
    theatre = on_its_way()
    theatre.play("crash C kill", "fail C io", "crash C opening 1 kill", "restart C")
    assert len(theatre.of(StayedDown)) == 1


def test_whoever_runs_is_not_opening_its_store() -> None:
    with pytest.raises(MisuseError, match="C is up, so it is not opening its store"):
        on_its_way().play("crash C opening 1 kill")


def test_a_mutant_whose_opening_writes_nothing_loses_what_it_has_read() -> None:
    theatre = Theatre("cluster node A breaks=opening-ends-with-a-write")
    theatre.play("hang A", "propose A x", "crash A kill", "crash A opening 1 power", "restart A")
    assert theatre.of(Restarted) == [Restarted("A", NOTHING)]
