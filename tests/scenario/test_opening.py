"""The first line of a scenario: which cluster plays."""

from __future__ import annotations

import pytest

from paxos.errors import MisuseError
from paxos.scenario.cluster import Cluster, Kind
from paxos.scenario.mutants import MUTANTS
from paxos.scenario.opening import Opening, parse_opening
from paxos.timing import Timing

A_RULE = min(MUTANTS) if MUTANTS else ""

OPENINGS = {
    "cluster node A B C": Opening(Cluster(("A", "B", "C"))),
    "cluster heartbeat A": Opening(Cluster(("A",), Kind.HEARTBEAT)),
    "cluster node C A proposers=P,Q": Opening(Cluster(("C", "A"), proposers=("P", "Q"))),
    "cluster node A B C D phase1=3 phase2=2": Opening(Cluster(tuple("ABCD"), phase1=3, phase2=2)),
    f"cluster node A B C breaks={A_RULE}": Opening(Cluster(tuple("ABC"), breaks=A_RULE)),
    "cluster heartbeat A B C time=abstract": Opening(
        Cluster(tuple("ABC"), Kind.HEARTBEAT), abstract_time=True
    ),
    "cluster heartbeat A B C interval=0.1 window=1.5 backoff=0.2 seed=7": Opening(
        Cluster(tuple("ABC"), Kind.HEARTBEAT, timing=Timing(0.1, 1.5, 0.2, 7))
    ),
}


@pytest.mark.parametrize("line", OPENINGS)
def test_an_opening_is_one_line_and_the_line_the_same_opening(line: str) -> None:
    assert parse_opening(line) == OPENINGS[line]
    assert str(OPENINGS[line]) == line


def test_options_may_come_in_any_order_and_the_usual_ones_be_left_out() -> None:
    usual = Timing()
    line = f"cluster phase2=2 node seed=0 A B C window={usual.window} phase1=2"
    assert str(parse_opening(line)) == "cluster node A B C phase1=2 phase2=2"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "begins with its cluster, not with ''"),
        ("propose A x", "begins with its cluster"),
        ("cluster node", "write cluster node|heartbeat MEMBER..."),
        ("cluster raft A B C", "of kind node or heartbeat, not 'raft'"),
        ("cluster node A A", "a node is listed twice"),
        ("cluster node A B proposers=A", "a node is listed twice"),
        ("cluster node A>B", "names no node"),
        ("cluster node A proposers=", "names no node"),
        ("cluster node A B C phase1=two", "phase1 is a whole number, not 'two'"),
        ("cluster node A B C phase1=1 phase2=1", "can miss each other"),
        ("cluster node A seed=-1", "seed is a whole number"),
        ("cluster node A seed=1 seed=2", "'seed' is given twice"),
        ("cluster node A colour=red", "'colour' is no option of a cluster"),
        ("cluster node A time=real", "time can be abstract, and not 'real'"),
        ("cluster node A window=x", "no number of seconds"),
        ("cluster node A window=0.01", "timing needs 0 < interval < window"),
        ("cluster node A breaks=nothing", "there is no rule 'nothing'"),
    ],
)
def test_what_opens_nothing_is_refused_with_what_could_stand_there(
    line: str, complaint: str
) -> None:
    with pytest.raises(MisuseError) as refused:
        parse_opening(line)
    assert complaint in str(refused.value)
