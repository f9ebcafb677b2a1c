"""Consumer groups by librdkafka, for tests of their positions: run with the Python of `parts.venv()`.

    groups.py commit BOOTSTRAP GROUP TOPIC OFFSET...       sets positions from outside, partition by partition
    groups.py watch BOOTSTRAP TOPIC PARTITIONS GROUP...    a line for each position that changes: [group, "topic/partition", offset,
                                                           Unix seconds]; until SIGTERM
    groups.py follow BOOTSTRAP GROUP TOPIC EACH            reads as a member and commits after each EACH records, one line for each
                                                           commit: ["topic/partition", offset, Unix seconds]; until SIGTERM
    groups.py next BOOTSTRAP GROUP TOPIC                   joins, reads to the ends, commits nothing, prints by partition
                                                           {"0": [first offset, first number, records, whether numbers are dense]}
    groups.py join BOOTSTRAP GROUP TOPIC                   stays a member without committing until SIGTERM; prints "joined"
    groups.py forbid BOOTSTRAP [lift]                      takes the right to read __consumer_offsets from everybody, or gives it back
    groups.py transact BOOTSTRAP GROUP TOPIC OFFSET commit|abort|open
                                                           commits the position of partition 0 within a transaction
"""

import json
import signal
import sys
import time

from confluent_kafka import (Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer,
                             TopicPartition)
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient,
                                   ResourcePatternType, ResourceType)

PATIENCE_SECONDS = 40
NOT_READY = (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR)
stopping = False


def stop(*_):
    global stopping
    stopping = True


def say(what):
    print(json.dumps(what), flush=True)


def member(bootstrap, group, reset="error"):
    return Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False,
                     "auto.offset.reset": reset, "isolation.level": "read_committed", "session.timeout.ms": 6000,
                     "enable.partition.eof": True})


def commit(bootstrap, group, topic, *offsets):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    wanted = [TopicPartition(topic, at, int(offset)) for at, offset in enumerate(offsets)]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        asked = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)])
        errors = [part.error for part in asked[group].result().topic_partitions if part.error]
        if not errors:
            return say(time.time())
        # The first group of a young cluster waits for its coordinator.
        if not all(error.code() in NOT_READY for error in errors) or time.monotonic() > deadline:
            raise SystemExit(f"groups: {errors}")
        time.sleep(0.05)


def watch(bootstrap, topic, partitions, *groups):
    # Not by the admin client: of a group without positions it crashes the process (confluent-kafka 2.16.1).
    parts = [TopicPartition(topic, at) for at in range(int(partitions))]
    askers = {group: member(bootstrap, group) for group in groups}
    known = {}
    while not stopping:
        for group, asker in askers.items():
            try:
                found = asker.committed(parts, timeout=2)
            except KafkaException as error:
                # A cluster that has no group yet has no coordinator either.
                print(f"groups: {error}", file=sys.stderr, flush=True)
                continue
            for part in found:
                at = (group, f"{part.topic}/{part.partition}")
                if part.offset >= 0 and known.get(at) != part.offset:
                    known[at] = part.offset
                    say([*at, part.offset, time.time()])
        time.sleep(0.005)


def follow(bootstrap, group, topic, each):
    consumer = member(bootstrap, group, "earliest")
    consumer.subscribe([topic])
    read = 0
    while not stopping:
        for message in consumer.consume(int(each), timeout=0.2):
            read += not message.error()
        if read >= int(each):
            read, asked = 0, time.time()
            for part in consumer.commit(asynchronous=False):
                if part.offset >= 0:
                    say([f"{part.topic}/{part.partition}", part.offset, asked, time.time()])
    consumer.close()


def following(bootstrap, group, topic):
    consumer = member(bootstrap, group)
    consumer.subscribe([topic])
    partitions = set(consumer.list_topics(topic, 20).topics[topic].partitions)
    found, ended = {}, set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while ended != partitions:
        for message in consumer.consume(10_000, timeout=0.1):
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    raise SystemExit(f"groups: {message.error()}")
                ended.add(message.partition())
                continue
            number = int(message.value().split(b" ", 2)[1])
            first, first_number, count, dense = found.get(message.partition(), (message.offset(), number, 0, True))
            found[message.partition()] = (first, first_number, count + 1, dense and number == first_number + count)
        if time.monotonic() > deadline:
            raise SystemExit(f"groups: {group} reached the end of {sorted(ended)} only")
    consumer.close()
    say(found)


def join(bootstrap, group, topic):
    consumer = member(bootstrap, group, "latest")
    joined = []
    consumer.subscribe([topic], on_assign=lambda _, parts: joined.append(parts))
    while not stopping:
        consumer.consume(100, timeout=0.2)
        if joined and joined[-1] is not None:
            say("joined")
            joined.append(None)
    consumer.close()


def transact(bootstrap, group, topic, offset, end):
    consumer = member(bootstrap, group, "earliest")
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"groups-{group}"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.send_offsets_to_transaction([TopicPartition(topic, 0, int(offset))], consumer.consumer_group_metadata(), 30)
    if end == "commit":
        producer.commit_transaction(30)
    elif end == "abort":
        producer.abort_transaction(30)
    say(time.time())
    while end == "open" and not stopping:
        time.sleep(0.05)
    consumer.close()


def forbid(bootstrap, lift=""):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    common = (ResourceType.TOPIC, "__consumer_offsets", ResourcePatternType.LITERAL, "User:ANONYMOUS", "*")
    if lift:
        for future in admin.delete_acls([AclBindingFilter(*common, AclOperation.ANY, AclPermissionType.ANY)]).values():
            future.result()
    else:
        rules = [AclBinding(*common, AclOperation.DESCRIBE, AclPermissionType.ALLOW),
                 AclBinding(*common, AclOperation.READ, AclPermissionType.DENY)]
        for future in admin.create_acls(rules).values():
            future.result()
    say(time.time())


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    verbs = {"commit": commit, "watch": watch, "follow": follow, "next": following, "join": join, "forbid": forbid,
             "transact": transact}
    verbs[sys.argv[1]](*sys.argv[2:])
