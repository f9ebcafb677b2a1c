#!/usr/bin/env python3
"""RPO 0 through the gateway: a region is lost at a random moment, with the link to it well, slow or cut before.

    tests/real/rpo.py                           3 drills on embedded regions, fixed seeds
    tests/real/rpo.py --drills 50 --seed 1000   the long run; drill N has the seed 1000 + N
    tests/real/rpo.py --kafka 10 --seed 2000    the same between two real Apache Kafka clusters, in a network of its own
    tests/real/rpo.py --only 1017               one drill again

Each drill is made from its seed: moment, state of the link, rate, sizes, topics, partitions. After each: acknowledged
through the gateway nothing is lost, doubled or out of order; no group skips a record, and none reads more again than was
written anew and what it had read just before; what clients past the gateway lost is inside of what the controller stated,
in the dark and exactly, and stands in the quarantine topic. Figures and times by phase are added to
runs/rpo/results.jsonl, one line for each drill.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import parts  # noqa: E402
import region_loss as real  # noqa: E402
from cases import Suite, check, leeward  # noqa: E402
from estate import processes_in  # noqa: E402
from kafka import Kafka, free_port  # noqa: E402

RUNS = parts.ROOT / "runs" / "rpo"
RESULTS = RUNS / "results.jsonl"
QUICK_SEEDS = (7, 8, 9)
DRILL_SECONDS = 240
EMBEDDED = parts.ROOT / "policies" / "examples" / "embedded.yaml"
# Of what crossed, a group reads again at most what all clients wrote in so long: its last commits were under way.
UNCOMMITTED_SECONDS = 3
LINK_STATES = ("healthy", "slow", "cut")
# Where mirrors and agents of the other region reach the primary, apart from its clients: a port that rules can strike.
LINK_PORT = 9093

DRILL = """\
apiVersion: leeward/v1alpha1
kind: Drill
metadata: {{name: {name}}}
spec:
  topology: {topology}
  scope: {scope}
  seed: {seed}
  given: {{regions: healthy, rpo: "{rpo}", for: 1s}}
  load:
    produce: {{rate: {rate}/s, size: {size}B, topics: {topics}, partitions: {partitions}, keys: 1k, acks: all}}
    consume: {{groups: 1}}
    clients: [buffered, direct]
  steps:
{steps}
  expect:
    rto: "<= {rto}"
    lost: {{acked: 0, through: buffered}}
    duplicates: {{total: 0}}
    order: per-partition
    splitBrain: 0
    failovers: 1
  always: [{{action: heal-all}}]
