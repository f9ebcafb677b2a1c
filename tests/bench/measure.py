"""What all benches share: the machine, what a process took from it, medians, a table, results on disk."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent.parent
# What benches found; and where they work unless told otherwise.
RUNS = ROOT / "runs" / "bench"
sys.path.insert(0, str(BENCH.parent / "real"))
import parts  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """User and system time of a process and its threads; ended children are not in it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def rss_max(pid):
    """The most memory in bytes that a process ever had resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def idle_share(pid, seconds):
    """The part of one core that a process takes while nothing happens, in percent."""
    began, before = time.monotonic(), cpu_seconds(pid)
    time.sleep(seconds)
    return 100 * (cpu_seconds(pid) - before) / (time.monotonic() - began)


def medians(rounds):
    """One dictionary of medians out of one dictionary of figures a round."""
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def figure(value):
    """Three digits that mean something."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head, rows):
    """A markdown table."""
    lines = [head, ["---"] * len(head), *([figure(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def disk(folder):
    """File system, device, its driver and its cache below a folder; what a virtual disk rests on it does not say."""
    at = os.stat(folder).st_dev
    number = f"{os.major(at)}:{os.minor(at)}"
    mounts = (line.split(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines())
    kind = next((behind.split()[0] for before, behind in mounts if before.split()[2] == number), "unknown file system")
    device = Path(f"/sys/dev/block/{number}")
    if not device.exists():
        return kind
    device = device.resolve()
    whole = device if (device / "queue").exists() else device.parent
    driver = (whole / "device" / "driver").resolve().name if (whole / "device" / "driver").exists() else "no driver named"
    cache = (whole / "queue" / "write_cache").read_text().strip()
    return f"{kind} on {device.name} ({driver}, {cache})"


def machine(folder):
    model = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    return (f"{os.cpu_count()} cores ({platform.machine()}, {model[0] if model else 'unknown'}), {memory:.0f} GiB, "
            f"Linux {platform.release()}, {disk(folder)}")


def commit():
    """The commit that is measured, with a mark where files differ from it."""
    said = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, text=True)
    return said.stdout.strip() or "unknown"


def opening(folder=tempfile.gettempdir()):
    """Says, and answers, what is measured on what, and how busy the machine was before; `folder` is on the disk in use, and made."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    found = {"machine": machine(folder), "commit": commit(), "load_average_before": os.getloadavg()}
    print(f"{found['machine']}; commit {found['commit']}; load average before, over 1, 5 and 15 minutes: "
          f"{', '.join(f'{load:.2f}' for load in found['load_average_before'])}", flush=True)
    return found


def keep(name, opened, results):
    """Writes what a bench found to runs/bench/NAME.json, below what `opening` said."""
    RUNS.mkdir(parents=True, exist_ok=True)
    (RUNS / f"{name}.json").write_text(json.dumps({"bench": name, **opened, **results}, indent=2) + "\n")


def franz():
    """The command of the benches' foreign client."""
    sources = BENCH / "franz-go"

    def build(folder):
        parts.run([parts.go(), "build", "-trimpath", "-buildvcs=false", "-o", folder / "client", "."], cwd=sources,
                  env={**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})

    return str(parts.built("bench-franz-go", parts.key_of(*sorted(sources.glob("*.*"))), build) / "client")


def relay():
    """The command of the plain relay."""
    source = BENCH / "relay.rs"

    def build(folder):
        parts.run(["rustc", "--edition", "2024", "-C", "opt-level=3", "-o", folder / "relay", source])

    return str(parts.built("bench-relay", parts.key_of(source), build) / "relay")
