"""A whole estate of separate processes on embedded regions, for suites that kill them, fill their disks, and judge.

Region a is the primary, b the standby, w the witness. Each process has its settings file, its data and its log in a
folder of its own; started again it has the same addresses and goes on with its data.
"""

import base64
import json
import os
import re
import secrets
import socket
import subprocess
import time
import urllib.request
from collections import Counter, defaultdict
from pathlib import Path

import parts
from cases import Client, Failed, admin, check, create_topic, until
from estate import Process, processes_in
from kafka import free_port

HOSTS = {"a": "127.0.0.1", "b": "127.0.0.2"}
NAME = "kafka.leeward.test"
TOPICS = ("through", "past")
PARTITIONS = 3
GROUP = "readers"
# Detection: so slow that a process that is killed and comes back is no lost region, or so fast as the demo's.
CALM = {"rto": "3m", "detect": "every: 1s, failAfter: 15", "lease": "6s"}
QUICK = {"rto": "13s", "detect": "every: 200ms, failAfter: 3", "lease": "1s"}

POLICY = """\
apiVersion: leeward/v1alpha1
kind: Topology
metadata: {{name: site}}
spec:
  mode: active-passive
  budgets: {{rpo: 0s, rto: {rto}, duplicates: {{maxPerPartition: 0}}}}
  regions:
  - {{name: a, role: primary, kafka: {{embedded: {{}}}}}}
  - {{name: b, role: standby, kafka: {{embedded: {{}}}}}}
  - {{name: w, role: witness}}
  replication:
    topics: {{include: [{{glob: "*"}}]}}
    sync: {{every: 1s}}
    offsets: {{groups: {{include: [{{glob: "*"}}]}}, every: 500ms}}
  failover:
    automation: auto
    detect: {{{detect}, quorum: 2, signals: [metadata, produce-canary, fetch-canary]}}
    gates: [standby-writable]
    cooldown: 30s
    fencing: {{lease: {lease}}}
    dns:
    - name: {name}
      type: A
      ttl: 1s
      targets: {{a: {a}, b: {b}}}
      provider: {{embedded: {{}}}}
      confirm: {{timeout: 2s}}
    failback: {{divergentTail: quarantine}}
  buffer: {{enabled: true, capacity: 1GiB, fsync: {{every: 2ms, orBytes: 256KiB}}}}
"""

# In the order in which they start: name, role, region.
PROCESSES = (("node-a", "node", "a"), ("node-b", "node", "b"), ("dns", "dns", None), ("controller", "controller", None),
             ("agent-a", "agent", "a"), ("agent-b", "agent", "b"), ("mirror-a", "mirror", "a"),
             ("mirror-b", "mirror", "b"), ("gateway", "gateway", None))


def port_on_both():
    for _ in range(50):
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind((HOSTS["b"], port))
                return port
            except OSError:
                continue
    raise Failed("no port is free on both addresses")


class Part(Process):
    """One process of the site."""

    def restart(self):
        """Started again, as a supervisor would: until it stays."""
        try:
            return self.start()
        except Failed:
            self.kill()
            raise

    def launch(self):
        """Started, and not waited for."""
        with open(self.folder / "log", "ab") as output:
            self.process = subprocess.Popen(self.command(), stdout=output, stderr=output,
                                            env={**os.environ, **self.settings})

    def ended(self):
        return self.process.poll() is not None

    def series(self, name):
        """The sum of a metric's series; 0 where the process does not answer."""
        try:
            with urllib.request.urlopen(self.metrics, timeout=2) as answer:
                text = answer.read().decode()
        except OSError:
            return 0
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=3) as answer:
            return answer.read().decode()


class Site:
    """All of it. `full` names processes whose data stands on a small tmpfs of so many MiB."""

    def __init__(self, folder, pace=CALM, full=()):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.policy = self.folder / "policy.yaml"
        self.policy.write_text(POLICY.format(name=NAME, **HOSTS, **pace))
        self.mounts = []
        port = port_on_both()
        self.kafka = {region: f"{host}:{port}" for region, host in HOSTS.items()}
        self.gateway = f"127.0.0.1:{free_port()}"
        key = self.folder / "dns.key"
        key.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
        key.chmod(0o600)
        control, dns = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        links = {region: f"127.0.0.1:{free_port()}" for region in HOSTS}
        self.parts = {}
        for name, role, region in PROCESSES:
            here = self.folder / name
            here.mkdir()
            lines = ["[listen]", f'dns = "{dns}"', f'gateway = "{self.gateway}"']
            if region:
                lines.append(f'region = "{self.kafka[region]}"')
            lines += ["[peers]", f'dns = "{dns}"', f'dns_key_file = "{key}"', "[peers.mirrors]"]
            lines += [f'{of} = "http://{link}"' for of, link in links.items()]
            lines += ["[bootstrap]", *(f'{of} = ["{address}"]' for of, address in self.kafka.items())]
            config = here / "settings.toml"
            config.write_text("\n".join(lines) + "\n")
            words = ["--role", role, "--config", str(config), *(["--region", region] if region else [])]
            self.parts[name] = Part(here, self.policy, *words, LEEWARD_LISTEN__CONTROL=control,
                                    LEEWARD_PEERS__CONTROLLER=f"http://{control}",
                                    LEEWARD_LISTEN__LINK=links.get(region, f"127.0.0.1:{free_port()}"))
        for name, mebibytes in dict(full).items():
            data = self.folder / name / "data"
            data.mkdir()
            parts.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", data])
            self.mounts.append(data)

    def __getitem__(self, name):
        return self.parts[name]

    def __enter__(self):
        try:
            for part in self.parts.values():
                part.start()
            until(40, lambda: f"healthy and mirroring: {self.status()}", self.well, every=0.2)
            for topic in TOPICS:
                create_topic(self.kafka["a"], topic, PARTITIONS)
            until(20, "topics on b", lambda: set(TOPICS) <= set(admin("topics", self.kafka["b"])[0]), every=0.3)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for part in reversed(self.parts.values()):
            part.kill()
        for data in self.mounts:
            subprocess.run(["umount", "-l", data], capture_output=True)
        for left in processes_in(self.folder):
            os.kill(left, 9)

    def status(self):
        try:
            return json.loads(self.parts["controller"].get("/v1/status"))
        except (OSError, ValueError) as error:
            return {"error": str(error)}

    def well(self, acting="a"):
        status = self.status()
        other = "b" if acting == "a" else "a"
        running = any(link["source"] == acting and link["state"] == "running" and link["rpoMillis"] >= 0
                      for link in status.get("links", ()))
        writable = [region["name"] for region in status.get("regions", ()) if region["writable"]]
        healthy = {region["name"] for region in status.get("regions", ()) if region["health"] == "healthy"}
        return (status.get("phase") == "Steady" and status["actingPrimary"] == acting and running
                and writable == [acting] and healthy >= {acting, other})

    def events(self):
        return [json.loads(line) for line in self.parts["controller"].get("/v1/events?after=0").splitlines()]

    def logs(self, bytes_each=900):
        return "\n".join(f"--- {name}\n{part.log()[-bytes_each:]}" for name, part in self.parts.items())


