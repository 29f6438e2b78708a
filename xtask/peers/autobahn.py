"""Prints a report of the Autobahn test suite by groups, and fails unless it has the known results."""

import collections
import json
import sys

# Text that becomes invalid within a frame is refused at the end of the frame.
NON_STRICT = {"6.4.3", "6.4.4"}
# Cases that have no right answer.
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}
COUNT = 301


def known(case):
    if case in NON_STRICT:
        return "NON-STRICT"
    return "INFORMATIONAL" if case in INFORMATIONAL else "OK"


with open(sys.argv[1]) as file:
    ((agent, cases),) = json.load(file).items()
groups = collections.defaultdict(collections.Counter)
wrong = []
for case, result in cases.items():
    groups[int(case.split(".")[0])][result["behavior"]] += 1
    # A stricter result is a better one.
    is_known = result["behavior"] in ("OK", known(case)) and result["behaviorClose"] in ("OK", "INFORMATIONAL")
    if not is_known:
        wrong.append(f"{case}: {result['behavior']}, close {result['behaviorClose']}")
for group, results in sorted(groups.items()):
    print(group, ", ".join(f"{count} {result}" for result, count in results.items()))
print(f"{len(cases)} cases of {agent}")
if wrong or len(cases) != COUNT:
    sys.exit("\n".join(wrong) or f"not {COUNT} cases")
