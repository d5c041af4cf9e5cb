"""The program `paxos` itself: it starts quickly, and says what it can do."""

from __future__ import annotations

import subprocess
import sys

import pytest

import paxos
from paxos import demo
from paxos.cli import main

Capture = pytest.CaptureFixture[str]

COMMANDS = (
    *("demo", "init", "node", "decide", "status", "inspect"),
    *("rules", "replay", "sim", "explore"),
)
WORLDS = ("paxos.runtime", "paxos.sim", "paxos.verify", "paxos.demo", "asyncio")


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_python_dash_m_paxos_is_the_same_program() -> None:
    ran = run_python("-m", "paxos", "--version")
    assert (ran.returncode, ran.stdout) == (0, f"paxos {paxos.__version__}\n")


def test_help_names_every_command(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for name in COMMANDS:
        assert f"\n    {name} " in said


def test_help_loads_no_world() -> None:
    """Each command imports the world that it needs, so that help comes at once."""
    program = (
        "import sys, paxos.cli\n"
        "try: paxos.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {WORLDS!r} if name in sys.modules])\n"
    )
    assert run_python("-c", program).stdout.splitlines()[-1] == "[]"


def test_import_paxos_loads_no_program() -> None:
    program = "import sys, paxos; print([n for n in ('paxos.cli', 'rich') if n in sys.modules])"
    assert run_python("-c", program).stdout == "[]\n"


def test_help_tells_the_bounds_that_the_demo_has(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    assert f"{demo.MIN_NODES} to {demo.MAX_NODES} (default: 5)" in capsys.readouterr().out


def test_without_a_command_it_ends_with_two(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
