"""What a power cut, a failed sync and rot can make of a disk."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from paxos import MisuseError
from paxos.sim.disk_state import (
    FOLDER,
    SECTOR_BYTES,
    DiskState,
    Drawn,
    File,
    Mixture,
    Torn,
    crash_states,
    file_of,
    new,
    old,
    settled,
)

PATH = Path("/file")


def disk_with(file: File) -> DiskState:
    """A disk with this file, under a name that is on it for good."""
    names = ((Path("/"), settled(FOLDER)), (PATH, settled(0)))
    return DiskState((file,), names)  # type: ignore[arg-type] - each int may be None as well


def sectors(letters: str) -> bytes:
    return b"".join(letter.encode() * SECTOR_BYTES for letter in letters)


def letters(content: bytes) -> str:
    return content[::SECTOR_BYTES].decode()


def after_power_cuts(file: File) -> set[str]:
    return {letters(state.content(PATH)) for state in disk_with(file).power_cuts()}


def test_each_unsynced_sector_survives_or_not_whatever_the_others_do() -> None:
    assert after_power_cuts(file_of(sectors("aa")).write(0, sectors("bb"))) == {
        "aa",
        "ab",
        "ba",
        "bb",
    }


def test_any_content_since_the_last_sync_may_survive() -> None:
    file = file_of(sectors("a")).write(0, sectors("b")).write(0, sectors("c"))
    assert after_power_cuts(file) == {"a", "b", "c"}
    assert after_power_cuts(file.sync()) == {"c"}


def test_what_was_written_back_to_what_it_was_is_still_uncertain() -> None:
    file = file_of(sectors("a")).write(0, sectors("b")).write(0, sectors("a"))
    assert after_power_cuts(file) == {"a", "b"}


def test_a_failed_sync_makes_later_ones_do_nothing_until_it_is_written_again() -> None:
    file = file_of(sectors("a")).write(0, sectors("b")).sync(fails=True)
    assert letters(file.content) == "b"
    assert after_power_cuts(file.sync()) == {"a", "b"}
    assert after_power_cuts(file.write(0, sectors("b")).sync()) == {"b"}


def test_a_file_may_keep_its_old_size_or_get_the_new_one() -> None:
    file = file_of(b"ab").write(2, b"cd")
    cuts = {state.content(PATH) for state in disk_with(file).power_cuts()}
    assert cuts == {b"ab", b"ab\0\0", b"abcd"}


def test_what_stood_behind_a_lost_end_is_zeros_when_the_file_grows_again() -> None:
    (shortest,) = {cut for cut in file_of(b"ab").write(2, b"cd").power_cuts() if cut.size[0] == 2}
    assert shortest.write(4, b"e").content == b"ab\0\0e"


def test_a_file_that_was_emptied_may_come_back() -> None:
    emptied = file_of(sectors("ab")).truncate()
    assert emptied.content == b""
    assert {"", "ab"} <= after_power_cuts(emptied)
    assert after_power_cuts(emptied.sync()) == {""}
    assert emptied.write(600, b"x").content == bytes(600) + b"x"


def test_a_write_of_nothing_changes_nothing() -> None:
    file = file_of(b"ab")
    assert file.write(1000, b"") == file


def test_a_name_survives_or_not_and_a_lost_folder_takes_its_files_along() -> None:
    state = DiskState().point(Path("/folder"), FOLDER).with_file(0, File())
    state = state.point(Path("/folder/file"), 0)
    left = {tuple(str(path) for path, _ in cut.names) for cut in state.power_cuts()}
    assert left == {("/",), ("/", "/folder"), ("/", "/folder", "/folder/file")}
    synced = state.sync_names(Path("/")).sync_names(Path("/folder"))
    assert [cut.paths for cut in synced.power_cuts()] == [(Path("/folder/file"),)]


def test_a_name_that_is_lost_takes_what_is_below_it_along() -> None:
    state = DiskState().point(Path("/folder"), FOLDER).with_file(0, File())
    state = state.point(Path("/folder/file"), 0)
    assert state.without(Path("/folder")).paths == ()
    assert state.without(Path("/folder/file")).lookup(Path("/folder")) == FOLDER


@pytest.mark.parametrize("survivor", [old, new, Torn(), Mixture([False, True]), Drawn(Random(0))])
def test_one_power_cut_is_one_of_all(survivor: object) -> None:
    state = disk_with(file_of(sectors("aaaa")).write(0, sectors("bbb"))).point(Path("/x"), 0)
    one = state.power_cut(survivor)  # type: ignore[arg-type] - pytest's parameters have no types
    assert one in set(state.power_cuts())


def test_a_mixture_takes_new_and_old_in_turn() -> None:
    state = disk_with(file_of(sectors("aaaaa")).write(0, sectors("bbbb")))
    assert letters(state.power_cut(Torn()).content(PATH)) == "babaa"
    assert letters(state.power_cut(Mixture([False, False, True])).content(PATH)) == "aabaa"


def test_what_a_failed_sync_left_is_new_even_if_it_never_reached_the_disk() -> None:
    file = file_of(sectors("a")).write(0, sectors("b")).sync(fails=True)
    assert letters(disk_with(file).power_cut(new).content(PATH)) == "b"


def test_some_power_cuts_are_all_of_them_if_there_are_no_more() -> None:
    state = disk_with(file_of(sectors("aaa")).write(0, sectors("bbb")))
    assert list(state.some_power_cuts(8, Random(0))) == list(state.power_cuts())


def test_some_power_cuts_begin_with_the_likeliest_to_matter() -> None:
    state = disk_with(file_of(sectors("aaaa")).write(0, sectors("bbbb")))
    some = [letters(cut.content(PATH)) for cut in state.some_power_cuts(15, Random(0))]
    assert len(some) == 15
    assert some[:6] == ["aaaa", "bbbb", "abbb", "baaa", "baaa", "bbbb"]
    assert {"bbaa", "bbba", "aabb", "abaa", "babb"} <= set(some)


def test_some_power_cuts_are_filled_up_with_drawn_ones() -> None:
    state = disk_with(file_of(sectors("a" * 20)).write(0, sectors("b" * 20)))
    some = list(state.some_power_cuts(500, Random(0)))
    assert len(some) == 500
    assert len(set(some)) > 400


def test_a_flush_leaves_nothing_to_a_power_cut() -> None:
    state = disk_with(file_of(sectors("aa")).write(0, sectors("b"))).point(Path("/x"), 0)
    assert list(state.flush().power_cuts()) == [state.flush()]
    assert letters(state.flush().content(PATH)) == "ba"


def test_crash_states_are_each_moment_and_all_its_power_cuts_each_once() -> None:
    before = disk_with(file_of(sectors("a")))
    after = before.with_file(0, before.files[0].write(0, sectors("b")))
    states = list(crash_states([before, after]))
    assert len(states) == len(set(states)) == 3  # a; b in the cache; b on the disk
    assert set(states) >= {before, after}


def test_a_file_that_nobody_reads_keeps_all() -> None:
    state = disk_with(file_of(sectors("aa")).write(0, sectors("bb")))
    assert [letters(cut.content(PATH)) for cut in state.power_cuts({"file"})] == ["bb"]


def test_rot_is_on_the_disk_and_for_readers_and_hits_nothing_else() -> None:
    state = disk_with(file_of(sectors("aaa")).write(0, sectors("bbb")))
    rotten = state.damage(PATH, SECTOR_BYTES - 1, b"xy")
    assert rotten.content(PATH)[SECTOR_BYTES - 1 : SECTOR_BYTES + 1] == b"xy"
    assert all(b"xy" in cut.content(PATH) for cut in rotten.power_cuts())
    assert len(list(rotten.power_cuts())) == 2  # of the third sector
    assert state.flip(PATH, 0, 0x03).content(PATH)[0] == ord("a")


@pytest.mark.parametrize("offset", [-1, 3, 512])
def test_rot_falls_within_a_file(offset: int) -> None:
    state = disk_with(file_of(b"abc"))
    with pytest.raises(MisuseError, match="has 3 bytes"):
        state.flip(PATH, offset)


@pytest.mark.parametrize("path", [Path("/"), Path("/nowhere")])
def test_only_a_file_has_content(path: Path) -> None:
    with pytest.raises(MisuseError, match="there is no file"):
        disk_with(File()).content(path)


def test_a_file_can_be_given_exactly_these_bytes() -> None:
    assert disk_with(File()).with_content(PATH, b"abc").content(PATH) == b"abc"
