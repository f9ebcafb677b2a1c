#!/usr/bin/env python3
"""How long a region's loss takes to be over, phase by phase, beside what the policy's own numbers add up to.

    tests/bench/run failover [--drills 30] [--runs DIR] [--at-most N]

Runs `leeward drill run policies/drills/region-loss.yaml` (release) until DIR holds that many reports, then prints least,
median, p90 and most of each phase. `--at-most` stops earlier; the next call goes on. A drill that does not pass is
counted and named, and its times are counted as well.
"""

import argparse
import collections
import json
import os
import subprocess
import statistics
import sys
from pathlib import Path

import measure
from cases import leeward

DRILL = measure.ROOT / "policies" / "drills" / "region-loss.yaml"
DRILL_SECONDS = 120


def reports(runs):
    """The reports in a folder, oldest first."""
    found = {}
    for path in Path(runs).glob("*/*/report.json"):
        found[path.resolve()] = json.loads(path.read_text())
    return sorted(found.values(), key=lambda report: report["started_at"])


def spread(micros):
    ordered = sorted(micros)
    p90 = ordered[min(len(ordered) - 1, len(ordered) * 9 // 10)]
    return [f"{value / 1000:.0f}" for value in (ordered[0], statistics.median(ordered), p90, ordered[-1])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drills", type=int, default=30)
    parser.add_argument("--runs", default=str(measure.ROOT / "runs" / "bench-failover"))
    parser.add_argument("--at-most", type=int, default=1000)
    given = parser.parse_args()
    binary = leeward()
    print(f"{measure.machine()}; load average before: {os.getloadavg()[0]:.1f}", flush=True)
    for _ in range(min(given.at_most, given.drills - len(reports(given.runs)))):
        done = subprocess.run([binary, "drill", "run", str(DRILL), "--runs", given.runs], capture_output=True, text=True,
                              timeout=DRILL_SECONDS, cwd=measure.ROOT)
        last = reports(given.runs)[-1]
        print(f"exit {done.returncode}, RTO {(last['rto_micros'] or 0) / 1000:.0f} ms", file=sys.stderr, flush=True)
    found = reports(given.runs)
    verdicts = collections.Counter(report["verdict"] for report in found)
    print(f"{len(found)} drills: {', '.join(f'{count} {verdict}' for verdict, count in verdicts.items())}")
    phases = collections.defaultdict(list)
    for report in found:
        for phase in report["phases"]:
            phases[phase["name"]].append(phase["to"] - phase["from"])
    rows = [[name, *spread(values), len(values)] for name, values in phases.items()]
    rows.append(["**RTO**", *spread([report["rto_micros"] for report in found if report["rto_micros"]]), len(found)])
    print(measure.table(["phase", "least ms", "median", "p90", "most", "drills"], rows))
    measure.keep("failover", {"phases": phases, "rto": [report["rto_micros"] for report in found]})
    print("worst case by arithmetic: " + ", ".join(f"{name} {micros / 1000:.0f} ms" for name, micros in found[-1]["rto_arithmetic"]))


if __name__ == "__main__":
    main()
