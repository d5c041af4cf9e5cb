"""The demo of a log, end to end: real processes under load, real kills, real disks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from paxos import Quorums
from paxos.demo.processes import free_addresses
from paxos.runtime import Cluster, write_cluster_file

pytestmark = pytest.mark.long


def paxos(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paxos", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    ran = paxos("demo", "--log", "--seed", "7", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def test_nothing_is_lost_although_the_leader_dies_and_a_member_is_replaced(
    told: dict[str, Any],
) -> None:
    assert told["checks"] == {
        "all there": True,
        "once": True,
        "agreement": True,
        "failover": True,
        "replaced": True,
        "clean stop": True,
    }


def test_it_says_what_was_measured(told: dict[str, Any]) -> None:
    assert told["acknowledged"] > 200
    assert told["commits_per_second"] > 0
    assert 0 < told["longest_gap"] < told["seconds"]
    assert set(told["syncs"]) < {"A", "B", "C", "D"}
    assert all(count > 0 for count in told["syncs"].values())


def test_the_story_is_told(told: dict[str, Any]) -> None:
    said = " / ".join(entry["what"] for entry in told["timeline"] if entry["who"] == "demo")
    for part in ("has killed the leader", "again, from its disk", "D shall replace", "SIGTERM"):
        assert part in said


def test_it_chooses_its_nodes_and_values_itself() -> None:
    ran = paxos("demo", "--log", "--nodes", "5")
    assert ran.returncode == 1
    assert "with --log there are three nodes" in ran.stderr


@pytest.fixture
def node(tmp_path: Path) -> Generator[Path]:
    """The cluster file of a log of one node, whose process runs."""
    (address,) = free_addresses(1)
    cluster = Cluster("shop", {"A": address}, Quorums.majority("A"), is_log=True)
    file = tmp_path / "cluster.toml"
    write_cluster_file(file, cluster)
    made = paxos("init", str(tmp_path / "a"), "--node", "A", "--cluster", str(file))
    assert made.returncode == 0, made.stderr
    command = [sys.executable, "-m", "paxos", "node", str(tmp_path / "a"), "--cluster", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield file
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_what_is_put_into_a_log_is_got_from_it(node: Path) -> None:
    put = paxos("put", "tea", "hot", "--cluster", str(node), "--timeout", "20")
    assert put.returncode == 0, put.stderr
    got = paxos("get", "tea", "--cluster", str(node), "--json")
    assert json.loads(got.stdout)["value"] == "hot"
    asked = paxos("status", "--cluster", str(node), "--json")
    status = json.loads(asked.stdout)["nodes"]["A"]
    assert status["leads"] is True
    assert status["members"] == ["A"]
    assert status["applied_below"] == status["chosen_below"] > 0


def test_a_log_makes_no_single_decision(node: Path) -> None:
    ran = paxos("decide", "tea", "--cluster", str(node))
    assert ran.returncode == 1
    assert "use paxos put and paxos get" in ran.stderr
