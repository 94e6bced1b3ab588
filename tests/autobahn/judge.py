"""Reads an Autobahn report: every case OK or informational, every close as it must be.

judge.py INDEX_JSON LEAST_NUMBER_OF_CASES
"""

import collections
import json
import sys


def main():
    path, least = sys.argv[1], int(sys.argv[2])
    with open(path) as file:
        agents = json.load(file)
    wrong = []
    behaviours = collections.Counter()
    for agent, cases in agents.items():
        for case, result in cases.items():
            behaviours[result["behavior"]] += 1
            fine = result["behavior"] in ("OK", "INFORMATIONAL")
            fine = fine and result["behaviorClose"] in ("OK", "INFORMATIONAL")
            if not fine:
                wrong.append((agent, case, result["behavior"], result["behaviorClose"]))
    total = sum(behaviours.values())
    print("autobahn: %d cases: %s" % (total, dict(behaviours)))
    for row in wrong:
        print("autobahn: %s case %s: %s, close %s" % row)
    if total < least:
        print("autobahn: only %d cases ran, at least %d must" % (total, least))
    sys.exit(1 if wrong or total < least else 0)


if __name__ == "__main__":
    main()
