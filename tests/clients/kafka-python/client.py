"""kafka-python as a foreign client: ../README.md."""

import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from protocol import Reading, emit, now_us, options, paced, prefix, stopping, value  # noqa: E402

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer  # noqa: E402
from kafka.errors import KafkaError  # noqa: E402


def common(given):
    return {
        "bootstrap_servers": given.bootstrap.split(","),
        "reconnect_backoff_ms": 50,
        "reconnect_backoff_max_ms": 500,
        "retry_backoff_ms": 50,
        "metadata_max_age_ms": 5000,
    }


def patiently(connect):
    """Connects, however long the first broker takes to come."""
    while True:
        try:
            return connect()
        except KafkaError as error:
            emit("error", what=f"{type(error).__name__}: {error}")
            if stopping.wait(0.5):
                raise SystemExit(1) from error


def produce(given):
    counts = {"sent": 0, "acked": 0}
    producer = patiently(lambda: KafkaProducer(
        **common(given),
        acks=given.acks if given.acks == "all" else int(given.acks),
        compression_type=None if given.codec == "none" else given.codec,
        enable_idempotence=given.idempotent,
        max_in_flight_requests_per_connection=5 if given.idempotent else 1,
        linger_ms=5,
        request_timeout_ms=3000,
        delivery_timeout_ms=120000,
        max_block_ms=120000,
    ))

    def acked(number):
        def report(where):
            counts["acked"] += 1
            emit("acked", topic=where.topic, partition=where.partition, number=number, offset=where.offset,
                 at_us=now_us())
        return report

    def failed(partition, number):
        return lambda error: emit("error", what=f"{type(error).__name__}: {error}", partition=partition, number=number)

    for partition, number in paced(given):
        emit("sent", topic=given.topic, partition=partition, number=number, at_us=now_us())
        counts["sent"] += 1
        try:
            future = producer.send(given.topic, value(given.route, number, given.size), partition=partition)
        except KafkaError as error:
            failed(partition, number)(error)
            continue
        future.add_callback(acked(number))
        future.add_errback(failed(partition, number))
    try:
        producer.flush(125)
        producer.close(5)
    except KafkaError as error:
        emit("error", what=f"{type(error).__name__}: {error}")
    emit("done", **counts)


class Told(ConsumerRebalanceListener):
    def on_partitions_assigned(self, assigned):
        emit("assigned", partitions=sorted(part.partition for part in assigned))

    def on_partitions_revoked(self, revoked):
        emit("revoked", partitions=sorted(part.partition for part in revoked))


def consume(given):
    reading = Reading(given)
    consumer = patiently(lambda: KafkaConsumer(
        **common(given),
        group_id=given.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=given.session_ms,
        heartbeat_interval_ms=given.session_ms // 4,
        request_timeout_ms=max(7000, given.session_ms + 1000),
        fetch_max_wait_ms=200,
    ))
    consumer.subscribe([given.topic], listener=Told())
    while not reading.over():
        try:
            batches = consumer.poll(timeout_ms=200)
            for records in batches.values():
                for record in records:
                    reading.records += 1
                    emit("record", topic=record.topic, partition=record.partition, offset=record.offset,
                         value=prefix(record.value), at_us=now_us())
            if batches:
                consumer.commit()
                for part, records in batches.items():
                    emit("committed", partition=part.partition, offset=records[-1].offset + 1)
        except KafkaError as error:
            emit("error", what=f"{type(error).__name__}: {error}")
            time.sleep(0.1)
    consumer.close(autocommit=False)
    emit("done", records=reading.records)


if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)
    given = options()
    produce(given) if given.verb == "produce" else consume(given)
