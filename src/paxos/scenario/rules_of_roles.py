"""The rules of acceptors, proposers and learners: what makes Paxos agree.

Papers: PMS is Leslie Lamport, *Paxos Made Simple* (2001).
"""

from __future__ import annotations

from paxos.scenario.rule import ExploreBounds, FoundBy, Lesson, Rule

ONE_BALLOT_EACH = ExploreBounds(
    proposals=(("P", "p"), ("Q", "q"), ("R", "r")),
    ballots=3,
    number=1,
    proposers=("P", "Q", "R"),
)
"""Three proposers that have no vote, and three acceptors that propose nothing: the smallest world
in which a promise can tell of two different votes."""

RULES_OF_ACCEPTORS: tuple[Rule, ...] = (
    Rule(
        "promise-refuses-lower",
        "An acceptor that has promised an ID accepts nothing below it.",
        "PMS 2.2, P1a",
        "A's ballot is slow. B gets promises for a higher one, finds nothing accepted, and has "
        "its own value chosen. Then A's Accept arrives, and the acceptors, which forgot what they "
        "promised, vote for it as well: a second value is chosen.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_paper.py::test_after_a_promise_nothing_lower_is_accepted",
        Lesson(
            "An acceptor has promised 2.B. Now an Accept of 1.A arrives. Why must it refuse, "
            "though it has accepted nothing yet?",
            (
                "B may already count on it that nothing below 2.B will ever be chosen.",
                "Because 1.A is too old to be of use to anybody.",
                "It need not: the first to come is served first.",
            ),
            0,
            "B asked a quorum, heard of no vote, and is free to propose anything. That is safe "
            "only if those it asked never vote for anything older afterwards.",
        ),
        ExploreBounds(),
    ),
    Rule(
        "promise-never-falls",
        "An acceptor promises nothing below what it has promised.",
        "PMS 2.2, phase 1b",
        "An acceptor has promised 1.B. A late Prepare of 1.A comes, is promised too, and now only "
        "that one counts. So A gets votes that B relies on never to be cast.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_paper.py::test_a_prepare_request_below_the_promise_is_not_worth_a_promise",
        Lesson(
            "An acceptor has promised 2.B and now gets a Prepare of 1.A. What is wrong with "
            "promising that one too?",
            (
                "Nothing: a promise of 1.A forbids less than one of 2.B.",
                "If the lower promise takes the place of the higher, the higher one is broken.",
                "It would have to tell A of B's value.",
            ),
            1,
            "A promise only ever grows. An acceptor holds one number, and lets nothing lower it.",
        ),
        ExploreBounds(),
    ),
    Rule(
        "accept-promises-too",
        "An acceptor that accepts a proposal has thereby promised its ID.",
        "Lamport's TLA+ specification sets maxBal in Phase2b; PMS 2.2 does not say it",
        "An acceptor votes in a ballot whose Prepare it never got. Then an older Accept arrives, "
        "is not below anything promised, and replaces the vote. The next proposer is told of the "
        "older vote, adopts it, and a second value is chosen. CASSANDRA-17162 is this.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_known_mistakes.py::test_accept_raises_the_promise",
        Lesson(
            "An acceptor that has promised nothing accepts 2.Q. Then an Accept of 1.P arrives. "
            "May it vote for that too?",
            (
                "Yes: it never promised 2.Q to anybody.",
                "Yes, if it tells both proposers.",
                "No: its vote for 2.Q would be replaced, and nobody would hear of it again.",
            ),
            2,
            "An acceptor remembers one vote. It may only ever be replaced by a higher one, or a "
            "chosen value is forgotten. It takes three ballots to see it, and that is why it has "
            "been got wrong in so many systems.",
        ),
        ONE_BALLOT_EACH,
        ("M9",),
    ),
    Rule(
        "promise-tells-of-the-vote",
        "A promise tells of the highest proposal that its sender has accepted.",
        "PMS 2.2, phase 1b",
        "A's value is chosen. B asks the same acceptors, which promise and say nothing of their "
        "votes. So B believes that it is free, and has its own value chosen as well.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_paper.py"
        "::test_an_acceptor_promises_and_names_the_highest_proposal_that_it_accepted",
        Lesson(
            "A value was accepted by a majority, and everybody who could have told of it has "
            "crashed before anybody else heard. Is it chosen?",
            (
                "No: nobody has announced it.",
                "Yes: whoever asks a majority from now on will hear of it.",
                "That depends on whether A restarts.",
            ),
            1,
            "No message makes a decision. The votes do, and the promises that tell of them "
            "protect it from then on.",
        ),
        ExploreBounds(),
        ("M11",),
    ),
    Rule(
        "promise-tells-the-voted-id",
        "A promise tells of a vote under the ID in which it was cast, not under one promised "
        "since.",
        "PMS 2.2, phase 1b",
        "An acceptor voted for 1.P=p and has promised 3.R since. It reports p as if it were of "
        "3.R. So p looks newer than 2.Q=q, which is chosen; a fourth ballot adopts p.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_known_mistakes.py::test_promised_id_is_not_reported_as_accepted_id",
        Lesson(
            "An acceptor accepted x under 1.A, and then promised 5.B. What does its promise of "
            "7.C tell?",
            ("5.B=x", "7.C=x", "1.A=x"),
            2,
            "The ID says how much the vote weighs. With a higher one, an old vote would win "
            "against a newer one, and the newer one may be chosen.",
        ),
        ONE_BALLOT_EACH,
        ("M7",),
    ),
    Rule(
        "equal-prepare-equal-answer",
        "An acceptor answers a repeated Prepare with the identical Promise, or not at all.",
        "PMS 2.2, phase 1b: Lamport's acceptor answers each Prepare once",
        "A Prepare arrives again after its ballot's proposal was accepted. The acceptor answers "
        "with that proposal: a Promise of 1.A that tells of 1.A, which no acceptor of the paper "
        "ever sends. Nothing bad comes of it, but it is another algorithm than the one that is "
        "proved.",
        "nothing",
        FoundBy.EXACT_COUNT,
        "tests/core/test_paper.py::test_a_prepare_request_for_what_was_already_accepted_is_ignored",
        Lesson(
            "The network repeats a Prepare of 1.A. The acceptor has accepted 1.A=x meanwhile. "
            "What should it say?",
            (
                "A Promise that tells of 1.A=x.",
                "Nothing.",
                "A nack: the ballot has gone on.",
            ),
            1,
            "It has answered that Prepare before. A second answer that differs is a message that "
            "the paper's algorithm never sends, so the proof says nothing about it.",
        ),
        note="All invariants hold without it, for a ballot's promises no longer matter once it has "
        "proposed. What shows it is the number of reachable states, which must be that of "
        "Lamport's specification.",
    ),
    Rule(
        "vote-may-change",
        "An acceptor that has accepted a proposal accepts another one of a higher ID.",
        "PMS 2.2: an acceptor must be allowed to accept more than one proposal",
        "A and B have voted for different values, and neither will ever vote for another one. C "
        "has crashed. No value can get a majority any more, whoever tries.",
        "progress",
        FoundBy.EXPLORER,
        "tests/core/test_paper.py::test_an_acceptor_may_accept_more_than_one_proposal",
        Lesson(
            "May an acceptor that has voted for x vote for y later?",
            (
                "Never: a vote is final.",
                "Only for a higher ID.",
                "Only if x was never chosen, so it has to ask the others first.",
            ),
            1,
            "Three acceptors can vote for three values. If votes were final, that would be the "
            "end. A higher ballot may change them, because its proposer has asked a quorum what "
            "could have been chosen before.",
        ),
        ONE_BALLOT_EACH,
        ("M3",),
    ),
)

