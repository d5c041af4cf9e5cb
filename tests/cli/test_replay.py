"""`paxos replay`: a scenario file is played, and what comes of it is compared with the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from paxos.cli import main
from paxos.scenario.transcript import shipped

Capture = pytest.CaptureFixture[str]

STORY = """\
# One node decides alone.

cluster node A

propose A x
deliver A>A prepare 1.A
"""


OUTPUT = "A saves: prepared 1"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "one.scenario"
    path.write_text(STORY)
    return path


def told(capture: Capture) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(capture.readouterr().out)
    return answer


def paxos(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paxos", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_a_scenario_that_comes_with_paxos_is_played_by_its_name() -> None:
    name = next(iter(shipped()))
    ran = paxos("replay", name)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "as the file says" in ran.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", shipped())
def test_every_scenario_that_comes_with_paxos_is_as_its_file_says(
    name: str, capsys: Capture
) -> None:
    assert main(["replay", name, "--json"]) == 0, capsys.readouterr().err


def test_another_output_than_the_files_ends_with_one(file: Path) -> None:
    paxos("replay", str(file), "--rewrite")
    file.write_text(file.read_text().replace(OUTPUT, "A saves: prepared 7"))
    ran = paxos("replay", str(file))
    assert ran.returncode == 1
    assert "-A saves: prepared 7" in ran.stdout
    assert f"+{OUTPUT}" in ran.stdout
    assert "not what the file says" in ran.stderr


def test_a_file_without_outputs_is_only_played(file: Path, capsys: Capture) -> None:
    assert main(["replay", str(file)]) == 0
    assert OUTPUT in capsys.readouterr().out
    assert file.read_text() == STORY


def test_rewrite_puts_the_outputs_into_the_file(file: Path, capsys: Capture) -> None:
    assert main(["replay", str(file), "--rewrite"]) == 0
    assert OUTPUT in file.read_text()
    capsys.readouterr()
    assert main(["replay", str(file), "--json"]) == 0
    answer = told(capsys)
    assert (answer["ok"], answer["same"], answer["steps"]) == (True, True, 2)
    assert answer["text"] == file.read_text()


def test_rewrite_needs_a_file(capsys: Capture) -> None:
    assert main(["replay", next(iter(shipped())), "--rewrite"]) == 1
    assert "a file of your own" in capsys.readouterr().err


def broken_scenario(folder: Path) -> Path:
    path = folder / "broken.scenario"
    path.write_text(
        "cluster node A B C breaks=disk-before-vote\n\n"
        "propose A x\ndeliver A>A prepare 1.A\ndeliver A>B prepare 1.A\n"
        "deliver A>A promise 1.A nothing\ndeliver B>A promise 1.A nothing\n"
        "hang A\ndeliver A>A accept 1.A=x\n"
    )
    return path


def test_a_broken_invariant_that_the_file_does_not_expect_ends_with_one(
    tmp_path: Path, capsys: Capture
) -> None:
    path = broken_scenario(tmp_path)
    assert main(["replay", str(path), "--json"]) == 1
    out, err = capsys.readouterr()
    assert "broken, and not expected: durable-first" in err
    answer = json.loads(out)
    assert answer["ok"] is False
    assert [(each["invariant"], each["step"]) for each in answer["broken"]] == [
        ("durable-first", 6)
    ]


def test_one_that_the_file_expects_is_what_the_file_says(tmp_path: Path, capsys: Capture) -> None:
    path = broken_scenario(tmp_path)
    assert main(["replay", str(path), "--rewrite"]) == 1  # it is news to the file
    assert "BROKEN durable-first" in path.read_text()
    assert main(["replay", str(path)]) == 0
    assert "as the file says" in capsys.readouterr().out


def test_the_run_is_drawn(file: Path, capsys: Capture) -> None:
    picture, text = file.with_suffix(".svg"), file.with_suffix(".mmd")
    assert main(["replay", str(file), "--svg", str(picture), "--mermaid", str(text)]) == 0
    assert f"wrote {picture}" in capsys.readouterr().out
    root = ET.parse(picture).getroot()  # noqa: S314 - written by the line above
    assert root[0].text == "One node decides alone."
    assert text.read_text().startswith("sequenceDiagram\n")


def test_a_diagram_that_cannot_be_written_is_named(file: Path, capsys: Capture) -> None:
    nowhere = str(file.parent / "none" / "x.svg")
    assert main(["replay", str(file), "--svg", nowhere]) == 1
    assert nowhere in capsys.readouterr().err


def test_alone_it_lists_what_comes_with_paxos(capsys: Capture) -> None:
    assert main(["replay"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped())
    assert main(["replay", "--json"]) == 0
    listed = told(capsys)["scenarios"]
    assert all(each["about"] for each in listed)


def test_a_diagram_of_no_scenario_is_refused(tmp_path: Path, capsys: Capture) -> None:
    assert main(["replay", "--svg", str(tmp_path / "x.svg")]) == 1
    assert "say which scenario" in capsys.readouterr().err


def test_a_name_that_nobody_knows_is_told_with_the_nearest(capsys: Capture) -> None:
    name = next(iter(shipped()))
    assert main(["replay", name[:-2]]) == 1
    assert f"Is it {name}?" in capsys.readouterr().err
    assert main(["replay", "§"]) == 1
    assert "Is it" not in capsys.readouterr().err


def test_what_cannot_be_played_is_told_with_its_line(file: Path, capsys: Capture) -> None:
    file.write_text(STORY + "deliver A>A prepare 9.A\n")
    assert main(["replay", str(file)]) == 1
    assert "line 7" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"\xff", "not UTF-8"), (b"#" * (5 << 20), "more than")]
)
def test_what_is_no_scenario_is_told(
    tmp_path: Path, content: bytes, complaint: str, capsys: Capture
) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert main(["replay", str(path)]) == 1
    assert complaint in capsys.readouterr().err
