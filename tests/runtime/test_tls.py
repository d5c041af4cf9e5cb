"""With TLS on both sides: who shows no certificate of the cluster is not even heard."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
import subprocess
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from paxos.runtime import TLS, UnreachableError, client, protocol, server
from paxos.runtime.protocol import ClientGreeting, ConnectionClosedError
from runtime.event_loop import connection, in_event_loop, no_files_left_open, turns, until
from runtime.loopback import HOST, Loopback

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="makes its certificates with openssl")

TOO_LONG = 5.0
"""Seconds. Whatever is measured by it takes milliseconds, or half a minute."""


@dataclass(frozen=True)
class Certificate:
    """A certificate that vouches for itself, and its key."""

    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, name: str) -> Certificate:
        made = cls(folder / f"{name}.crt", folder / f"{name}.key")
        assert OPENSSL is not None
        subprocess.run(
            [
                *(OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
                *("-nodes", "-days", "2", "-subj", f"/CN={name}"),
                *("-addext", f"subjectAltName=IP:{HOST}"),
                *("-keyout", str(made.key), "-out", str(made.certificate)),
            ],
            check=True,
            capture_output=True,
        )
        return made

    def listening(self, trusted: Certificate) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=trusted.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.certificate, self.key)
        return context

    def connecting(self, trusted: Certificate) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=trusted.certificate)
        context.load_cert_chain(self.certificate, self.key)
        return context


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """The certificate that all nodes of the cluster use, and trust."""
    return Certificate.make(tmp_path_factory.mktemp("ours"), "shop")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate that none of them trusts."""
    return Certificate.make(tmp_path_factory.mktemp("foreign"), "bakery")


@pytest.fixture
def tls(ours: Certificate) -> TLS:
    """What all nodes use."""
    return TLS(ours.listening(ours), ours.connecting(ours))


@in_event_loop
async def test_three_nodes_decide_over_tls(three: Loopback, tls: TLS) -> None:
    async with three.serve("ABC", tls=tls) as (a, b, c):
        chosen = await a.decide(b"a value")
        assert await b.chosen() == await c.chosen() == chosen


@in_event_loop
async def test_a_client_with_our_certificate_is_served(three: Loopback, tls: TLS) -> None:
    async with three.serve("ABC", tls=tls):
        outcome = await client.decide(three.cluster, "B", b"a value", tls=tls.connecting)
        assert outcome.value == b"a value"
        status = await client.status(three.cluster, "B", tls=tls.connecting)
        assert status.chosen == outcome
        async with aclosing(client.watch(three.cluster, "B", tls=tls.connecting)) as watching:
            assert await anext(watching) == status


@in_event_loop
async def test_a_client_that_trusts_another_certificate_is_not_connected(
    alone: Loopback, tls: TLS, ours: Certificate, foreign: Certificate
) -> None:
    async with alone.serve("A", tls=tls):
        with pytest.raises(UnreachableError, match="certificate verify failed"):
            await client.status(alone.cluster, "A", tls=ours.connecting(foreign))


@in_event_loop
async def test_a_client_with_another_certificate_is_not_heard(
    alone: Loopback, tls: TLS, ours: Certificate, foreign: Certificate
) -> None:
    async with alone.serve("A", tls=tls) as (a,):
        before = a.node
        # With TLS 1.3 the client believes itself connected before its certificate is looked at.
        with pytest.raises((UnreachableError, ConnectionClosedError)):
            await client.decide(alone.cluster, "A", b"not this", tls=foreign.connecting(ours))
        assert a.node.node.proposer == before.node.proposer
        await client.status(alone.cluster, "A", tls=tls.connecting)


@in_event_loop
async def test_a_client_without_tls_is_not_heard(alone: Loopback, tls: TLS) -> None:
    async with alone.serve("A", tls=tls):
        with pytest.raises(ConnectionClosedError):
            await client.status(alone.cluster, "A")
        await client.status(alone.cluster, "A", tls=tls.connecting)


