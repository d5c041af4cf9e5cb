"""Write docs/evidence.md: what is claimed, the command that shows it, and what that command said.

    python tools/evidence.py            run everything (the better part of an hour on two cores)
    python tools/evidence.py rules      run one chapter, and take the others from the last run

Each row of the page is one command of `paxos`, run with `--json` as anybody can run it. What they
said is kept in .evidence/, so that the page can be made again without running anything: `render`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from paxos.scenario.rule import FoundBy, Rule
from paxos.scenario.rules import RULES

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".evidence"
PAGE = ROOT / "docs" / "evidence.md"
BUGS = ROOT / "docs" / "bugs.md"

MEMORY = "--memory 12"
"""Gibibytes: what a machine of 16 has left."""


SIZES = ("acceptors", "values", "ballots")


class Run(NamedTuple):
    """A command, and the object that it printed."""

    command: str
    said: dict[str, Any]


SPECIFICATION = tuple(
    f"explore --spec lamport --acceptors {acceptors} --values {values} --ballots {ballots}"
    for acceptors, values, ballots in (
        (2, 1, 2),
        (2, 2, 2),
        (3, 1, 2),
        (3, 2, 2),
        (4, 1, 2),
        (2, 2, 3),
        (3, 1, 3),
        (3, 2, 3),
        (5, 1, 2),
    )
)

_NODE = "explore --kind node --nodes 3 --proposers 2"
_HEARTBEAT = "explore --kind heartbeat --nodes 3"
_ROLES = "explore --kind roles"

_LOG = "explore --kind log"

EXPLORATIONS = (
    f"{_NODE} --ballots 2",
    f"{_NODE} --ballots 2 --crashes 1 {MEMORY}",
    f"{_NODE} --ballots 3 {MEMORY}",
    f"{_NODE} --ballots 3 --crashes 1 {MEMORY} --seconds 60",
    "explore --kind heartbeat --nodes 2 --proposers 2 --ballots 2 --timeouts 2",
    f"{_HEARTBEAT} --proposers 1 --ballots 1 --timeouts 2",
    f"{_HEARTBEAT} --proposers 1 --ballots 2 --crashes 1 {MEMORY} --seconds 60",
    f"{_HEARTBEAT} --proposers 1 --ballots 2 --timeouts 1 {MEMORY}",
    f"{_HEARTBEAT} --proposers 2 --ballots 2 --timeouts 0 {MEMORY}",
    f"{_HEARTBEAT} --proposers 2 --ballots 2 --timeouts 0 --crashes 1 {MEMORY} --seconds 600",
    f"{_HEARTBEAT} --proposers 2 --ballots 2 --timeouts 1 {MEMORY} --seconds 60",
    f"{_HEARTBEAT} --proposers 2 --ballots 2 --crashes 1 --timeouts 1 {MEMORY} --seconds 60",
    f"{_ROLES} --acceptors 3 --values 2 --ballots 2",
    f"{_ROLES} --acceptors 3 --values 2 --ballots 2 --crashes 1",
    f"{_ROLES} --acceptors 3 --values 2 --ballots 3 --no-hints",
    f"{_ROLES} --acceptors 3 --values 2 --ballots 3 {MEMORY} --seconds 60",
    f"{_ROLES} --acceptors 5 --values 2 --ballots 2 --no-hints",
    f"{_ROLES} --acceptors 5 --values 2 --ballots 2 {MEMORY}",
)

SIMULATIONS = (
    "sim --seeds 10000 --nodes 3..5 --faults all",
    "sim --seeds 3000 --nodes 3..5 --faults all --kind node",
)


TLC = {"2 1 2": 81, "2 2 2": 145, "3 1 2": 1681, "3 2 2": 3921}
"""Distinct states that Lamport's model checker counts: acceptors, values, ballots."""


def _of_rule(rule: Rule) -> str | None:
    """The command that finds a rule's mutant."""
    match rule.found_by:
        case FoundBy.EXPLORER | FoundBy.EXACT_COUNT:
            return f"explore --break {rule.id}"
        case FoundBy.SIMULATOR:
            return f"sim --break {rule.id} --seeds 2000 --until-failure"
        case _:
            return f"replay break-{rule.id}" if rule.has_scenario else None


def _commands_of_rules() -> list[str]:
    commands = [command for rule in RULES if (command := _of_rule(rule)) is not None]
    likes = {
        str(rule.bounds): f"explore --like {rule.id} {MEMORY} --seconds 60"
        for rule in RULES
        if rule.bounds
    }
    return [*commands, *likes.values()]


CHAPTERS: dict[str, Callable[[], Sequence[str]]] = {
    "specification": lambda: SPECIFICATION,
    "explorations": lambda: EXPLORATIONS,
    "rules": _commands_of_rules,
    "simulations": lambda: SIMULATIONS,
}


