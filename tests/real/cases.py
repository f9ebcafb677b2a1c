"""What all suites share: cases that pass or fail, clients as processes, waiting with a deadline, the closing line."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import defaultdict

import parts


class Failed(AssertionError):
    """A claim that does not hold."""


def check(claim, what):
    if not claim:
        raise Failed(what)


def until(seconds, what, probe, every=0.05):
    """The first true answer of a probe; a failure that says what was waited for where the time runs out."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(every)


class Suite:
    """Runs cases one after the other and counts them."""

    def __init__(self, name):
        self.name = name
        self.passed = 0
        self.failed = 0
        self.lock = threading.Lock()

    @contextlib.contextmanager
    def case(self, claim):
        began = time.monotonic()
        try:
            yield
        except (Exception, SystemExit) as error:
            with self.lock:
                self.failed += 1
            print(f"FAILED {self.name}: {claim}: {error}", flush=True)
            if not isinstance(error, (Failed, SystemExit)):
                traceback.print_exc()
        else:
            with self.lock:
                self.passed += 1
            print(f"ok     {self.name}: {claim} ({time.monotonic() - began:.1f} s)", flush=True)

    def close(self):
        """Prints the closing line and ends the process."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)


class Client:
    """A foreign client that runs; its lines are kept by kind."""

    def __init__(self, family, verb, **options):
        words = []
        for name, value in options.items():
            if value is True:
                words.append(f"--{name.replace('_', '-')}")
            elif value is not None and value is not False:
                words += [f"--{name.replace('_', '-')}", str(value)]
        self.family = family
        self.lines = defaultdict(list)
        self.noise = []
        self.process = subprocess.Popen(
            [*parts.client(family), verb, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.readers = [threading.Thread(target=self._read, daemon=True),
                        threading.Thread(target=self._listen, daemon=True)]
        for reader in self.readers:
            reader.start()

    def _read(self):
        for line in self.process.stdout:
            try:
                (kind, fields), = json.loads(line).items()
            except (ValueError, AttributeError):
                self.noise.append(line)
                continue
            self.lines[kind].append(fields)

    def _listen(self):
        for line in self.process.stderr:
            self.noise = [*self.noise[-30:], line]

    def says(self):
        """Its last errors and noise, for a failure's text."""
        errors = [str(error) for error in self.lines["error"][-3:]]
        return f"{self.family} counts {self.counts()} errors {errors} stderr {''.join(self.noise[-5:])!r}"

    def counts(self):
        return {kind: len(lines) for kind, lines in self.lines.items()}

    def wait(self, seconds):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            said = self.says()
            self.kill()
            raise Failed(f"did not end within {seconds} s: {said}") from None
        for reader in self.readers:
            reader.join(5)
        return self

    def ended_well(self, seconds):
        self.wait(seconds)
        check(self.process.returncode == 0, f"ended with {self.process.returncode}: {self.says()}")
        return self

    def stop(self, seconds=15):
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for reader in self.readers:
            reader.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def admin(*words):
    """What `admin.py` prints, line by line."""
    done = subprocess.run([parts.venv(), parts.TESTS / "clients" / "admin.py", *map(str, words)],
                          capture_output=True, text=True, timeout=120)
    check(done.returncode == 0, f"admin {words[0]}: {done.stderr.strip()[-800:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def tool(name, *words, seconds=300):
    """What a Python program beside the clients prints last, as JSON."""
    done = subprocess.run([parts.venv(), parts.TESTS / "clients" / f"{name}.py", *map(str, words)],
                          capture_output=True, text=True, timeout=seconds)
    check(done.returncode == 0, f"{name} {' '.join(map(str, words[:4]))}: {done.stderr.strip()[-800:]}")
    return json.loads(done.stdout.splitlines()[-1])


class Tool:
    """The same while it runs; its lines as they come."""

    def __init__(self, name, *words):
        self.name, self.lines, self.noise = name, [], []
        self.process = subprocess.Popen([parts.venv(), parts.TESTS / "clients" / f"{name}.py", *map(str, words)],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.readers = [threading.Thread(target=self._read, args=(self.process.stdout, self.lines, json.loads), daemon=True),
                        threading.Thread(target=self._read, args=(self.process.stderr, self.noise, str), daemon=True)]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _read(stream, into, parse):
        for line in stream:
            into.append(parse(line))

    def ended(self, seconds):
        """Waits for its end; its last line."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"{self.name} did not end within {seconds} s: {self.noise[-5:]}") from None
        for reader in self.readers:
            reader.join(5)
        check(self.process.returncode == 0, f"{self.name} ended with {self.process.returncode}: {self.noise[-5:]}")
        return self.lines[-1] if self.lines else None

    def stop(self, seconds=30):
        self.process.send_signal(signal.SIGTERM)
        return self.ended(seconds)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def create_topic(bootstrap, topic, partitions, **configs):
    admin("create", bootstrap, topic, partitions,
          json.dumps({name.replace("_", "."): str(value) for name, value in configs.items()}))


def leeward():
    """The binary under test."""
    binary = os.environ.get("LEEWARD")
    check(binary and os.access(binary, os.X_OK), "LEEWARD does not name the binary; tests/run sets it")
    return binary
