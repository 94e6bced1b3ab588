"""The cases that a specification selects, one a line. For Python 2.7.

selected.py SPEC_JSON
"""

import json
import sys

from autobahntestsuite.case import (
    CaseBasename, CaseCategories, Cases, CaseSetname, CaseSubCategories,
)  # fmt: skip
from autobahntestsuite.caseset import CaseSet


def main():
    with open(sys.argv[1]) as file:
        spec = json.load(file)
    cases = CaseSet(CaseSetname, CaseBasename, Cases, CaseCategories, CaseSubCategories)
    print("\n".join(cases.parseSpecCases(spec)))


if __name__ == "__main__":
    main()
