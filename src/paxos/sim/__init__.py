"""The simulated world: virtual time, a network that only the caller moves, disks in memory.

`stage` performs commands on the nodes that users run, `player` plays a scenario file on it, and
`judge` and `oversight` watch. `swarm` draws from a seed what goes wrong, `run` lets it happen, and
`campaign` does so by the thousand; `shrink` makes short what fails.
"""
