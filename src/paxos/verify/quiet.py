"""What must be true once nothing happens any more by itself.

A state is quiet when no message, persist or restart changes anything: all that was sent has arrived
everywhere. Paxos promises no progress to proposers that duel, but a ballot that nobody outbids has
nothing to wait for: then it must have decided, unless its proposer crashed on the way, or too few
members are up. And once anybody knows a decision, all others get to know it: members are told, and
whoever has begun a ballot has asked.
"""

from __future__ import annotations

from paxos.heartbeat import HeartbeatNode
from paxos.messages import NO_VALUE, NOTHING_CHOSEN
from paxos.node import Node, Phase
from paxos.proposal_id import NO_PROPOSAL, ProposalID
from paxos.verify.model import Bounds, Down, Local, plain_node
from paxos.verify.table import Table
from paxos.verify.verdicts import Violation

DECIDES = "decides-when-quiet"
ALWAYS = (
    "When nothing happens any more by itself, the highest ballot has decided, unless its proposer "
    "crashed; and if anybody knows a decision, every member and every proposer does."
)


def undecided(table: Table, state: int) -> Violation | None:
    """What is wrong with a quiet state: something should have been decided, and known."""
    bounds, locals_ = table.model.bounds, table.settled(state)
    running = [node for each in locals_ if (node := _taking_part(each)) is not None]
    highest = max(map(_newest_ballot, bounds.node_ids, locals_))
    owner = next((node for node in running if node.proposer.ballot == highest), None)
    is_known = any(node.chosen is not NOTHING_CHOSEN for node in running)
    may_fail = owner is None or _has_crashed_since(owner) or _are_too_few(running, bounds)
    if highest == NO_PROPOSAL or (may_fail and not is_known):
        return None
    if bounds.hints:
        must_know = [node for node in running if _hears_of_it(node, bounds)]
    else:  # it counts the votes itself; but who knows a decision answers with that alone
        must_know = [] if owner is None or may_fail or is_known else [owner]
    for node in must_know:
        if node.chosen is NOTHING_CHOSEN:
            return Violation(
                DECIDES,
                f"nothing happens any more, nobody outbids {highest}, "
                f"and {node.node_id} knows of no decision",
            )
    return None


def _newest_ballot(node_id: str, local: Local) -> ProposalID:
    if isinstance(local, Down):
        return ProposalID(local.durable.ballot, node_id) if local.durable.ballot else NO_PROPOSAL
    return plain_node(local.snapshot.node).proposer.ballot


def _are_too_few(running: list[Node[str]], bounds: Bounds) -> bool:
    """Whether those that run are no quorum."""
    quorums, up = bounds.cluster.real_quorums, [node.node_id for node in running]
    return not (quorums.has_phase1(up) and quorums.has_phase2(up))


def _has_crashed_since(owner: Node[str]) -> bool:
    """Whether a node has restarted since it began its newest ballot: it wanted a value then."""
    return owner.proposer.phase is Phase.IDLE and owner.proposer.value is NO_VALUE


def _hears_of_it(node: Node[str], bounds: Bounds) -> bool:
    """Whether a node is told of every decision, or has asked for it by beginning a ballot."""
    return node.node_id in bounds.cluster.members or node.proposer.ballot != NO_PROPOSAL


def _taking_part(local: Local) -> Node[str] | None:
    """The node if it runs, and makes progress by messages alone: heartbeats need time."""
    if isinstance(local, Down) or local.snapshot.stopped is not None:
        return None
    node = local.snapshot.node
    return None if isinstance(node, HeartbeatNode) else node
