"""`paxos demo`: real processes agree on one value while some of them are killed."""

from paxos.demo.checks import Check, check
from paxos.demo.story import MAX_NODES, MIN_NODES, Story
from paxos.demo.timeline import Entry, Timeline
from paxos.demo.view import live_view, show_end

__all__ = [
    "MAX_NODES",
    "MIN_NODES",
    "Check",
    "Entry",
    "Story",
    "Timeline",
    "check",
    "live_view",
    "show_end",
]
