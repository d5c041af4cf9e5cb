"""The rules of progress: without them nothing wrong is chosen, but perhaps nothing at all.

PMS is Leslie Lamport, *Paxos Made Simple* (2001). It asks for a distinguished proposer (2.4) and
leaves open how there comes to be one; `paxos.heartbeat` says how we do it.
"""

from __future__ import annotations

from paxos.scenario.rule import ExploreBounds, FoundBy, Lesson, Rule

RULES_OF_BALLOTS: tuple[Rule, ...] = (
    Rule(
        "a-quorum-is-enough",
        "Nobody waits for more members than a quorum.",
        "PMS 2.2: a majority",
        "C is down. A and B promise and vote, and A waits for C.",
        "progress",
        FoundBy.EXPLORER,
        "tests/core/test_paper.py::test_a_proposer_proposes_once_a_majority_has_promised",
        Lesson(
            "Of five nodes, two are down. Can the other three decide?",
            (
                "No: those two might have voted for something else.",
                "Yes: any majority will do.",
                "Yes, but the two must be told first.",
            ),
            1,
            "That is the point of quorums: of 2f + 1 nodes, f may be down. With 4 nodes it is "
            "still only one.",
        ),
        bounds=ExploreBounds((("A", "a"),), ballots=1, crashes=1, restarts=False, hints=True),
        misconceptions=("M21",),
    ),
    Rule(
        "accepts-go-to-all",
        "An Accept goes to every member, also to those that have not promised.",
        "PMS 2.2: this need not be the same set of acceptors",
        "B promises, and crashes. A has its quorum, and sends its Accept to A and B alone. C, "
        "which is up, is never asked.",
        "progress",
        FoundBy.EXPLORER,
        "tests/core/test_known_mistakes.py"
        "::test_accepts_go_to_all_and_not_only_to_those_that_promised",
        Lesson(
            "A and B have promised A's ballot; C has not been heard. To whom does the Accept go?",
            ("A and B.", "All three.", "C alone, which has not been asked yet."),
            1,
            "Who votes need not be who promised. C may well accept: it has promised nothing "
            "higher.",
        ),
        bounds=ExploreBounds((("A", "a"),), ballots=1, crashes=1, restarts=False, hints=True),
        misconceptions=("M20",),
        note="With heartbeats, a leader repeats its Accept to everybody, so there it costs one "
        "round only. A bare node that nobody calls again stands still.",
    ),
    Rule(
        "sends-again",
        "What has no answer yet is sent again.",
        "PMS 2.1: messages can be lost",
        "A leads, and its Accept is lost on both links. All follow A, and nothing ever comes.",
        "progress",
        FoundBy.SIMULATOR,
        "tests/core/test_node.py::test_a_tick_sends_again_what_has_no_answer",
        Lesson(
            "A leader has sent its Accept, and no vote comes. What may it do?",
            (
                "Send the same Accept again.",
                "Send another value under the same ID.",
                "Take the value for refused.",
            ),
            0,
            "The same message under the same ID can do no harm, however often it comes.",
        ),
    ),
    Rule(
        "old-nacks-mean-nothing",
        "A nack of an earlier ballot does not end the present one.",
        "PMS 2.2: abandoning a proposal is for speed only",
        "A's first ballot is refused by B and C. A begins a second one above it. Then the network "
        "repeats the old refusals, and A gives up, though B and C would promise.",
        "progress",
        FoundBy.EXPLORER,
        "tests/core/test_node.py::test_a_refusal_of_an_older_ballot_is_news_and_no_more",
        Lesson(
            "A has begun 3.A. A nack of 1.A comes, with the reason that 2.B was promised. What "
            "does it mean for 3.A?",
            (
                "It must be given up.",
                "Nothing: 3.A is above 2.B.",
                "It should be prepared again.",
            ),
            1,
            "A nack is a hint about one ballot. It tells at most which IDs there are.",
        ),
        bounds=ExploreBounds(ballots=3, hints=True),
        note="Nodes with heartbeats try again after a while, so there it costs time only.",
    ),
    Rule(
        "one-nack-is-no-end",
        "A ballot ends when no quorum is left to it, not at the first refusal.",
        "Ours; PMS 2.2 lets a proposer abandon a ballot, and does not ask it to",
        "C has promised a ballot of its own that nobody else has heard of. It refuses A's, and A "
        "gives up, though A and B are a quorum.",
        "progress",
        FoundBy.TEST,
        "tests/core/test_every_order.py::test_a_ballot_is_given_up_only_if_it_cannot_win",
        Lesson(
            "One of three acceptors refuses A's ballot. Is it lost?",
            (
                "Yes: somebody has a higher ID.",
                "No: the other two may still be a quorum.",
                "Only if A has proposed already.",
            ),
            1,
            "If one refusal were enough, one acceptor could stop everybody.",
        ),
        note="A refused proposer tries again above what it was told, so it costs time only.",
    ),
    Rule(
        "late-comers-are-told",
        "Who knows the decision tells it to whoever still asks.",
        "PMS 2.3: a learner may find out by having a proposal issued",
        "A and B know what is chosen, and have nothing more to do. C was cut off. It comes back "
        "and asks, and nobody answers.",
        "progress",
        FoundBy.EXPLORER,
        "tests/core/test_paper_continued.py::test_who_asks_after_the_choice_is_told_of_it",
        Lesson(
            "Two of three nodes know the decision and stop. The third was cut off. How does it "
            "learn of it?",
            (
                "By the messages that were sent then: they will come.",
                "By asking: whoever knows must answer.",
                "It cannot.",
            ),
            1,
            "Messages may be lost, and decided nodes send nothing by themselves. So they answer.",
        ),
        bounds=ExploreBounds((("P", "a"), ("Q", "b")), number=1, proposers=("P", "Q"), hints=True),
    ),
)