RULES_OF_PROPOSERS: tuple[Rule, ...] = (
    Rule(
        "quorum-of-promises",
        "A proposer proposes only once a quorum has promised its ballot.",
        "PMS 2.2, phase 2a",
        "B proposes after one promise, which told of nothing, for the votes are elsewhere. A's "
        "value is chosen by one majority, B's by another.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_paper.py::test_a_proposer_proposes_once_a_majority_has_promised",
        Lesson(
            "One of three acceptors has promised 2.B and told of nothing. May B propose?",
            (
                "Yes: the acceptor would have told of a vote.",
                "No: the other two may have chosen a value.",
                "Yes, if it proposes to that acceptor alone.",
            ),
            1,
            "Only a quorum is sure to contain somebody who voted for whatever was chosen.",
        ),
        ExploreBounds(),
    ),
    Rule(
        "adopts-a-vote",
        "A proposer whose promises tell of a vote proposes that value, not its own.",
        "PMS 2.2, P2c",
        "A's value is chosen, and A crashes. B's promises tell of it, but B has a value of its "
        "own and proposes that. Its ballot is the higher one, so all vote for it.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_paper.py"
        "::test_once_a_value_is_chosen_every_higher_proposal_that_is_issued_has_it",
        Lesson(
            "A has proposed x, got no answer within its time-out, and given up. B's promises tell "
            "of one vote for x. What may B propose?",
            (
                "Its own value: A's ballot has failed.",
                "x only: it may have been chosen.",
                "Either: one vote is no majority.",
            ),
            1,
            "A time-out says nothing about what happened. B has heard a quorum, not everybody: "
            "with one more vote that it has not heard of, x is chosen.",
        ),
        ExploreBounds(),
        ("M22",),
    ),
    Rule(
        "adopts-the-highest",
        "Of several votes that its promises tell of, a proposer adopts the one with the highest "
        "ID.",
        "PMS 2.2, P2c",
        "1.P=p was accepted by one acceptor only, 1.Q=q by a majority. R's promises tell of both. "
        "It adopts p, the lower one, and has it chosen after q.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_known_mistakes.py"
        "::test_the_highest_accepted_wins_not_the_first_or_the_most_common",
        Lesson(
            "A promise tells of 1.P=p, another of 2.Q=q. Which value does R propose?",
            ("p: it was there first.", "q: it has the higher ID.", "Either, or its own."),
            1,
            "If p had been chosen, Q would have found it and proposed p. It proposed q, so p was "
            "not chosen before, and cannot be later. Of q we do not know. A minority may have "
            "voted for p even after q was chosen: an acceptor that missed Q's ballot does so.",
        ),
        ONE_BALLOT_EACH,
        ("M2", "M5"),
    ),
    Rule(
        "adopts-by-id",
        "Which vote to adopt depends on the IDs alone, never on the values.",
        "PMS 2.2, P2c",
        "R's promises tell of 1.P=z and of 1.Q=q, which is chosen. R compares values, and z is "
        "the greater one.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_paper.py"
        "::test_where_acceptors_of_a_majority_have_accepted_the_highest_gives_the_value",
        Lesson(
            "A proposer in Python keeps pairs of ID and value, and adopts max(pairs). Is that "
            "right?",
            (
                "Yes: tuples compare by their first part.",
                (
                    "Only if no two pairs have one ID; and values must never be compared, or "
                    "tested for truth."
                ),
                "No: it must adopt the value that is reported most often.",
            ),
            1,
            "The ID decides. A value is never looked into: some cannot be compared, and 0 or an "
            "empty text is as good a value as any.",
        ),
        ExploreBounds(
            proposals=(("P", "z"), ("Q", "q"), ("R", "r")),
            ballots=3,
            number=1,
            proposers=("P", "Q", "R"),
        ),
        ("M5",),
    ),
    Rule(
        "promises-of-this-ballot",
        "A proposer counts only promises of its present ballot.",
        "PMS 2.2, phase 2a; MyPaxos issue 18",
        "A promise of A's first ballot comes late, when A has begun its second. It tells of "
        "nothing, for it was given before B's value was chosen. A counts it, and believes that it "
        "is free.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_known_mistakes.py::test_a_stale_promise_is_not_counted",
        Lesson(
            "A has begun 2.A. Now C's promise of 1.A arrives. Is it of any use?",
            (
                "Yes: C has promised A, and that is what counts.",
                "No: it tells how things were before, and does not bind C up to 2.A.",
                "Yes, if it tells of no vote.",
            ),
            1,
            "A promise is a picture of the moment in which it was given. Between 1.A and 2.A, C "
            "may have voted for somebody else.",
        ),
        ExploreBounds(ballots=3, number=2, crashes=1),
    ),
    Rule(
        "each-promiser-once",
        "A promise that comes twice is counted once.",
        "PMS 2.1: messages can be duplicated",
        "The network repeats B's promise to itself. B takes the two for a majority.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_known_mistakes.py::test_a_promise_is_not_counted_twice",
        Lesson(
            "A proposer counts promises by adding 1 for each that arrives. What is wrong?",
            (
                "Nothing, over TCP.",
                "The same promise may arrive twice, and be taken for a quorum.",
                "It should add the weight of the sender.",
            ),
            1,
            "A quorum is a set of members, not a number of messages. Whoever sends again after a "
            "time-out makes duplicates, also over TCP.",
        ),
        ExploreBounds(),
    ),
    Rule(
        "one-value-a-ballot",
        "Within a ballot, what is proposed never changes.",
        "PMS 2.2: a proposal is a number and a value",
        "B has a quorum, is free, and proposes b. Then another promise of the same ballot comes "
        "and tells of a. B takes that into account, and proposes a under the same ID. Some "
        "acceptors now hold 2.B=b and others 2.B=a.",
        "one-value-an-id",
        FoundBy.EXPLORER,
        "tests/core/test_paper.py::test_a_proposer_proposes_one_value_in_one_ballot",
        Lesson(
            "B has proposed in 2.B. A late promise of 2.B tells of a vote for a. What should B do?",
            (
                "Propose a in 2.B: it is safer to adopt.",
                "Nothing: it has asked a quorum, and has proposed.",
                "Begin another ballot at once.",
            ),
            1,
            "One ID has one value: that is what lets a learner add up votes by their ID. The "
            "quorum that B asked was enough to be safe.",
        ),
        ExploreBounds(),
        note="Our nodes stop when they see two values under one ID, so it does not come to two "
        "chosen values.",
    ),
    Rule(
        "new-id-for-each-ballot",
        "Every ballot of a node has a new ID, above those of its earlier ones.",
        "PMS 2.2: different proposals have different numbers; 2.5",
        "A restarts, knows its last ID well enough, and begins again with it. Acceptors that have "
        "promised it promise it again. So A proposes another value under the same ID.",
        "one-value-an-id",
        FoundBy.EXPLORER,
        "tests/core/test_node.py"
        "::test_a_new_ballot_begins_above_the_newest_one_even_if_nothing_else_was_seen",
        Lesson(
            "A's ballot 1.A got no answer. A tries again. Why not under 1.A?",
            (
                "It could: nobody has answered.",
                (
                    "Answers may only be late. Then 1.A would stand for two attempts, perhaps with "
                    "two values."
                ),
                "Because IDs must not grow too slowly.",
            ),
            1,
            "An ID names one attempt with one value. To send the same message of the same attempt "
            "again is fine; to begin anew under its ID is not.",
        ),
        ExploreBounds(proposals=(("A", "a"), ("A", "b")), crashes=1),
        ("M8",),
    ),
    Rule(
        "ids-name-their-node",
        "No two nodes ever use the same proposal ID.",
        "PMS 2.2: different proposers choose their numbers from disjoint sets",
        "Every node counts 1, 2, 3, and leaves its name away. A and B both get promises for 1, "
        "and propose two values under it.",
        "one-value-an-id",
        FoundBy.EXPLORER,
        "tests/core/test_paper.py::test_proposals_are_told_apart_by_their_numbers",
        Lesson(
            "IDs are pairs of a number and a node, compared in that order. What if the node came "
            "first?",
            (
                "Two values could be chosen.",
                (
                    "It would be as safe, but only the last node in the alphabet could ever get "
                    "past the others."
                ),
                "Nothing at all would change.",
            ),
            1,
            "Safety needs IDs that differ and can be compared, in whatever order. That everybody "
            "can always outbid everybody else is needed for progress.",
        ),
        ExploreBounds(),
        ("M10",),
    ),
)

