"""What a review found and nobody has mended yet: each of these fails, and says what should hold.

`xfail_strict` makes a test here fail as soon as it passes: then it belongs to `test_node`.
"""

from __future__ import annotations

import pytest

from core.cluster import A1, B2, Value
from core.roles import promise
from paxos import Nack, Phase, Proposer, Quorums


@pytest.mark.xfail(reason="refusals are not weighed against phase 2 until it has begun")
@pytest.mark.parametrize(
    ("quorums", "promised", "refused"),
    [
        (Quorums.majority("ABC"), "B", "BC"),
        (Quorums.flexible("ABC", phase1=1, phase2=3), "", "B"),
    ],
    ids=["majority", "all-must-vote"],
)
def test_a_ballot_that_cannot_win_any_more_is_given_up(
    quorums: Quorums, promised: str, refused: str
) -> None:
    """Who has refused this ballot will refuse its Accept: then phase 1 is not worth finishing."""
    proposer: Proposer[Value] = Proposer("A", quorums, value="own")
    proposer, _ = proposer.prepare()
    for member in promised:
        proposer, _ = proposer.receive_promise(member, promise(A1))
    for member in refused:
        proposer = proposer.receive_nack(member, Nack(A1, promised=B2))
    assert proposer.phase is Phase.IDLE
