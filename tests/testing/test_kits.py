"""The kits as their users meet them: from pytest, without it, and before they are filled in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from paxos import Identity
from paxos.sim.simulated_disk import SimulatedDisk
from paxos.testing import ContractError, StoreSuite, TransportSuite
from paxos.testing.store_bench import what_survived
from testing.test_store_suite import OfDurable

A_SUITE = """
from paxos import durable
from paxos.testing import StoreSuite

class TestMine(StoreSuite):
    def create(self, disk, initial):
        owner = durable.Owner("shop", "A", "first life")
        durable.init(self.folder, owner, initial=initial, disk=disk)

    def open(self, disk):
        disk.sync = lambda file: None
        return durable.open(self.folder, disk=disk)
"""


def test_a_suite_runs_from_pytest_and_says_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(A_SUITE)
    done = subprocess.run(
        [*(sys.executable, "-m", "pytest", "-q", "-W", "error"), "-k", "survives or holds"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 2 passed" in done.stdout
    assert "ContractError: save returned. Then the power was cut (" in done.stdout
    assert "StoreSuite" not in done.stderr


def test_without_pytest_it_says_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.modules['pytest'] = None; import paxos.testing"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ImportError: paxos.testing runs under pytest: install it by pip" in done.stderr


def test_a_suite_says_which_methods_it_needs() -> None:
    with pytest.raises(NotImplementedError, match=r"create\(self, disk, initial\)"):
        StoreSuite().create(SimulatedDisk(), b"")
    with pytest.raises(NotImplementedError, match=r"open\(self, disk\)"):
        StoreSuite().open(SimulatedDisk())
    with pytest.raises(NotImplementedError, match=r"start\("):
        TransportSuite().start(Identity("shop", "A", "first"), {}, print)


@pytest.mark.parametrize(
    "test",
    ["test_a_new_store_holds_the_initial_state", "test_open_never_creates"],
)
def test_an_error_of_no_family_breaks_the_contract(test: str) -> None:
    class Surprising(OfDurable):
        def open(self, disk: object) -> None:  # type: ignore[override] - it never returns
            raise ZeroDivisionError

    with pytest.raises(ContractError, match=r"ZeroDivisionError.*which is no FaultError"):
        getattr(Surprising(), test)()


def test_a_refusal_of_another_kind_breaks_the_contract() -> None:
    class Strict(OfDurable):
        misuse = (KeyError,)

    with pytest.raises(ContractError, match=r"StoreExistsError.*which is no KeyError"):
        Strict().test_create_leaves_a_store_alone()


def test_an_opening_that_fails_is_told_with_how_it_came_to_that() -> None:
    class Refusing(OfDurable):
        refuses = False

        def open(self, disk: SimulatedDisk) -> object:  # type: ignore[override] - it is wrapped
            if disk.state.content(self.folder / "state").count(b"n0000001"):
                raise ZeroDivisionError
            return super().open(disk)

    with pytest.raises(ContractError, match=r"killed during save.*\n.*open raised ZeroDivision"):
        Refusing().test_opening_ends_with_a_write()


def test_what_survived_is_said_in_few_words() -> None:
    disk = SimulatedDisk()
    file = disk.create_file(Path("/file"))
    disk.write_at(file, 0, bytes(2000))
    disk.sync(file)
    disk.sync_folder(disk.open_folder(Path("/")))
    disk.write_at(file, 0, b"x" * 512)
    disk.write_at(file, 1024, b"x" * 1300)
    before = disk.state
    assert what_survived(before, before.flush()) == (
        "survived: the size of /file, sectors 0, 2-4 of /file; lost: nothing"
    )
