"""What happens to a log, in sentences. There is no scenario file for logs: this is all there is."""

from __future__ import annotations

from typing import Any

from paxos.log.inputs import Append, ChangeMembers
from paxos.log.messages import (
    EVERY_LATER_SLOT,
    AcceptedIn,
    AcceptIn,
    ChosenBelow,
    Decisions,
    Learn,
    PrepareFrom,
    PromiseFrom,
)
from paxos.messages import Nack
from paxos.scenario.commands import Deliver, Persist, Restart
from paxos.verify.log_bare import BeginBallot
from paxos.verify.log_invariants import text_of_entry
from paxos.verify.log_model import Ask, LogAction, Lose


def text_of_action(action: LogAction) -> str:
    """One step, as a sentence."""
    match action:
        case Ask(node_id, BeginBallot()):
            return f"{node_id} begins a ballot"
        case Ask(node_id, Append(commands)):
            return f"{node_id} is asked for {' '.join(commands)}"
        case Ask(node_id, ChangeMembers(configuration)):
            names = "+".join(member.node_id for member in configuration.members)
            return f"{node_id} is asked for other members: {names}"
        case Ask(node_id, _):
            return f"{node_id} sends again what is unanswered"
        case Deliver(envelope):
            of: Any = envelope
            return f"{of.sender.node_id} -> {of.recipient}: {text_of_message(of.message)}"
        case Persist(node_id):
            return f"{node_id}'s persist is done"
        case Lose(node_id, 0):
            return f"{node_id} crashes, and loses what was not on its disk"
        case Lose(node_id, records):
            return f"{node_id} crashes; of what was on its way, its disk has {records} record(s)"
        case Restart(node_id):
            return f"{node_id} starts again"


def text_of_message(message: Any) -> str:
    """A message between nodes of a log, in words."""
    match message:
        case PrepareFrom(id, slot):
            return f"prepare {id} from slot {slot} on"
        case PromiseFrom(id, slot, end, _, accepted):
            until = "" if end == EVERY_LATER_SLOT else f" up to slot {end - 1}"
            told = "".join(f", {each}: {_proposal(vote)}" for each, vote in accepted)
            return f"promise {id} from slot {slot} on{until}{told}"
        case AcceptIn(slot, proposal):
            return f"accept in slot {slot}: {_proposal(proposal)}"
        case AcceptedIn(slot, id):
            return f"accepted in slot {slot}: {id}"
        case Nack(id, promised):
            return f"nack {id}: promised {promised}"
        case ChosenBelow(id, slot):
            return f"all below slot {slot} is chosen, says the leader of {id}"
        case Learn(slot):
            return f"what is chosen from slot {slot} on?"
        case Decisions(slot, proposals):
            return f"chosen from slot {slot} on: {', '.join(map(_proposal, proposals))}"
        case _:
            return str(message)


def _proposal(proposal: Any) -> str:
    return f"{text_of_entry(proposal.value)} under {proposal.id}"