class Load:
    """Producers that are not ours, idempotent, one through the gateway and one past it, and a group that reads."""

    def __init__(self, site, rate=240, size=128, past=True):
        self.site = site
        ways = [("through", site.gateway), *([("past", site.kafka["a"])] if past else [])]
        self.producers = {
            topic: Client("librdkafka", "produce", bootstrap=bootstrap, topic=topic, partitions=PARTITIONS, rate=rate, size=size,
                          route=topic, idempotent=True)
            for topic, bootstrap in ways
        }
        self.reader = Client("kafka-python", "consume", bootstrap=site.gateway, topic="through", group=GROUP)

    def __enter__(self):
        until(25, lambda: f"load flows: {self.says()}", lambda: all(self.acked(topic) > 20 for topic in self.producers))
        return self

    def __exit__(self, *_):
        for client in (*self.producers.values(), self.reader):
            client.kill()

    def acked(self, topic):
        return len(self.producers[topic].lines["acked"])

    def says(self):
        return " | ".join(client.says() for client in (*self.producers.values(), self.reader))

    def settle(self, regions=("a", "b"), seconds=60):
        """Ends the load, waits until both regions hold all of it, and judges."""
        for producer in self.producers.values():
            producer.stop(130)
        acked = {}
        for topic, producer in self.producers.items():
            given_up = [line for line in producer.lines["error"] if "number" in line]
            check(not given_up, f"{topic}: the client was told to give up: {given_up[:2]}")
            acked[topic] = numbers_of(producer.lines["acked"])
        logs = {}

        def arrived():
            for region in regions:
                logs[region] = {topic: log_of(self.site.kafka[region], topic) for topic in self.producers}
            return all(set(acked[topic][part]) <= set(numbers(logs[region][topic][part]))
                       for region in regions for topic in acked for part in acked[topic])

        def missing():
            lost = {f"{region} {topic} {part}": sorted(set(acked[topic][part]) - set(numbers(logs[region][topic][part])))[:9]
                    for region in regions for topic in acked for part in acked[topic]}
            return f"lost: { {place: some for place, some in lost.items() if some} }\n{self.site.logs()}"

        until(seconds, missing, arrived, every=0.5)
        for region in regions:
            for topic in self.producers:
                in_order_once(f"{region} {topic}", logs[region][topic])
        if len(regions) == 2:
            check(logs["a"] == logs["b"], "the regions' logs differ")
        self.settle_group(logs[regions[0]]["through"], regions)
        return sum(len(part) for topic in acked.values() for part in topic.values())

    def settle_group(self, log, regions):
        """The group has read everything, and stands at the end of the log in every region."""
        wanted = {(part, record) for part, records in log.items() for record in records}
        until(40, lambda: f"the group reads all: {self.reader.says()}",
              lambda: {(line["partition"], line["value"]) for line in self.reader.lines["record"]} >= wanted, every=0.3)
        self.reader.stop(30)
        ends = {f"through/{part}": len(records) for part, records in log.items()}
        for region in regions:
            until(20, lambda: f"positions {ends} in {region}: {admin('positions', self.site.kafka[region], GROUP)}",
                  lambda: admin("positions", self.site.kafka[region], GROUP)[0] == ends, every=0.4)


def numbers_of(lines):
    by_part = defaultdict(list)
    for line in lines:
        by_part[line["partition"]].append(line["number"])
    return by_part


def numbers(records):
    return [int(record.split(" ")[2]) for record in records]


def log_of(bootstrap, topic):
    """The first words of each record, by partition, in the log's order."""
    by_part = defaultdict(list)
    for partition, _, _, _, _, words, _ in admin("dump", bootstrap, topic):
        by_part[partition].append(words)
    return by_part


def in_order_once(where, log):
    for part, records in log.items():
        found = numbers(records)
        doubled = [number for number, times in Counter(found).items() if times > 1]
        check(not doubled, f"{where}/{part}: {len(doubled)} records doubled: {doubled[:9]}")
        check(found == sorted(found), f"{where}/{part}: out of order")


def fill(folder):
    """Takes all the space of a file system; the file to remove again."""
    ballast = Path(folder) / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        for block in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * block)
            except OSError:
                continue
    return ballast


def pause(seconds):
    """Lets a random time pass: the moment of a kill is what is tried, nothing is waited for."""
    time.sleep(seconds)
