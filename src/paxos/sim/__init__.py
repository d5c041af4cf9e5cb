"""The simulated world: virtual time, a network that only the caller moves, disks in memory."""