def _run(command: str) -> Run:
    print(f"paxos {command}", file=sys.stderr, flush=True)
    done = subprocess.run(  # noqa: S603 - our own program, with the arguments above
        [sys.executable, "-m", "paxos", *command.split(), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout:
        raise SystemExit(f"paxos {command}\n{done.stderr}")
    return Run(command, json.loads(done.stdout))


def _keep(chapter: str, runs: Iterable[Run]) -> None:
    KEPT.mkdir(exist_ok=True)
    text = json.dumps([run._asdict() for run in runs], indent=1)
    (KEPT / f"{chapter}.json").write_text(text + "\n")


def _kept(chapter: str) -> list[Run]:
    try:
        return [Run(**run) for run in json.loads((KEPT / f"{chapter}.json").read_text())]
    except FileNotFoundError:
        raise SystemExit(f"nothing is kept of {chapter}: run `make verify`") from None


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for, and write the page."""
    wanted = [*CHAPTERS] if not arguments else [each for each in arguments if each != "render"]
    for chapter in wanted:
        if chapter not in CHAPTERS:
            raise SystemExit(f"{chapter!r} is none of {', '.join(CHAPTERS)}, render")
        runs: list[Run] = []
        for command in CHAPTERS[chapter]():
            runs.append(_run(command))
            _keep(chapter, runs)
    kept = {chapter: _kept(chapter) for chapter in CHAPTERS}
    PAGE.write_text(_page(kept))
    return (
        0
        if all(run.said["ok"] or _is_bounded(run) for runs in kept.values() for run in runs)
        else 1
    )


def _is_bounded(run: Run) -> bool:
    """Whether a run came to its bound, which is no failure, and no proof."""
    return run.said.get("stopped") is not None


TOP = """\
# Evidence

Every row is a command, and what it said. `make verify` runs them all and writes this page; this
time on {machine}. How to read it: [exploration](exploration.md)."""

SPECIFICATION_TEXT = """\
## Lamport's specification

States of his TLA+ specification that our classes reach, driven with separate roles and projected:
exactly those that TLC counts (2, 1, 2: 81; 2, 2, 2: 145; 3, 1, 2: 1,681; 3, 2, 2: 3,921)."""

EXPLORATIONS_TEXT = """\
## Everything within bounds

Exhausted means that every state was seen. Anything else is no proof; then it says how far it
came."""

RULES_TEXT = """\
## Every rule has its mutant

A mutant is the real code without one rule. Steps are the things that happen until it is wrong: in
the shortest way (explorer), in one that was shrunk (simulator), or in the scenario for it."""

UNMUTATED_TEXT = "The unmutated code, within the bounds in which mutants are found:"

SIMULATIONS_TEXT = "## Seeds by the thousand"

EXPLORED = ("command", "states", "transitions", "depth", "seconds", "verdict")


def _page(kept: dict[str, list[Run]]) -> str:
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    unmutated = [run for run in kept["rules"] if "--like" in run.command]
    parts = (
        TOP.format(machine=machine),
        SPECIFICATION_TEXT,
        _table(
            ("command", "distinct", "depth", "our states", "seconds"),
            map(_specification, kept["specification"]),
        ),
        EXPLORATIONS_TEXT,
        _table(EXPLORED, map(_exploration, kept["explorations"])),
        RULES_TEXT,
        _table(
            ("rule", "command", "violated", "steps", "states or seeds", "seconds"),
            _rules(kept["rules"]),
        ),
        UNMUTATED_TEXT,
        _table(EXPLORED, map(_exploration, unmutated)),
        SIMULATIONS_TEXT,
        _table(
            ("command", "runs", "effects", "effects a second", "seconds", "failures"),
            map(_simulation, kept["simulations"]),
        ),
        BUGS.read_text().strip(),
    )
    return "\n\n".join(parts) + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.1f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _command(run: Run) -> str:
    return f"`paxos {run.command}`"


def _specification(run: Run) -> Sequence[object]:
    said = run.said
    return _command(run), said["distinct"], said["depth"], said["states"], float(said["seconds"])


def _exploration(run: Run) -> Sequence[object]:
    said = run.said
    if said.get("violated"):
        verdict = f"**BROKEN: {said['violated']}**"
    else:
        verdict = "exhausted" if said["exhausted"] else f"not exhausted: {said['stopped']}"
    return (
        _command(run),
        said["states"],
        said["transitions"],
        said["depth"],
        float(said["seconds"]),
        verdict,
    )


def _rules(runs: list[Run]) -> Iterable[Sequence[object]]:
    said_of = {run.command: run for run in runs}
    for rule in RULES:
        command = _of_rule(rule)
        run = said_of.get(command or "")
        if run is None:
            yield rule.id, f"`pytest {rule.test}`", rule.breaks, "", "", ""
        else:
            yield rule.id, _command(run), *_finding(rule, run)


def _finding(rule: Rule, run: Run) -> Sequence[object]:
    said = run.said
    match rule.found_by:
        case FoundBy.EXPLORER:
            found = said.get("violated") or "**nothing**"
            return found, said.get("steps") or "", said["states"], float(said["seconds"])
        case FoundBy.EXACT_COUNT:
            return said["sentence"], "", said["distinct"], ""
        case FoundBy.SIMULATOR:
            seconds, failures = float(said["seconds"]), said["failures"]
            if not failures:
                return "**nothing**", "", said["runs"], seconds
            steps = min(each["steps"] for each in failures if each["steps"] is not None)
            broken = ", ".join(sorted({each["invariant"] for each in failures}))
            return broken, steps, f"found after {said['runs']:,} seeds", seconds
        case _:
            broken = ", ".join(sorted({each["invariant"] for each in said["broken"]}))
            return broken or rule.breaks, said["steps"], f"`{rule.test}`", ""


def _simulation(run: Run) -> Sequence[object]:
    said = run.said
    seconds = float(said["seconds"])
    rate = round(said["effects"] / seconds)
    return _command(run), said["runs"], said["effects"], rate, seconds, len(said["failures"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
