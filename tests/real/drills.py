#!/usr/bin/env python3
"""The drills that ship, run as a user runs them: `leeward drill run FILE`, its exit and its report.

    tests/real/drills.py [--only NAME]

Then the ends that are no success: a fault that bites nothing (98), a budget that is broken and an event that does not come
(99), Ctrl-C (130).
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import parts  # noqa: E402
from cases import Failed, Suite, check, leeward, until  # noqa: E402
from estate import processes_in  # noqa: E402

SHIPPED = parts.ROOT / "policies" / "drills"
OURS = Path(__file__).resolve().parent
DRILLS = ("planned-switchover", "region-loss", "link-partition", "controller-crash", "failback")
DRILL_SECONDS = 100


def shown(done, folder):
    """What a drill said, for a failure's text."""
    return f"exit {done.returncode}\n{done.stdout[-3500:]}\n{done.stderr[-1500:]}\nleft running: {processes_in(folder)}"


def rehearse(folder, file):
    """Runs a drill to its end; the process and its report."""
    runs = Path(folder) / file.stem
    try:
        done = subprocess.run([leeward(), "drill", "run", str(file), "--runs", str(runs)], capture_output=True,
                              text=True, timeout=DRILL_SECONDS)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"did not end within {DRILL_SECONDS} s:\n{(late.stdout or b'').decode()[-3000:]}") from None
    report = runs / file.stem / "latest" / "report.json"
    return done, json.loads(report.read_text()) if report.exists() else None


def passes(folder, name):
    done, report = rehearse(folder, SHIPPED / f"{name}.yaml")
    check(done.returncode == 0, shown(done, folder))
    check(report["verdict"] == "pass", f"exit 0, but the report says {report['verdict']}")
    tally = report["judgement"]["by_route"]["gateway"]
    check(tally["acked"] > 100, f"only {tally['acked']} records were acknowledged")
    for wrong in ("lost", "duplicated", "reordered"):
        check(tally[wrong] == 0, f"{tally[wrong]} records behind the gateway {wrong}")
    check(not processes_in(folder), f"left running: {processes_in(folder)}")


def ends_with(folder, name, code, *words):
    done, _ = rehearse(folder, OURS / f"{name}.yaml")
    check(done.returncode == code, shown(done, folder))
    for word in words:
        check(word in done.stdout + done.stderr, f"{word!r} is not said:\n{shown(done, folder)}")
    check(not processes_in(folder), f"left running: {processes_in(folder)}")


def interrupted(folder):
    """Ctrl-C when the estate runs and the load flows."""
    log = Path(folder) / "interrupted.log"
    with open(log, "wb") as output:
        process = subprocess.Popen([leeward(), "drill", "run", str(SHIPPED / "region-loss.yaml"), "--runs", str(folder)],
                                   stdout=output, stderr=output, start_new_session=True)
    try:
        until(60, lambda: f"processes of the estate:\n{log.read_text()}",
              lambda: "killing every process" in log.read_text() or process.poll() is not None)
        check(process.poll() is None, f"ended by itself with {process.returncode}:\n{log.read_text()[-2000:]}")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(30)
        except subprocess.TimeoutExpired:
            raise Failed(f"still there 30 s after Ctrl-C:\n{log.read_text()[-2000:]}") from None
        check(code == 130, f"exit {code} after {time.monotonic() - began:.1f} s:\n{log.read_text()[-2000:]}")
        until(2, lambda: f"nothing is left: {processes_in(folder)}", lambda: not processes_in(folder))
    finally:
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = (*DRILLS, "dud", "impossible", "unheard", "interrupted")
    parser.add_argument("--only", action="append", choices=names)
    chosen = parser.parse_args().only or names
    suite = Suite("drills")
    with tempfile.TemporaryDirectory(prefix="leeward-drills-") as folder:
        for name in DRILLS:
            if name in chosen:
                with suite.case(f"{name} passes: behind the gateway nothing is lost, doubled or out of order"):
                    passes(folder, name)
        if "dud" in chosen:
            with suite.case("a drill whose fault bites nothing ends with 98 and names the fault"):
                ends_with(folder, "dud", 98, "region-down (kill -9)` on us-east bit nothing")
        if "impossible" in chosen:
            with suite.case("a drill that breaks its budget ends with 99"):
                ends_with(folder, "impossible", 99, "BROKEN", "rto")
        if "unheard" in chosen:
            with suite.case("a drill in which an expected event does not come ends with 99 and names it"):
                ends_with(folder, "unheard", 99, "BROKEN", "event failover-finished")
        if "interrupted" in chosen:
            with suite.case("Ctrl-C ends a drill with 130 and leaves no process behind"):
                interrupted(folder)
    suite.close()


if __name__ == "__main__":
    main()
