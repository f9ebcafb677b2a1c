"""Leeward's own processes, as a suite starts them: `leeward serve` with settings from the environment, `leeward up`."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from cases import Failed, check, leeward, until
from kafka import free_port

READY_SECONDS = 40
STOP_SECONDS = 20
UP_SECONDS = 75


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

    def command(self):
        return [leeward(), "serve", "-f", str(self.policy), "--data", str(self.folder / "data"), *self.words]

    def launch(self):
        """Starts it and waits for nothing."""
        output = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(self.command(), stdout=output, stderr=output,
                                        env={**os.environ, **self.settings})
        return self

    def start(self):
        self.launch()

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

    def signal(self, what):
        self.process.send_signal(what)

    def forget(self):
        """Deletes what a mirror keeps on its own disk."""
        shutil.rmtree(self.folder / "data" / "link", ignore_errors=True)

    def link(self, name):
        """What `leeward link describe` says of a link; None where nobody answers."""
        done = self._ask("link", "describe", name, "-o", "json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def translated(self, link, topic, partition, offset, *words):
        """What `leeward group translate` answers; None where it has no answer."""
        done = self._ask("group", "translate", "--link", link, topic, str(partition), str(offset), *words)
        return int(done.stdout) if done.returncode == 0 else None

    def groups(self, link):
        """`leeward group list` as [group, topic, partition, source, target, state]."""
        done = self._ask("group", "list", "--link", link)
        check(done.returncode == 0, f"group list: {done.stderr}")
        return [line.split() for line in done.stdout.splitlines()[1:]]

    def _ask(self, *words):
        agent = f"http://{self.settings['LEEWARD_LISTEN__LINK']}"
        return subprocess.run([leeward(), *words, "--agent", agent], capture_output=True, text=True, timeout=30)

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


def processes_in(folder):
    """Ids of the Leeward processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace") if entry.name.isdigit() else ""
        except OSError:
            continue
        if "leeward\0serve\0" in words and str(folder) in words:
            found.append(int(entry.name))
    return found


class Up:
    """`leeward up`: two embedded regions and everything around them."""

    def __init__(self, folder, *words):
        self.folder = Path(folder)
        self.words = words
        self.log = self.folder / "up.log"
        self.process = None

    def said(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def address(self, before):
        """The address that `up` printed after some words."""
        found = re.search(rf"^\s*{before}\s+(\S+)", self.said(), re.MULTILINE)
        check(found, f"`up` did not print {before!r}:\n{self.said()[-2000:]}")
        return found[1]

    @property
    def gateway(self):
        return self.address(r"bootstrap\.servers")

    def region(self, name):
        return self.address(f"or region {name}")

    @property
    def metrics(self):
        return re.findall(r"http://\S+/metrics", self.said())

    def verb(self, *words, seconds=60):
        """Runs a verb against this estate, however it ends."""
        return subprocess.run([leeward(), *words, "--config", str(self.folder / "data" / "leeward.toml")],
                              capture_output=True, text=True, timeout=seconds)

    def command(self, *words, seconds=60):
        """What a verb prints that must end well."""
        done = self.verb(*words, seconds=seconds)
        check(done.returncode == 0, f"leeward {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen([leeward(), "up", "--data", str(self.folder / "data"), *self.words],
                                            stdout=output, stderr=output, start_new_session=True)

        def up():
            check(self.process.poll() is None, f"`up` ended with {self.process.returncode}:\n{self.said()[-3000:]}")
            return "Ctrl-C ends everything" in self.said()

        try:
            until(UP_SECONDS, lambda: f"`up` is ready:\n{self.said()[-3000:]}", up)
        except BaseException:
            self.__exit__()
            raise
        return self

    def stop(self):
        """Ctrl-C; nothing may be left."""
        self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"`up` did not stop within {STOP_SECONDS} s:\n{self.said()[-2000:]}") from None
        check(code == 130, f"`up` stopped with {code}:\n{self.said()[-2000:]}")
        until(2, lambda: f"nothing is left: {processes_in(self.folder)}", lambda: not processes_in(self.folder))

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for left in processes_in(self.folder):
            os.kill(left, signal.SIGKILL)
