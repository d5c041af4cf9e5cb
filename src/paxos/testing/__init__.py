"""Conformance suites: run them, from pytest, against a store or a transport of your own.

    from paxos.testing import StoreSuite

    class TestMyStore(StoreSuite):
        def create(self, disk, initial):
            my_store.create(self.folder, initial, disk=disk)

        def open(self, disk):
            return my_store.open(self.folder, disk=disk)

Each test of a suite states one sentence of the contract, which stands at the top of
`paxos.testing.store` and `paxos.testing.transport`. Needs pytest: the extra `testing`.
"""

from importlib.util import find_spec

if find_spec("pytest") is None:
    raise ImportError(
        "paxos.testing runs under pytest: install it by pip install 'plain-paxos[testing]'"
    )

from paxos.testing.contract import ContractError
from paxos.testing.log_suite import LogUnderTest, WriteAheadLogSuite
from paxos.testing.store import StoreSuite, StoreUnderTest
from paxos.testing.transport import Endpoint, TransportSuite

__all__ = [
    "ContractError",
    "Endpoint",
    "LogUnderTest",
    "StoreSuite",
    "StoreUnderTest",
    "TransportSuite",
    "WriteAheadLogSuite",
]
