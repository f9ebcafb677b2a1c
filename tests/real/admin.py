"""Topics, configs and group positions of any cluster, by librdkafka: run with the Python of `parts.venv()`.

    admin.py create BOOTSTRAP TOPIC PARTITIONS [CONFIGS-AS-JSON]
    admin.py topics BOOTSTRAP               -> {"topic": partitions}
    admin.py positions BOOTSTRAP GROUP      -> {"topic/partition": offset}
    admin.py dump BOOTSTRAP TOPIC           -> one line for each record: [partition, offset, timestamp, key, value, headers]
"""

import hashlib
import json
import sys
import time

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PATIENCE_SECONDS = 20


def create(bootstrap, topic, partitions, configs="{}"):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = NewTopic(topic, int(partitions), 1, config=json.loads(configs))
    admin.create_topics([new], operation_timeout=10, request_timeout=15)[topic].result()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        seen = admin.list_topics(timeout=10).topics.get(topic)
        leaders = [part.leader for part in seen.partitions.values()] if seen else []
        if len(leaders) == int(partitions) and all(leader >= 0 for leader in leaders):
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"admin: {topic} has no leaders")
        time.sleep(0.1)


def topics(bootstrap):
    seen = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics
    print(json.dumps({name: len(topic.partitions) for name, topic in sorted(seen.items())}))


def positions(bootstrap, group):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=10)
    found = asked[group].result().topic_partitions
    print(json.dumps({f"{part.topic}/{part.partition}": part.offset for part in found if part.offset >= 0}))


def dump(bootstrap, topic):
    """Every record that stands in the log now, by offset; values as digests."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False,
                         "enable.partition.eof": False, "check.crcs": True})
    meta = consumer.list_topics(topic, timeout=10).topics[topic]
    for partition in sorted(meta.partitions):
        first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        if first == end:
            continue
        consumer.assign([TopicPartition(topic, partition, first)])
        deadline = time.monotonic() + PATIENCE_SECONDS
        at = first
        while at < end:
            for message in consumer.consume(1000, timeout=0.5):
                if message.error():
                    raise KafkaException(message.error())
                deadline = time.monotonic() + PATIENCE_SECONDS
                at = message.offset() + 1
                digest = [hashlib.sha256(part).hexdigest()[:16] if part is not None else None
                          for part in (message.key(), message.value())]
                headers = [[name, (value or b"").hex()] for name, value in message.headers() or []]
                print(json.dumps([partition, message.offset(), message.timestamp()[1], *digest, headers]))
            if consumer.position([TopicPartition(topic, partition)])[0].offset >= end:
                break
            if time.monotonic() > deadline:
                raise SystemExit(f"admin: {topic}/{partition} gives nothing from {at} on, its end is {end}")
    consumer.close()


if __name__ == "__main__":
    {"create": create, "topics": topics, "positions": positions, "dump": dump}[sys.argv[1]](*sys.argv[2:])
