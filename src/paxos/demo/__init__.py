"""`paxos demo`: real processes agree on one value while some of them are killed."""

from paxos.demo.checks import Check, check
from paxos.demo.log_checks import check_log
from paxos.demo.log_story import LogStory
from paxos.demo.log_view import live_log_view, show_log_figures
from paxos.demo.story import MAX_NODES, MIN_NODES, Story
from paxos.demo.timeline import Entry, Timeline
from paxos.demo.view import live_view, show_end

__all__ = [
    "MAX_NODES",
    "MIN_NODES",
    "Check",
    "Entry",
    "LogStory",
    "Story",
    "Timeline",
    "check",
    "check_log",
    "live_log_view",
    "live_view",
    "show_end",
    "show_log_figures",
]
