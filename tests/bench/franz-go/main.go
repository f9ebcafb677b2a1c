// The benches' foreign client, on franz-go: fills topics, mirrors record by record, times records on their way.
//
//	client fill    --to BOOTSTRAP --topic T --partitions N --records N [--codec lz4] [--batch-bytes N]
//	client await   --to BOOTSTRAP --topic T --partitions N --records N    says when the first and the last are there
//	client mirror  --from BOOTSTRAP --to BOOTSTRAP --topic T --partitions N --records N [--codec lz4]
//	client latency --to BOOTSTRAP --from BOOTSTRAP --topic T --partitions N --rate N --seconds N
//	client wipe    --to BOOTSTRAP                                         deletes all topics but Kafka's own
//
// Every answer is one line of JSON.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type options struct {
	from, to, topic, codec       string
	partitions, size, batchBytes int
	records                      int64
	rate, seconds                float64
}

func read(words []string) options {
	var given options
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	flags.StringVar(&given.from, "from", "", "")
	flags.StringVar(&given.to, "to", "", "")
	flags.StringVar(&given.topic, "topic", "", "")
	flags.StringVar(&given.codec, "codec", "none", "")
	flags.IntVar(&given.partitions, "partitions", 8, "")
	flags.IntVar(&given.size, "size", 900, "")
	flags.IntVar(&given.batchBytes, "batch-bytes", 64<<10, "")
	flags.Int64Var(&given.records, "records", 0, "")
	flags.Float64Var(&given.rate, "rate", 500, "")
	flags.Float64Var(&given.seconds, "seconds", 20, "")
	_ = flags.Parse(words)
	return given
}

func say(answer any) {
	text, _ := json.Marshal(answer)
	fmt.Println(string(text))
}

func (given options) compression() kgo.Opt {
	if given.codec == "lz4" {
		return kgo.ProducerBatchCompression(kgo.Lz4Compression())
	}
	return kgo.ProducerBatchCompression(kgo.NoCompression())
}

func main() {
	verbs := map[string]func(context.Context, options) error{
		"fill": fill, "await": await, "mirror": mirror, "latency": latency, "wipe": wipe,
	}
	run := verbs[append(os.Args, "")[1]]
	if run == nil {
		fmt.Fprintln(os.Stderr, "usage: client fill|await|mirror|latency|wipe ...")
		os.Exit(2)
	}
	if err := run(context.Background(), read(os.Args[2:])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// An order of about `size` bytes as JSON; names repeat, identifiers do not.
func order(random *rand.Rand, number int64, size int) []byte {
	cities := []string{"Lisbon", "Tallinn", "Graz", "Bergen", "Turin", "Gdansk", "Ghent", "Aarhus"}
	text := fmt.Appendf(nil, `{"order":%d,"customer":"%016x","city":"%s","total":%d.%02d,"currency":"EUR","items":[`,
		number, random.Uint64(), cities[random.Intn(len(cities))], random.Intn(5000), random.Intn(100))
	for len(text) < size-90 {
		text = fmt.Appendf(text, `{"sku":"%010x%08x","quantity":%d,"price":%d.%02d},`,
			random.Int63n(1<<40), random.Uint32(), 1+random.Intn(9), random.Intn(400), random.Intn(100))
	}
	text = fmt.Appendf(text[:len(text)-1], `],"note":"%s`, strings.Repeat("-", max(0, size-len(text)-11)))
	return append(text, `"}`...)
}

func fill(ctx context.Context, given options) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(given.to), given.compression(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(100*time.Millisecond),
		kgo.ProducerBatchMaxBytes(int32(given.batchBytes)), kgo.MaxBufferedRecords(50_000))
	if err != nil {
		return err
	}
	defer client.Close()
	var failed atomic.Int64
	random := rand.New(rand.NewSource(7))
	var written int64
	for number := range given.records {
		value := order(random, number, given.size)
		written += int64(len(value))
		record := &kgo.Record{Topic: given.topic, Partition: int32(number % int64(given.partitions)), Value: value}
		client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Add(1)
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	if failed.Load() > 0 {
		return fmt.Errorf("%d records were not written", failed.Load())
	}
	say(map[string]any{"records": given.records, "value_bytes": written})
	return nil
}

// The topic's log ends by partition.
func ends(ctx context.Context, client *kgo.Client, given options) (map[int32]int64, error) {
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = given.topic
	for index := range given.partitions {
		partition := kmsg.NewListOffsetsRequestTopicPartition()
		partition.Partition = int32(index)
		partition.Timestamp = -1
		topic.Partitions = append(topic.Partitions, partition)
	}
	request.Topics = append(request.Topics, topic)
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	found := map[int32]int64{}
	for _, topic := range answer.Topics {
		for _, partition := range topic.Partitions {
			if partition.ErrorCode != 0 {
				return nil, kerr.ErrorForCode(partition.ErrorCode)
			}
			found[partition.Partition] = partition.Offset
		}
	}
	return found, nil
}

// The records that the topic's log ends count; an error where there is no such topic.
func count(ctx context.Context, client *kgo.Client, given options) (int64, error) {
	found, err := ends(ctx, client, given)
	var sum int64
	for _, end := range found {
		sum += end
	}
	return sum, err
}

func await(ctx context.Context, given options) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(given.to), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	seen := false
	for {
		asked, cancel := context.WithTimeout(ctx, 2*time.Second)
		there, err := count(asked, client, given)
		cancel()
		now := float64(time.Now().UnixMicro()) / 1e6
		if err == nil && there > 0 && !seen {
			seen = true
			say(map[string]any{"first": now})
		}
		if err == nil && there >= given.records {
			say(map[string]any{"last": now, "records": there})
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func mirror(ctx context.Context, given options) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(given.from), kgo.ConsumeTopics(given.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(1<<20))
	if err != nil {
		return err
	}
	defer client.Close()
	writer, err := kgo.NewClient(kgo.SeedBrokers(given.to), given.compression(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(50_000))
	if err != nil {
		return err
	}
	defer writer.Close()
	var failed atomic.Int64
	for moved := int64(0); moved < given.records; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(record *kgo.Record) {
			copied := &kgo.Record{Topic: record.Topic, Partition: record.Partition, Key: record.Key,
				Value: record.Value, Headers: record.Headers, Timestamp: record.Timestamp}
			writer.Produce(ctx, copied, func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Add(1)
				}
			})
			moved++
		})
	}
	if err := writer.Flush(ctx); err != nil || failed.Load() > 0 {
		return fmt.Errorf("%d records failed: %w", failed.Load(), err)
	}
	return nil
}

