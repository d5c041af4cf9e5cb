"""The store's suite passes what is right, and each broken store fails the test made for it."""

from __future__ import annotations

import re
from typing import ClassVar

import pytest

from paxos import durable
from paxos.disk import Disk
from paxos.testing import ContractError, StoreSuite
from testing.broken_stores import BROKEN, BROKEN_DURABLE, Break
from testing.replacing_store import ReplacingStore, StoreFaultError, StoreMisuseError
from testing.verdicts import all_tests, verdict


class OfReplacingStore(StoreSuite):
    """The suite for a store of this family."""

    faults = (StoreFaultError,)
    misuse = (StoreMisuseError,)
    kind: ClassVar[type[ReplacingStore]] = ReplacingStore

    def create(self, disk: Disk, initial: bytes) -> None:
        self.kind.create(disk, self.folder, initial)

    def open(self, disk: Disk) -> ReplacingStore:
        return self.kind.open(disk, self.folder)


class TestReplacingStore(OfReplacingStore):
    """A design of its own, with errors of its own: the suite asks for neither."""


class OfDurable(StoreSuite):
    """The suite for `paxos.durable`, whatever is broken in it just now."""

    def create(self, disk: Disk, initial: bytes) -> None:
        owner = durable.Owner("cluster", "a", "first life")
        durable.init(self.folder, owner, initial=initial, disk=disk)

    def open(self, disk: Disk) -> durable.Store:
        return durable.open(self.folder, disk=disk)


@pytest.mark.parametrize(
    ("kind", "test", "says"), [pytest.param(*each, id=each[0].__name__) for each in BROKEN]
)
def test_a_broken_store_fails_the_test_made_for_it(
    kind: type[ReplacingStore], test: str, says: str
) -> None:
    suite = type(f"Of{kind.__name__}", (OfReplacingStore,), {"kind": kind})()
    error = verdict(suite, test)
    assert isinstance(error, ContractError), error
    assert re.search(says, str(error), re.DOTALL)


@pytest.mark.parametrize(
    ("broken", "test", "says"),
    [pytest.param(*each, id=each[0].__name__) for each in BROKEN_DURABLE],
)
def test_durable_with_a_rule_left_out_fails_the_test_made_for_it(
    monkeypatch: pytest.MonkeyPatch, broken: Break, test: str, says: str
) -> None:
    broken(monkeypatch)
    error = verdict(OfDurable(), test)
    assert isinstance(error, ContractError), error
    assert re.search(says, str(error), re.DOTALL)


def test_every_test_of_the_suite_has_a_broken_store() -> None:
    used = {test for _, test, _ in (*BROKEN, *BROKEN_DURABLE)}
    assert used == all_tests(StoreSuite)
