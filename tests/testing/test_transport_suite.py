"""The transport's suite passes what is right, and each broken one fails the test made for it."""

from __future__ import annotations

import gc
import re
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import ClassVar

import pytest

from paxos import Identity
from paxos.runtime import Address
from paxos.testing import ContractError, Endpoint, TransportSuite
from paxos.testing.transport import Hear
from runtime.loopback import free_addresses
from testing.broken_transports import BROKEN
from testing.plain_transport import PlainTransport
from testing.verdicts import all_tests, verdict


class OfPlainTransport(TransportSuite):
    """The suite for a transport of this family."""

    kind: ClassVar[type[PlainTransport]] = PlainTransport

    @contextmanager
    def addresses(self, node_ids: Sequence[str]) -> Generator[Mapping[str, Address]]:
        with free_addresses(len(node_ids)) as free:
            yield dict(zip(node_ids, free, strict=True))

    def start(
        self, identity: Identity, addresses: Mapping[str, Address], hear: Hear
    ) -> AbstractAsyncContextManager[Endpoint]:
        return self.kind.start(identity, addresses, hear)


class TestPlainTransport(OfPlainTransport):
    """A transport of another make: the suite asks for no protocol of ours."""


@pytest.mark.parametrize(
    ("kind", "test", "says"), [pytest.param(*each, id=each[0].__name__) for each in BROKEN]
)
def test_a_broken_transport_fails_the_test_made_for_it(
    kind: type[PlainTransport], test: str, says: str
) -> None:
    # Only what waits in vain needs to lose its patience soon; the rest must not be hurried.
    patience = 1.0 if says.endswith(("never heard it", "did not end")) else 30.0
    suite = type(f"Of{kind.__name__}", (OfPlainTransport,), {"kind": kind, "patience": patience})()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # some leave their sockets open
        error = verdict(suite, test)
        gc.collect()
    assert isinstance(error, ContractError), error
    assert re.search(says, str(error))


def test_every_test_of_the_suite_has_a_broken_transport() -> None:
    assert {test for _, test, _ in BROKEN} == all_tests(TransportSuite)
