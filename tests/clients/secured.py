"""librdkafka with any settings, for suites about security: run with the Python of `parts.venv()`.

    secured.py SETTINGS produce TOPIC RECORDS [PARTITIONS]   -> {"acked": records, "errors": [...]}
    secured.py SETTINGS consume TOPIC GROUP RECORDS          -> {"read": [values], "errors": [...]}; commits them
    secured.py SETTINGS allow|forbid                         access rules from standard input, one JSON list a line:
                                                             [principal, operation, resource type, name, prefixed]

SETTINGS is librdkafka's configuration as JSON.
"""

import json
import sys
import time

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType, AdminClient,
                                   ResourcePatternType, ResourceType)

PATIENCE_SECONDS = 20


def produce(settings, topic, records, partitions="1"):
    errors, acked = [], []
    producer = Producer({**settings, "error_cb": lambda error: errors.append(str(error)), "message.timeout.ms": 15000})
    for number in range(int(records)):
        producer.produce(topic, f"record {number}".encode(), partition=number % int(partitions),
                         on_delivery=lambda error, message: (errors if error else acked).append(str(error)))
    producer.flush(PATIENCE_SECONDS)
    print(json.dumps({"acked": len(acked), "errors": errors[-3:]}))


def consume(settings, topic, group, records):
    errors, read = [], []
    consumer = Consumer({**settings, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
                         "error_cb": lambda error: errors.append(str(error))})
    consumer.subscribe([topic])
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(read) < int(records) and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and message.error():
            errors.append(str(message.error()))
        elif message is not None:
            read.append(message.value().decode())
    if read:
        consumer.commit(asynchronous=False)
    consumer.close()
    print(json.dumps({"read": read, "errors": errors[-3:]}))


def rules():
    for line in sys.stdin:
        principal, operation, kind, name, prefixed = json.loads(line)
        pattern = ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL
        yield (ResourceType[kind], name, pattern, principal, "*", AclOperation[operation], AclPermissionType.ALLOW)


def allow(settings):
    # Kept in a name: what it was asked ends with it.
    client = AdminClient(settings)
    for done in client.create_acls([AclBinding(*rule) for rule in rules()], request_timeout=10).values():
        done.result()


def forbid(settings):
    client = AdminClient(settings)
    for done in client.delete_acls([AclBindingFilter(*rule) for rule in rules()], request_timeout=10).values():
        done.result()


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    {"produce": produce, "consume": consume, "allow": allow, "forbid": forbid}[sys.argv[2]](given, *sys.argv[3:])
