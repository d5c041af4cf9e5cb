"""`python -m paxos` is the command `paxos`."""

import sys

from paxos.cli import main

if __name__ == "__main__":
    sys.exit(main())
