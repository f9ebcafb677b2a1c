"""Topics and group positions of any cluster by librdkafka, records by kafka-python: run with the Python of `parts.venv()`.

    admin.py create BOOTSTRAP TOPIC PARTITIONS [CONFIGS-AS-JSON]
    admin.py topics BOOTSTRAP               -> {"topic": partitions}
    admin.py brokers BOOTSTRAP              -> [id]
    admin.py positions BOOTSTRAP GROUP      -> {"topic/partition": offset}
    admin.py together BOOTSTRAP positions|states|delete GROUP...
                                            -> by group: {"topic/partition": offset}, state, or "OK", else an error; asked for in
                                               one request by kafka-python, once
    admin.py transact BOOTSTRAP TOPIC EACH  three transactions: committed, aborted, committed
    admin.py dump BOOTSTRAP TOPIC           -> one line for each record: [partition, offset, timestamp,
                                               digest of the key, digest of the value, its first words, headers]
"""

import hashlib
import json
import sys
import time

from confluent_kafka import ConsumerGroupTopicPartitions, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaAdminClient, KafkaConsumer
from kafka import TopicPartition as Part

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


def brokers(bootstrap):
    print(json.dumps(sorted(AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).brokers)))


def positions(bootstrap, group):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=10)
    found = asked[group].result().topic_partitions
    print(json.dumps({f"{part.topic}/{part.partition}": part.offset for part in found if part.offset >= 0}))


def together(bootstrap, what, *groups):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    if what == "delete":
        found = admin.delete_groups(list(groups))
    elif what == "states":
        found = {group: told["error"] or told["group_state"] for group, told in admin.describe_groups(list(groups)).items()}
    else:
        found = {group: {f"{part.topic}/{part.partition}": at.offset for part, at in parts.items()}
                 for group, parts in admin.list_group_offsets(list(groups)).items()}
    print(json.dumps(found))


def transact(bootstrap, topic, each):
    """Three transactions into partition 0: committed, aborted, committed, of `each` records."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"transactions-{topic}"})
    producer.init_transactions(30)
    for number, end in enumerate((producer.commit_transaction, producer.abort_transaction, producer.commit_transaction)):
        producer.begin_transaction()
        for at in range(int(each)):
            producer.produce(topic, f"leeward-drill transaction-{number} {at} .".encode(), partition=0)
        producer.flush(30)
        end(30)


def dump(bootstrap, topic):
    """Every committed record that stands in the log now, by kafka-python."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False,
                             isolation_level="read_committed", fetch_max_wait_ms=200)
    parts = [Part(topic, partition) for partition in sorted(consumer.partitions_for_topic(topic))]
    for part in parts:
        consumer.assign([part])
        consumer.seek_to_beginning(part)
        end = consumer.end_offsets([part])[part]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while consumer.position(part) < end:
            for message in consumer.poll(timeout_ms=500).get(part, []):
                deadline = time.monotonic() + PATIENCE_SECONDS
                if message.offset < end:
                    line(message)
            if time.monotonic() > deadline:
                raise SystemExit(f"admin: {part} gives nothing from {consumer.position(part)} on, its end is {end}")
    consumer.close()


def line(message):
    words = (message.value or b"").decode("utf-8", "replace").split(" ")[:3]
    digest = [hashlib.sha256(part).hexdigest()[:16] if part is not None else None
              for part in (message.key, message.value)]
    headers = [[name, (value or b"").hex()] for name, value in message.headers or []]
    print(json.dumps([message.partition, message.offset, message.timestamp, *digest, " ".join(words), headers]))


if __name__ == "__main__":
    verbs = {"create": create, "topics": topics, "brokers": brokers, "positions": positions, "together": together,
             "transact": transact, "dump": dump}
    verbs[sys.argv[1]](*sys.argv[2:])