RULES_OF_LEADERS: tuple[Rule, ...] = (
    Rule(
        "asks-before-a-ballot",
        "Before it begins a ballot, a node asks whether others hear a leader.",
        "Ours; Raft's pre-vote (Ongaro, dissertation, 9.6) is the same thought",
        "C hears nobody, but is heard. Each time it begins a ballot, the leader that A and B work "
        "with is refused and loses its place.",
        "steady-leader",
        FoundBy.SIMULATOR,
        "tests/core/test_heartbeat_partitions.py"
        "::test_a_node_that_hears_nobody_does_not_disturb_the_leader",
        Lesson(
            "Two nodes believe that they lead. Can two values be chosen?",
            (
                "Yes: that is why there must be one leader.",
                "No: but they can keep each other from getting anything chosen.",
                "Only if one of them has crashed.",
            ),
            1,
            "Safety never depends on who leads. A leader is for progress, so it should not be "
            "unseated by a node that cannot lead.",
        ),
        misconceptions=("M14",),
    ),
    Rule(
        "leave-for-both-phases",
        "A node begins a ballot only with leave of a quorum of each phase.",
        "Ours: with fewer it could not get anything chosen",
        "One promise is a quorum, three votes are another, and A cannot reach B. A gives itself "
        "leave and leads, but B does not hear it, so it could not get anything chosen. It loses "
        "its place to B, which does not fare better. C, which reaches everybody, never gets its "
        "turn.",
        "steady-leader",
        FoundBy.TEST,
        "tests/core/test_heartbeat_partitions.py"
        "::test_flexible_quorums_that_ask_more_of_phase_2_decide_within_3_windows",
        Lesson(
            "Promises of one member are enough, votes of all three are needed. One node is cut "
            "off. Should it begin a ballot?",
            (
                "Yes: it has its promise.",
                "No: it could not get anything chosen.",
                "Yes, if it gives up at once.",
            ),
            1,
            "A ballot that cannot win does nothing but raise the numbers.",
        ),
        note="The simulator demands that there is a leader in the end, not that no other one was "
        "tried. So 13,900 seeds do not find it; random links with such quorums do, in the test.",
    ),
    Rule(
        "gives-others-a-chance",
        "Who promises another's ballot holds its own back for a while.",
        "PMS 2.4: two proposers can keep each other from succeeding for ever",
        "A and B begin ballots, one above the other, and neither waits for the other's to end.",
        "nothing",
        FoundBy.TEST,
        "tests/core/test_heartbeat.py::test_a_node_gives_whoever_begins_a_ballot_a_window_and_a_bit",
        Lesson(
            "B has just promised A's ballot, and has a value of its own. When should it try?",
            (
                "At once: the first wins.",
                "When A has had the time to get its value chosen.",
                "Never: A leads now.",
            ),
            1,
            "A higher ballot at this moment would make A's proposal useless, and A would answer "
            "in kind.",
        ),
        note="It survives both worlds: who asks first and backs off is done about as soon without "
        "it. It spares ballots that would be given up.",
        has_scenario=False,
    ),
    Rule(
        "backs-off",
        "After each failed ballot a node holds back: longer than the last time, and not as long "
        "as the others.",
        "PMS 2.4: two proposers can keep each other from succeeding for ever; Fischer, Lynch and "
        "Paterson (1985): no algorithm is sure to end",
        "A and B hold back for the same short time after each failure. Messages take longer, so "
        "each ballot is overtaken by the other's before it is done; and then it is the other's "
        "turn.",
        "progress",
        FoundBy.TEST,
        "tests/core/test_heartbeat_timing.py::test_delays_differ_between_nodes",
        Lesson(
            "Two proposers overtake each other again and again. Is Paxos wrong?",
            (
                "Yes: it should end.",
                "No: nothing wrong is chosen. They have to wait, each time longer, and not alike.",
                "Only if it lasts for ever.",
            ),
            1,
            "No algorithm can be sure to end if messages may take any time. Waits that grow and "
            "differ end the duel as soon as the network is quick enough for one of them.",
        ),
        misconceptions=("M15",),
        note="Alone, it is not missed: who asks before a ballot is seldom in a duel, and of two "
        "ballots begun at once the higher ID wins. So this mutant asks nobody, either; then over "
        "links that take half a window duels last for ever. The worlds heal to quicker links.",
    ),
    Rule(
        "challenge-ends",
        "A ballot that no quorum promises in time is ended, and another one begun later.",
        "Ours; PMS 2.4: a time-out",
        "B has promised a ballot of E, which is gone with D. It refuses A's, while C promises it. "
        "So A has neither a quorum nor a refusal by so many that none is left, and waits for D "
        "and E.",
        "progress",
        FoundBy.TEST,
        "tests/core/test_heartbeat.py::test_a_challenge_ends_if_no_quorum_promises_within_a_window",
        Lesson(
            "No promise has come for a while. What does A know?",
            (
                "That the others are down.",
                "Nothing, but waiting longer may be in vain.",
                "That its ballot was refused.",
            ),
            1,
            "A time-out is no knowledge. It is a reason to try something else.",
        ),
        note="It takes a rare moment: 2,000 seeds of the simulator do not find it.",
    ),
    Rule(
        "patience-grows",
        "Each ballot is given more time than the one that failed before it.",
        "Ours: two syncs of a slow disk may take longer than a window",
        "Each sync takes two thirds of a window. Prepare and promise need one each, so every "
        "ballot is given up just before its promises come.",
        "progress",
        FoundBy.TEST,
        "tests/core/test_heartbeat_progress.py"
        "::test_with_disks_that_take_two_thirds_of_a_window_all_decide_in_the_end",
        Lesson(
            "Every ballot times out just before its promises come. What helps?",
            (
                "To begin ballots more often.",
                "To wait longer each time.",
                "To send each Prepare twice.",
            ),
            1,
            "How long is long enough cannot be known. So it grows.",
        ),
        note="It takes a rare moment: 2,000 seeds of the simulator do not find it.",
    ),
    Rule(
        "leader-needs-followers",
        "A leader that no quorum has followed for a window stops leading.",
        "Ours; Howard and Abraham, *Raft does not guarantee liveness in the face of network "
        "faults* (2020)",
        "B and C hear A and follow it. A hears neither of them, so it gets no vote. As long as it "
        "leads, they wait.",
        "progress",
        FoundBy.SIMULATOR,
        "tests/core/test_heartbeat.py::test_a_leader_that_nobody_follows_ends_after_a_window",
        Lesson(
            "A link works in one direction only: the leader is heard, and hears nobody. Who can "
            "notice?",
            (
                "The followers: they get no decision.",
                "The leader, if its heartbeats ask for answers.",
                "Nobody.",
            ),
            1,
            'A heartbeat that only says "I am alive" keeps everybody waiting for a leader that '
            "cannot lead.",
        ),
    ),
    Rule(
        "hung-disk-is-silence",
        "A node whose disk has hung for a window neither leads nor follows.",
        "Ours; Huang and others, *Gray Failure* (HotOS 2017)",
        "A leads with B and C; its links to D and E are cut. A's disk hangs, so two votes of five "
        "are all that it can get. Its heartbeats need no disk and go on, and B and C follow.",
        "progress",
        FoundBy.SIMULATOR,
        "tests/core/test_heartbeat.py::test_a_leader_that_cannot_persist_within_a_window_ends",
        Lesson(
            "A leader's disk hangs. Its heartbeats need no disk, and go on. Should they?",
            (
                "Yes: it is alive.",
                "No: it cannot vote, and may lack just that vote.",
                "Yes, but more slowly.",
            ),
            1,
            'A heartbeat means "I can get things chosen", not "I am alive". So does the answer to '
            "one: whoever says that it follows is counted on for a vote.",
        ),
    ),
    Rule(
        "follows-whom-it-would-accept",
        "A node follows a leader only if it would accept what that leader proposes.",
        "Ours: a follower that has promised more is none",
        "A leads with 1.A. B has promised 1.C, and C is gone. B follows A, and refuses what A "
        "proposes. A is followed by two of three, and gets one vote.",
        "progress",
        FoundBy.SIMULATOR,
        "tests/core/test_heartbeat.py::test_a_leader_below_what_was_promised_is_not_followed",
        Lesson(
            "A node has promised 5.C, and hears a heartbeat of a leader with 3.A. What does it "
            "say?",
            (
                "I follow you.",
                "Not that it follows: it would refuse whatever 3.A proposes.",
                "Nothing at all.",
            ),
            1,
            "The leader counts followers to know whether it can get a value chosen.",
        ),
    ),
    Rule(
        "late-prepare-is-ignored",
        "Where a leader is settled, a Prepare that comes late is not promised.",
        "Ours: to the algorithm, a message that is ignored was lost",
        "C's disk hung while C was to prepare. A leads meanwhile. C's disk is freed, its old "
        "Prepare leaves, everybody promises it, and A is unseated by a ballot that nobody wants.",
        "steady-leader",
        FoundBy.TEST,
        "tests/core/test_heartbeat_progress.py"
        "::test_a_disk_that_hung_during_a_challenge_unseats_no_leader_once_it_is_free",
        Lesson(
            "May an acceptor leave a Prepare unanswered, though its ID is the highest of all?",
            (
                "No: it must promise.",
                "Yes: to the algorithm it was lost.",
                "Only if it has voted.",
            ),
            1,
            "Messages may be lost, so to ignore one is always safe. Here it spares a leader that "
            "works.",
        ),
        note="The simulator demands that there is a leader in the end, not that it is always the "
        "same. So 12,000 seeds do not find it.",
    ),
    Rule(
        "late-answer-proves-less",
        "An answer counts for one window from the beginning of its round, however late it comes.",
        "Ours: what is heard late says how things were",
        "B and C hear A and follow it, and A hears them no more. But their answers to earlier "
        "rounds still come, one by one. A counts each as new, and leads on.",
        "progress",
        FoundBy.TEST,
        "tests/core/test_heartbeat.py::test_an_answer_come_late_proves_no_more_than_one_in_time",
        Lesson(
            'A\'s question "do you follow me?" is a second old when the yes arrives. What does it '
            "prove?",
            (
                "That B follows A now.",
                "That B followed A at some time within that second.",
                "That the link is slow, and nothing else.",
            ),
            1,
            "Only A's own clock says how old it can be at most: as old as the question.",
        ),
        note="It takes a rare moment: 2,000 seeds of the simulator do not find it.",
    ),
    Rule(
        "old-round-proves-nothing",
        "A heartbeat of a round that is over does not bring its leader back.",
        "Ours: messages come late, and twice",
        "A is gone. The network still holds its heartbeats and lets them come, one by one. B and "
        "C follow a leader that is no more, and give nobody leave.",
        "progress",
        FoundBy.TEST,
        "tests/core/test_heartbeat.py::test_a_round_that_comes_twice_renews_nothing",
        Lesson(
            "The same heartbeat comes three times, a window apart. How long has its leader lived?",
            (
                "At least two windows.",
                "At least until it sent it; that is all.",
                "That cannot be said without clocks that agree.",
            ),
            1,
            "Only a round that was not heard before is news.",
        ),
        note="It takes a network that repeats one heartbeat for as long as the old leader is to be "
        "believed in. The simulator's repeats a message once, and 6,600 seeds do not find it.",
    ),
    Rule(
        "value-is-handed-on",
        "A follower with a value hands it to the leader that it hears.",
        "PMS 2.4: the distinguished proposer is the only one to try issuing proposals",
        "A leads and has nothing to propose. B has a value, hears that there is a leader, and "
        "waits.",
        "progress",
        FoundBy.SIMULATOR,
        "tests/core/test_heartbeat_node.py::test_a_follower_hands_its_value_to_the_leader_at_once",
        Lesson(
            "B has a value, and A leads. What should B do with it?",
            (
                "Begin a ballot of its own.",
                "Give it to A.",
                "Wait until A is gone.",
            ),
            1,
            "One proposer that is left alone gets things chosen. So the others bring it what they "
            "have.",
        ),
    ),
)
