"""Two logs record by record, by a client that is not ours: run with the Python of `parts.venv()`.

    compare.py SOURCE TARGET TOPIC [--by librdkafka|kafka-python] [--seed N]

Reads every committed record of TOPIC on both sides. Values begin with `PARTITION NUMBER `, numbers from 0 (load.py). Prints one
JSON object: records on both sides; `lost`, `duplicated`, `out_of_order` by numbers, against the source; `different` records by
timestamp, key, value and headers, position by position; ends of the logs; and some places of equal records, [partition, source
offset, target offset], among them the first and the last; and some `gaps`: source offsets without a record, each with the target
offset of the record that comes behind it.
"""

import argparse
import json
import random
import time
from array import array

PATIENCE_SECONDS = 30
PLACES = 12


class Log:
    """One partition: numbers, offsets and digests of its records in order."""

    def __init__(self):
        self.numbers, self.offsets, self.digests, self.end = array("q"), array("q"), array("q"), 0

    def add(self, offset, timestamp, key, value, headers):
        self.numbers.append(int(value.split(b" ", 2)[1]))
        self.offsets.append(offset)
        self.digests.append(hash((timestamp, key, value, tuple(headers or ()))))


def by_librdkafka(bootstrap, topic):
    from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "leeward-compare", "enable.auto.commit": False,
                         "isolation.level": "read_committed", "enable.partition.eof": True, "fetch.wait.max.ms": 50})
    found = {}
    for partition in sorted(consumer.list_topics(topic, 20).topics[topic].partitions):
        log = found[partition] = Log()
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        _, log.end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
        deadline, at_end = time.monotonic() + PATIENCE_SECONDS, log.end == 0
        while not at_end:
            for message in consumer.consume(10_000, timeout=0.1):
                if message.error():
                    at_end = message.error().code() == KafkaError._PARTITION_EOF
                    continue
                deadline = time.monotonic() + PATIENCE_SECONDS
                log.add(message.offset(), message.timestamp()[1], message.key(), message.value(), message.headers())
            if time.monotonic() > deadline:
                raise SystemExit(f"compare: {bootstrap} {topic}-{partition} gives nothing more")
    consumer.close()
    return found


def by_kafka_python(bootstrap, topic):
    from kafka import KafkaConsumer
    from kafka import TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False,
                             isolation_level="read_committed", fetch_max_wait_ms=200)
    found = {}
    for partition in sorted(consumer.partitions_for_topic(topic)):
        log, part = Log(), TopicPartition(topic, partition)
        found[partition] = log
        consumer.assign([part])
        consumer.seek_to_beginning(part)
        log.end = consumer.end_offsets([part])[part]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while consumer.position(part) < log.end:
            for message in consumer.poll(timeout_ms=500).get(part, []):
                deadline = time.monotonic() + PATIENCE_SECONDS
                log.add(message.offset, message.timestamp, message.key, message.value, message.headers)
            if time.monotonic() > deadline:
                raise SystemExit(f"compare: {part} gives nothing from {consumer.position(part)} on")
    consumer.close()
    return found


def inversions(numbers):
    highest, count = -1, 0
    for number in numbers:
        count += number < highest
        highest = max(highest, number)
    return count


def compared(source, target, seed):
    chance = random.Random(seed)
    told = {"source": 0, "target": 0, "lost": 0, "duplicated": 0, "out_of_order": 0, "different": 0, "ends": [],
            "places": [], "gaps": []}
    for partition, theirs in source.items():
        ours = target.get(partition, Log())
        told["source"] += len(theirs.numbers)
        told["target"] += len(ours.numbers)
        there, here = set(theirs.numbers), set(ours.numbers)
        told["lost"] += len(there - here)
        told["duplicated"] += len(ours.numbers) - len(here)
        told["out_of_order"] += inversions(ours.numbers)
        told["different"] += sum(a != b for a, b in zip(theirs.digests, ours.digests))
        told["different"] += abs(len(theirs.digests) - len(ours.digests))
        told["ends"].append([partition, theirs.end, ours.end])
        both = min(len(theirs.numbers), len(ours.numbers))
        picked = {0, both - 1, *(chance.randrange(both) for _ in range(PLACES // len(source)))} if both else ()
        gaps = [[partition, theirs.offsets[at - 1] + 1, ours.offsets[at]]
                for at in range(1, both) if theirs.offsets[at] > theirs.offsets[at - 1] + 1]
        told["gaps"] += chance.sample(gaps, min(3, len(gaps)))
        told["places"] += [[partition, theirs.offsets[at], ours.offsets[at]] for at in sorted(picked)]
    return told


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("topic")
    parser.add_argument("--by", default="librdkafka", choices=["librdkafka", "kafka-python"])
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    read = by_librdkafka if given.by == "librdkafka" else by_kafka_python
    print(json.dumps(compared(read(given.source, given.topic), read(given.target, given.topic), given.seed)))


if __name__ == "__main__":
    main()
