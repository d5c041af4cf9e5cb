"""While a save is under way, a store takes nothing else: not even to be closed."""

from __future__ import annotations

import pytest

from durable.stores import FOLDER, filling, reopened, store_with
from paxos import durable
from paxos.errors import MisuseError
from paxos.sim.simulated_disk import SimulatedDisk

OLD, NEW, OTHER = filling("o"), filling("n"), filling("x")


@pytest.mark.parametrize("call", ["save", "close"])
def test_a_second_call_during_a_save_is_refused_and_the_save_goes_on(call: str) -> None:
    """What another thread would do during the sync is done here, in the midst of it."""

    def meanwhile(method: str) -> None:
        if method == "sync":
            with pytest.raises(MisuseError, match="a save is under way"):
                store.save(OTHER) if call == "save" else store.close()

    disk = SimulatedDisk(store_with(OLD))
    store = durable.open(FOLDER, disk=disk)
    disk.fault = meanwhile
    store.save(NEW)
    assert store.state == NEW
    store.close()
    assert reopened(disk.state).state == NEW
