"""same_member.py NAME A.json B.json: both have a member of that name, and it is the same."""

import json
import sys

name, *paths = sys.argv[1:]
found = []
for path in paths:
    with open(path) as file:
        found.append(json.load(file).get(name))
good = found[0] is not None and found[0] == found[1]
print(f"{'ok  ' if good else 'FAIL'} \"{name}\" as the twin has it: {len(found[0] or ())} members")
sys.exit(0 if good else 1)
