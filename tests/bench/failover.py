#!/usr/bin/env python3
"""How long a region's loss takes to be over, phase by phase, beside what the policy's own numbers add up to.

    tests/bench/run failover [--drills 30] [--runs DIR] [--at-most N]

Runs `leeward drill run policies/drills/region-loss.yaml` (release) until DIR holds that many reports, then prints least,
median, p90 and most of each phase. `--at-most` stops earlier; the next call goes on (DIR is by default one for each commit).
A drill that does not pass is counted and named, and its times are counted as well.
"""

import argparse
import collections
import json
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import measure
from cases import check, leeward
from estate import processes_in

DRILL = measure.ROOT / "policies" / "drills" / "region-loss.yaml"
DRILL_SECONDS = 120


def reports(runs):
    """The reports in a folder, oldest first."""
    found = {}
    for path in Path(runs).glob("*/*/report.json"):
        found[path.resolve()] = json.loads(path.read_text())
    return sorted(found.values(), key=lambda report: report["started_at"])


def drill(binary, runs):
    """Runs one drill to its report; none may hang, and none may leave processes behind."""
    before = len(reports(runs))
    words = [binary, "drill", "run", str(DRILL), "--runs", str(runs)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=DRILL_SECONDS, cwd=measure.ROOT)
        said = f"exit {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    except subprocess.TimeoutExpired:
        said = f"not over within {DRILL_SECONDS} s"
        for left in processes_in(runs):
            os.kill(left, signal.SIGKILL)
    found = reports(runs)
    check(len(found) > before, f"the drill left no report: {said}")
    return found[-1]


def spread(micros):
    if not micros:
        return ["-"] * 4
    ordered = sorted(micros)
    p90 = ordered[min(len(ordered) - 1, len(ordered) * 9 // 10)]
    return [f"{value / 1000:.0f}" for value in (ordered[0], statistics.median(ordered), p90, ordered[-1])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drills", type=int, default=30)
    parser.add_argument("--runs", default=measure.ROOT / "runs" / f"bench-failover-{measure.commit()}", type=Path)
    parser.add_argument("--at-most", type=int, default=1000)
    given = parser.parse_args()
    binary = leeward()
    opened = measure.opening(measure.ROOT)
    for _ in range(min(given.at_most, given.drills - len(reports(given.runs)))):
        last = drill(binary, given.runs)
        shown = {"verdict": last["verdict"], "reasons": last["reasons"], "rto_micros": last["rto_micros"]}
        print(f"drill {len(reports(given.runs))}: {json.dumps(shown)}", file=sys.stderr, flush=True)
    found = reports(given.runs)
    if not found:
        raise SystemExit(f"there are no reports in {given.runs}")
    verdicts = collections.Counter(report["verdict"] for report in found)
    print(f"{len(found)} drills: {', '.join(f'{count} {verdict}' for verdict, count in verdicts.items())}")
    phases = collections.defaultdict(list)
    for report in found:
        for phase in report["phases"]:
            phases[phase["name"]].append(phase["to"] - phase["from"])
    rows = [[name, *spread(values), len(values)] for name, values in phases.items()]
    rto = [report["rto_micros"] for report in found if report["rto_micros"]]
    rows.append(["**RTO**", *spread(rto), len(rto)])
    print(measure.table(["phase", "least ms", "median", "p90", "most", "drills"], rows))
    terms = found[-1]["rto_arithmetic"]
    lease = dict(terms)["fence lease"]
    print(f"\nleast by the policy's own numbers: {lease / 1000:.0f} ms, its lease, which runs out beside detection from the last good "
          "sign before the fault")
    print(f"worst case by the policy's own numbers, ms: {' + '.join(f'{name} {micros / 1000:.0f}' for name, micros in terms)}"
          f" = {sum(micros for _, micros in terms) / 1000:.0f}")
    rounds = [{name: report[name] for name in ("started_at", "verdict", "reasons", "rto_micros", "phases")} for report in found]
    measure.keep("failover", opened, {"rto_arithmetic": terms, "drills": rounds})


if __name__ == "__main__":
    main()
