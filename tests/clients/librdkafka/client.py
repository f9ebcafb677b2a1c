"""librdkafka (by way of confluent-kafka) as a foreign client: ../README.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from protocol import Reading, emit, now_us, options, paced, prefix, value  # noqa: E402

from confluent_kafka import Consumer, KafkaException, Producer  # noqa: E402


def common(given):
    return {
        "bootstrap.servers": given.bootstrap,
        "socket.connection.setup.timeout.ms": 2000,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 500,
        "topic.metadata.refresh.interval.ms": 5000,
        "metadata.recovery.strategy": "rebootstrap",
        "metadata.recovery.rebootstrap.trigger.ms": 3000,
        "allow.auto.create.topics": False,
        "error_cb": lambda error: emit("error", what=str(error)),
    }


def produce(given):
    counts = {"sent": 0, "acked": 0}
    settings = {
        **common(given),
        "acks": given.acks,
        "compression.codec": given.codec,
        "linger.ms": 5,
        "enable.idempotence": given.idempotent,
        "max.in.flight.requests.per.connection": 5 if given.idempotent else 1,
        "socket.timeout.ms": 3000,
        "request.timeout.ms": 2000,
        "message.timeout.ms": 120000,
        "retry.backoff.ms": 50,
    }
    producer = Producer(settings)

    def delivered(partition, number):
        def report(error, message):
            if error is not None:
                emit("error", what=str(error), partition=partition, number=number)
                return
            counts["acked"] += 1
            emit("acked", topic=given.topic, partition=partition, number=number, offset=message.offset(), at_us=now_us())
        return report

    for partition, number in paced(given):
        emit("sent", topic=given.topic, partition=partition, number=number, at_us=now_us())
        counts["sent"] += 1
        while True:
            try:
                producer.produce(given.topic, value(given.route, number, given.size), partition=partition,
                                 on_delivery=delivered(partition, number))
                break
            except BufferError:
                producer.poll(0.1)
            except KafkaException as error:
                # An idempotent producer whose identity another cluster does not know is finished: begin anew.
                emit("error", what=str(error))
                if not error.args[0].fatal():
                    raise
                producer.purge()
                producer.poll(0)
                producer = Producer(settings)
        producer.poll(0)
    producer.flush(125)
    emit("done", **counts)


def consume(given):
    reading = Reading(given)
    consumer = Consumer({
        **common(given),
        "group.id": given.group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": given.session_ms,
        "heartbeat.interval.ms": given.session_ms // 4,
        "fetch.wait.max.ms": 200,
    })
    consumer.subscribe(
        [given.topic],
        on_assign=lambda _, parts: emit("assigned", partitions=[part.partition for part in parts]),
        on_revoke=lambda _, parts: emit("revoked", partitions=[part.partition for part in parts]),
        on_lost=lambda _, parts: emit("revoked", partitions=[part.partition for part in parts]),
    )
    while not reading.over():
        read = False
        for message in consumer.consume(500, timeout=0.2):
            if message.error():
                emit("error", what=str(message.error()))
                continue
            read = True
            reading.records += 1
            emit("record", topic=message.topic(), partition=message.partition(), offset=message.offset(),
                 value=prefix(message.value()), at_us=now_us())
        if read:
            try:
                for part in consumer.commit(asynchronous=False):
                    emit("committed", partition=part.partition, offset=part.offset)
            except KafkaException as error:
                emit("error", what=f"commit: {error}")
    consumer.close()
    emit("done", records=reading.records)


if __name__ == "__main__":
    given = options()
    produce(given) if given.verb == "produce" else consume(given)
