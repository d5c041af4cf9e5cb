"""Runs the test that each rule names against real code that lacks the rule.

Run as a program, it prints one line of JSON: by the ID of the rule that is missing, pytest's exit
code; under "", that of all these tests with no rule missing.

A mutant derives from a real class. While it is in force, whoever makes an object of the real class
gets one of the mutant, and whoever asks the real class to recover a node asks the mutant. A mutant
disk stands in front of every disk that a store is opened with.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from typing import Any

import pytest

from paxos.disk import Folder
from paxos.heartbeat import HeartbeatNode, Heartbeats
from paxos.machine import Machine
from paxos.node import Acceptor, Learner, Node, Proposer
from paxos.quorum import Quorums
from paxos.scenario.breakage import UNBROKEN, Breakage
from paxos.scenario.mutants import MUTANTS
from paxos.scenario.rule import Rule
from paxos.scenario.rules import RULES, rule_of
from paxos.timing import Timing

REAL: tuple[type[Any], ...] = (
    Acceptor, Proposer, Learner, Node, HeartbeatNode, Heartbeats, Timing, Machine, Quorums
)  # fmt: skip


class InForce:
    """Which rule is missing just now."""

    breakage: Breakage = UNBROKEN


def replace_objects(real: type[Any]) -> None:
    """From now on, an object of this class is one of the mutant in force."""

    def make(cls: type[Any], *_arguments: object, **_named: object) -> Any:
        return object.__new__(InForce.breakage.part(real) if cls is real else cls)

    real.__new__ = make


def replace_recovery() -> None:
    """From now on, `Node.recover` is that of the mutant in force."""
    original = vars(Node)["recover"].__func__

    def recover(cls: type[Any], *arguments: Any, **named: Any) -> Any:
        mutant = InForce.breakage.part(Node)
        if cls is Node and mutant is not Node:
            return mutant.recover(*arguments, **named)
        return original(cls, *arguments, **named)

    Node.recover = classmethod(recover)  # type: ignore[method-assign, assignment] # that is the point


def replace_disks() -> None:
    """From now on, a mutant disk stands before each disk."""
    original = Folder.__init__

    def initialise(self: Folder, disk: Any, path: Any) -> None:
        original(self, InForce.breakage.disk(disk), path)

    Folder.__init__ = initialise  # type: ignore[method-assign] # that is the point


def run(*tests: str) -> int:
    """Pytest's exit code for these tests."""
    quiet = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=")
    options = ("--import-mode=importlib", "--benchmark-disable")
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = pytest.main([*quiet, *options, *tests])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        sys.stderr.write(said.getvalue())
    return int(code)


def run_without(rule: Rule) -> int:
    """Pytest's exit code for the rule's test, without the rule."""
    InForce.breakage = MUTANTS[rule.id]
    return run(rule.test)


def is_made_on_import(rule: Rule) -> bool:
    """Whether tests make objects of the mutant's class when they are imported."""
    return any(issubclass(each, Quorums | Timing) for each in MUTANTS[rule.id].classes)


def run_in_a_new_process(rule: Rule) -> int:
    """The same for a mutant that must be in force before the test is imported."""
    command = [sys.executable, __file__, rule.id]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode


def main() -> None:
    """Without one rule after the other; and first, with all of them."""
    for real in REAL:
        replace_objects(real)
    replace_recovery()
    replace_disks()
    if len(sys.argv) > 1:
        sys.exit(run_without(rule_of(sys.argv[1])))
    verdicts = {"": run(*dict.fromkeys(rule.test for rule in RULES))}
    for rule in RULES:
        alone = is_made_on_import(rule)
        verdicts[rule.id] = run_in_a_new_process(rule) if alone else run_without(rule)
    sys.stdout.write(json.dumps(verdicts) + "\n")


if __name__ == "__main__":
    main()
