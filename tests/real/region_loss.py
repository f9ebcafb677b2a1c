#!/usr/bin/env python3
"""A region is lost for real: two Apache Kafka clusters, one of them killed, clients that are not ours.

`leeward drill run` drives it, with Java, librdkafka and kafka-python producers behind the gateway and behind a name in
BIND. All of it stands in a network namespace of its own, so that the name resolves as names do (port 53, resolv.conf) and
both clusters can have port 9092. The report is kept in runs/real-region-loss/.
"""

import argparse
import base64
import json
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import parts  # noqa: E402
from cases import Suite, check, leeward, until  # noqa: E402
from kafka import Kafka  # noqa: E402

INSIDE = "LEEWARD_TESTS_NAMESPACE"
FAMILIES = ("java", "librdkafka", "kafka-python")
EU, US, DNS = "10.99.1.1", "10.99.2.1", "10.99.0.53"
NAME = "kafka.leeward.test"
RATE = 60
DRILL_SECONDS = 200

TOPOLOGY = """\
apiVersion: leeward/v1alpha1
kind: Topology
metadata: {{name: real}}
spec:
  mode: active-passive
  budgets: {{rpo: 2s, rto: 20s, duplicates: {{maxPerPartition: 0}}}}
  regions:
  - {{name: eu-west, role: primary, kafka: {{bootstrap: ["{eu}:9092"]}}}}
  - {{name: us-east, role: standby, kafka: {{bootstrap: ["{us}:9092"]}}}}
  - {{name: eu-north, role: witness}}
  replication:
    topics: {{include: [{{glob: "*"}}]}}
    sync: {{every: 1s}}
    offsets: {{groups: {{include: [{{glob: "*"}}]}}, every: 500ms}}
  failover:
    automation: auto
    detect: {{every: 300ms, failAfter: 4, quorum: 2, signals: [metadata, produce-canary, fetch-canary]}}
    gates: [standby-writable]
    cooldown: 31s
    fencing: {{lease: 2s}}
    dns:
    - name: {name}
      type: A
      ttl: 1s
      targets: {{eu-west: {eu}, us-east: {us}}}
      provider: {{rfc2136: {{server: "{dns}:53", zone: leeward.test, tsig: {{name: leeward, algorithm: hmac-sha256, secret: {{fromFile: {key}}}}}}}}}
      confirm: {{resolvers: ["{dns}"], timeout: 2s}}
    failback: {{divergentTail: quarantine}}
  buffer: {{enabled: true, capacity: 1GiB, fsync: {{every: 2ms, orBytes: 256KiB}}}}
"""

DRILL = """\
apiVersion: leeward/v1alpha1
kind: Drill
metadata: {{name: real-region-loss}}
spec:
  topology: {topology}
  scope: real
  seed: 7
  given: {{regions: healthy, rpo: "< 5s", for: 1s}}
  load:
    produce: {{rate: 200/s, size: 256B, topics: 2, partitions: 3, keys: 1k, acks: all}}
    consume: {{groups: 1}}
    clients: [buffered, direct]
  steps:
  - {{at: 22s, fault: region-down, region: eu-west, how: kill -9}}
  - {{expectEvent: failover-finished, to: us-east, within: 30s}}
  - {{wait: 12s}}
  expect:
    rto: "<= 20s"
    lost: {{acked: 0, through: buffered}}
    duplicates: {{total: 0}}
    order: per-partition
    splitBrain: 0
    failovers: 1
"""


class Bind:
    """BIND with one zone that takes signed updates, where the namespace's resolver looks."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir()
        self.key = base64.b64encode(secrets.token_bytes(32)).decode()
        self.key_file = self.folder / "tsig.key"
        self.key_file.write_text(self.key)
        (self.folder / "zone").write_text(
            f"$ORIGIN leeward.test.\n$TTL 1\n@ SOA ns hostmaster 1 60 60 600 1\n@ NS ns\nns A {DNS}\n")
        (self.folder / "named.conf").write_text(f"""
options {{ directory "{self.folder}"; listen-on port 53 {{ {DNS}; }}; listen-on-v6 {{ none; }}; recursion no;
  dnssec-validation no; pid-file "{self.folder}/named.pid"; session-keyfile "{self.folder}/session.key"; }};
