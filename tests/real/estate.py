"""Leeward's own processes, as a suite starts them: `leeward serve` with settings from the environment."""

import os
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from cases import Failed, leeward, until
from kafka import free_port

READY_SECONDS = 40
STOP_SECONDS = 20


def topology(regions, **changes):
    """A policy over regions `{name: kafka}` in which the first is the primary."""
    lines = [
        "apiVersion: leeward/v1alpha1", "kind: Topology", "metadata: {name: suite}", "spec:",
        "  mode: active-passive", "  budgets: {rpo: 10s, rto: 2m}", "  regions:",
    ]
    for at, (name, kafka) in enumerate(regions.items()):
        lines.append(f"  - {{name: {name}, role: {'standby' if at else 'primary'}, kafka: {kafka}}}")
    lines += [
        "  replication:", '    topics: {include: [{glob: "*"}]}', "    sync: {every: 1s}",
        '    offsets: {groups: {include: [{glob: "*"}]}, every: 500ms}',
    ]
    lines += [f"  {key}: {value}" for key, value in changes.items()]
    return "\n".join(lines) + "\n"


def cluster(bootstrap):
    return f'{{bootstrap: ["{bootstrap}"]}}'


class Process:
    """One `leeward serve`, on ports of its own; started again it keeps ports and data."""

    def __init__(self, folder, policy, *words, **settings):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.policy = Path(policy)
        self.words = words
        self.http = free_port()
        control, link = free_port(), free_port()
        self.settings = {
            "LEEWARD_LISTEN__HTTP": f"127.0.0.1:{self.http}",
            "LEEWARD_LISTEN__CONTROL": f"127.0.0.1:{control}",
            "LEEWARD_LISTEN__LINK": f"127.0.0.1:{link}",
            "LEEWARD_PEERS__CONTROLLER": f"http://127.0.0.1:{control}",
            "RUST_BACKTRACE": "1",
            **settings,
        }
        self.process = None

    @property
    def metrics(self):
        return f"http://127.0.0.1:{self.http}/metrics"

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def start(self):
        output = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            [leeward(), "serve", "-f", str(self.policy), "--data", str(self.folder / "data"), *self.words],
            stdout=output, stderr=output, env={**os.environ, **self.settings},
        )

        def up():
            if self.process.poll() is not None:
                raise Failed(f"leeward serve ended with {self.process.returncode}:\n{self.log()[-2000:]}")
            return self.ready()

        until(READY_SECONDS, lambda: f"ready:\n{self.log()[-2000:]}", up)
        return self

    def kill(self):
        """SIGKILL."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        """SIGTERM; how long it took."""
        began = time.monotonic()
        self.process.terminate()
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"did not stop within {STOP_SECONDS} s:\n{self.log()[-2000:]}") from None
        if code != 0:
            raise Failed(f"stopped with {code}:\n{self.log()[-2000:]}")
        return time.monotonic() - began

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()
