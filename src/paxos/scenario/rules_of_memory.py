"""The rules of memory: what survives a crash, and what is on the disk before it is said.

With them go the rules of what a disk, and a stranger, may be believed.

PMS is Leslie Lamport, *Paxos Made Simple* (2001). "The contract" is the one that every node of this
library keeps with the world around it: see `paxos.machine` and `paxos.durable`.
"""

from __future__ import annotations

from paxos.scenario.rule import ExploreBounds, FoundBy, Lesson, Rule

ONE_CRASH = ExploreBounds(number=1, crashes=1)
ONE_RUN_EACH = ExploreBounds(proposals=(("A", "a"), ("A", "b")), crashes=1)
"""Asked for a before it crashes, and for b afterwards."""

RULES_OF_CRASHES: tuple[Rule, ...] = (
    Rule(
        "number-survives",
        "The highest number that a node has prepared survives a crash.",
        "PMS 2.5: each proposer remembers the highest-numbered proposal it has tried to issue",
        "A restarts, knows of no ballot of its own, and begins with 1.A again. Promises of the "
        "first 1.A are still on their way, and are taken for promises of the second. So 1.A "
        "stands for two values.",
        "one-value-an-id",
        FoundBy.EXPLORER,
        "tests/core/test_known_mistakes.py::test_ballot_is_not_reused_after_a_restart",
        Lesson(
            "A crashes after it has sent Prepare 1.A, and restarts with the value b in place of "
            "a. May it use 1.A again?",
            (
                "Yes, if nobody has accepted anything under 1.A.",
                "No: answers to the first 1.A may still arrive.",
                "Yes, if it waits until all old messages are gone.",
            ),
            1,
            "A cannot know what became of its first 1.A, and no wait is long enough. A new number "
            "costs nothing.",
        ),
        ONE_RUN_EACH,
        ("M8",),
    ),
    Rule(
        "promise-survives",
        "What an acceptor has promised survives a crash.",
        "PMS 2.5: stable storage, preserved during failures",
        "C promises 2.B, crashes, and restarts without it. A's older Accept arrives, and C votes "
        "for it, against its promise. With A's vote that is a majority; B's value becomes a "
        "second one.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_paper.py::test_an_acceptor_remembers_them_when_it_has_failed_and_restarts",
        Lesson(
            "Only votes are saved, for they are what is chosen. What can happen to a promise that "
            "is forgotten?",
            (
                "Its proposer gets fewer votes, and has to try again.",
                (
                    "The acceptor may vote for something older, which its proposer relies on not "
                    "to be chosen."
                ),
                "Nothing: the promise is repeated when the acceptor is asked again.",
            ),
            1,
            "A promise speaks of the future, also of that after a crash.",
        ),
        ONE_CRASH,
        ("M6",),
    ),
    Rule(
        "vote-survives",
        "What an acceptor has accepted survives a crash.",
        "PMS 2.5",
        "a is chosen by A and B. B restarts and has forgotten its vote. C asks B, hears of "
        "nothing, and has c chosen.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_paper.py::test_an_acceptor_remembers_them_when_it_has_failed_and_restarts",
        Lesson(
            "A value is chosen by two of three acceptors. One of the two loses its vote in a "
            "crash. Is the value still chosen?",
            (
                "It was chosen, and a second one may be now: that is the harm.",
                "Yes: the other one still holds it.",
                "No, and it can be chosen again.",
            ),
            0,
            "Chosen is for ever. What a quorum remembers is all that keeps it so.",
        ),
        ONE_CRASH,
    ),
    Rule(
        "promise-and-vote-are-two",
        "The ID that was promised and the ID that was accepted are two facts, on the disk too.",
        "PMS 2.5; Sutra, arXiv 1906.10917, found published EPaxos to have one variable for both",
        "An acceptor voted for 1.P=p and has promised 1.R since. It restarts, and takes the one "
        "number that it kept for both. Now p seems to be of 1.R, and wins against 1.Q=q, which is "
        "chosen.",
        "no-conflict",
        FoundBy.EXPLORER,
        "tests/core/test_known_mistakes.py::test_promised_and_accepted_are_two_facts",
        Lesson(
            "To save a write, an acceptor keeps one ID on its disk, the higher of the two. What "
            "goes wrong?",
            (
                "It refuses more than it has to.",
                "After a restart its old vote looks newer than it is.",
                "Nothing: the higher one is what counts.",
            ),
            1,
            "Promised means: nothing below. Accepted means: this, in that ballot. The first may "
            "well be above the second.",
        ),
        ONE_CRASH,
        ("M7",),
        note="The explorer finds it where such a vote meets a real one of the same ID, and a node "
        "stops. With a fourth ballot, as in the scenario, a second value is chosen.",
    ),
    Rule(
        "vote-on-disk-promises",
        "A node that finds a vote on its disk has promised its ID, whatever promise is there.",
        "The contract, 4: every prefix of a persist is a legal state",
        "The power fails while vote and promise are being written. The vote is there, the promise "
        "beside it is the old one. Taken as it stands, the acceptor votes for something older, "
        "and its vote is replaced.",
        "nothing",
        FoundBy.TEST,
        "tests/core/test_recovery.py::test_every_mixture_keeps_what_the_older_state_promised",
        Lesson(
            "A node finds promised 1.A and accepted 2.B on its disk. What has it promised?",
            ("1.A, as it says.", "2.B.", "Nothing: the disk is damaged."),
            1,
            "To accept is to promise. A state with the vote and without the promise is one of "
            "those that a crash in the middle of a write can leave.",
        ),
        note="Our store writes a state whole or not at all, so neither world ever shows a mixture "
        "to a node. The rule lets other stores write field by field.",
        has_scenario=False,
    ),
    Rule(
        "restart-ends-the-ballot",
        "A restart ends every ballot of that node.",
        "The contract, 5; PMS 2.5 keeps of a proposer its number only",
        "A restarts, and goes on collecting promises for the ballot in which it crashed. It does "
        "not know that it has proposed already, and proposes something else under the same ID.",
        "one-value-an-id",
        FoundBy.EXPLORER,
        "tests/core/test_recovery.py::test_a_restart_ends_every_ballot",
        Lesson(
            "A restarts, and finds on its disk that it has prepared 3.A. Promises of 3.A arrive. "
            "What does it do with them?",
            (
                "It counts them, and proposes when it has a quorum.",
                "Nothing: it may have proposed in 3.A already, and does not know what.",
                "It asks who else has got an Accept of 3.A.",
            ),
            1,
            "What a ballot has proposed is not on the disk, so nobody can go on with it. The next "
            "one begins with a Prepare of its own.",
        ),
        ONE_RUN_EACH,
        ("M8",),
    ),
)

