"""The life of a store on a real disk, from init to close, and all that it may be taken for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from durable.stores import CAPACITY, FILE_BYTES, FOLDER, OWNER, store_with
from paxos import durable
from paxos.durable import Answer
from paxos.errors import MisuseError
from paxos.sim.simulated_disk import SimulatedDisk

HOLD_THE_STORE_OPEN = """
import sys
from paxos import durable
with durable.open(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a fresh store."""
    durable.init(tmp_path / "store", OWNER, initial=b"initial")
    return tmp_path / "store"


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_was_saved_last_is_there_when_the_store_is_opened_again(folder: Path) -> None:
    for state in (b"first", b"second", b"", b"fourth"):
        with durable.open(folder) as store:
            store.save(state)
            assert store.state == state
        with durable.open(folder) as store:
            assert store.state == state


def test_a_fresh_store_holds_the_initial_state(folder: Path) -> None:
    with durable.open(str(folder)) as store:
        assert store.state == b"initial"
        assert store.owner == OWNER
        assert store.report.answer is Answer.FRESH


def test_a_store_is_one_file_that_never_grows(folder: Path) -> None:
    with durable.open(folder) as store:
        for n in range(10):
            store.save(bytes(n))
    assert [len(content) for content in bytes_in(folder).values()] == [FILE_BYTES]


@pytest.mark.parametrize("slot_bytes", [4096, 8192, 1 << 20])
def test_a_state_may_fill_its_slot(tmp_path: Path, slot_bytes: int) -> None:
    durable.init(tmp_path / "store", OWNER, initial=b"", slot_bytes=slot_bytes)
    with durable.open(tmp_path / "store") as store:
        assert store.capacity == slot_bytes // 512 * 488
        full = bytes(n % 251 for n in range(store.capacity))
        store.save(full)
    with durable.open(tmp_path / "store") as store:
        assert store.state == full


def test_a_larger_state_is_refused_and_the_store_goes_on(folder: Path) -> None:
    with durable.open(folder) as store:
        store.save(b"kept")
        before = bytes_in(folder)
        with pytest.raises(MisuseError, match=f"{CAPACITY + 1} bytes.*4096 bytes holds {CAPACITY}"):
            store.save(bytes(CAPACITY + 1))
        assert bytes_in(folder) == before
        assert store.state == b"kept"
        store.save(b"next")
        assert store.state == b"next"


def test_init_makes_the_folder_or_takes_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("there", "new"):
        durable.init(tmp_path / name, OWNER, initial=b"")
        assert durable.inspect(tmp_path / name).answer is Answer.FRESH


def test_init_needs_the_parent_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(durable.LostError):
        durable.init(tmp_path / "missing" / "store", OWNER, initial=b"")


def test_init_leaves_a_store_alone(folder: Path) -> None:
    before = bytes_in(folder)
    with pytest.raises(durable.StoreExistsError, match="open it"):
        durable.init(folder, OWNER, initial=b"other")
    assert bytes_in(folder) == before


def test_init_overwrites_what_an_unfinished_one_has_left(tmp_path: Path) -> None:
    (tmp_path / "state.new").write_bytes(b"half done" * 5000)
    with pytest.raises(durable.LostError):
        durable.open(tmp_path)
    durable.init(tmp_path, OWNER, initial=b"whole")
    with durable.open(tmp_path) as store:
        assert store.state == b"whole"


@pytest.mark.parametrize("slot_bytes", [-4096, 0, 512, 4095, 4097, (1 << 20) + 4096, 1 << 40])
def test_init_refuses_slots_that_share_a_block_or_are_too_large(
    tmp_path: Path, slot_bytes: int
) -> None:
    with pytest.raises(MisuseError, match=f"multiple of 4096.*not {slot_bytes}"):
        durable.init(tmp_path / "store", OWNER, initial=b"", slot_bytes=slot_bytes)
    assert not (tmp_path / "store").exists()


def test_init_refuses_an_initial_state_that_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="larger slots"):
        durable.init(tmp_path / "store", OWNER, initial=bytes(CAPACITY + 1))
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", ["", "n" * 65, "é" * 33, "\ud800"])
def test_a_name_must_fit_and_be_utf_8(name: str) -> None:
    for names in ((name, "n", "i"), ("c", name, "i"), ("c", "n", name)):
        with pytest.raises(MisuseError, match="1 to 64 bytes of UTF-8"):
            durable.Owner(*names)


@pytest.mark.parametrize("name", ["n", "n" * 64, "é" * 32, "\0", "n\0"])
def test_the_longest_and_the_strangest_names_come_back(tmp_path: Path, name: str) -> None:
    owner = durable.Owner(name, name, name)
    durable.init(tmp_path / "store", owner, initial=b"")
    with durable.open(tmp_path / "store") as store:
        assert store.owner == owner


def test_a_missing_folder_is_lost_and_stays_missing(tmp_path: Path) -> None:
    with pytest.raises(durable.LostError, match="replace it, do not init it again"):
        durable.open(tmp_path / "missing")
    assert durable.inspect(tmp_path / "missing").answer is Answer.LOST
    assert not (tmp_path / "missing").exists()


def test_a_missing_file_is_lost_and_stays_missing(tmp_path: Path) -> None:
    with pytest.raises(durable.LostError) as caught:
        durable.open(tmp_path)
    assert caught.value.path == tmp_path / "state"
    assert durable.inspect(tmp_path).answer is Answer.LOST
    assert not list(tmp_path.iterdir())


def test_a_file_where_the_folder_should_be_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"")
    assert durable.inspect(tmp_path / "store").answer is Answer.FOREIGN
    with pytest.raises(durable.ForeignError):
        durable.open(tmp_path / "store")
    with pytest.raises(durable.ForeignError):
        durable.init(tmp_path / "store", OWNER, initial=b"")


def test_a_folder_where_the_file_should_be_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(durable.ForeignError):
        durable.open(tmp_path)
    with pytest.raises(durable.StoreExistsError):
        durable.init(tmp_path, OWNER, initial=b"")


def test_somebody_elses_file_is_foreign_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"my diary\n" * 1000)
    assert durable.inspect(tmp_path).answer is Answer.FOREIGN
    with pytest.raises(durable.ForeignError, match="no store"):
        durable.open(tmp_path)
    with pytest.raises(durable.StoreExistsError):
        durable.init(tmp_path, OWNER, initial=b"")
    assert (tmp_path / "state").read_bytes() == b"my diary\n" * 1000


@pytest.mark.parametrize(
    ("cluster", "node_id", "complaint"),
    [
        ("other", None, "cluster 'cluster', not to 'other'"),
        (None, "b", "node 'a', not to 'b'"),
        ("cluster", "", "node 'a', not to ''"),
    ],
)
def test_the_store_of_another_node_is_foreign_and_left_alone(
    folder: Path, cluster: str | None, node_id: str | None, complaint: str
) -> None:
    before = bytes_in(folder)
    with pytest.raises(durable.ForeignError, match=complaint):
        durable.open(folder, cluster=cluster, node_id=node_id)
    assert bytes_in(folder) == before


def test_the_store_of_the_node_that_was_asked_for_is_opened(folder: Path) -> None:
    durable.open(folder, cluster="cluster", node_id="a").close()


def test_inspecting_changes_nothing_and_tells_all(folder: Path) -> None:
    with durable.open(folder) as store:
        store.save(b"saved")
    before = bytes_in(folder)
    assert durable.inspect(folder) == durable.Report(
        Answer.SOUND, "both slots are whole", locked=False, owner=OWNER, state=b"saved"
    )
    assert bytes_in(folder) == before


def test_inspecting_does_not_get_in_the_way_of_inspecting() -> None:
    disk = SimulatedDisk(store_with(b"saved"))
    assert disk.lock(disk.open_folder(FOLDER), shared=True)
    assert not durable.inspect(FOLDER, disk=disk).locked


def test_a_second_process_is_told_at_once_that_the_store_is_open(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_STORE_OPEN, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(durable.LockedError, match="another process has this store open"):
            durable.open(folder)
        with pytest.raises(durable.LockedError):
            durable.init(folder, OWNER, initial=b"")
        assert durable.inspect(folder).locked
        other.communicate()
    durable.open(folder).close()
    assert not durable.inspect(folder).locked


def test_the_store_is_free_again_when_it_is_closed_or_could_not_be_opened(folder: Path) -> None:
    store = durable.open(folder)
    with pytest.raises(durable.LockedError):
        durable.open(folder)
    store.close()
    with pytest.raises(durable.ForeignError):
        durable.open(folder, node_id="other")
    durable.open(folder).close()


def test_a_closed_store_says_so(folder: Path) -> None:
    store = durable.open(folder)
    store.close()
    store.close()
    with pytest.raises(MisuseError, match="closed: open it again"):
        store.save(b"late")
    with pytest.raises(MisuseError, match="closed: open it again"):
        _ = store.state
    assert store.owner == OWNER
