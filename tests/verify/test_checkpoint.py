"""A search that was interrupted goes on where it was, or says why it cannot."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from paxos.errors import FaultError, MisuseError
from paxos.verify import Bounds, Plan, explore, parallel
from paxos.verify.checkpoint import DIGEST_BYTES, Keeper, resume, save
from paxos.verify.packing import packed
from paxos.verify.parallel import can_share, run_shared
from paxos.verify.search import Progress, Search
from verify.searches import ALL, BREAKS, BROKEN, CRASHING, DUELLING, SEPARATE, found_by, search_of

OF = {"ballots": "2"}

every_cluster = pytest.mark.parametrize("bounds", ALL.values(), ids=ALL)

one_or_two = [
    1,
    pytest.param(2, marks=pytest.mark.skipif(not can_share(), reason="no processes are forked")),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "search"


def stop_at(states: int) -> Callable[[Progress], str | None]:
    return lambda progress: "enough" if progress.states >= states else None


def kept(bounds: Bounds, file: Path, *, states: int = 50, workers: int = 1) -> Search:
    """A search that was stopped at so many states, and written down."""
    search = search_of(bounds, watch=stop_at(states))
    search.keep = Keeper(file, OF)
    run_shared(search, workers)
    assert search.stopped == "enough"
    return search


def resumed(bounds: Bounds, file: Path) -> Search:
    search = search_of(bounds)
    resume(file, OF, search)
    return search


@every_cluster
@pytest.mark.parametrize("states", [1, 60, 100, 170])
def test_a_search_that_goes_on_finds_what_it_would_have_found(
    bounds: Bounds, states: int, file: Path
) -> None:
    whole = search_of(bounds)
    whole.run()
    kept(bounds, file, states=states)
    search = resumed(bounds, file)
    search.run()
    assert found_by(search) == found_by(whole)


@pytest.mark.parametrize("before", one_or_two)
@pytest.mark.parametrize("after", one_or_two)
def test_another_number_of_processes_may_go_on(
    before: int, after: int, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "WORTH_SHARING", 10)
    whole = search_of(CRASHING)
    whole.run()
    kept(CRASHING, file, states=1_000, workers=before)
    search = resumed(CRASHING, file)
    run_shared(search, after)
    assert found_by(search) == found_by(whole)


def test_a_search_that_goes_on_is_at_once_where_it_was(file: Path) -> None:
    before = kept(DUELLING, file, states=700)
    after = resumed(DUELLING, file)
    assert 0 < after.expanded < len(after.levels[-2])  # in the midst of a level
    assert (after.levels, after.expanded) == (before.levels, before.expanded)
    assert (after.seen, after.journal) == (before.seen, before.journal)


def test_it_can_be_interrupted_again_and_again(file: Path) -> None:
    whole = search_of(DUELLING)
    whole.run()
    kept(DUELLING, file, states=100)
    for states in range(200, 1_400, 200):
        search = search_of(DUELLING, watch=stop_at(states))
        resume(file, OF, search)
        search.keep = Keeper(file, OF)
        search.run()
    search = resumed(DUELLING, file)
    search.run()
    assert found_by(search) == found_by(whole)


def test_what_is_wrong_is_found_behind_a_checkpoint_too(file: Path) -> None:
    whole = explore(BROKEN, Plan(only=BREAKS))
    explore(BROKEN, Plan(only=BREAKS, checkpoint=file, watch=stop_at(300)))
    result = explore(BROKEN, Plan(only=BREAKS, resume=file))
    assert result.counterexample == whole.counterexample


def test_an_exploration_is_kept_and_goes_on_also_under_other_names(file: Path) -> None:
    plan = Plan(checkpoint=file, watch=stop_at(20))
    assert not explore(SEPARATE, plan).exhausted
    result, whole = explore(SEPARATE, Plan(resume=file)), explore(SEPARATE)
    assert result.exhausted
    assert result.progress.states == whole.progress.states
    assert result.sometimes == whole.sometimes


def test_it_is_written_down_whenever_it_has_doubled(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    monkeypatch.setattr(
        "paxos.verify.checkpoint.save",
        lambda path, of, search, holdings: sizes.append(search.progress.states),
    )
    search = search_of(DUELLING)
    search.keep = Keeper(file, OF)
    search.run()
    assert len(sizes) > 5
    assert all(later >= 2 * earlier for earlier, later in pairwise(sizes))


@pytest.mark.parametrize("workers", one_or_two)
def test_an_interrupt_waits_for_the_next_look_and_nothing_is_lost(
    workers: int, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "WORTH_SHARING", 10)
    whole = search_of(DUELLING)
    whole.run()

    def watch(progress: Progress) -> None:
        if progress.states > 300:
            signal.raise_signal(signal.SIGINT)

    search = search_of(DUELLING, watch=watch)
    with Keeper(file, OF) as search.keep, pytest.raises(KeyboardInterrupt):
        run_shared(search, workers)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    search = resumed(DUELLING, file)
    assert search.progress.states > 300
    search.run()
    assert found_by(search) == found_by(whole)


def test_a_second_interrupt_waits_for_nothing(file: Path) -> None:
    with Keeper(file, OF):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_who_handles_interrupts_otherwise_goes_on_to_do_so(file: Path) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        with Keeper(file, OF):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]


def test_a_checkpoint_of_other_bounds_is_refused_and_the_difference_named(file: Path) -> None:
    explore(SEPARATE, Plan(checkpoint=file, watch=stop_at(20)))
    with pytest.raises(MisuseError, match=r"crashes is 0 there and 1 here.*hints is False there"):
        explore(CRASHING, Plan(resume=file))


def test_a_checkpoint_of_a_search_for_another_invariant_is_refused(file: Path) -> None:
    explore(SEPARATE, Plan(checkpoint=file, watch=stop_at(20)))
    with pytest.raises(MisuseError, match="only is None there and 'agreement' here"):
        explore(SEPARATE, Plan(resume=file, only="agreement"))


def test_a_checkpoint_that_is_not_there_is_a_clear_error(file: Path) -> None:
    with pytest.raises(FaultError, match="cannot read the checkpoint"):
        resumed(SEPARATE, file)


@pytest.mark.parametrize("content", [b"", b"\n", b"{}", b"[1]\n", b"\xff\xfe\n", b'{"format":"x"}'])
def test_what_is_no_checkpoint_is_called_so(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(FaultError, match="is no checkpoint"):
        resumed(SEPARATE, file)


def test_a_checkpoint_in_another_version_says_what_to_do(file: Path) -> None:
    kept(SEPARATE, file)
    rewrite(file, version=2)
    with pytest.raises(FaultError, match=r"version 2 of the format.*the release that wrote it"):
        resumed(SEPARATE, file)


def test_a_checkpoint_cut_anywhere_is_refused(file: Path) -> None:
    kept(SEPARATE, file)
    content = file.read_bytes()
    for length in range(0, len(content), 11):
        file.write_bytes(content[:length])
        with pytest.raises(FaultError):
            resumed(SEPARATE, file)


def test_a_checkpoint_with_any_byte_changed_is_refused(file: Path) -> None:
    kept(SEPARATE, file)
    content = file.read_bytes()
    for at in range(0, len(content), 7):
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises((FaultError, MisuseError)):
            resumed(SEPARATE, file)


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 0},
        {"width": 1 << 20},
        {"expanded": -1},
        {"expanded": 1 << 40},
        {"journal": 1 << 60},
        {"levels": []},
        {"levels": [1]},
        {"levels": [-1, 1]},
        {"levels": "many"},
        {"more": 1},
    ],
    ids=str,
)
def test_a_checkpoint_whose_numbers_cannot_be_is_refused(
    changes: dict[str, object], file: Path
) -> None:
    kept(SEPARATE, file)
    rewrite(file, **changes)
    with pytest.raises(FaultError, match="damaged or cut"):
        resumed(SEPARATE, file)


def test_a_checkpoint_with_a_state_that_cannot_be_is_refused(file: Path) -> None:
    width = kept(SEPARATE, file).table.width
    rewrite(file, last=b"\xff" * width)
    with pytest.raises(FaultError, match="damaged or cut"):
        resumed(SEPARATE, file)


def test_a_checkpoint_with_one_state_twice_is_refused(file: Path) -> None:
    search = kept(SEPARATE, file)
    rewrite(file, last=packed(search.levels[0], search.table.width))
    with pytest.raises(FaultError, match="damaged or cut"):
        resumed(SEPARATE, file)


def test_a_checkpoint_of_other_code_is_refused(file: Path) -> None:
    kept(SEPARATE, file)
    rewrite(file, table="0" * 64)
    with pytest.raises(FaultError, match="written by other code"):
        resumed(SEPARATE, file)


def test_a_checkpoint_with_the_journal_of_another_search_is_refused(file: Path) -> None:
    kept(CRASHING, file)
    rewrite(file, of={"ballots": "1"})
    search = search_of(SEPARATE)
    with pytest.raises(FaultError, match="written by other code"):
        resume(file, {"ballots": "1"}, search)


def test_a_checkpoint_is_replaced_as_a_whole_or_stays(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = kept(SEPARATE, file)
    content = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FaultError, match=r"cannot write the checkpoint.*No space left"):
        save(file, OF, search, search.holdings())
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert file.read_bytes() == content


def test_a_folder_that_is_not_there_ends_the_search_at_its_first_look(file: Path) -> None:
    search = search_of(SEPARATE)
    search.keep = Keeper(file / "nowhere" / "search", OF)
    with pytest.raises(FaultError, match="cannot write the checkpoint"):
        search.run()
    assert search.progress.states == 1


def test_a_depth_first_search_keeps_no_checkpoint(file: Path) -> None:
    for plan in ({"checkpoint": file}, {"resume": file}):
        with pytest.raises(MisuseError, match="search breadth-first"):
            Plan(depth_first=True, **plan)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_a_process_that_is_killed_leaves_its_last_checkpoint(file: Path) -> None:
    whole = search_of(DUELLING)
    whole.run()
    child = os.fork()
    if not child:
        search = search_of(
            DUELLING,
            watch=lambda progress: os.kill(os.getpid(), 9) if progress.states > 700 else None,
        )
        search.keep = Keeper(file, OF)
        search.run()
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    search = resumed(DUELLING, file)
    assert 300 < search.progress.states < 701
    search.run()
    assert found_by(search) == found_by(whole)


def rewrite(file: Path, *, last: bytes | None = None, **changes: object) -> None:
    """Change the first line, or the last state, and let the digest be right."""
    line, _, body = file.read_bytes().partition(b"\n")
    states = body[:-DIGEST_BYTES] if last is None else body[: -DIGEST_BYTES - len(last)] + last
    content = json.dumps(json.loads(line) | changes).encode() + b"\n" + states
    file.write_bytes(content + hashlib.sha256(content).digest())
