"""`paxos check`: a history is judged, and the operations to blame are shown."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paxos.cli import main

Capture = pytest.CaptureFixture[str]

FINE = """\
{"format": "plain-paxos-history", "version": 1}
{"process": 1, "type": "invoke", "f": "write", "value": "x"}
{"process": 1, "type": "ok"}
{"process": 2, "type": "invoke", "f": "write", "value": "y"}
{"process": 2, "type": "info"}
{"process": 3, "type": "invoke", "f": "read"}
{"process": 3, "type": "ok", "value": "y"}
"""
STALE = (
    FINE
    + """\
{"process": 3, "type": "invoke", "f": "read"}
{"process": 3, "type": "ok", "value": "x"}
"""
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


def told(capture: Capture) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(capture.readouterr().out)
    return answer


def test_a_linearizable_history_ends_with_zero(file: Path, capsys: Capture) -> None:
    file.write_text(FINE)
    assert main(["check", str(file), "--model", "register"]) == 0
    assert capsys.readouterr().out.startswith("linearizable: 3 operations in 1 partition")


def test_another_ends_with_one_and_shows_what_cannot_be_ordered(
    file: Path, capsys: Capture
) -> None:
    file.write_text(STALE)
    assert main(["check", str(file), "--model", "register"]) == 1
    out, err = capsys.readouterr()
    assert "3 operations cannot be ordered" in err
    bars = [line.split() for line in out.splitlines() if line.startswith("  process")]
    assert [line[2:5] for line in bars] == [
        ["write", "'x'", "|---|"], ["read", "->", "'y'"], ["read", "->", "'x'"]
    ]  # fmt: skip
    assert "line 4: write 'y'" in out
    assert "it ends with 'y'" in out


def test_programs_get_the_conflict(file: Path, capsys: Capture) -> None:
    file.write_text(STALE)
    assert main(["check", str(file), "--model", "register", "--json"]) == 1
    answer = told(capsys)
    assert (answer["ok"], answer["linearizable"]) == (False, False)
    assert (answer["operations"], answer["partitions"]) == (4, 1)
    assert answer["seconds"] >= 0
    assert [each["invoked"] for each in answer["conflict"]["operations"]] == [2, 6, 8]
    assert answer["conflict"]["minimal"] is True


def test_a_search_cut_short_ends_with_three(file: Path, capsys: Capture) -> None:
    lines = [
        {"process": i, "type": kind, "f": "append", "key": "k", "value": f"{i}"}
        for kind in ("invoke", "ok")
        for i in range(9)
    ]
    read = {"process": 9, "f": "get", "key": "k"}
    lines += [read | {"type": "invoke"}, read | {"type": "ok", "value": "876543210"}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["check", str(file), "--model", "kv", "--states", "5", "--json"]) == 3
    answer = told(capsys)
    assert (answer["ok"], answer["linearizable"], answer["unknown"]) == (False, None, ["k"])
    assert "proves nothing" in answer["error"]
    assert main(["check", str(file), "--model", "kv", "--json"]) == 0


def test_time_that_is_over_ends_with_three(
    file: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter(range(0, 1000, 10))
    monkeypatch.setattr("paxos.cli.check.time", SimpleNamespace(monotonic=lambda: next(times)))
    file.write_text(FINE)
    assert main(["check", str(file), "--model", "register", "--seconds", "5"]) == 3
    assert "5 seconds were over" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"process": 1, "type": "ok"}\n', "line 1: process 1 has nothing under way"),
        ('{"process": 1, "type": "invoke", "f": "get"}\n', "line 1: f is one of read, write, cas"),
    ],
)
def test_what_is_no_history_is_no_verdict(
    file: Path, content: str, complaint: str, capsys: Capture
) -> None:
    file.write_text(content)
    assert main(["check", str(file), "--model", "register"]) == 2
    assert complaint in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(file: Path, capsys: Capture) -> None:
    assert main(["check", str(file), "--model", "register"]) == 2
    assert f"{file}: cannot be read" in capsys.readouterr().err


def test_a_history_may_come_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=BytesIO(FINE.encode())))
    assert main(["check", "-", "--model", "register", "--json"]) == 0
    assert told(capsys)["operations"] == 3


def test_the_failing_key_is_named(file: Path, capsys: Capture) -> None:
    file.write_text(
        '{"process": 1, "type": "invoke", "f": "get", "key": "k"}\n'
        '{"process": 1, "type": "ok", "value": "ghost"}\n'
    )
    assert main(["check", str(file), "--model", "kv"]) == 1
    assert "failing keys: 'k'" in capsys.readouterr().out
