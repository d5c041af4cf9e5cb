"""The transport of `paxos.runtime` keeps the contract, over real sockets on loopback."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import ClassVar

import pytest

from paxos import Identity
from paxos.runtime import TLS, Address
from paxos.testing import Endpoint, TransportSuite
from paxos.testing.transport import Hear
from runtime.loopback import free_addresses
from runtime.test_tls import OPENSSL, Certificate
from testing.runtime_transport import runtime_transport


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TLS:
    """What all nodes of the cluster use."""
    made = Certificate.make(tmp_path_factory.mktemp("tls"), "shop")
    return TLS(made.listening(made), made.connecting(made))


class TestRuntime(TransportSuite):
    """Over plain TCP."""

    tls: ClassVar[TLS | None] = None

    @contextmanager
    def addresses(self, node_ids: Sequence[str]) -> Generator[Mapping[str, Address]]:
        with free_addresses(len(node_ids)) as free:
            yield dict(zip(node_ids, free, strict=True))

    def start(
        self, identity: Identity, addresses: Mapping[str, Address], hear: Hear
    ) -> AbstractAsyncContextManager[Endpoint]:
        return runtime_transport(identity, addresses, hear, self.tls)


@pytest.mark.exhaustive
@pytest.mark.skipif(OPENSSL is None, reason="makes its certificate with openssl")
class TestRuntimeOverTLS(TestRuntime):
    """With one certificate for all nodes of the cluster."""

    @pytest.fixture(autouse=True)
    def certificate(self, tls: TLS) -> None:
        type(self).tls = tls
