"""A log of decisions: Multi-Paxos. The roles of `node`, once for each numbered slot."""
