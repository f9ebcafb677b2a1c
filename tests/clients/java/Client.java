// Kafka's own Java client as a foreign client: ../README.md.

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Client {
    private static final AtomicBoolean STOPPING = new AtomicBoolean();
    private final Map<String, String> given;

    private Client(Map<String, String> given) {
        this.given = given;
    }

    public static void main(String[] words) throws Exception {
        Map<String, String> given = new HashMap<>();
        for (int at = 1; at < words.length; at++) {
            String name = words[at].substring(2);
            given.put(name, name.equals("idempotent") ? "true" : words[++at]);
        }
        Client client = new Client(given);
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            STOPPING.set(true);
            try {
                main.join(10_000);
            } catch (InterruptedException ended) {
                Thread.currentThread().interrupt();
            }
        }));
        if (words[0].equals("produce")) {
            client.produce();
        } else {
            client.consume();
        }
    }

    private String option(String name, String otherwise) {
        return given.getOrDefault(name, otherwise);
    }

    private long number(String name, long otherwise) {
        return given.containsKey(name) ? (long) Double.parseDouble(given.get(name)) : otherwise;
    }

    private Properties common() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", given.get("bootstrap"));
        settings.put("reconnect.backoff.ms", "50");
        settings.put("reconnect.backoff.max.ms", "500");
        settings.put("retry.backoff.ms", "50");
        settings.put("socket.connection.setup.timeout.ms", "2000");
        settings.put("metadata.max.age.ms", "5000");
        settings.put("metadata.recovery.strategy", "rebootstrap");
        settings.put("metadata.recovery.rebootstrap.trigger.ms", "3000");
        return settings;
    }

    private void produce() throws InterruptedException {
        String topic = given.get("topic");
        boolean idempotent = given.containsKey("idempotent");
        int partitions = (int) number("partitions", 1);
        int size = (int) number("size", 128);
        long first = number("from", 0);
        long records = number("records", Long.MAX_VALUE);
        double rate = Double.parseDouble(option("rate", "0"));
        long deadline = deadline();
        Properties settings = common();
        settings.put("acks", option("acks", "all"));
        settings.put("compression.type", option("codec", "none"));
        settings.put("enable.idempotence", String.valueOf(idempotent));
        settings.put("max.in.flight.requests.per.connection", idempotent ? "5" : "1");
        settings.put("linger.ms", "5");
        settings.put("request.timeout.ms", "2000");
        settings.put("delivery.timeout.ms", "120000");
        settings.put("max.block.ms", "120000");
        AtomicLong acked = new AtomicLong();
        long sent = 0;
        long began = System.nanoTime();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            while (sent < records && System.nanoTime() < deadline && !STOPPING.get()) {
                if (rate > 0) {
                    long wait = began + (long) (sent / rate * 1e9) - System.nanoTime();
                    if (wait > 0) {
                        Thread.sleep(wait / 1_000_000, (int) (wait % 1_000_000));
                    }
                }
                int partition = (int) (sent % partitions);
                long number = first + sent / partitions;
                say("{\"sent\":{\"topic\":\"%s\",\"partition\":%d,\"number\":%d,\"at_us\":%d}}",
                    topic, partition, number, nowUs());
                sent++;
                byte[] value = value(option("route", "foreign"), number, size);
                producer.send(new ProducerRecord<>(topic, partition, null, value), (where, error) -> {
                    if (error != null) {
                        say("{\"error\":{\"what\":%s,\"partition\":%d,\"number\":%d}}", quoted(error), partition, number);
                    } else {
                        acked.incrementAndGet();
                        say("{\"acked\":{\"topic\":\"%s\",\"partition\":%d,\"number\":%d,\"offset\":%d,\"at_us\":%d}}",
                            topic, partition, number, where.offset(), nowUs());
                    }
                });
            }
            producer.flush();
        }
        say("{\"done\":{\"sent\":%d,\"acked\":%d}}", sent, acked.get());
    }

    private void consume() throws InterruptedException {
        long until = number("until", Long.MAX_VALUE);
        long session = number("session-ms", 6000);
        long deadline = deadline();
        Properties settings = common();
        settings.put("group.id", given.get("group"));
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("session.timeout.ms", String.valueOf(session));
        settings.put("heartbeat.interval.ms", String.valueOf(session / 4));
        settings.put("request.timeout.ms", "3000");
        settings.put("default.api.timeout.ms", "5000");
        settings.put("fetch.max.wait.ms", "200");
        long read = 0;
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of(given.get("topic")), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> parts) {
                    say("{\"assigned\":{\"partitions\":%s}}", numbers(parts));
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> parts) {
                    say("{\"revoked\":{\"partitions\":%s}}", numbers(parts));
                }
            });
            while (read < until && System.nanoTime() < deadline && !STOPPING.get()) {
                try {
                    ConsumerRecords<byte[], byte[]> batch = consumer.poll(Duration.ofMillis(200));
                    Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
                    for (ConsumerRecord<byte[], byte[]> record : batch) {
                        read++;
                        positions.put(new TopicPartition(record.topic(), record.partition()),
                            new OffsetAndMetadata(record.offset() + 1));
                        say("{\"record\":{\"topic\":\"%s\",\"partition\":%d,\"offset\":%d,\"value\":\"%s\",\"at_us\":%d}}",
                            record.topic(), record.partition(), record.offset(), prefix(record.value()), nowUs());
                    }
                    if (!positions.isEmpty()) {
                        consumer.commitSync(positions);
                        positions.forEach((part, position) -> say("{\"committed\":{\"partition\":%d,\"offset\":%d}}",
                            part.partition(), position.offset()));
                    }
                } catch (KafkaException error) {
                    say("{\"error\":{\"what\":%s}}", quoted(error));
                    Thread.sleep(100);
                }
            }
        }
        say("{\"done\":{\"records\":%d}}", read);
    }

    private long deadline() {
        return given.containsKey("seconds")
            ? System.nanoTime() + (long) (Double.parseDouble(given.get("seconds")) * 1e9)
            : Long.MAX_VALUE;
    }

    private static long nowUs() {
        java.time.Instant now = java.time.Instant.now();
        return now.getEpochSecond() * 1_000_000 + now.getNano() / 1000;
    }

    private static byte[] value(String route, long number, int size) {
        byte[] words = ("leeward-drill " + route + " " + number + " ").getBytes(StandardCharsets.UTF_8);
        byte[] value = Arrays.copyOf(words, Math.max(size, words.length));
        Arrays.fill(value, words.length, value.length, (byte) '.');
        return value;
    }

    private static String prefix(byte[] value) {
        String[] words = new String(value == null ? new byte[0] : value, StandardCharsets.UTF_8).split(" ");
        String first = String.join(" ", Arrays.copyOf(words, Math.min(3, words.length)));
        return first.replace("\\", "\\\\").replace("\"", "\\\"");
    }

    private static String numbers(Collection<TopicPartition> parts) {
        return parts.stream().map(TopicPartition::partition).sorted().toList().toString();
    }

    private static String quoted(Exception error) {
        String text = error.getClass().getSimpleName() + ": " + error.getMessage();
        return "\"" + text.replace("\\", "\\\\").replace("\"", "\\\"").replaceAll("\\p{Cntrl}", " ") + "\"";
    }

    private static synchronized void say(String format, Object... words) {
        System.out.println(String.format(format, words));
        System.out.flush();
    }
}
