"""`cluster.toml`: what it may say, and how clearly it is refused if it is not in order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from paxos import MisuseError, Quorums, Timing
from paxos.codec import STATE_OVERHEAD
from paxos.runtime import Address, Cluster, cluster_file, read_cluster_file, write_cluster_file
from paxos.slots import BLOCK_BYTES, MAX_SLOT_BYTES, capacity

SMALLEST = """
cluster = "shop"
[nodes.A]
address = "127.0.0.1:7000"
"""

LARGEST = """
cluster = "shop"

[nodes.B]
address = "[2001:db8::2]:7000"
weight = 2

[nodes.A]
address = "a.example.org:7000"
bind = "0.0.0.0:7001"

[nodes."C.3-x_y"]
address = "10.0.0.3:65535"

[quorums]
phase1 = 3
phase2 = 2

[timing]
interval = 0.1
window = 1
backoff = 0.5

[limits]
value_bytes = 100000
"""


SOUND = Cluster("shop", {"A": Address("127.0.0.1", 7000)}, Quorums.majority("A"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "cluster.toml"


def read(path: Path, text: str) -> Cluster:
    path.write_text(text, encoding="utf-8")
    return read_cluster_file(path)


def test_a_name_and_a_node_are_enough(path: Path) -> None:
    assert read(path, SMALLEST) == SOUND


def test_everything_that_a_file_may_say(path: Path) -> None:
    cluster = read(path, LARGEST)
    assert cluster == Cluster(
        "shop",
        {
            "A": Address("a.example.org", 7000),
            "B": Address("2001:db8::2", 7000),
            "C.3-x_y": Address("10.0.0.3", 65535),
        },
        Quorums.weighted({"A": 1, "B": 2, "C.3-x_y": 1}, phase1=3, phase2=2),
        {"A": Address("0.0.0.0", 7001)},  # noqa: S104 - it is what the file says
        Timing(0.1, 1.0, 0.5),
        100_000,
    )
    assert list(cluster.addresses) == ["A", "B", "C.3-x_y"]


def test_a_node_listens_at_its_address_unless_told_otherwise(path: Path) -> None:
    cluster = read(path, LARGEST)
    assert cluster.bind("A") == Address("0.0.0.0", 7001)  # noqa: S104 - it is what the file says
    assert cluster.bind("B") == cluster.addresses["B"]


@pytest.mark.parametrize("text", [SMALLEST, LARGEST])
def test_what_is_written_reads_as_the_same_cluster(path: Path, text: str) -> None:
    cluster = read(path, text)
    write_cluster_file(path, cluster)
    assert read_cluster_file(path) == cluster


def test_a_seed_is_not_lost_in_silence(path: Path) -> None:
    cluster = read(path, SMALLEST)
    seeded = replace(cluster, timing=replace(cluster.timing, seed=7))
    try:
        write_cluster_file(path, seeded)
    except MisuseError:
        return
    assert read_cluster_file(path) == seeded


NOT_WRITTEN = {
    "a cluster without a name": replace(SOUND, name=""),
    "a cluster with a space in its name": replace(SOUND, name="my shop"),
    "a node with a space in its name": replace(
        SOUND, addresses={"my node": Address("h", 1)}, quorums=Quorums.majority(["my node"])
    ),
    "a node without a vote": replace(SOUND, addresses={"A": Address("h", 1), "B": Address("h", 2)}),
    "a vote without a node": replace(SOUND, quorums=Quorums.majority("AB")),
    "two nodes at one address": replace(
        SOUND,
        addresses={"A": Address("h", 1), "B": Address("h", 1)},
        quorums=Quorums.majority("AB"),
    ),
    "a bind address of no node": replace(SOUND, binds={"Z": Address("h", 1)}),
    "an address without a port": replace(SOUND, addresses={"A": Address("h", 0)}),
    "values larger than a store holds": replace(SOUND, value_bytes=1 << 20),
}


@pytest.mark.parametrize("what", NOT_WRITTEN)
def test_what_could_not_be_read_is_not_written(path: Path, what: str) -> None:
    with pytest.raises(MisuseError):
        write_cluster_file(path, NOT_WRITTEN[what])
    assert not path.exists()


NOT_IN_ORDER: dict[str, tuple[str, str]] = {
    "nothing": ("", "cluster"),
    "no TOML": ("cluster = shop", "line 1"),
    "no cluster": ('[nodes.A]\naddress = "h:1"', "cluster"),
    "no nodes": ('cluster = "shop"', "nodes"),
    "empty nodes": ('cluster = "shop"\n[nodes]', "add .nodes.A."),
    "the same node twice": (SMALLEST + '[nodes.A]\naddress = "h:1"', "twice"),
    "an unknown section": (SMALLEST + "[limit]\nvalue_bytes = 1", "limit"),
    "an unknown key": (SMALLEST + "wieght = 1", "wieght"),
    "a node without an address": ('cluster = "shop"\n[nodes.A]', "address"),
    "an empty name": ('cluster = ""\n[nodes.A]\naddress = "h:1"', "'' is no name"),
    "a name with a space": ('cluster = "my shop"\n[nodes.A]\naddress = "h:1"', "'my shop'"),
    "a name with a line break": ('cluster = "shop\\n"\n[nodes.A]\naddress = "h:1"', "no name"),
    "a name that is too long": (f'cluster = "{"x" * 65}"\n[nodes.A]\naddress = "h:1"', "no name"),
    "a node name beyond ASCII": ('cluster = "shop"\n[nodes."Ä"]\naddress = "h:1"', "'Ä' is no"),
    "a cluster that is a number": ('cluster = 1\n[nodes.A]\naddress = "h:1"', "cluster"),
    "two nodes at one address": (SMALLEST + '[nodes.B]\naddress = "127.0.0.1:7000"', "same"),
    "weight 0": (SMALLEST + "weight = 0", "weight"),
    "a weight beyond all reason": (SMALLEST + f"weight = {10**30}", "weight"),
    "a weight that is text": (SMALLEST + 'weight = "1"', "weight"),
    "one quorum without the other": (SMALLEST + "[quorums]\nphase1 = 1", "phase2"),
    "quorums that can miss each other": (
        SMALLEST + '[nodes.B]\naddress = "h:1"\n[quorums]\nphase1 = 1\nphase2 = 1',
        "can miss each other",
    ),
    "a quorum of nobody": (SMALLEST + "[quorums]\nphase1 = 0\nphase2 = 1", "a quorum must weigh"),
    "a quorum beyond all reason": (
        SMALLEST + f"[quorums]\nphase1 = {10**30}\nphase2 = 1",
        "a quorum must weigh",
    ),
    "an interval longer than the window": (SMALLEST + "[timing]\ninterval = 9", "interval"),
    "an interval that is no number": (SMALLEST + "[timing]\ninterval = nan", "interval"),
    "a window without end": (SMALLEST + "[timing]\nwindow = inf", "window"),
    "no back-off": (SMALLEST + "[timing]\nbackoff = 0", "backoff"),
    "a time that is a date": (SMALLEST + "[timing]\nwindow = 2026-01-01", "window"),
    "negative values": (SMALLEST + "[limits]\nvalue_bytes = -1", "value_bytes"),
    "values larger than a store holds": (SMALLEST + "[limits]\nvalue_bytes = 1048576", "value_by"),
    "a bind address that is empty": (SMALLEST + 'bind = ""', "is no address"),
    "a number with too many digits": (SMALLEST + "weight = " + "9" * 5000, "digits|weight"),
    "nesting without end": (SMALLEST + "x = " + "[" * 100_000, "cluster.toml"),
}


@pytest.mark.parametrize("what", NOT_IN_ORDER)
def test_a_file_that_is_not_in_order_says_so(path: Path, what: str) -> None:
    text, says = NOT_IN_ORDER[what]
    with pytest.raises(MisuseError, match=says) as caught:
        read(path, text)
    assert str(path) in str(caught.value)


ADDRESSES = {
    "empty": "",
    "no port": "host",
    "no port after the colon": "host:",
    "no host": ":7000",
    "empty brackets": "[]:7000",
    "port 0": "host:0",
    "a port that is too high": "host:65536",
    "a negative port": "host:-1",
    "a port with a sign": "host:+80",
    "a port with a space": "host: 80",
    "a port in other digits": "host:\N{ARABIC-INDIC DIGIT EIGHT}",
    "a port with too many digits": "host:" + "9" * 5000,
    "IPv6 without brackets": "2001:db8::1:7000",
    "only an opening bracket": "[::1:7000",
    "only a closing bracket": "::1]:7000",
    "brackets within": "[a]b]:7000",
    "a URL": "http://host:7000",
    "a path": "/run/paxos:7000",
    "a space": "my host:7000",
    "a line break": "host\\n:7000",
    "a zero byte": "host\\u0000:7000",
    "an empty label": "no..where:7000",
    "a label that is too long": "x" * 64 + ".org:7000",
}


@pytest.mark.parametrize("what", ADDRESSES)
def test_what_is_no_address_is_refused_with_an_example(path: Path, what: str) -> None:
    text = SMALLEST.replace("127.0.0.1:7000", ADDRESSES[what])
    with pytest.raises(MisuseError, match=r"write host:port, such as 127\.0\.0\.1:7000"):
        read(path, text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7000", Address("127.0.0.1", 7000)),
        ("[::1]:7000", Address("::1", 7000)),
        ("[fe80::1%eth0]:1", Address("fe80::1%eth0", 1)),
        ("node-a.shop.example:65535", Address("node-a.shop.example", 65535)),
        ("localhost:80", Address("localhost", 80)),
    ],
)
def test_an_address_reads_and_writes_the_same(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - to be warned of
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
    ],
)
def test_only_loopback_is_loopback(host: str, is_loopback: bool) -> None:
    assert Address(host, 7000).is_loopback is is_loopback


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.toml", tmp_path):
        with pytest.raises(MisuseError, match=f"cannot read {path}"):
            read_cluster_file(path)


def test_a_file_that_is_no_text_is_named(path: Path) -> None:
    path.write_bytes(SMALLEST.encode() + b"# \xff")
    with pytest.raises(MisuseError, match=str(path)):
        read_cluster_file(path)


def test_a_file_that_is_too_large_is_not_read_on(path: Path) -> None:
    path.write_bytes(b"#" * (cluster_file.MAX_FILE_BYTES + 1))
    with pytest.raises(MisuseError, match=r"larger than .* is it a cluster\.toml"):
        read_cluster_file(path)


@pytest.mark.parametrize("value_bytes", [0, 3000, 3001, 100_000, cluster_file.LARGEST_VALUE_BYTES])
def test_a_store_holds_the_largest_value_of_its_cluster(path: Path, value_bytes: int) -> None:
    slot = read(path, SMALLEST + f"[limits]\nvalue_bytes = {value_bytes}").slot_bytes
    assert slot % BLOCK_BYTES == 0
    assert slot <= MAX_SLOT_BYTES
    assert capacity(slot) >= value_bytes + STATE_OVERHEAD
    assert slot == BLOCK_BYTES or capacity(slot - BLOCK_BYTES) < value_bytes + STATE_OVERHEAD


def test_a_node_that_does_not_exist_is_refused_with_those_that_do(path: Path) -> None:
    with pytest.raises(MisuseError, match=r"'Z' is no node of this cluster: A, B, C\.3-x_y"):
        read(path, LARGEST).require("Z")