// Produces at a steady rate to one cluster and consumes on another (or the same); a record is timed from when it was
// due to be produced until it was consumed, so that a stall is not left out. The reader starts at the log ends that were
// there before the first record: one that asked for "the end" itself would miss what came before its answer.
func latency(ctx context.Context, given options) error {
	asker, err := kgo.NewClient(kgo.SeedBrokers(given.from))
	if err != nil {
		return err
	}
	before, err := ends(ctx, asker, given)
	asker.Close()
	if err != nil {
		return err
	}
	from := map[int32]kgo.Offset{}
	for partition, end := range before {
		from[partition] = kgo.NewOffset().At(end)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(given.from), kgo.FetchMinBytes(1),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{given.topic: from}))
	if err != nil {
		return err
	}
	defer reader.Close()
	writer, err := kgo.NewClient(kgo.SeedBrokers(given.to), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.MaxBufferedRecords(200_000))
	if err != nil {
		return err
	}
	defer writer.Close()
	const warmup = 4 * time.Second
	began := time.Now()
	total := int64(given.rate * (given.seconds + warmup.Seconds()))
	var times []time.Duration
	var arrived int64
	var reading sync.WaitGroup
	stopping, stop := context.WithTimeout(ctx, warmup+time.Duration(given.seconds*1e9)+20*time.Second)
	defer stop()
	reading.Go(func() {
		for arrived < total {
			fetches := reader.PollFetches(stopping)
			now := time.Since(began)
			if errors.Is(stopping.Err(), context.DeadlineExceeded) {
				return
			}
			fetches.EachRecord(func(record *kgo.Record) {
				due := time.Duration(binary.BigEndian.Uint64(record.Value))
				arrived++
				if due >= warmup {
					times = append(times, now-due)
				}
			})
		}
	})
	var failed atomic.Int64
	body := order(rand.New(rand.NewSource(7)), 1, given.size)
	for number := range total {
		due := time.Duration(float64(number) / given.rate * 1e9)
		if wait := due - time.Since(began); wait > 50*time.Microsecond {
			time.Sleep(wait)
		}
		value := slices.Clone(body)
		binary.BigEndian.PutUint64(value, uint64(due))
		writer.Produce(ctx, &kgo.Record{Topic: given.topic, Partition: int32(number % int64(given.partitions)), Value: value},
			func(_ *kgo.Record, err error) {
				if err != nil {
					failed.Add(1)
				}
			})
	}
	reading.Wait()
	if len(times) == 0 || failed.Load() > 0 || arrived < total {
		return fmt.Errorf("%d of %d records arrived, %d were not written", arrived, total, failed.Load())
	}
	slices.Sort(times)
	at := func(share float64) float64 {
		return float64(times[min(len(times)-1, int(share*float64(len(times))))].Microseconds()) / 1000
	}
	say(map[string]any{"records": len(times), "p50": at(.5), "p90": at(.9), "p99": at(.99), "p999": at(.999), "max": at(1)})
	return nil
}

var kafkasOwn = []string{"__consumer_offsets", "__transaction_state", "__share_group_state"}

func wipe(ctx context.Context, given options) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(given.to))
	if err != nil {
		return err
	}
	defer client.Close()
	for range 100 {
		all := kmsg.NewPtrMetadataRequest()
		answer, err := all.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		request := kmsg.NewPtrDeleteTopicsRequest()
		for _, topic := range answer.Topics {
			if topic.Topic != nil && !slices.Contains(kafkasOwn, *topic.Topic) {
				request.TopicNames = append(request.TopicNames, *topic.Topic)
				named := kmsg.NewDeleteTopicsRequestTopic()
				named.Topic = topic.Topic
				request.Topics = append(request.Topics, named)
			}
		}
		if len(request.Topics) == 0 {
			return nil
		}
		if _, err := request.RequestWith(ctx, client); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("topics are left")
}
