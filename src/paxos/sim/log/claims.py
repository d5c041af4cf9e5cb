"""What must always hold in a run of a log, and what shows that it was put to the test."""

from __future__ import annotations

from paxos.sim.oversight import Claim

ONE_VALUE_A_SLOT = Claim(
    "one-value-a-slot",
    "In each slot one entry is chosen at most, and who learns one learns that.",
    "PMS 2.1: only a single value is chosen",
    "An entry is chosen a second time, under a later ballot.",
)
ONE_VALUE_AN_ID = Claim(
    "one-value-an-id",
    "Under one ID, one entry is proposed in a slot, and only what P2c allows.",
    "PMS 2.2, P2c",
    "A leader proposes what it found in a promise.",
)
DURABLE_FIRST = Claim(
    "durable-first",
    "What a node prepares, promises and votes for is on its disk before it says so.",
    "PMS 2.5: an acceptor records its intended response before it sends it",
    "A promise tells of a vote.",
)
PROMISES_ARE_KEPT = Claim(
    "promises-are-kept",
    "Nobody votes below its promise, nor hides a vote from a higher ballot.",
    "PMS 2.2, P1a",
    "A promise is told in more than one page.",
)
WITHIN_THE_WINDOW = Claim(
    "within-the-window",
    "Nobody proposes in slot i + window before slot i is chosen.",
    "PMS 3: a leader can propose at most alpha commands ahead",
    "A change of the members governs.",
)
CHOSEN_IS_CHOSEN = Claim(
    "chosen-is-chosen",
    "Who says that something is chosen is right.",
    "PMS 2.3: a learner must find out that a proposal was accepted by a majority",
    "A node learns entries that it did not vote for.",
)
IN_ORDER = Claim(
    "in-order",
    "A node reports each slot once, in order and without a gap.",
    "PMS 3: commands are executed in the order of their instances",
    "A hole is filled by a no-op.",
)
SAME_STATE = Claim(
    "same-state",
    "All nodes that have applied the same slots have the same digests.",
    "Schneider 1990: replica coordination",
    "Digests of whole states are compared.",
)
EXACTLY_ONCE = Claim(
    "exactly-once",
    "No command of a session is applied twice, and none is in the log more often than it was asked"
    " for.",
    "Ongaro 2014, section 6.3",
    "A command that is chosen again is answered from its session.",
)
REFUSED_IS_REFUSED = Claim(
    "refused-is-refused",
    "A command that was refused is not chosen.",
    "paxos.log.events: surely not proposed",
    "Commands are refused.",
)
ACKNOWLEDGED_STAYS = Claim(
    "acknowledged-stays",
    "What a client was told of is on every disk that is asked, for ever.",
    "paxos.log.state: the newest vote of a chosen slot is what was chosen",
    "A node starts from a snapshot.",
)
READS_ARE_FRESH = Claim(
    "reads-are-fresh",
    "A read shows all that any node had applied when it was asked for.",
    "paxos.log.reads",
    "A read is confirmed for a follower.",
)
LINEARIZABLE = Claim(
    "linearizable",
    "What the clients saw is linearizable.",
    "Herlihy and Wing 1990",
    "A history is checked in which an outcome is unknown.",
)
LEADER_CAN_COMMIT = Claim(
    "leader-can-commit",
    "Whoever leads could get something chosen: its persist is younger than one liveness window, and"
    " a phase-2 quorum has answered within one.",
    "paxos.heartbeat: a heartbeat means that its sender can get things chosen",
    "A leader stops leading by itself.",
)
NOTHING_LOST = Claim(
    "nothing-lost",
    "A store gives back what was acknowledged, and perhaps a part of what was on its way.",
    "paxos.log.state: every prefix of the records is a legal state",
    "A node restarts after a persist was cut off.",
)
DECAY_IS_FOUND = Claim(
    "decay-is-found",
    "A store is called damaged only if it decayed.",
    "paxos.write_ahead_log: a torn tail is cut, damage to what was acknowledged is a fault",
    "A node stays down, for its store decayed.",
)
CRASH_IN_A_CHORE = Claim(
    "crash-in-a-chore",
    "A crash amid a snapshot or a trim costs nothing.",
    "paxos.write_ahead_log: commit changes all in one step, that of the manifest",
    "A crash falls between two calls of such a chore.",
)
INSTALLED = Claim(
    "installed",
    "A snapshot that is installed is the state that everybody had there.",
    "paxos.replica: restore",
    "A node takes on a snapshot that came in chunks.",
)
HANDED_OVER = Claim(
    "handed-over",
    "Leadership that is handed over is lost by one, and won by nobody else under the same ballot.",
    "paxos.log.messages: TakeOver",
    "A node leads that was asked to take over.",
)
PROGRESS = Claim(
    "progress",
    "Once quorums are well, a write is acknowledged, and all members that are well apply it, within"
    " a bound.",
    "PMS 2.4: progress is guaranteed once a distinguished proposer can talk to a majority",
    "All members that are well have applied a last write.",
)
TALK_ENDS = Claim(
    "talk-ends",
    "Talk does not breed talk without end: a run has a bounded number of effects.",
    "paxos.machine: an answer that already waits need not wait twice",
    "A run has more than a thousand effects.",
)
NO_SURPRISE = Claim(
    "no-surprise",
    "Nothing raises an error that is not one of ours, and no machine stops without a fault of its"
    " disk.",
    "paxos.errors: no input from network or disk raises anything outside the two families",
    "An error of ours stops a node.",
)

CLAIMS = (
    ONE_VALUE_A_SLOT,
    ONE_VALUE_AN_ID,
    DURABLE_FIRST,
    PROMISES_ARE_KEPT,
    WITHIN_THE_WINDOW,
    CHOSEN_IS_CHOSEN,
    IN_ORDER,
    SAME_STATE,
    EXACTLY_ONCE,
    REFUSED_IS_REFUSED,
    ACKNOWLEDGED_STAYS,
    READS_ARE_FRESH,
    LINEARIZABLE,
    LEADER_CAN_COMMIT,
    NOTHING_LOST,
    DECAY_IS_FOUND,
    CRASH_IN_A_CHORE,
    INSTALLED,
    HANDED_OVER,
    PROGRESS,
    TALK_ENDS,
    NO_SURPRISE,
)
