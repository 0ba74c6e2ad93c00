"""`python -m dfg` is the command `dfg`."""

import sys

from dfg.cli import main

if __name__ == "__main__":
    sys.exit(main())
