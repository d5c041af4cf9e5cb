"""The demo, end to end: real processes, real kills, real disks."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paxos", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    ran = run_demo("--seed", "7", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == ""
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def test_five_processes_agree_although_two_are_killed(told: dict[str, Any]) -> None:
    assert told["ok"] is True
    assert told["checks"] == {
        "agreement": True,
        "validity": True,
        "recovery": True,
        "on disk": True,
        "clean stop": True,
    }
    assert told["value"] in ("tea", "coffee")


def test_a_node_and_the_leader_are_killed_and_come_back(told: dict[str, Any]) -> None:
    said = [entry["what"] for entry in told["timeline"] if entry["who"] == "demo"]
    kills = [what for what in said if what.startswith("has killed")]
    assert len(kills) == 2
    assert any("the leader" in what for what in kills)
    assert sum("again; its disk" in what for what in said) == 2


def test_the_demo_takes_less_than_fifteen_seconds_by_its_own_clock(told: dict[str, Any]) -> None:
    assert told["seconds"] < 15


def test_without_a_terminal_it_prints_plain_lines_and_the_seed() -> None:
    ran = run_demo("--nodes", "3", "--seed", "4", "--value", "red", "--value", "blue")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "\x1b" not in ran.stdout
    assert "agreement    holds" in ran.stdout
    assert "again: paxos demo --nodes 3 --seed 4 --value red --value blue" in ran.stdout


def test_on_a_terminal_it_shows_the_nodes_as_they_are() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "paxos", "demo", "--nodes", "3", "--seed", "5"]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "50"}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as demo:
        os.close(theirs)
        shown = b""
        while chunk := read_terminal(ours):
            shown += chunk
        assert demo.wait() == 0, shown.decode()
    os.close(ours)
    assert b"promised" in shown  # the table's head
    assert b"\x1b[" in shown  # and it was drawn, not printed
    assert b"all nodes know the decision" in shown


def read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that nobody writes there any more
        return b""


def test_kept_folders_hold_what_was_decided(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    ran = run_demo("--nodes", "3", "--seed", "6", "--json", "--keep", str(kept))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert sorted(path.name for path in kept.iterdir() if path.is_dir()) == ["A", "B", "C"]
    inspect = [sys.executable, "-m", "paxos", "inspect", "--json", str(kept / "A")]
    found = subprocess.run(inspect, capture_output=True, text=True, check=True, timeout=50)
    assert json.loads(found.stdout)["answer"] == "sound"


def test_an_existing_folder_is_not_used_for_keeping(tmp_path: Path) -> None:
    ran = run_demo("--keep", str(tmp_path))
    assert ran.returncode == 1
    assert "Name a new folder" in ran.stderr


@pytest.mark.parametrize("nodes", ["2", "10"])
def test_it_says_how_many_nodes_it_takes(nodes: str) -> None:
    ran = run_demo("--nodes", nodes, "--json")
    assert ran.returncode == 1
    assert "3 to 9" in json.loads(ran.stdout)["error"]
