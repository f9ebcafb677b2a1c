// kafkajs as a foreign client: ../README.md.
'use strict'

process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1'
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const snappy = require('snappyjs')
const zstd = require('@bokuweb/zstd-wasm')

const CODECS = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, zstd: CompressionTypes.ZSTD }
const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const IN_FLIGHT_MAX = 200

let stopping = false
process.on('SIGTERM', () => { stopping = true })
process.on('SIGINT', () => { stopping = true })

const say = (kind, fields) => process.stdout.write(JSON.stringify({ [kind]: fields }) + '\n')
const nowUs = () => Date.now() * 1000
const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

function read (words) {
  const given = { partitions: 1, rate: 0, size: 128, codec: 'none', acks: 'all', route: 'foreign', from: 0, 'session-ms': 6000 }
  for (let at = 0; at < words.length; at++) {
    const name = words[at].slice(2)
    given[name] = name === 'idempotent' ? true : words[++at]
  }
  for (const name of ['partitions', 'rate', 'size', 'from', 'session-ms', 'records', 'seconds', 'until']) {
    if (given[name] !== undefined) given[name] = Number(given[name])
  }
  return given
}

// Java frames snappy blocks in its own way; either may come.
function unframed (buffer) {
  if (!buffer.subarray(0, 8).equals(XERIAL)) return snappy.uncompress(buffer)
  const blocks = []
  for (let at = 16; at < buffer.length;) {
    const length = buffer.readInt32BE(at)
    blocks.push(snappy.uncompress(buffer.subarray(at + 4, at + 4 + length)))
    at += 4 + length
  }
  return Buffer.concat(blocks)
}

CompressionCodecs[CompressionTypes.Snappy] = () => ({
  compress: async encoder => snappy.compress(encoder.buffer),
  decompress: async buffer => unframed(buffer)
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(zstd.decompress(buffer))
})

function connect (given) {
  return new Kafka({
    clientId: 'leeward-tests',
    brokers: given.bootstrap.split(','),
    connectionTimeout: 2000,
    requestTimeout: 3000,
    enforceRequestTimeout: true,
    retry: { initialRetryTime: 50, maxRetryTime: 1000, retries: 1000 },
    logLevel: logLevel.ERROR,
    logCreator: () => ({ log }) => say('error', { what: log.error ? `${log.message}: ${log.error}` : log.message })
  })
}

async function produce (given) {
  const producer = connect(given).producer({
    idempotent: Boolean(given.idempotent),
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    metadataMaxAge: 5000,
    retry: { initialRetryTime: 50, maxRetryTime: 1000, retries: 200 }
  })
  await producer.connect()
  const began = Date.now()
  let sent = 0
  let acked = 0
  const acks = given.acks === 'all' ? -1 : Number(given.acks)

  // kafkajs retries requests one by one, so order holds only with one request in flight in a partition.
  const waiting = Array.from({ length: given.partitions }, () => [])
  const busy = new Set()
  async function forward (partition) {
    while (waiting[partition].length > 0) {
      const numbers = waiting[partition].splice(0, IN_FLIGHT_MAX)
      const messages = numbers.map(number => ({ partition, value: `leeward-drill ${given.route} ${number} `.padEnd(given.size, '.') }))
      try {
        const [answer] = await producer.send({ topic: given.topic, acks, compression: CODECS[given.codec], messages })
        const base = answer && answer.baseOffset !== undefined ? Number(answer.baseOffset) : -1
        numbers.forEach((number, at) => {
          acked++
          say('acked', { topic: given.topic, partition, number, offset: base < 0 ? -1 : base + at, at_us: nowUs() })
        })
      } catch (error) {
        for (const number of numbers) say('error', { what: `${error.name}: ${error.message}`, partition, number })
      }
    }
  }
  function push (partition) {
    const task = forward(partition).finally(() => busy.delete(partition))
    task.partition = partition
    busy.add(partition)
  }

  const more = () => !stopping &&
    (given.records === undefined || sent < given.records) &&
    (given.seconds === undefined || Date.now() - began < given.seconds * 1000)
  while (more()) {
    const due = given.rate > 0 ? Math.floor((Date.now() - began) / 1000 * given.rate) + 1 : sent + IN_FLIGHT_MAX
    while (sent < due && more() && waiting.every(queue => queue.length < 5000)) {
      const partition = sent % given.partitions
      const number = given.from + Math.floor(sent / given.partitions)
      say('sent', { topic: given.topic, partition, number, at_us: nowUs() })
      sent++
      waiting[partition].push(number)
      if (!busy.has(partition)) push(partition)
    }
    await pause(2)
  }
  while (busy.size > 0) await pause(5)
  await producer.disconnect()
  say('done', { sent, acked })
}

async function consume (given) {
  const consumer = connect(given).consumer({
    groupId: given.group,
    sessionTimeout: given['session-ms'],
    rebalanceTimeout: given['session-ms'] * 2,
    heartbeatInterval: Math.floor(given['session-ms'] / 4),
    maxWaitTimeInMs: 200,
    metadataMaxAge: 5000,
    allowAutoTopicCreation: false,
    retry: { initialRetryTime: 50, maxRetryTime: 1000, retries: 1000, restartOnFailure: async () => true }
  })
  let records = 0
  const began = Date.now()
  const over = () => stopping || (given.until !== undefined && records >= given.until) ||
    (given.seconds !== undefined && Date.now() - began >= given.seconds * 1000)
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    say('assigned', { partitions: payload.memberAssignment[given.topic] || [] })
  })
  consumer.on(consumer.events.REBALANCING, () => say('revoked', { partitions: [] }))
  await consumer.connect()
  await consumer.subscribe({ topics: [given.topic], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat, isRunning, isStale }) => {
      let next
      for (const message of batch.messages) {
        if (!isRunning() || isStale() || over()) break
        records++
        const value = (message.value || Buffer.alloc(0)).toString().split(' ').slice(0, 3).join(' ')
        say('record', { topic: batch.topic, partition: batch.partition, offset: Number(message.offset), value, at_us: nowUs() })
        resolveOffset(message.offset)
        next = BigInt(message.offset) + 1n
      }
      if (next !== undefined) {
        await consumer.commitOffsets([{ topic: batch.topic, partition: batch.partition, offset: String(next) }])
        say('committed', { partition: batch.partition, offset: Number(next) })
      }
      await heartbeat()
    }
  })
  while (!over()) await pause(20)
  await consumer.disconnect()
  say('done', { records })
}

async function main () {
  await zstd.init()
  const given = read(process.argv.slice(3))
  if (!(given.codec in CODECS)) throw new Error(`kafkajs has no ${given.codec} here`)
  await (process.argv[2] === 'produce' ? produce(given) : consume(given))
}

main().then(() => process.exit(0), error => {
  say('error', { what: `${error.name}: ${error.message}` })
  process.exit(1)
})
