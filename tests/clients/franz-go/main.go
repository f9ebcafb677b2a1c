// franz-go as a foreign client: ../README.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type object = map[string]any

var lines sync.Mutex

func say(kind string, fields object) {
	text, _ := json.Marshal(object{kind: fields})
	lines.Lock()
	defer lines.Unlock()
	fmt.Println(string(text))
}

func nowUs() int64 { return time.Now().UnixMicro() }

type options struct {
	bootstrap, topic, group, codec, acks, route string
	partitions, size                            int
	records, from, until                        int64
	seconds, rate                               float64
	session                                     int
	idempotent                                  bool
}

func read(words []string) options {
	var given options
	flags := flag.NewFlagSet("client", flag.ExitOnError)
	flags.StringVar(&given.bootstrap, "bootstrap", "", "")
	flags.StringVar(&given.topic, "topic", "", "")
	flags.StringVar(&given.group, "group", "", "")
	flags.StringVar(&given.codec, "codec", "none", "")
	flags.StringVar(&given.acks, "acks", "all", "")
	flags.StringVar(&given.route, "route", "foreign", "")
	flags.IntVar(&given.partitions, "partitions", 1, "")
	flags.IntVar(&given.size, "size", 128, "")
	flags.Int64Var(&given.records, "records", -1, "")
	flags.Int64Var(&given.from, "from", 0, "")
	flags.Int64Var(&given.until, "until", -1, "")
	flags.Float64Var(&given.seconds, "seconds", -1, "")
	flags.Float64Var(&given.rate, "rate", 0, "")
	flags.IntVar(&given.session, "session-ms", 6000, "")
	flags.BoolVar(&given.idempotent, "idempotent", false, "")
	_ = flags.Parse(words)
	return given
}

func (given options) common() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(strings.Split(given.bootstrap, ",")...),
		kgo.DialTimeout(2 * time.Second),
		kgo.RequestTimeoutOverhead(2 * time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.MetadataMaxAge(5 * time.Second),
	}
}

func (given options) over(began time.Time) bool {
	return given.seconds >= 0 && time.Since(began).Seconds() >= given.seconds
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: client produce|consume ...")
		os.Exit(2)
	}
	stopping, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	given := read(os.Args[2:])
	run := consume
	if os.Args[1] == "produce" {
		run = produce
	}
	if err := run(stopping, given); err != nil {
		say("error", object{"what": err.Error()})
		os.Exit(1)
	}
}

func produce(stopping context.Context, given options) error {
	acks := map[string]kgo.Acks{"all": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck()}[given.acks]
	codec := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}[given.codec]
	settings := append(given.common(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(acks),
		kgo.ProducerBatchCompression(codec),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProduceRequestTimeout(2*time.Second),
		kgo.RecordDeliveryTimeout(120*time.Second),
		kgo.UnknownTopicRetries(-1),
	)
	if !given.idempotent {
		settings = append(settings, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	}
	client, err := kgo.NewClient(settings...)
	if err != nil {
		return err
	}
	var acked atomic.Int64
	began := time.Now()
	sent := int64(0)
	for ; (given.records < 0 || sent < given.records) && !given.over(began) && stopping.Err() == nil; sent++ {
		if given.rate > 0 {
			due := began.Add(time.Duration(float64(sent) / given.rate * float64(time.Second)))
			time.Sleep(time.Until(due))
		}
		partition := int32(sent % int64(given.partitions))
		number := given.from + sent/int64(given.partitions)
		say("sent", object{"topic": given.topic, "partition": partition, "number": number, "at_us": nowUs()})
		value := []byte(fmt.Sprintf("leeward-drill %s %d ", given.route, number))
		if missing := given.size - len(value); missing > 0 {
			value = append(value, strings.Repeat(".", missing)...)
		}
		record := &kgo.Record{Topic: given.topic, Partition: partition, Value: value}
		client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
			if err != nil {
				say("error", object{"what": err.Error(), "partition": partition, "number": number})
				return
			}
			acked.Add(1)
			say("acked", object{"topic": given.topic, "partition": partition, "number": number,
				"offset": record.Offset, "at_us": nowUs()})
		})
	}
	_ = client.Flush(context.Background())
	client.Close()
	say("done", object{"sent": sent, "acked": acked.Load()})
	return nil
}

func consume(stopping context.Context, given options) error {
	told := func(kind string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			slices.Sort(parts[given.topic])
			say(kind, object{"partitions": append([]int32{}, parts[given.topic]...)})
		}
	}
	session := time.Duration(given.session) * time.Millisecond
	client, err := kgo.NewClient(append(given.common(),
		kgo.ConsumerGroup(given.group),
		kgo.ConsumeTopics(given.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(session),
		kgo.HeartbeatInterval(session/4),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchMaxWait(200*time.Millisecond),
		kgo.OnPartitionsAssigned(told("assigned")),
		kgo.OnPartitionsRevoked(told("revoked")),
		kgo.OnPartitionsLost(told("revoked")),
	)...)
	if err != nil {
		return err
	}
	began := time.Now()
	count := int64(0)
	for (given.until < 0 || count < given.until) && !given.over(began) && stopping.Err() == nil {
		polling, cancel := context.WithTimeout(stopping, 200*time.Millisecond)
		fetches := client.PollRecords(polling, 500)
		cancel()
		fetches.EachError(func(_ string, _ int32, err error) {
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
				say("error", object{"what": err.Error()})
			}
		})
		records := fetches.Records()
		positions := map[int32]int64{}
		for _, record := range records {
			words := strings.SplitN(string(record.Value), " ", 4)
			say("record", object{"topic": record.Topic, "partition": record.Partition, "offset": record.Offset,
				"value": strings.Join(words[:min(3, len(words))], " "), "at_us": nowUs()})
			positions[record.Partition] = record.Offset + 1
		}
		count += int64(len(records))
		if len(records) > 0 {
			committing, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			if err := client.CommitRecords(committing, records...); err != nil {
				say("error", object{"what": "commit: " + err.Error()})
			} else {
				for partition, offset := range positions {
					say("committed", object{"partition": partition, "offset": offset})
				}
			}
			cancel()
		}
		client.AllowRebalance()
	}
	client.CloseAllowingRebalance()
	say("done", object{"records": count})
	return nil
}
