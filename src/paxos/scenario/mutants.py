"""One mutant for each rule: the class, or two, that drop it.

The rules themselves, in words and with their sources, are in `rules`.
"""

from __future__ import annotations

from paxos.scenario.breakage import Breakage
from paxos.scenario.mutants_of_nodes import (
    AnswersDuplicatesAtOnce,
    AsksItselfToo,
    AsksPromisersAlone,
    ForgetsItsNumber,
    ForgetsItsPromise,
    ForgetsItsVote,
    HearsItselfAtOnce,
    ListensToAnybody,
    ListensToTheWiped,
    NeverSyncs,
    PapersOverAFailure,
    RemembersOneNumber,
    ResumesItsBallot,
    SendsPreparesAtOnce,
    SendsPromisesAtOnce,
    SendsVotesAtOnce,
    SyncsAgain,
    TakesAllForSaved,
    TellsNobody,
    TrustsWhatWasTorn,
    WritesNothingTwice,
)
from paxos.scenario.mutants_of_progress import (
    AsksForPromisesOnly,
    AsksNobody,
    BacksOffAlike,
    ChallengesForever,
    CountsLateAnswers,
    FollowsOldRounds,
    FollowsWhomItRefuses,
    GivesNoChance,
    KeepsItsValue,
    LeadsWithoutFollowers,
    LosesPatience,
    MindsNoHangingDisk,
    PromisesLatePrepares,
)
from paxos.scenario.mutants_of_roles import (
    AcceptsBelowItsPromise,
    AcceptsWithoutPromising,
    AddsUpBallots,
    AdoptsNothing,
    AdoptsTheGreatestValue,
    AdoptsTheLowest,
    AnswersFromThePresent,
    BelievesOldNacks,
    ChangesItsProposal,
    CountsPromisesNotPromisers,
    CountsStalePromises,
    CountsVotesNotVoters,
    EverybodyVotes,
    GivesUpAtOneNack,
    HalfIsEnough,
    KeepsItsFirstVote,
    LooksAtIDsAlone,
    OnePromiseIsEnough,
    OneVoteIsEnough,
    PromisesWhateverIsAsked,
    PromisesWithoutTelling,
    ReportsThePromisedID,
    ReusesItsID,
    SaysItOnce,
    SharesItsIDs,
    StopsAtNoConflict,
    WaitsForAll,
)


def _of(*classes: type[object]) -> Breakage:
    return Breakage(classes)


MUTANTS: dict[str, Breakage] = {
    # An acceptor's promise and its vote.
    "promise-refuses-lower": _of(AcceptsBelowItsPromise),
    "promise-never-falls": _of(PromisesWhateverIsAsked),
    "accept-promises-too": _of(AcceptsWithoutPromising),
    "promise-tells-of-the-vote": _of(PromisesWithoutTelling),
    "promise-tells-the-voted-id": _of(ReportsThePromisedID),
    "equal-prepare-equal-answer": _of(AnswersFromThePresent),
    "vote-may-change": _of(KeepsItsFirstVote),
    # A proposer's ballot.
    "quorum-of-promises": _of(OnePromiseIsEnough),
    "adopts-a-vote": _of(AdoptsNothing),
    "adopts-the-highest": _of(AdoptsTheLowest),
    "adopts-by-id": _of(AdoptsTheGreatestValue),
    "promises-of-this-ballot": _of(CountsStalePromises),
    "each-promiser-once": _of(CountsPromisesNotPromisers),
    "one-value-a-ballot": _of(ChangesItsProposal),
    "new-id-for-each-ballot": _of(ReusesItsID),
    "ids-name-their-node": _of(SharesItsIDs),
    # What is chosen, and who decides it.
    "quorum-of-votes": _of(OneVoteIsEnough),
    "votes-of-one-ballot": _of(AddsUpBallots),
    "each-voter-once": _of(CountsVotesNotVoters),
    "quorums-meet": _of(HalfIsEnough),
    "only-members-count": _of(EverybodyVotes, AsksItselfToo),
    # What a crash must not take away.
    "number-survives": _of(ForgetsItsNumber),
    "promise-survives": _of(ForgetsItsPromise),
    "vote-survives": _of(ForgetsItsVote),
    "promise-and-vote-are-two": _of(RemembersOneNumber),
    "vote-on-disk-promises": _of(TrustsWhatWasTorn),
    "restart-ends-the-ballot": _of(ResumesItsBallot),
    # What must be on the disk before it is said.
    "disk-before-prepare": _of(SendsPreparesAtOnce),
    "disk-before-promise": _of(SendsPromisesAtOnce),
    "disk-before-vote": _of(SendsVotesAtOnce),
    "own-vote-on-disk": _of(HearsItselfAtOnce),
    "duplicate-waits": _of(AnswersDuplicatesAtOnce),
    "persist-covers-its-own": _of(TakesAllForSaved),
    "failed-persist-stops": _of(PapersOverAFailure),
    # What a disk may be believed.
    "saved-means-synced": _of(NeverSyncs),
    "failed-sync-is-final": _of(SyncsAgain),
    "opening-ends-with-a-write": _of(WritesNothingTwice),
    # What proves that something is damaged, or meant for others.
    "wiped-disk-is-refused": _of(ListensToTheWiped),
    "strangers-are-refused": _of(ListensToAnybody),
    "two-values-stop-a-learner": _of(LooksAtIDsAlone),
    "two-values-stop-a-proposer": _of(StopsAtNoConflict),
    # Progress of one ballot.
    "a-quorum-is-enough": _of(WaitsForAll),
    "accepts-go-to-all": _of(AsksPromisersAlone),
    "sends-again": _of(SaysItOnce),
    "old-nacks-mean-nothing": _of(BelievesOldNacks),
    "one-nack-is-no-end": _of(GivesUpAtOneNack),
    "late-comers-are-told": _of(TellsNobody),
    # Progress by leaders.
    "asks-before-a-ballot": _of(AsksNobody),
    "leave-for-both-phases": _of(AsksForPromisesOnly),
    "gives-others-a-chance": _of(GivesNoChance),
    "backs-off": _of(BacksOffAlike, AsksNobody),
    "challenge-ends": _of(ChallengesForever),
    "patience-grows": _of(LosesPatience),
    "leader-needs-followers": _of(LeadsWithoutFollowers),
    "hung-disk-is-silence": _of(MindsNoHangingDisk),
    "follows-whom-it-would-accept": _of(FollowsWhomItRefuses),
    "late-prepare-is-ignored": _of(PromisesLatePrepares),
    "late-answer-proves-less": _of(CountsLateAnswers),
    "old-round-proves-nothing": _of(FollowsOldRounds),
    "value-is-handed-on": _of(KeepsItsValue),
}
"""By the rule's ID, in the order of the rules."""