RULES_OF_PERSISTING: tuple[Rule, ...] = (
    Rule(
        "disk-before-prepare",
        "A Prepare leaves when its number is on the disk, not before.",
        "The contract, 2; PMS 2.5",
        "A's Prepare of 1.A leaves, and A crashes before its disk has the number. After the "
        "restart it uses 1.A again.",
        "one-value-an-id",
        FoundBy.EXPLORER,
        "tests/core/test_machine.py::test_this_leaves_only_after_a_persist",
        Lesson(
            "A Prepare binds nobody. Why must its sender wait for the disk?",
            (
                "So that it does not use the number again after a crash.",
                "So that the promises find it ready.",
                "It need not.",
            ),
            0,
            "A number that others have heard of is used up. Whoever may forget it must not say it.",
        ),
        ONE_RUN_EACH,
    ),
    Rule(
        "disk-before-promise",
        "A Promise leaves when it is on the disk, not before.",
        "PMS 2.5: stable storage, before actually sending the response",
        "C's promise of 2.B leaves, and C crashes before its disk has it. After the restart it "
        "votes for an older proposal, on which B relies not to be chosen.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_paper_continued.py::test_a_response_is_recorded_before_it_is_sent",
        Lesson(
            "An acceptor sends its promise while the disk is still writing it, to save time. When "
            "does that do harm?",
            (
                "If it crashes before the write is done.",
                "If the disk is slow.",
                "Never: a lost promise is as good as one never given.",
            ),
            0,
            "The promise has been heard. One that is heard and forgotten is a broken promise.",
        ),
        ONE_CRASH,
        ("M6",),
    ),
    Rule(
        "disk-before-vote",
        "A vote leaves when it is on the disk, not before.",
        "PMS 2.5",
        "B's vote leaves, and A counts it: a is chosen. B crashes before its disk has the vote. C "
        "asks B and finds nothing.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_paper_continued.py::test_a_vote_is_recorded_before_it_is_sent",
        Lesson(
            "All three nodes hold a value in memory and will write it within a second. Is it safe "
            "to call it chosen?",
            (
                "Yes: they will not all crash at once.",
                "No: one power cut takes all three.",
                "Yes: two of them are enough.",
            ),
            1,
            "Copies do not replace a disk. What takes away one node's memory often takes the "
            "others' too.",
        ),
        ONE_CRASH,
        ("M17",),
    ),
    Rule(
        "own-vote-on-disk",
        "A node counts its own vote when it is on its disk, not before.",
        "The contract, 3: a node talks to itself as to others",
        "A has B's vote and its own, which its disk has not got yet, and tells its application "
        "that a is chosen. It crashes. Now only B has voted for a, and C asks A.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_machine.py"
        "::test_in_a_cluster_of_one_the_own_vote_counts_only_when_it_is_durable",
        Lesson(
            "A leader has another's vote. Its own needs no message. May it count it at once?",
            (
                "Yes: it knows its own mind.",
                "Only when its disk has it.",
                "It must never count its own.",
            ),
            1,
            "The network is not why votes wait for the disk. A crash is.",
        ),
        ONE_CRASH,
    ),
    Rule(
        "duplicate-waits",
        "A message that comes again is not answered before the answer to the first is on the disk.",
        "The contract, 1; cocagne/paxos, practical.py, answers at once",
        "B's disk is writing a promise. The same Prepare comes again, changes nothing, and is "
        "answered at once. B crashes, and the promise is lost.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_known_mistakes.py"
        "::test_a_duplicate_is_not_answered_before_the_first_is_saved",
        Lesson(
            "A Prepare comes again while the promise that it led to is being saved. Nothing "
            "changes. What about the answer?",
            (
                "It may go at once: there is nothing new to save.",
                "It waits for the save that is under way.",
                "The message is dropped: the first answer is enough.",
            ),
            1,
            "It is the state behind the answer that must be safe, not the change.",
        ),
        ONE_CRASH,
    ),
    Rule(
        "persist-covers-its-own",
        "A persist that is done covers what it was begun with, and nothing that came later.",
        "The contract, 1",
        "While B's disk writes a promise, B accepts a proposal. The write is done, B takes the "
        "vote for saved as well, and sends it. A crash, and it is gone.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_machine.py::test_the_next_persist_covers_all_that_came_meanwhile",
        Lesson(
            "While a state is being written, another change comes. The write returns. What is on "
            "the disk?",
            ("The newest state.", "The state as it was when the write began.", "Either."),
            1,
            "What comes meanwhile waits for the next write, which then covers all of it: group "
            "commit.",
        ),
        ONE_CRASH,
    ),
    Rule(
        "failed-persist-stops",
        "A node whose disk has failed stops for good: nothing leaves any more.",
        "The contract, 7; fsyncgate (PostgreSQL, 2018)",
        "B's disk fails while it saves a promise. B goes on, and takes the promise for saved. The "
        "same Prepare comes again, and B answers. After a restart it knows nothing of it.",
        "agreement",
        FoundBy.SIMULATOR,
        "tests/core/test_known_mistakes.py::test_after_a_failed_persist_nothing_leaves",
        Lesson(
            "A disk is full, and a state could not be saved. What may the node still do?",
            (
                "Answer what needs no saving.",
                "Nothing: what its disk holds is no longer what it says.",
                "Try again until there is room.",
            ),
            1,
            "Nobody knows what a failed write has left. The node stops, and opening the store "
            "again checks it all.",
        ),
        note="The explorer's disks do not fail.",
    ),
)