controls {{ }};
key "leeward" {{ algorithm hmac-sha256; secret "{self.key}"; }};
zone "leeward.test" {{ type primary; file "{self.folder}/zone"; update-policy {{ grant leeward zonesub ANY; }}; }};
""")

    def answer(self):
        done = subprocess.run(["dig", "+short", "+time=1", "+tries=1", f"@{DNS}", "ns.leeward.test", "A"],
                              capture_output=True, text=True)
        return done.stdout.strip()

    def name(self):
        done = subprocess.run(["dig", "+short", f"@{DNS}", NAME, "A"], capture_output=True, text=True)
        return done.stdout.strip()

    def __enter__(self):
        log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(["named", "-g", "-c", str(self.folder / "named.conf")], stdout=log, stderr=log)
        until(15, lambda: f"BIND answers:\n{(self.folder / 'log').read_text()[-1500:]}", lambda: self.answer() == DNS)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def enter_namespace():
    """Starts this program again in a network of its own."""
    parts.debian(["iproute2"], ["ip"])
    parts.bind()
    for family in FAMILIES:
        parts.client(family)
    os.execvpe("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})


def furnish(folder):
    for words in (["link", "set", "lo", "up"], *(["addr", "add", f"{address}/32", "dev", "lo"] for address in (EU, US, DNS))):
        parts.run(["ip", *words])
    resolver = Path(folder) / "resolv.conf"
    resolver.write_text(f"nameserver {DNS}\noptions timeout:1 attempts:2\n")
    parts.run(["mount", "--bind", resolver, "/etc/resolv.conf"])


def clients():
    """The drill's `--client` words: each family through the gateway, and to the region by its name."""
    words = []
    for family in FAMILIES:
        command = " ".join(parts.client(family))
        for way in ("gateway", "direct"):
            words += ["--client", f"{way}-{family}={command} produce --bootstrap {{bootstrap}} --topic {{topic}} "
                      f"--partitions {{partitions}} --route {{route}} --rate {RATE} --seconds 600 --idempotent"]
    return words


def drill(folder, eu, bind):
    topology, file = folder / "topology.yaml", folder / "drill.yaml"
    topology.write_text(TOPOLOGY.format(eu=EU, us=US, dns=DNS, name=NAME, key=bind.key_file))
    file.write_text(DRILL.format(topology=topology))
    runs = parts.ROOT / "runs"
    words = [leeward(), "drill", "run", str(file), "--runs", str(runs), "--pid-file", f"eu-west={eu.data / 'pid'}",
             *clients()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=DRILL_SECONDS)
    reports = sorted((runs / "real-region-loss").glob("*/report.json"), key=lambda path: path.stat().st_mtime)
    report = json.loads(reports[-1].read_text()) if reports else None
    return done, report


def told(report):
    """What each client saw, as the report has it."""
    for client in report["clients"]:
        print(f"       {client['name']:24} acked {client['acked']:6}  longest silence "
              f"{client['silence_max_micros'] / 1e6:5.2f} s  {client['note']}", flush=True)


def judge(suite, folder):
    with Bind(folder / "bind") as bind, \
            Kafka(folder / "eu", port=9092, host=EU) as eu, Kafka(folder / "us", port=9092, host=US):
        done = report = None
        with suite.case("a region of real Kafka is killed, and the drill passes"):
            done, report = drill(folder, eu, bind)
            check(done.returncode == 0, f"exit {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}")
        if report is None:
            return
        told(report)
        by_name = {client["name"]: client for client in report["clients"]}
        for family in FAMILIES:
            with suite.case(f"{family} behind the gateway went on"):
                seen = by_name.get(f"gateway-{family}")
                check(seen and seen["acked"] > RATE * 10, f"{seen}")
                check(seen["silence_max_micros"] < 5_000_000, f"silent for {seen['silence_max_micros'] / 1e6} s")
            with suite.case(f"{family} behind DNS is in the report"):
                seen = by_name.get(f"direct-{family}")
                check(seen and seen["acked"] > RATE, f"{seen}")
        with suite.case("BIND answers with the survivor"):
            check(bind.name() == US, f"{NAME} is {bind.name()}")


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    if INSIDE not in os.environ:
        enter_namespace()
    suite = Suite("region-loss")
    with tempfile.TemporaryDirectory(prefix="leeward-region-loss-") as folder:
        furnish(folder)
        judge(suite, Path(folder))
    suite.close()


if __name__ == "__main__":
    main()
