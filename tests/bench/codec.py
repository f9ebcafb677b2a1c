#!/usr/bin/env python3
"""What the codec and the offset map cost: nanoseconds per record, batch, frame and lookup, by criterion.

    tests/bench/run codec [--seconds 3] [--samples 50]

Runs the benches of the crates `leeward-wire` and `leeward-mirror-core`. A figure is the median of the samples, by criterion's
own reckoning, with the bounds of its 95 % confidence beside it; where one iteration does many things, it is of one thing.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import measure

BENCHES = {"leeward-wire": ("records", "frames"), "leeward-mirror-core": ("map",)}


def run(home, package, names, seconds, samples):
    benches = [word for name in names for word in ("--bench", name)]
    subprocess.run(["cargo", "bench", "--locked", "--quiet", "-p", package, *benches, "--", "--warm-up-time", "1",
                    "--measurement-time", str(seconds), "--sample-size", str(samples), "--noplot"],
                   cwd=measure.ROOT, env={**os.environ, "CRITERION_HOME": str(home)}, check=True, stdout=subprocess.DEVNULL)


def found(home):
    """Each bench in the folder: group, name, nanoseconds of one thing."""
    for path in sorted(Path(home).glob("**/new/estimates.json")):
        what = json.loads((path.parent / "benchmark.json").read_text())
        median = json.loads(path.read_text())["median"]
        things = (what.get("throughput") or {}).get("Elements", 1)
        bounds = median["confidence_interval"]
        yield {"group": what["group_id"], "name": what["function_id"], "ns": median["point_estimate"] / things,
               "ns_least": bounds["lower_bound"] / things, "ns_most": bounds["upper_bound"] / things}


def shown(nanoseconds):
    return f"{nanoseconds:,.0f}" if nanoseconds >= 100 else f"{nanoseconds:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--samples", type=int, default=50)
    given = parser.parse_args()
    opened = measure.opening(measure.ROOT)
    with tempfile.TemporaryDirectory(prefix="leeward-bench-") as home:
        for package, names in BENCHES.items():
            run(home, package, names, given.seconds, given.samples)
        figures = list(found(home))
    rows = [[one["group"], one["name"], shown(one["ns"]), f"{shown(one['ns_least'])} to {shown(one['ns_most'])}"]
            for one in figures]
    print(measure.table(["", "", "ns", "95 % within"], rows), flush=True)
    measure.keep("codec", opened, {"benches": figures})


if __name__ == "__main__":
    main()
