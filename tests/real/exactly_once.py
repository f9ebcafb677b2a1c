#!/usr/bin/env python3
"""Exactly once across crashes, on two real Apache Kafka clusters: `leeward serve` is killed under load, started twice by mistake,
paused, robbed of its local state, and its target's broker is killed; both logs are read by a client that is not ours.

    tests/real/exactly_once.py [--seed N]
    tests/real/exactly_once.py --long [--seed N]     ten kills at each rate; wants a release build (LEEWARD=target/release/leeward)
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import parts  # noqa: E402
from cases import Suite, Tool, check, create_topic, tool, until  # noqa: E402
from estate import Process  # noqa: E402
from mirror import Pair  # noqa: E402

PARTITIONS = 4
LINK = "a-to-b"
RATES = (500, 20_000)
QUICK = {"kills": 3, "life": (0.3, 3.0), "rivals": 8, "by": {500: "kafka-python", 20_000: "librdkafka"}}
LONG = {"kills": 10, "life": (0.3, 6.0), "rivals": 40, "by": {500: "kafka-python", 20_000: "librdkafka"}}
CATCH_UP_SECONDS = 120


class Load(Tool):
    """librdkafka at a steady rate, until told to stop."""

    def __init__(self, pair, topic, rate):
        create_topic(pair.source.bootstrap, topic, PARTITIONS)
        self.topic, self.rate = topic, rate
        super().__init__("load", pair.source.bootstrap, topic, PARTITIONS, "--rate", rate)

    def close(self):
        told = self.stop(60)
        acked = sum(told["acked"])
        print(f"       {acked} records acknowledged in {told['seconds']} s, a burst at most {told['behind_ms_max']} ms late", flush=True)
        check(acked >= 0.8 * self.rate * told["seconds"],
              f"{acked} records in {told['seconds']} s are not {self.rate}/s: {self.noise[-3:]}")
        return told["acked"]


def caught_up(mirror, topic, acked):
    """Waits until the link says that the target has everything; what it says then, by partition."""
    def said():
        link = mirror.link(LINK)
        found = {part["partition"]: part for part in (link or {}).get("partitions", []) if part["topic"] == topic}
        whole = len(found) == len(acked) and all(found[at]["acknowledgedTo"] == end for at, end in enumerate(acked))
        return found if whole else None

    return until(CATCH_UP_SECONDS, lambda: f"{topic} at {acked} on the target: {mirror.link(LINK)}\n{mirror.log()[-3000:]}",
                 said, every=0.2)


def judge(pair, topic, acked, by, seed):
    said = caught_up(pair.mirror, topic, acked)
    told = tool("compare", pair.source.bootstrap, pair.target.bootstrap, topic, "--by", by, "--seed", seed)
    print(f"       source {told['source']}, target {told['target']}: {told['lost']} lost, {told['duplicated']} duplicated, "
          f"{told['out_of_order']} out of order, {told['different']} different (read by {by})", flush=True)
    check(told["source"] == sum(acked), f"{told['source']} records at the source, {sum(acked)} acknowledged")
    for claim in ("lost", "duplicated", "out_of_order", "different"):
        check(told[claim] == 0, f"{told[claim]} records {claim}")
    for partition, source_end, target_end in told["ends"]:
        part = said[partition]
        check((part["sourceEnd"], part["targetEnd"]) == (source_end, target_end),
              f"link describe says {part}, a foreign client finds ends {source_end} and {target_end}")
        check(part["state"] == "active" and not part["stopReason"], f"{topic}-{partition}: {part}")
    for partition, source, target in told["places"]:
        there = pair.mirror.translated(LINK, topic, partition, source)
        back = pair.mirror.translated(LINK, topic, partition, target, "--to-source")
        check((there, back) == (target, source),
              f"{topic}-{partition}: source {source} is target {target}; translated {there} and back {back}")


def killed(pair, extent, rate, chance):
    """Kills at random moments, starts included; every third time the local state is gone, once the target's broker dies too."""
    topic = f"killed-{rate}"
    broker_dies = extent["kills"] // 2
    load = Load(pair, topic, rate)
    with load:
        for kill in range(extent["kills"]):
            time.sleep(chance.uniform(*extent["life"]))
            pair.mirror.kill()
            if kill % 3 == 1:
                pair.mirror.forget()
            if kill == broker_dies:
                pair.mirror.launch()
                time.sleep(chance.uniform(0.2, 2))
                pair.target.kill()
                time.sleep(chance.uniform(0, 1))
                pair.target.start()
            else:
                pair.mirror.launch()
        time.sleep(chance.uniform(*extent["life"]))
        acked = load.close()
    judge(pair, topic, acked, extent["by"][rate], chance.randrange(1 << 30))


class Rival:
    """The same estate started a second time by mistake: its controller lets its mirror write on the same link."""

    def __init__(self, pair):
        policy = pair.folder / "policy.yaml"
        self.mirror = Process(pair.folder / "rival-b", policy, "--role", "mirror", "--region", "b")
        self.control = Process(pair.folder / "rival-control", policy, "--role", "controller,agent")
        for process in (self.mirror, self.control):
            process.settings |= {
                "LEEWARD_PEERS__CONTROLLER": f"http://{self.control.settings['LEEWARD_LISTEN__CONTROL']}",
                "LEEWARD_PEERS__MIRRORS__A": f"http://{pair.back.settings['LEEWARD_LISTEN__LINK']}",
                "LEEWARD_PEERS__MIRRORS__B": f"http://{self.mirror.settings['LEEWARD_LISTEN__LINK']}",
            }

    def __enter__(self):
        for process in (self.control, self.mirror):
            process.start()
        until(30, lambda: f"the rival runs: {self.mirror.log()[-2000:]}",
              lambda: (self.mirror.link(LINK) or {}).get("state") == "running", every=0.2)
        return self

    def __exit__(self, *_):
        for process in (self.mirror, self.control):
            process.kill()


def rivals(pair, extent, rate, chance):
    """Both alive; then one paused in the middle of its work and resumed, then the other; one of them is killed at last."""
    topic = f"rivals-{rate}"
    load = Load(pair, topic, rate)
    with load:
        with Rival(pair) as rival:
            time.sleep(extent["rivals"] / 2)
            for paused in (pair.mirror, rival.mirror, pair.mirror):
                paused.signal(signal.SIGSTOP)
                time.sleep(chance.uniform(0.3, extent["rivals"] / 8))
                paused.signal(signal.SIGCONT)
                time.sleep(chance.uniform(0.3, extent["rivals"] / 8))
            wrote = rival.mirror.link(LINK)
            check(wrote and wrote["state"] == "running", f"the rival did not run: {wrote}\n{rival.mirror.log()[-2000:]}")
        acked = load.close()
    judge(pair, topic, acked, extent["by"][rate], chance.randrange(1 << 30))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int, default=4)
    given = parser.parse_args()
    suite, chance, extent = Suite("exactly-once"), random.Random(given.seed), LONG if given.long else QUICK
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="leeward-exactly-once-") as folder, Pair(folder, parts.KAFKA) as pair:
        for process in (*pair.others, pair.mirror):
            process.start()
        for rate in RATES:
            with suite.case(f"{rate}/s, {extent['kills']} times kill -9 of the mirror, once of the target's broker"):
                killed(pair, extent, rate, chance)
        for rate in RATES if given.long else RATES[1:]:
            with suite.case(f"{rate}/s, two instances on one link, paused and resumed in turn"):
                rivals(pair, extent, rate, chance)
    suite.close()


if __name__ == "__main__":
    main()
