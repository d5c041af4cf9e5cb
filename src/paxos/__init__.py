"""Plain Paxos: consensus without a network, a disk or a clock.

The algorithm is in `node`, progress in `heartbeat`, the order of effects in `machine`. They
import the standard library only and perform nothing: a world drives them. `runtime` is one such
world, for asyncio and real disks; `durable` is its memory.
"""

from paxos.errors import ConflictError, FaultError, MisuseError, PaxosError
from paxos.events import (
    BallotLost,
    EnvelopeRefused,
    Event,
    LeaderChanged,
    LeadershipAcquired,
    LeadershipLost,
    Stopped,
    ValueChosen,
)
from paxos.heartbeat import HeartbeatNode, Heartbeats
from paxos.machine import Machine, Propose, Ready, Snapshot, Step, Tick
from paxos.messages import (
    FORMAT_VERSION,
    NO_VALUE,
    NOTHING_ACCEPTED,
    NOTHING_CHOSEN,
    Accept,
    Accepted,
    Chosen,
    Envelope,
    Heartbeat,
    HeartbeatAnswer,
    Identity,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Request,
)
from paxos.node import Acceptor, DurableState, Learner, Node, Phase, Proposer
from paxos.proposal_id import NO_PROPOSAL, CompactIDs, ProposalID
from paxos.quorum import Quorums
from paxos.timing import Timing

__version__ = "0.1.0"

__all__ = [
    "FORMAT_VERSION",
    "NOTHING_ACCEPTED",
    "NOTHING_CHOSEN",
    "NO_PROPOSAL",
    "NO_VALUE",
    "Accept",
    "Accepted",
    "Acceptor",
    "BallotLost",
    "Chosen",
    "CompactIDs",
    "ConflictError",
    "DurableState",
    "Envelope",
    "EnvelopeRefused",
    "Event",
    "FaultError",
    "Heartbeat",
    "HeartbeatAnswer",
    "HeartbeatNode",
    "Heartbeats",
    "Identity",
    "LeaderChanged",
    "LeadershipAcquired",
    "LeadershipLost",
    "Learner",
    "Machine",
    "Message",
    "MisuseError",
    "Nack",
    "Node",
    "PaxosError",
    "Phase",
    "Prepare",
    "Promise",
    "Proposal",
    "ProposalID",
    "Propose",
    "Proposer",
    "Quorums",
    "Ready",
    "Request",
    "Snapshot",
    "Step",
    "Stopped",
    "Tick",
    "Timing",
    "ValueChosen",
]
