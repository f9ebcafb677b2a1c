"""Release builds of the crates' bench programs, and their processes."""

import json
import os
import subprocess

import measure


def bench(package, name):
    """The path of a crate's bench program, built for release; BENCH_PROGRAM names one that is there already."""
    if os.environ.get("BENCH_PROGRAM"):
        return os.environ["BENCH_PROGRAM"]
    done = subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "--message-format=json-render-diagnostics",
                           "-p", package, "--bench", name], cwd=measure.ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(done.returncode)
    built = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return next(line["executable"] for line in built
                if line.get("reason") == "compiler-artifact" and line.get("executable") and line["target"]["name"] == name)


def words(**options):
    return [f"{name}={value}" for name, value in options.items()]


def say(program, verb, **options):
    """Runs a verb to its end; what it says."""
    done = subprocess.run([program, verb, *words(**options)], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


class Part:
    """A process of a bench program that runs until its input ends; a line of input is answered with a line of JSON."""

    def __init__(self, program, verb, **options):
        self.process = subprocess.Popen([program, verb, *words(**options)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.address = self._answer()["address"]

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a part of the bench ended with {self.process.wait()}")
        return json.loads(line)

    def counters(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._answer()

    @property
    def cpu(self):
        return measure.cpu_seconds(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
