"""Load at a steady rate by librdkafka (idempotent), cheap enough for 20 000 records/s beside two clusters: run with the Python of
`parts.venv()`.

    load.py BOOTSTRAP TOPIC PARTITIONS (--seconds S --rate R | --records N) [--size BYTES] [--codec C] [--transactions EACH]

Values are `PARTITION NUMBER ` and bytes that differ from record to record; numbers count from 0 in each partition, each tenth
record has a key and a header. With --transactions each EACH records are one transaction, and every third of them is aborted and
written again: only what is committed counts. Ends early on SIGTERM, with everything acknowledged. Prints {"acked": [records of
partition 0, ...], "seconds": S, "behind_ms_max": how late a burst went out at most}.
"""

import argparse
import json
import random
import signal
import time

from confluent_kafka import Producer

BURST_SECONDS = 0.005
NOISE = random.Random(7).randbytes(1 << 16)
stopping = False


def stop(*_):
    global stopping
    stopping = True


class Load:
    def __init__(self, given):
        self.given = given
        self.next = [0] * given.partitions
        self.acked = [0] * given.partitions
        self.turn = 0
        settings = {
            "bootstrap.servers": given.bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 5,
            "compression.codec": given.codec, "queue.buffering.max.messages": 500_000, "message.timeout.ms": 60_000,
        }
        if given.transactions:
            settings["transactional.id"] = f"load-{given.topic}"
        self.producer = Producer(settings)
        if given.transactions:
            self.producer.init_transactions(30)

    def delivered(self, error, message):
        if error is not None:
            raise SystemExit(f"load: {error}")
        self.acked[message.partition()] += 1

    def one(self):
        partition = self.turn % self.given.partitions
        self.turn += 1
        number = self.next[partition]
        self.next[partition] += 1
        begin = number * 31 % (len(NOISE) - self.given.size)
        words = b"%d %d " % (partition, number)
        marked = number % 10 == 0
        while True:
            try:
                self.producer.produce(
                    self.given.topic, words + NOISE[begin:begin + self.given.size - len(words)], partition=partition,
                    key=words if marked else None, headers=[("n", words)] if marked else None,
                    on_delivery=self.delivered)
                return
            except BufferError:
                self.producer.poll(0.05)

    def paced(self):
        began = time.monotonic()
        sent, behind = 0, 0.0
        while not stopping:
            passed = time.monotonic() - began
            if passed >= self.given.seconds:
                break
            for _ in range(int(passed * self.given.rate) - sent):
                self.one()
                sent += 1
            self.producer.poll(0)
            behind = max(behind, time.monotonic() - began - passed)
            time.sleep(BURST_SECONDS)
        return behind

    def counted(self):
        for at in range(self.given.records):
            self.one()
            if at % 1000 == 0:
                self.producer.poll(0)
        return 0.0

    def transactions(self):
        """Transactions of EACH records; of three in a row the second is aborted and comes again."""
        left, number = self.given.records, 0
        while left > 0 and not stopping:
            each = min(self.given.transactions, left)
            before = (list(self.next), list(self.acked), self.turn)
            self.producer.begin_transaction()
            for _ in range(each):
                self.one()
            self.producer.flush(30)
            number += 1
            if number % 3 == 2:
                self.producer.abort_transaction(30)
                self.next, self.acked, self.turn = before
                continue
            self.producer.commit_transaction(30)
            left -= each
        return 0.0

    def run(self):
        began = time.monotonic()
        if self.given.transactions:
            behind = self.transactions()
        elif self.given.records:
            behind = self.counted()
        else:
            behind = self.paced()
        left = self.producer.flush(120)
        if left:
            raise SystemExit(f"load: {left} records were not acknowledged")
        seconds = time.monotonic() - began
        print(json.dumps({"acked": self.acked, "seconds": round(seconds, 1), "behind_ms_max": round(behind * 1000)}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("partitions", type=int)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--records", type=int, default=0)
    parser.add_argument("--size", type=int, default=120)
    parser.add_argument("--codec", default="lz4")
    parser.add_argument("--transactions", type=int, default=0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    Load(parser.parse_args()).run()


if __name__ == "__main__":
    main()
