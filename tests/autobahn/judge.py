"""Reads an Autobahn report: every case that was selected ran, every case is OK or informational,
and every connection closed as it must.

judge.py NAME INDEX_JSON SELECTED

SELECTED has the cases that had to run, one a line. With `test` alone it judges reports that it
makes up, good ones and bad ones.
"""

import collections
import json
import sys

AGENT = "oneport"
FINE = ("OK", "INFORMATIONAL")


def judge(agents, selected):
    """What is wrong, as (case, what), and how many cases have which verdict."""
    wrong = [("agent %s" % agent, "nobody asked for it") for agent in agents if agent != AGENT]
    cases = agents.get(AGENT, {})
    for case in sorted(set(selected) - set(cases), key=order):
        wrong.append((case, "did not run"))
    for case in sorted(cases, key=order):
        result = cases[case]
        # Not fine: FAILED, NON-STRICT, UNIMPLEMENTED (compression was not accepted), UNKNOWN.
        if result["behavior"] not in FINE:
            wrong.append((case, result["behavior"]))
        # Not fine: FAILED, WRONG CODE, UNCLEAN.
        if result["behaviorClose"] not in FINE:
            wrong.append((case, "close: " + result["behaviorClose"]))
    return wrong, collections.Counter(result["behavior"] for result in cases.values())


def order(case):
    return [int(part) for part in case.split(".")]


def read(index, selected):
    with open(index) as file:
        agents = json.load(file)
    with open(selected) as file:
        selected = file.read().split()
    if not selected:
        sys.exit("autobahn: no case was selected")
    return agents, selected


def main():
    name, index, selected = sys.argv[1:]
    wrong, verdicts = judge(*read(index, selected))
    told = ", ".join("%d %s" % (count, verdict) for verdict, count in sorted(verdicts.items()))
    print("autobahn: %s: %d cases: %s" % (name, sum(verdicts.values()), told))
    for case, what in wrong:
        print("autobahn: %s: case %s: %s" % (name, case, what))
    sys.exit(1 if wrong else 0)


def test():
    """Each way to be wrong is seen."""

    def report(agent=AGENT, **changed):
        good = {"behavior": "OK", "behaviorClose": "OK"}
        return {agent: {"1.1.1": dict(good), "12.1.1": dict(good, **changed)}}

    selected = ["1.1.1", "12.1.1"]
    for verdict in FINE:
        assert judge(report(behavior=verdict), selected)[0] == []
    for verdict in ("FAILED", "NON-STRICT", "UNIMPLEMENTED", "UNKNOWN"):
        assert judge(report(behavior=verdict), selected)[0] == [("12.1.1", verdict)]
    for verdict in ("FAILED", "WRONG CODE", "UNCLEAN"):
        found = judge(report(behaviorClose=verdict), selected)[0]
        assert found == [("12.1.1", "close: " + verdict)]
    assert judge(report(), [*selected, "13.7.18"])[0] == [("13.7.18", "did not run")]
    assert len(judge(report(agent="other"), selected)[0]) == 3
    assert judge({}, selected)[0] == [("1.1.1", "did not run"), ("12.1.1", "did not run")]


if __name__ == "__main__":
    test() if sys.argv[1:] == ["test"] else main()
