"""What clients saw, and whether one object could have shown it to them.

`history` holds operations and their file format, `sequential` says what an object does for one
client alone, and `linearizability` puts both together. `paxos.verify` offers it to applications.
"""