RULES_OF_DISKS: tuple[Rule, ...] = (
    Rule(
        "saved-means-synced",
        "Nothing counts as saved before a sync has returned.",
        "PMS 2.5; PySyncObj issue 202; NATS 2.12.1, as Jepsen found it (2025)",
        "B writes its vote and does not sync. The power fails, and the vote was only in the cache.",
        "agreement",
        FoundBy.STORE_KIT,
        "tests/durable/test_contract.py"
        "::TestDurable::test_a_save_that_returned_survives_a_power_cut",
        Lesson(
            "A program writes to a file, closes it, and is killed. Then the power fails. Is the "
            "data there?",
            (
                "Yes: it was written.",
                "Perhaps: a kill keeps what was written, a power cut only what was synced.",
                "No: a kill loses it.",
            ),
            1,
            "To kill a process proves nothing about its disk: the system still holds what was "
            "written.",
        ),
        misconceptions=("M17",),
    ),
    Rule(
        "failed-sync-is-final",
        "A sync that has failed is not tried again.",
        "The contract, 7; Rebello and others, *Can Applications Recover from fsync Failures?* "
        "(ATC 2020)",
        "A sync fails, and the system forgets that it should have written the data. The second "
        "sync succeeds, for there is nothing left to write. B's vote leaves, and was never saved.",
        "agreement",
        FoundBy.STORE_KIT,
        "tests/durable/test_contract.py::TestDurable::test_a_failed_sync_is_final",
        Lesson(
            "fsync has failed with EIO. Called again, it succeeds. Where is the data?",
            (
                "On the disk: the second call wrote it.",
                "Perhaps nowhere: a system may have given it up after the first.",
                "In the file's backup.",
            ),
            1,
            "Linux marks the pages as clean once it has reported the error. Reading them back "
            "shows the cache, and proves nothing.",
        ),
    ),
    Rule(
        "opening-ends-with-a-write",
        "What was read from a disk is written anew and synced before anything leaves.",
        "The contract, 6",
        "B is killed while it saves a promise. It restarts, and reads the promise back from the "
        "cache. The same Prepare comes again, and B answers at once, for it has nothing to save. "
        "Then the power fails, and the promise is gone.",
        "agreement",
        FoundBy.STORE_KIT,
        "tests/durable/test_contract.py::TestDurable::test_opening_ends_with_a_write",
        Lesson(
            "A node restarts, and reads a state from its disk. Is that state on the disk?",
            (
                "Of course: it was just read from there.",
                "Perhaps not: it may have been read from a cache.",
                "Yes, if its checksum is right.",
            ),
            1,
            "The run before may have been killed between write and sync. Reading shows what was "
            "written, not what would survive.",
        ),
    ),
    Rule(
        "wiped-disk-is-refused",
        "A member that comes back without its disk is not listened to.",
        "Michael and others, *Recovering Shared Objects Without Stable Storage* (DISC 2017); "
        "dragonboat issue 256",
        "a is chosen by A and B. B loses its disk, starts anew under its old name, and knows "
        "nothing. C asks B, and has c chosen.",
        "agreement",
        FoundBy.TEST,
        "tests/core/test_known_mistakes.py"
        "::test_a_wiped_member_with_a_new_incarnation_is_not_listened_to",
        Lesson(
            "A replica's disk is lost. It is started anew, empty, under the same name. What is it?",
            (
                "The same replica, which will catch up.",
                "A stranger: it does not know what the old one has promised.",
                "A replica that lags behind.",
            ),
            1,
            "A restart brings back what was promised. A new disk does not. Each store has an "
            "incarnation of its own, so that those who knew the old one can tell.",
        ),
        misconceptions=("M18",),
        note="The worlds never wipe a disk by themselves: that is more than the algorithm claims "
        "to survive, for only those who knew the old incarnation notice.",
    ),
    Rule(
        "strangers-are-refused",
        "What was sent to another node, cluster, configuration or format is dropped.",
        "The contract: envelopes name cluster, epoch, sender and version",
        "An address is given to a node of another cluster. The messages of both get mixed, and "
        "promises made there are counted here.",
        "nothing",
        FoundBy.TEST,
        "tests/core/test_known_mistakes.py::test_a_stray_envelope_is_dropped_and_named",
        Lesson(
            "A message is well-formed and comes from a node that is called A. What else must a "
            "receiver look at?",
            (
                "Nothing else.",
                (
                    "Whether it was meant for this node, in this cluster and configuration, and is "
                    "of a format that it knows."
                ),
                "Whether it has been received before.",
            ),
            1,
            "Addresses get used again, and clusters get copied. Two clusters that talk to each "
            "other are one with quorums that miss each other.",
        ),
        note="In the worlds there is one cluster, so nothing strays. Everything else there is a "
        "duplicate, and harmless.",
        has_scenario=False,
    ),
    Rule(
        "two-values-stop-a-learner",
        "A learner that sees two values under one ID stops.",
        "PMS 2.2: a proposal has one value; so this proves damage",
        "X proposed 1.X=one, lost its disk, and proposes 1.X=two. It hears one old vote and one "
        "new, both under 1.X, and believes that there is a majority.",
        "learns-what-is-chosen",
        FoundBy.TEST,
        "tests/core/test_damage.py::test_two_values_under_one_id_stop_a_learner",
        Lesson(
            "A learner hears two votes under 1.X, for different values. What does it do?",
            (
                "It counts them both: the ID is the same.",
                "It takes the later one.",
                "It stops: that cannot happen unless something is damaged.",
            ),
            2,
            "A node that goes on after it has seen the impossible builds on damage.",
        ),
        note="It cannot happen while every other rule is kept, so the worlds do not find it. A "
        "wiped outsider breaks one of them: nobody notes the incarnation of who is no member.",
    ),
    Rule(
        "two-values-stop-a-proposer",
        "A proposer that is told of two values under one ID stops.",
        "PMS 2.2: a proposal has one value; so this proves damage",
        "X lost its disk and proposed twice under 1.X. B and C have chosen the second value; A "
        "holds the first. A is told of both, keeps the one that it heard first, and has it chosen "
        "too.",
        "agreement",
        FoundBy.TEST,
        "tests/core/test_damage.py::test_two_values_under_one_id_stop_a_proposer",
        Lesson(
            "A proposer is told of 1.X=one by A and of 1.X=two by B. Which does it adopt?",
            ("That of the majority.", "Neither: it stops.", "Whichever it heard first."),
            1,
            "Both have the highest ID, and only one of them can be chosen. There is no telling "
            "which.",
        ),
        note="As for learners: it takes damage to see it.",
    ),
)
