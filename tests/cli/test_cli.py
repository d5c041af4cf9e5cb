"""The command line by hand: init, node, decide, status, inspect, as the README has it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from paxos import Quorums
from paxos.cli import main
from paxos.demo.processes import free_addresses
from paxos.runtime import Cluster, write_cluster_file

Capture = pytest.CaptureFixture[str]


def write_cluster(folder: Path, names: str) -> Path:
    addresses = dict(zip(names, free_addresses(len(names)), strict=True))
    path = folder / "cluster.toml"
    write_cluster_file(path, Cluster("test", addresses, Quorums.majority(names)))
    return path


def told(capture: Capture) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(capture.readouterr().out)
    return answer


@contextmanager
def running(cluster: Path, *folders: Path) -> Generator[list[subprocess.Popen[str]]]:
    """Node processes; returns once each has said where it listens."""
    nodes = [
        subprocess.Popen(
            [sys.executable, "-m", "paxos", "node", str(folder), "--cluster", str(cluster)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for folder in folders
    ]
    try:
        for node in nodes:
            assert node.stdout is not None
            assert "listens at" in node.stdout.readline()
        yield nodes
    finally:
        for node in nodes:
            node.kill()
            node.communicate()


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """A cluster of three whose stores are made."""
    path = write_cluster(tmp_path, "ABC")
    for name in "ABC":
        assert main(["init", str(tmp_path / name), "--node", name, "--cluster", str(path)]) == 0
    return path


def test_three_nodes_started_by_hand_decide(cluster: Path, capsys: Capture) -> None:
    at = ["--cluster", str(cluster), "--json"]
    capsys.readouterr()
    with running(cluster, *(cluster.parent / name for name in "ABC")) as nodes:
        assert main(["decide", "tea", "--node", "A", *at]) == 0
        chosen = told(capsys)
        id = chosen.pop("id")  # of whoever came to lead first
        assert chosen == {"ok": True, "chosen": "tea", "yours": True}
        assert main(["decide", "coffee", *at]) == 0
        assert told(capsys)["yours"] is False
        assert main(["status", *at]) == 0
        assert sorted(told(capsys)["nodes"]) == ["A", "B", "C"]
        for node in nodes:
            node.send_signal(signal.SIGTERM)
        assert [node.wait() for node in nodes] == [0, 0, 0]
    assert main(["inspect", str(cluster.parent / "A"), "--json"]) == 0
    found = told(capsys)
    assert found["answer"] == "sound"
    assert found["accepted"] == {"id": id, "value": "tea"}


def test_a_node_stopped_with_json_prints_one_object(cluster: Path) -> None:
    folder = cluster.parent / "A"
    command = [sys.executable, "-m", "paxos", "node", str(folder), "--cluster", str(cluster)]
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True) as node:
        wait_until_it_answers(cluster)
        node.send_signal(signal.SIGTERM)
        out, _ = node.communicate()
        assert node.returncode == 0
    assert json.loads(out)["node"] == "A"


def wait_until_it_answers(cluster: Path) -> None:
    ask = ["status", "--node", "A", "--json", "--cluster", str(cluster)]
    while main(ask) != 0:  # bounded by the time limit that every test has
        pass


def test_without_a_quorum_the_outcome_is_unknown(cluster: Path, capsys: Capture) -> None:
    with running(cluster, cluster.parent / "A"):
        decide = ["decide", "tea", "--node", "A", "--timeout", "0.3", "--cluster", str(cluster)]
        assert main(decide) == 3
    said = capsys.readouterr().err
    assert "the outcome is unknown" in said
    assert "are enough nodes running?" in said


def test_when_no_node_runs_nothing_was_proposed(cluster: Path, capsys: Capture) -> None:
    assert main(["decide", "tea", "--cluster", str(cluster), "--json"]) == 1
    assert "nothing was proposed" in told_error(capsys)


def told_error(capture: Capture) -> str:
    out, err = capture.readouterr()
    answer = json.loads(out[out.index("{") :])
    assert answer["ok"] is False
    assert answer["error"] in err
    return str(answer["error"])


def test_status_claims_that_all_answer(cluster: Path, capsys: Capture) -> None:
    with running(cluster, cluster.parent / "A"):
        assert main(["status", "--cluster", str(cluster)]) == 1
        assert main(["status", "--node", "A", "--cluster", str(cluster)]) == 0
    said = capsys.readouterr()
    assert "cannot reach B" in said.out
    assert "paxos: no answer from B, C" in said.err


def test_init_refuses_a_folder_that_holds_a_store(cluster: Path, capsys: Capture) -> None:
    again = ["init", str(cluster.parent / "A"), "--node", "A", "--cluster", str(cluster)]
    assert main(again) == 1
    assert "holds a store" in capsys.readouterr().err


def test_init_refuses_a_node_that_the_cluster_does_not_have(cluster: Path, capsys: Capture) -> None:
    init = ["init", str(cluster.parent / "X"), "--node", "X", "--cluster", str(cluster)]
    assert main(init) == 1
    assert "no node of this cluster: A, B, C" in capsys.readouterr().err
    assert not (cluster.parent / "X").exists()


def test_a_node_without_its_memory_does_not_start(cluster: Path, capsys: Capture) -> None:
    assert main(["node", str(cluster.parent / "lost"), "--cluster", str(cluster)]) == 1
    assert "init" in capsys.readouterr().err


def test_inspect_tells_a_fresh_store(cluster: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert main(["inspect", str(cluster.parent / "A"), "--json"]) == 0
    found = told(capsys)
    assert (found["answer"], found["promised"], found["accepted"]) == ("fresh", "none", None)


def test_inspect_tells_damage_and_where(cluster: Path, capsys: Capture) -> None:
    state = cluster.parent / "A" / "state"
    image = bytearray(state.read_bytes())
    image[-100] ^= 1  # in the slot that was written last
    state.write_bytes(image)
    assert main(["inspect", str(cluster.parent / "A"), "--json"]) == 1
    assert "damaged at byte" in told_error(capsys)


def test_inspect_tells_a_missing_folder(tmp_path: Path, capsys: Capture) -> None:
    assert main(["inspect", str(tmp_path / "none"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["answer"] == "lost"


def test_a_missing_cluster_file_is_named(tmp_path: Path, capsys: Capture) -> None:
    assert main(["status", "--cluster", str(tmp_path / "none.toml")]) == 1
    assert "none.toml" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    ["demo", "init", "node", "decide", "status", "inspect", "rules", "replay", "sim", "explore"],
)
def test_every_command_explains_itself_with_an_example(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"example: paxos {command}" in " ".join(capsys.readouterr().out.split())


def test_nonsense_ends_with_two(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["decree"])
    assert ended.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_a_value_that_is_no_text_is_a_value_all_the_same(cluster: Path, capsys: Capture) -> None:
    """A shell passes any bytes; Python hands them on as surrogates."""
    value = os.fsdecode(b"\xff")
    with running(cluster, *(cluster.parent / name for name in "ABC")):
        capsys.readouterr()
        assert main(["decide", value, "--cluster", str(cluster), "--json"]) == 0
    assert told(capsys)["chosen"] == {"hex": "ff"}


@pytest.mark.parametrize("seconds", ["nan", "-1", "0", "inf", "soon"])
def test_a_timeout_that_is_none_is_nonsense(seconds: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["decide", "tea", f"--timeout={seconds}"])
    assert ended.value.code == 2
    assert "--timeout" in capsys.readouterr().err
