#!/usr/bin/env python3
"""A lost region comes back and takes over again, by the verbs that a person types: two real Apache Kafka clusters, default automation.

The region dies with a group's members in it, with records that never crossed, and with more of them than are copied back in a
moment. Ends with `N passed, N failed`.
"""

import json
import os
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cases import Client, Failed, Suite, Tool, check, create_topic, tool, until  # noqa: E402
from estate import Up, cluster, processes_in, topology  # noqa: E402
from kafka import Kafka  # noqa: E402

TOPIC, BULK, PARTITIONS, GROUP = "orders", "bulk", 3, "readers"
RATE, BULK_RECORDS, BULK_BYTES, TAIL_RECORDS = 200, 200_000, 1000, 900
# Longer than the region is away: its coordinator counts the members that died with it when it is back.
SESSION_MS = 25_000
USAGE, VERB_SECONDS, OPEN_SECONDS = 64, 240, 60
FAILOVER = "{detect: {every: 500ms, failAfter: 4}, fencing: {lease: 4s}, failback: {divergentTail: quarantine}}"
BUFFER = "{enabled: true, capacity: 1GiB}"


class Estate(Up):
    def ends(self, *words):
        """Exit code and output of a verb."""
        done = self.verb(*words, seconds=VERB_SECONDS)
        return done.returncode, done.stdout + done.stderr

    def status(self):
        return json.loads(self.command("status", "-o", "json"))

    def role(self, region):
        return next(found["actingRole"] for found in self.status()["regions"] if found["name"] == region)

    def mirror_into(self, region):
        """The id of the process that mirrors into a region."""
        for process in processes_in(self.folder):
            words = Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
            if "mirror" in words[words.index("--role") + 1] and words[words.index("--region") + 1] == region:
                return process
        raise Failed(f"no mirror into {region}")


def lose(suite, estate, kafka):
    """The primary dies while its last records wait for the mirror; a person fails over."""
    mirror = estate.mirror_into("b")
    os.kill(mirror, signal.SIGSTOP)
    try:
        tail = tool("load", kafka["a"].bootstrap, BULK, PARTITIONS, "--records", TAIL_RECORDS)
        check(sum(tail["acked"]) == TAIL_RECORDS, f"{tail}")
    finally:
        kafka["a"].kill()
        os.kill(mirror, signal.SIGCONT)
    with suite.case("a failover without a named loss does nothing, and says what is at risk"):
        code, said = estate.ends("failover", "--to", "b")
        check(code == USAGE and "data at risk" in said and "drain" not in said, f"exit {code}\n{said}")
    with suite.case("a failover with a named loss makes the other region the primary"):
        code, said = estate.ends("failover", "--to", "b", "--accept-loss", "unbounded")
        check(code == 0 and estate.status()["actingPrimary"] == "b", f"exit {code}\n{said}")


def bring_back(suite, estate, kafka):
    kafka["a"].start()
    until(60, lambda: f"the returned region is fenced: {estate.status()['regions']}", lambda: estate.role("a") == "fenced")
    with suite.case("a plan of a failback says that a tail is kept"):
        code, said = estate.ends("failback", "--to", "a", "--dry-run")
        check(code == 0 and "that never left it are kept" in said, f"exit {code}\n{said}")
    with suite.case("failback waits for the groups' dead members and for all records, and then for its switchover"):
        code, said = estate.ends("failback", "--to", "a")
        check(code == 0 and "finished" in said, f"exit {code}\n{said}")
        check(estate.status()["actingPrimary"] == "a", f"{estate.status()}")
    with suite.case("every record of the survivor is in the region that came back"):
        told = tool("compare", kafka["b"].bootstrap, kafka["a"].bootstrap, BULK)
        check(told["lost"] == told["duplicated"] == told["out_of_order"] == told["different"] == 0, f"{told}")


def restart(suite, kafka):
    with suite.case("topics that were made anew under a seal are open after the broker's next restart"):
        kafka["a"].kill()
        kafka["a"].start()

        def is_open():
            try:
                return tool("load", kafka["a"].bootstrap, BULK, PARTITIONS, "--records", 3)
            except Failed as error:
                return check("MSG_SIZE_TOO_LARGE" in str(error), f"{error}")

        until(OPEN_SECONDS, "the region takes writes", is_open, every=1)


def judge(suite, acked, reader):
    with suite.case("the group skipped nothing and read little twice"):
        read = Counter(tuple(record["value"].split(" ")[:2]) for record in reader.lines["record"])
        missing = [(at, number) for at, count in enumerate(acked) for number in range(count)
                   if not read[(str(at), str(number))]]
        again = sum(times - 1 for times in read.values())
        print(f"       {sum(acked)} acknowledged, {again} read again", flush=True)
        check(not missing, f"{len(missing)} of {sum(acked)} were never read, the first {missing[:3]}")
        check(again < sum(acked) / 2, f"{again} of {sum(acked)} were read again")


def run(suite, folder, kafka):
    policy = folder / "policy.yaml"
    policy.write_text(topology({name: cluster(one.bootstrap) for name, one in kafka.items()}, failover=FAILOVER, buffer=BUFFER))
    for topic in (TOPIC, BULK):
        create_topic(kafka["a"].bootstrap, topic, PARTITIONS)
    with Estate(folder / "up", "-f", str(policy), "--no-load") as estate:
        bulk = tool("load", estate.gateway, BULK, PARTITIONS, "--records", BULK_RECORDS, "--size", BULK_BYTES)
        check(sum(bulk["acked"]) == BULK_RECORDS, f"{bulk}")
        with Tool("load", estate.gateway, TOPIC, PARTITIONS, "--rate", RATE) as load, \
                Client("librdkafka", "consume", bootstrap=estate.gateway, topic=TOPIC, group=GROUP, seconds=600,
                       session_ms=SESSION_MS) as reader:
            until(60, reader.says, lambda: len(reader.lines["record"]) > 5 * RATE)
            lose(suite, estate, kafka)
            bring_back(suite, estate, kafka)
            acked = load.stop(130)["acked"]
            until(90, lambda: f"the group reads to the end: {reader.says()}",
                  lambda: len({record["value"] for record in reader.lines["record"]}) >= sum(acked))
            reader.stop()
        judge(suite, acked, reader)
        restart(suite, kafka)


def main():
    suite = Suite("failback")
    with tempfile.TemporaryDirectory(prefix="leeward-failback-") as place:
        folder = Path(place)
        with Kafka(folder / "a") as a, Kafka(folder / "b") as b:
            with suite.case("the estate goes the whole way"):
                run(suite, folder, {"a": a, "b": b})
    suite.close()


if __name__ == "__main__":
    main()
