"""Faults over real sockets: faults.py [--seconds N] [FAULT...], or all of them.

Prints a table of figures; ends with code 1 if one is past its bound.
"""

import argparse
import resource
import sys
import time
import traceback

from crowd import crowd
from deaf import deaf
from drain import drain
from figures import Table
from mixed import mixed
from neighbours import neighbours
from resets import resets
from scarce import scarce
from slow import slow


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10, help="of mixed traffic")
    parser.add_argument("faults", nargs="*")
    arguments = parser.parse_args()
    faults = {
        "slow": slow, "deaf": deaf, "crowd": crowd, "scarce": scarce, "resets": resets,
        "drain": drain, "neighbours": neighbours, "mixed": lambda table: mixed(table, arguments.seconds),
    }  # fmt: skip
    unknown = set(arguments.faults) - set(faults)
    if unknown:
        parser.error(f"no such fault: {', '.join(unknown)}; there are: {', '.join(faults)}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    table = Table()
    begin = time.monotonic()
    for name in arguments.faults or faults:
        try:
            faults[name](table)
        except Exception:
            traceback.print_exc()
            table.broken.append(f"{name}: it could not be measured to its end")
    print(f"faults: {time.monotonic() - begin:.0f} s")
    for line in table.broken:
        print(f"BROKEN {line}", file=sys.stderr)
    sys.exit(bool(table.broken))


main()
