#!/usr/bin/env python3
"""The durable gateway in front of a region of two real Apache Kafka brokers: groups that different brokers keep, asked about together.

    tests/real/brokers.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from cases import Suite, admin, check, create_topic, tool, until  # noqa: E402
from estate import Process, cluster, topology  # noqa: E402
from kafka import Kafka, free_port  # noqa: E402

TOPIC = "orders"
# Their numbers alone differ, so that they lie in partitions of `__consumer_offsets` one after the other.
GROUPS = [f"readers-{number}" for number in range(6)]
TOOL_SECONDS, OPEN_SECONDS = 30, 60


def groups_tool(kafka, bootstrap, *words):
    """What `kafka-consumer-groups` prints that must end well, line by line in words."""
    command = kafka._java("128m", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server", bootstrap,
                          "--timeout", str(TOOL_SECONDS * 1000), *words)
    done = subprocess.run(command, capture_output=True, text=True, timeout=3 * TOOL_SECONDS)
    check(done.returncode == 0 and "Error:" not in done.stdout + done.stderr,
          f"kafka-consumer-groups {' '.join(words)}: exit {done.returncode}\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
    return [line.split() for line in done.stdout.splitlines() if line.strip()]


def named(lines):
    """The groups that lines are about, in the order of their names."""
    return sorted({word for line in lines for word in line if word in GROUPS})


def coordinators(kafka):
    """Which broker keeps each group, as the cluster itself says it."""
    told = groups_tool(kafka, kafka.bootstrap, "--describe", "--all-groups", "--state")
    return {line[0]: line[2].strip("()") for line in told if line[0] in GROUPS}


def gateway(folder, kafka):
    """A gateway with a controller that makes the region of two brokers the acting one; the other region is not there."""
    policy = folder / "policy.yaml"
    regions = {"a": cluster(kafka.bootstrap), "b": cluster(f"127.0.0.1:{free_port()}")}
    policy.write_text(topology(regions, buffer="{enabled: true, capacity: 64MiB}"))
    address, nobody = f"127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    serving = Process(folder / "gateway", policy, "--role", "controller,agent,gateway", LEEWARD_LISTEN__GATEWAY=address,
                      LEEWARD_PEERS__MIRRORS__A=nobody, LEEWARD_PEERS__MIRRORS__B=nobody)
    return serving, address


def run(suite, kafka, second, address):
    kept = coordinators(kafka)
    # By broker: one group for each request that names two, the others for Kafka's own tool.
    by_broker = [[group for group in GROUPS if kept.get(group) == broker] for broker in ("1", "2")]
    together, lasting = ([groups[at] for groups in by_broker] for at in range(2))
    others = [group for group in GROUPS if group not in together + lasting]
    with suite.case("both brokers keep some of the groups"):
        print(f"       {kept}", flush=True)
        check(sorted(kept) == GROUPS and all(len(groups) >= 2 for groups in by_broker), f"{kept}")
    with suite.case("kafka-consumer-groups --list shows the groups of both brokers"):
        found = named(groups_tool(kafka, address, "--list"))
        check(found == GROUPS, f"{found}")
    with suite.case("kafka-consumer-groups --describe --all-groups describes them all"):
        told = groups_tool(kafka, address, "--describe", "--all-groups")
        positions = {line[0]: line[3] for line in told if line[1:3] == [TOPIC, "0"]}
        check(positions == {group: str(at) for at, group in enumerate(GROUPS)}, f"{told}")
    with suite.case("one request has the positions of groups of both brokers"):
        found = admin("together", address, "positions", *GROUPS)[0]
        check(found == {group: {f"{TOPIC}/0": at} for at, group in enumerate(GROUPS)}, f"{found}")
    with suite.case("one request describes groups of both brokers"):
        found = admin("together", address, "states", *GROUPS)[0]
        check(found == dict.fromkeys(GROUPS, "Empty"), f"{found}")
    with suite.case("kafka-consumer-groups --delete deletes groups of both brokers"):
        groups_tool(kafka, address, "--delete", *[word for group in others for word in ("--group", group)])
        left = named(groups_tool(kafka, kafka.bootstrap, "--list"))
        check(left == sorted(together + lasting), f"left: {left}")
    with suite.case("one request deletes groups of both brokers"):
        found = admin("together", address, "delete", *together)[0]
        left = named(groups_tool(kafka, kafka.bootstrap, "--list"))
        check(found == dict.fromkeys(together, "OK") and left == sorted(lasting), f"{found}, left: {left}")
    with suite.case("a group whose broker is dead has an error, beside the answer for one whose broker lives"):
        second.kill()
        found = admin("together", address, "states", *lasting)[0]
        living, dead = (found[group] for group in lasting)
        check(living == "Empty" and "CoordinatorNotAvailable" in dead, f"{found}")


def main():
    suite = Suite("brokers")
    with tempfile.TemporaryDirectory(prefix="leeward-brokers-") as folder:
        folder = Path(folder)
        with Kafka(folder / "one") as one, Kafka(folder / "two", beside=one, node=2) as two:
            # Before `__consumer_offsets` is made, or it would lie on the first alone.
            until(OPEN_SECONDS, "both brokers are in the cluster", lambda: admin("brokers", one.bootstrap)[0] == [1, 2])
            create_topic(one.bootstrap, TOPIC, 1)
            for at, group in enumerate(GROUPS):
                tool("groups", "commit", one.bootstrap, group, TOPIC, at)
            serving, address = gateway(folder, one)
            with serving:
                until(OPEN_SECONDS, lambda: f"the gateway knows the topic:\n{serving.log()[-2000:]}",
                      lambda: TOPIC in admin("topics", address)[0])
                run(suite, one, two, address)
    suite.close()


if __name__ == "__main__":
    main()
