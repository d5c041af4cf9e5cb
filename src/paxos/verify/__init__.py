"""The explorer: every order of events within bounds, on the classes that users run.

    bounds = Bounds(Cluster(("A", "B", "C")), (("A", "x"), ("B", "y")), ballots=2)
    result = explore(bounds)
    result.exhausted, result.progress.states, result.counterexample

`model` says what can happen to one node, by the library's real step; `table` remembers it and makes
integers of it; `search` sees every state once; `quiet` says what must be true when nothing happens
any more; `lamport` compares with the published specification.
"""

from paxos.verify.counterexample import Counterexample
from paxos.verify.explore import Always, Plan, Result, Sometimes, explore
from paxos.verify.lamport import Specification, separate_roles, specification
from paxos.verify.model import Bounds
from paxos.verify.rule_bounds import bounds_of
from paxos.verify.search import Progress

__all__ = [
    "Always",
    "Bounds",
    "Counterexample",
    "Plan",
    "Progress",
    "Result",
    "Sometimes",
    "Specification",
    "bounds_of",
    "explore",
    "separate_roles",
    "specification",
]