RULES_OF_CHOICE: tuple[Rule, ...] = (
    Rule(
        "quorum-of-votes",
        "A value is chosen once a quorum has accepted it, and not before.",
        "PMS 2.2",
        "A learns of one vote and tells its application that a is chosen. B asks the other two, "
        "hears of nothing, and has b chosen.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_paper.py::test_nobody_learns_of_a_choice_that_was_not_made",
        Lesson(
            "One of three acceptors has accepted 1.A=a. Is a chosen?",
            (
                "Yes: it is accepted.",
                "No: accepted is not chosen. It may still be lost.",
                "Yes, unless that acceptor crashes.",
            ),
            1,
            "Chosen means: a quorum has accepted it in the same ballot. One vote that nobody "
            "hears of keeps nobody from choosing another value.",
        ),
        ExploreBounds(),
        ("M1",),
    ),
    Rule(
        "votes-of-one-ballot",
        "Votes count together only if they were cast in one ballot.",
        "PMS 2.2; PySyncObj issue 169 is the same mistake with terms",
        "A has one vote for a in its first ballot, and another's in its second. It adds them up. "
        "No ballot has a quorum, so the next proposer may find another vote to be the highest.",
        "learns-what-is-chosen",
        FoundBy.EXPLORER,
        "tests/core/test_known_mistakes.py::test_votes_of_different_ballots_are_not_added_up",
        Lesson(
            "Two of three acceptors hold the value a: one accepted it under 1.A, the other under "
            "2.A. Is a chosen?",
            (
                "Yes: a majority holds it.",
                "No: no ballot has a majority.",
                "Yes, since both proposals are A's.",
            ),
            1,
            "The third may hold b under 1.B, which is above 1.A. A proposer that asks it and the "
            "first adopts b. Only a majority in one ballot is seen by everybody who asks.",
        ),
        ExploreBounds(proposals=(("A", "a"),), crashes=1),
        ("M4",),
    ),
    Rule(
        "each-voter-once",
        "A vote that comes twice is counted once.",
        "PMS 2.1: messages can be duplicated; jgroups-raft issue 24",
        "A's vote for itself comes to A twice, and A takes it for a majority.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_known_mistakes.py::test_a_vote_is_not_counted_twice",
        Lesson(
            "An acceptor votes, restarts, is asked again and votes again for the same proposal. "
            "How many votes are that?",
            ("Two.", "One.", "None: a restart makes a vote void."),
            1,
            "The vote is on its disk; saying it again adds nothing. A quorum is a set of members.",
        ),
        ExploreBounds(),
    ),
    Rule(
        "quorums-meet",
        "Every quorum of promises shares a member with every quorum of votes.",
        "PMS 2.2: any two majorities have a member in common; Howard, Malkhi, Spiegelman, "
        "*Flexible Paxos* (2016)",
        "Of two nodes, each takes itself for a quorum: half is enough. Each decides alone.",
        "learns-what-is-chosen",
        FoundBy.EXPLORER,
        "tests/core/test_quorum.py::test_any_two_majorities_meet",
        Lesson(
            "A cluster of two. One node is down. May the other decide?",
            (
                "Yes: it is the only one left.",
                "No: for all it knows, the other one is up and decides as well.",
                "Yes, if it has waited long enough.",
            ),
            1,
            "A quorum of two is two. So two nodes stop more often than one alone, and three is "
            "the fewest that can lose one.",
        ),
        ExploreBounds(members=("A", "B")),
        ("M21",),
    ),
    Rule(
        "only-members-count",
        "Who is no member has no promise and no vote to give.",
        "PMS 2.2: a majority *of the acceptors*",
        "X is a client that proposes, and no member. It asks itself too, and counts its own "
        "answer. With A's it has two of three, and believes x chosen; B and C choose another "
        "value.",
        "agreement",
        FoundBy.EXPLORER,
        "tests/core/test_known_mistakes.py::test_who_is_no_member_has_no_vote",
        Lesson(
            "Acceptors are A, B, C. X and A have accepted x. Is x chosen?",
            (
                "Yes: two nodes are a majority of three.",
                "No: only A's vote counts.",
                "Yes, if X keeps its vote on disk.",
            ),
            1,
            "Quorums meet because they are drawn from the same members. A stranger's vote is in "
            "nobody else's quorum.",
        ),
        ExploreBounds(proposals=(("A", "a"), ("X", "x")), proposers=("X",)),
    ),
)
