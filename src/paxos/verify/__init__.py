"""The explorer: every order of events within bounds, on the classes that users run.

    bounds = Bounds(Cluster(("A", "B", "C")), (("A", "x"), ("B", "y")), ballots=2)
    result = explore(bounds)
    result.exhausted, result.progress.states, result.counterexample

`model` says what can happen to one node, by the library's real step; `table` remembers it and makes
integers of it; `search` sees every state once; `quiet` says what must be true when nothing happens
any more; `lamport` compares with the published specification.

Beside it, a checker of what clients saw: `check_history`, see `linearizability`.
"""

from paxos.histories.conflict import Conflict
from paxos.histories.history import (
    Event,
    History,
    HistoryError,
    Missing,
    Operation,
    encode_history,
    history_of,
    read_history,
)
from paxos.histories.linearizability import Linearizability, check_history
from paxos.histories.sequential import Hint, KeyValue, Model, Register
from paxos.verify.counterexample import Counterexample
from paxos.verify.explore import Always, Plan, Result, Sometimes, explore
from paxos.verify.lamport import Specification, separate_roles, specification
from paxos.verify.model import Bounds
from paxos.verify.rule_bounds import bounds_of
from paxos.verify.search import Progress

__all__ = [
    "Always",
    "Bounds",
    "Conflict",
    "Counterexample",
    "Event",
    "Hint",
    "History",
    "HistoryError",
    "KeyValue",
    "Linearizability",
    "Missing",
    "Model",
    "Operation",
    "Plan",
    "Progress",
    "Register",
    "Result",
    "Sometimes",
    "Specification",
    "bounds_of",
    "check_history",
    "encode_history",
    "explore",
    "history_of",
    "read_history",
    "separate_roles",
    "specification",
]
