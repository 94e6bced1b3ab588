"""Puts what a run of whole.sh came to into RESULTS.md, in the place of what was there of it.

results.py NAME INDEX_JSON SELECTED COMMIT SECONDS
"""

import datetime
import sys
from pathlib import Path

from judge import AGENT, judge, order, read

RESULTS = Path(__file__).parent / "RESULTS.md"
RUNS = {
    "server-plain": "server, without compression; 12.\\* and 13.\\* left out",
    "server-deflate": "server, `--deflate`",
    "server-takeover": "server, `--deflate=takeover`; 12.\\* and 13.\\* alone",
    "client": "client",
}
HEAD = """\
# The last results of the whole Autobahn test suite

Autobahn 0.8.2 has 517 cases; 12.\\* and 13.\\* are compression. `whole.sh` runs them and writes this
file. Informational for everyone: 7.1.6, 7.13.1, 7.13.2.

| run | cases | OK | informational | else | date | commit | seconds |
|---|---|---|---|---|---|---|---|
"""
NOTHING = "Not OK: nothing.\n"


def rows():
    """What the file has: a row and the lines of what was not OK, by run."""
    found = {}
    if RESULTS.exists():
        for line in RESULTS.read_text().splitlines():
            for name, title in RUNS.items():
                if line.startswith("| %s |" % title):
                    found[name] = (line, [])
                elif line.startswith("- %s: " % title):
                    found[name][1].append(line)
    return found


def main():
    name, index, selected, commit, seconds = sys.argv[1:]
    agents, selected = read(index, selected)
    wrong, verdicts = judge(agents, selected)
    title, cases = RUNS[name], agents.get(AGENT, {})
    good, informational = verdicts["OK"], verdicts["INFORMATIONAL"]
    cells = [title, len(selected), good, informational, len({case for case, _ in wrong}),
             datetime.date.today().isoformat(), commit, seconds]  # fmt: skip
    told = ["- %s: %s: %s" % (title, case, what) for case, what in wrong]
    for case in sorted(cases, key=order):
        if cases[case]["behavior"] == "INFORMATIONAL":
            told.append("- %s: %s: informational" % (title, case))
    found = rows()
    found[name] = ("| %s |" % " | ".join(map(str, cells)), told)
    table = [found[run][0] for run in RUNS if run in found]
    rest = [line for run in RUNS if run in found for line in found[run][1]]
    listed = "Not OK:\n\n" + "\n".join(rest) + "\n" if rest else NOTHING
    RESULTS.write_text(HEAD + "\n".join(table) + "\n\n" + listed)


if __name__ == "__main__":
    main()
