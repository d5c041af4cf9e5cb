"""A mutant is a small subclass of a real class, and the test that its rule names notices it.

That test runs against the real code, with the mutant in place of every object of its class: see
`without_rule`.
"""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from paxos.heartbeat import HeartbeatNode, Heartbeats
from paxos.machine import Machine
from paxos.node import Acceptor, Learner, Node, Proposer
from paxos.quorum import Quorums
from paxos.scenario import mutants_of_nodes, mutants_of_progress, mutants_of_roles
from paxos.scenario.breakage import UNBROKEN, DiskBetween
from paxos.scenario.cluster import Cluster, Kind
from paxos.scenario.mutants import MUTANTS
from paxos.scenario.rule import Rule
from paxos.scenario.rules import RULES
from paxos.timing import Timing
from scenario import without_rule

REAL = (
    Acceptor,
    DiskBetween,
    HeartbeatNode,
    Heartbeats,
    Learner,
    Machine,
    Node,
    Proposer,
    Quorums,
    Timing,
)
CLASSES = sorted(
    {each for mutant in MUTANTS.values() for each in mutant.classes}, key=lambda each: each.__name__
)
every_class = pytest.mark.parametrize("mutant", CLASSES, ids=lambda each: each.__name__)
every_rule = pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])


def statements(of: type) -> Iterator[ast.stmt]:
    """All statements of a class, but for docstrings."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(of)))
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        ):
            yield node


@every_class
def test_a_mutant_derives_from_one_real_class(mutant: type) -> None:
    assert sum(issubclass(mutant, real) for real in REAL) == 1


@every_class
def test_a_mutant_is_small(mutant: type) -> None:
    assert sum(1 for _ in statements(mutant)) <= 12


@every_class
def test_a_mutant_says_what_it_does_wrong(mutant: type) -> None:
    assert (mutant.__doc__ or "").endswith(".")


@pytest.mark.parametrize("module", [mutants_of_roles, mutants_of_nodes, mutants_of_progress])
def test_no_mutant_is_forgotten(module: ModuleType) -> None:
    written = {
        each
        for each in vars(module).values()
        if inspect.isclass(each)
        and each.__module__ == module.__name__
        and not each.__name__.startswith("_")
    }
    assert written <= set(CLASSES)


@every_rule
@pytest.mark.parametrize("kind", list(Kind))
def test_a_node_without_a_rule_is_otherwise_real(rule: Rule, kind: Kind) -> None:
    """What does not derive from a mutant's real class is of that real class itself."""
    cluster = Cluster(("A", "B", "C"), kind, breaks=rule.id)
    machine = cluster.start(cluster.identity("A"))
    node = machine.node
    inner = node.node if isinstance(node, HeartbeatNode) else node
    parts: list[object] = [machine, node, inner, inner.proposer, inner.acceptor, inner.learner]
    parts += [inner.quorums, inner.proposer.quorums]
    if isinstance(node, HeartbeatNode):
        parts += [node.heartbeats, node.heartbeats.timing, node.heartbeats.quorums]
    for part in parts:
        real = next(each for each in REAL if isinstance(part, each))
        assert type(part) is cluster.breakage.part(real)


def test_nothing_stands_between_a_real_node_and_its_disk() -> None:
    disk = object()
    assert UNBROKEN.disk(disk) is disk


def test_without_a_mutant_of_memory_nothing_stands_there_either() -> None:
    disk = object()
    assert MUTANTS["vote-survives"].disk(disk) is disk
    assert isinstance(MUTANTS["saved-means-synced"].disk(disk), DiskBetween)


# The tests that catch them. -----------------------------------------------------------------


@pytest.fixture(scope="module")
def verdicts() -> dict[str, int]:
    """By the rule's ID, the exit code of pytest for its test without the rule; "" is with all."""
    root = Path(__file__).parents[2]
    command = [sys.executable, without_rule.__file__]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    found: dict[str, int] = json.loads(run.stdout.splitlines()[-1])
    return found


@pytest.mark.exhaustive
@pytest.mark.timeout(240)
def test_with_all_rules_these_tests_pass(verdicts: dict[str, int]) -> None:
    assert verdicts[""] == pytest.ExitCode.OK


@pytest.mark.exhaustive
@pytest.mark.timeout(240)
@every_rule
def test_the_test_that_a_rule_names_fails_without_it(verdicts: dict[str, int], rule: Rule) -> None:
    assert verdicts[rule.id] == pytest.ExitCode.TESTS_FAILED, rule.test