"""


class Plan:
    """One drill as its seed makes it. The state of the link goes round, so that each comes in every three drills."""

    def __init__(self, seed, on_kafka=False):
        chance = random.Random(seed)
        self.seed = seed
        self.on_kafka = on_kafka
        self.link = LINK_STATES[seed % len(LINK_STATES)]
        self.broken_for = chance.uniform(0.3, 4)
        self.kill_at = chance.uniform(4.5, 9) + (4 if on_kafka else 0)
        self.latency_ms = chance.randrange(20, 400)
        self.bytes_per_second = chance.randrange(48, 400) * 1024
        self.rate = chance.randrange(100, 500) if on_kafka else chance.randrange(100, 1500)
        self.size = chance.choice((100, 300, 900))
        self.topics = chance.randrange(1, 4)
        self.partitions = chance.randrange(1, 5)
        self.wait = chance.uniform(0.5, 3)
        if on_kafka:
            # Rules add no latency: the link is only slow where it carries less than is written, by both kinds of clients.
            self.bytes_per_second = min(self.bytes_per_second, self.rate * self.size)

    def __str__(self):
        late = "" if self.on_kafka else f"{self.latency_ms} ms, "
        slow = f" ({late}{self.bytes_per_second >> 10} KiB/s)" if self.link == "slow" else ""
        return (f"seed {self.seed}: link {self.link}{slow}, killed at {self.kill_at:.2f} s, {self.rate}/s of "
                f"{self.size} B, {self.topics} topics of {self.partitions} partitions")

    @property
    def break_at(self):
        return self.kill_at - self.broken_for

    def steps(self, drill_breaks_link):
        link = 'link: "eu-west>us-east"'
        at = f"at: {self.break_at * 1000:.0f}ms"
        steps = []
        if drill_breaks_link and self.link == "cut":
            steps.append(f"{{{at}, fault: partition, {link}}}")
        if drill_breaks_link and self.link == "slow":
            steps.append(f"{{{at}, fault: slow, {link}, latency: {self.latency_ms}ms, "
                         f"bytesPerSecond: {self.bytes_per_second >> 10}KiB}}")
        steps += [
            f"{{at: {self.kill_at * 1000:.0f}ms, fault: region-down, region: eu-west, how: kill -9}}",
            "{expectEvent: failover-finished, to: us-east, within: 30s}",
            f"{{wait: {self.wait * 1000:.0f}ms}}",
            "{action: heal-all}",
            "{expectEvent: region-fenced, region: eu-west, within: 45s}",
            "{expectEvent: mirror-caught-up, within: 120s}",
        ]
        return "\n".join(f"  - {step}" for step in steps)

    def write(self, folder, topology, scope="embedded", rpo="< 2s", rto="12s"):
        name = f"rpo-{self.seed}"
        file = Path(folder) / f"{name}.yaml"
        file.write_text(DRILL.format(name=name, topology=topology, scope=scope, seed=self.seed, rate=self.rate, rpo=rpo,
                                     rto=rto, size=self.size, topics=self.topics, partitions=self.partitions,
                                     steps=self.steps(scope == "embedded")))
        return file


def rehearse(file, *words, watch=lambda _: None):
    """Runs a drill; `watch` sees each line as it comes. Its exit code, what it said, its report."""
    # What an earlier run of the same drill left is not this one's report.
    shutil.rmtree(RUNS / file.stem, ignore_errors=True)
    process = subprocess.Popen([leeward(), "drill", "run", str(file), "--runs", str(RUNS), *words],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    late = threading.Timer(DRILL_SECONDS, process.kill)
    late.start()
    said = []
    try:
        for line in process.stdout:
            said.append(line)
            watch(line)
        code = process.wait()
    finally:
        late.cancel()
        process.kill()
        process.wait()
    report = RUNS / file.stem / "latest" / "report.json"
    return code, "".join(said), json.loads(report.read_text()) if report.exists() else None


def keep(plan, report, where):
    """One line of figures, for those who look at many drills."""
    RUNS.mkdir(parents=True, exist_ok=True)
    line = {
        "where": where, "seed": plan.seed, "link": plan.link, "kill_at": round(plan.kill_at, 3), "rate": plan.rate,
        "size": plan.size, "topics": plan.topics, "partitions": plan.partitions, "verdict": report["verdict"],
        "rto_micros": report["rto_micros"], "rpo_max_millis": report["rpo_max_millis"],
        "phases_micros": {phase["name"]: phase["to"] - phase["from"] for phase in report["phases"]},
        "routes": report["judgement"]["by_route"], "losses": report["losses"], "quarantine": report["quarantine"],
        "groups": report["groups"], "build": dict(report["environment"]).get("build"),
    }
    with open(RESULTS, "a") as results:
        results.write(json.dumps(line) + "\n")
    return line


def judge(plan, report):
    """What must hold after every drill, whatever its verdict says."""
    gateway, direct = (report["judgement"]["by_route"][route] for route in ("gateway", "direct"))
    check(gateway["acked"] > 50, f"only {gateway['acked']} records were acknowledged by the gateway")
    for wrong in ("lost", "duplicated", "reordered"):
        check(gateway[wrong] == 0, f"{gateway[wrong]} records behind the gateway {wrong}")
    for group in report["groups"]:
        check(group["skipped"] == 0, f"{group['group']} skipped {group['skipped']} records")
    losses = report["losses"]
    check(losses and losses[-1]["exact"], f"the loss was never stated exactly: {losses}")
    exact = losses[-1]["records_max"]
    for stated in losses:
        upper = stated["records_max"]
        check(stated["records_min"] <= exact, f"at least {stated['records_min']} stated, exactly {exact} lost")
        check(upper is None or exact <= upper, f"at most {upper} stated, exactly {exact} lost")
    check(direct["lost"] <= exact, f"direct clients lost {direct['lost']}, {exact} stated")
    for group in report["groups"]:
        anew, bound = exact - direct["lost"], 2 * plan.rate * UNCOMMITTED_SECONDS
        again = f"{group['group']} read {group['re_read']} records again, {anew} were written anew"
        check(group["re_read"] <= anew + bound, again)
    kept = report["quarantine"]
    check(kept is not None or exact == 0, f"{exact} records did not cross, and no quarantine is there")
    if kept is not None:
        check(kept["records"] == exact, f"{exact} records did not cross, {kept['records']} are in quarantine")
        check(kept["lost_and_kept"] == direct["lost"], f"direct clients lost {direct['lost']}, {kept['lost_and_kept']} kept")
        for wrong in ("lost_and_gone", "crossed", "doubled"):
            check(kept[wrong] == 0, f"quarantine: {kept[wrong]} {wrong}")
    else:
        check(direct["lost"] == 0, f"direct clients lost {direct['lost']}, and none are kept")


def told(line):
    direct, kept = line["routes"]["direct"], line["quarantine"] or {"records": 0}
    again = sum(group["re_read"] for group in line["groups"])
    print(f"       gateway acked {line['routes']['gateway']['acked']}, direct acked {direct['acked']} lost {direct['lost']}"
          f", stated {[(loss['records_min'], loss['records_max']) for loss in line['losses']]}, quarantine "
          f"{kept['records']}, read again {again}, RTO {(line['rto_micros'] or 0) / 1e6:.2f} s", flush=True)


def settled(plan, code, said, report, where):
    check(report is not None, f"no report, exit {code}:\n{said[-3000:]}")
    told(keep(plan, report, where))
    judge(plan, report)
    check(code == 0, f"exit {code}:\n{said[-3000:]}")


def on_embedded(suite, seed):
    plan = Plan(seed)
    with tempfile.TemporaryDirectory(prefix="leeward-rpo-") as folder, suite.case(str(plan)):
        code, said, report = rehearse(plan.write(folder, EMBEDDED))
        settled(plan, code, said, report, "embedded")
        check(not processes_in(RUNS / f"rpo-{seed}"), f"left running: {processes_in(RUNS / f'rpo-{seed}')}")
        shutil.rmtree(RUNS / f"rpo-{seed}")


class Rules:
    """The network between the regions, made slow or cut by nftables; its counters prove that it bit."""

    @staticmethod
    def strike(plan):
        bound = "" if plan.link == "cut" else f"limit rate over {plan.bytes_per_second >> 10} kbytes/second "
        port = f"tcp sport {LINK_PORT}"
        rules = "table inet link {\nchain arriving {\ntype filter hook input priority 0;\n" \
                f"{port} {bound}counter drop;\n}}\n}}\n"
        parts.run(["nft", rules])

    @staticmethod
    def lift():
        """How many packets were dropped."""
        rules = json.loads(parts.run(["nft", "-j", "list", "table", "inet", "link"]))
        parts.run(["nft", "delete", "table", "inet", "link"])
        counters = [part["counter"]["packets"] for item in rules["nftables"] for part in item.get("rule", {}).get("expr", [])
                    if "counter" in part]
        return sum(counters)


def two_listeners(data, host):
    """A cluster with a second listener, for those of the other region."""
    data.mkdir(parents=True)
    controller = free_port()
    (data / "controller.port").write_text(str(controller))
    both = f"CLIENT://{host}:9092,LINK://{host}:{LINK_PORT}"
    settings = {
        "listeners": f"{both},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": both,
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,LINK:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }
    return Kafka(data, port=9092, host=host, settings=settings)


def on_kafka(suite, seed, folder):
    plan = Plan(seed, on_kafka=True)
    folder = Path(folder) / str(seed)
    folder.mkdir()
    with suite.case(f"real Kafka, {plan}"), real.Bind(folder / "bind") as bind, \
            two_listeners(folder / "eu", real.EU) as eu, two_listeners(folder / "us", real.US):
        topology = folder / "topology.yaml"
        text = real.TOPOLOGY.format(eu=real.EU, us=real.US, dns=real.DNS, name=real.NAME, key=bind.key_file)
        topology.write_text(text)
        dropped, timers = [], []

        def watch(line):
            if "load is on" in line and plan.link != "healthy":
                timers.append(threading.Timer(plan.break_at, Rules.strike, [plan]))
                timers[-1].start()
            if "failover-finished" in line:
                if plan.link != "healthy":
                    dropped.append(Rules.lift())
                timers.append(threading.Timer(plan.wait, eu.start))
                timers[-1].start()

        words = ["--pid-file", f"eu-west={eu.data / 'pid'}", "--link-bootstrap", f"eu-west={real.EU}:{LINK_PORT}",
                 "--link-bootstrap", f"us-east={real.US}:{LINK_PORT}"]
        for family in ("librdkafka", "kafka-python"):
            command = " ".join(parts.client(family))
            words += ["--client", f"gateway-{family}={command} produce --bootstrap {{bootstrap}} --topic {{topic}} "
                      "--partitions {partitions} --route {route} --rate 40 --seconds 600 --idempotent"]
        try:
            code, said, report = rehearse(plan.write(folder, topology, "real", "< 5s", "20s"), *words, watch=watch)
        finally:
            for timer in timers:
                timer.join(60)
            subprocess.run(["nft", "delete", "table", "inet", "link"], capture_output=True)
        settled(plan, code, said, report, "kafka")
        for family in ("librdkafka", "kafka-python"):
            seen = report["judgement"]["by_route"][f"gateway-{family}"]
            check(seen["acked"] > 100 and not (seen["lost"] or seen["duplicated"] or seen["reordered"]), f"{family}: {seen}")
        check(plan.link == "healthy" or sum(dropped) > 0, "the rules on the link dropped nothing")


def in_namespace(suite, seeds):
    with tempfile.TemporaryDirectory(prefix="leeward-rpo-kafka-") as folder:
        real.furnish(folder)
        for seed in seeds:
            on_kafka(suite, seed, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drills", type=int, metavar="N", help="on embedded regions")
    parser.add_argument("--kafka", type=int, metavar="N", help="between real clusters")
    parser.add_argument("--seed", type=int, default=1000, help="of the first drill")
    parser.add_argument("--only", type=int, metavar="SEED")
    given = parser.parse_args()
    suite = Suite("rpo")
    if given.kafka:
        if real.INSIDE not in os.environ:
            parts.debian(["nftables"], ["nft"])
            real.enter_namespace()
        in_namespace(suite, range(given.seed, given.seed + given.kafka))
    else:
        seeds = QUICK_SEEDS if given.drills is None else range(given.seed, given.seed + given.drills)
        for seed in (given.only,) if given.only is not None else seeds:
            on_embedded(suite, seed)
    suite.close()


if __name__ == "__main__":
    main()