@in_event_loop
async def test_a_peer_without_our_certificate_has_no_vote(
    pair: Loopback,
    tls: TLS,
    ours: Certificate,
    foreign: Certificate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stranger = TLS(foreign.listening(ours), foreign.connecting(ours))
    async with pair.serve("A", tls=tls) as (a,):
        deciding = asyncio.create_task(a.decide(b"a value"))
        caplog.set_level(logging.DEBUG, "paxos.runtime")
        async with pair.serve("B", tls=stranger):
            # Each has tried to reach the other, and was told of the certificate.
            await until(lambda: "the link to A " in caplog.text)
            await until(lambda: "cannot reach B " in caplog.text)
            assert "B" not in dict(a.node.node.incarnations)
        async with pair.serve("B", tls=tls) as (b,):
            assert (await b.chosen()).value == b"a value"
        await deciding


@in_event_loop
async def test_with_tls_nobody_is_warned(
    alone: Loopback, tls: TLS, caplog: pytest.LogCaptureFixture
) -> None:
    bind = type(alone.address("A"))("0.0.0.0", alone.address("A").port)  # noqa: S104 - to see no warning
    async with alone.with_cluster(binds={"A": bind}).serve("A", tls=tls):
        assert "unauthenticated" not in caplog.text


@in_event_loop
async def test_a_stop_leaves_nothing_of_tls_behind(three: Loopback, tls: TLS) -> None:
    with no_files_left_open():
        async with three.serve("ABC", tls=tls) as (a, b, _):
            await a.decide(b"a value")
            await b.chosen()
        await turns(3)


@in_event_loop
async def test_who_connects_and_never_begins_tls_is_gone_after_a_stop(
    alone: Loopback, tls: TLS
) -> None:
    async with alone.serve("A", tls=tls):
        reader, writer = await asyncio.open_connection(*alone.where("A"))
        await client.status(alone.cluster, "A", tls=tls.connecting)  # so the other was accepted
    try:
        async with asyncio.timeout(TOO_LONG):
            assert await reader.read() == b""
    finally:
        writer.transport.abort()


@in_event_loop
async def test_who_never_begins_tls_is_hung_up_on_as_who_never_greets(
    alone: Loopback, tls: TLS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GREETING_PATIENCE", 0.01)
    async with (
        alone.serve("A", tls=tls),
        connection(*alone.where("A")) as (reader, _),
        asyncio.timeout(TOO_LONG),
    ):
        assert await reader.read() == b""


@in_event_loop
async def test_who_never_begins_tls_counts_among_the_connections(
    alone: Loopback, tls: TLS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
    async with alone.serve("A", tls=tls):
        strangers = [await asyncio.open_connection(*alone.where("A")) for _ in range(5)]
        try:
            async with asyncio.timeout(TOO_LONG):
                assert await strangers[-1][0].read() == b""
        finally:
            for _, writer in strangers:
                writer.transport.abort()


@in_event_loop
async def test_a_client_that_does_not_end_tls_does_not_hold_up_a_stop(
    alone: Loopback, tls: TLS
) -> None:
    async with asyncio.timeout(TOO_LONG), alone.serve("A", tls=tls):
        reader, writer = await asyncio.open_connection(*alone.where("A"), ssl=tls.connecting)
        writer.write(protocol.encode(ClientGreeting("shop")) + protocol.encode(protocol.Watch()))
        await protocol.read_frame(reader, 5000)
        stop_reading(writer)  # so that it never sees that the node wants to end it
    writer.transport.abort()


@in_event_loop
async def test_a_time_limit_holds_with_a_node_that_does_not_end_tls(
    alone: Loopback, tls: TLS
) -> None:
    deaf: list[asyncio.StreamWriter] = []

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stop_reading(writer)  # such as a process that is stopped
        deaf.append(writer)

    async with await asyncio.start_server(connected, *alone.where("A"), ssl=tls.listening):
        asking = asyncio.create_task(status_within(0.1, alone, tls))
        done, _ = await asyncio.wait([asking], timeout=TOO_LONG)
        for writer in deaf:
            writer.transport.abort()
        with suppress(TimeoutError):
            await asking
        assert done


async def status_within(seconds: float, shop: Loopback, tls: TLS) -> None:
    async with asyncio.timeout(seconds):
        await client.status(shop.cluster, "A", tls=tls.connecting)


def stop_reading(writer: asyncio.StreamWriter) -> None:
    cast("asyncio.Transport", writer.transport).pause_reading()


@in_event_loop
async def test_half_a_greeting_over_tls_disturbs_nobody(alone: Loopback, tls: TLS) -> None:
    async with alone.serve("A", tls=tls):
        where = alone.where("A")
        async with connection(*where, ssl=tls.connecting) as (_, writer):
            writer.write(protocol.encode(ClientGreeting("shop"))[:9])
        await client.status(alone.cluster, "A", tls=tls.connecting)
