// MQTT.js clients with deadlines, and queues for what they receive.
'use strict'

const { randomBytes } = require('node:crypto')
const mqtt = require('mqtt')

const DEADLINE_MS = 20_000

const [host, port] = splitAddress(process.env.MICRO_MQ_TEST_TCP)

const transports = {
  TCP: `mqtt://${host}:${port}`,
  ...(process.env.MICRO_MQ_TEST_WS ? { WebSocket: process.env.MICRO_MQ_TEST_WS } : {})
}

const versions = { 3.1: 3, '3.1.1': 4, '5.0': 5 }

function splitAddress(address) {
  if (!address) throw new Error('MICRO_MQ_TEST_TCP=HOST:PORT names no broker; scripts/test.sh starts one')
  const colon = address.lastIndexOf(':')
  return [address.slice(0, colon), address.slice(colon + 1)]
}

/** A topic level and client identifier that no other test uses. */
function uniqueName() {
  return `t${randomBytes(8).toString('hex')}`
}

/** The promise's result, or an error that says what did not happen in time. */
function within(promise, what) {
  let timer
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not happen within ${DEADLINE_MS} ms`)), DEADLINE_MS)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** A connected client. Its `connack` is the packet; `receive()` yields messages in their order. */
class Client {
  #queue = []
  #waiting = []

  static async connect(url, version, options = {}) {
    const { durable = false, properties, ...rest } = options
    const expiry = durable && version === 5 ? { sessionExpiryInterval: 3600 } : {}
    const own = mqtt.connect(url, {
      protocolVersion: version,
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      clientId: uniqueName(),
      clean: !durable,
      reconnectPeriod: 0,
      connectTimeout: DEADLINE_MS,
      resubscribe: false,
      ...(version === 5 ? { properties: { ...expiry, ...properties } } : {}),
      ...rest
    })
    const client = new Client(own)
    client.connack = await within(
      new Promise((resolve, reject) => {
        own.once('connect', resolve)
        own.once('error', reject)
        own.once('close', () => reject(new Error('closed before CONNACK')))
      }),
      'CONNACK'
    )
    return client
  }

  constructor(own) {
    this.own = own
    // An error that a test waits for comes through its promise; others end the connection, which it notices.
    own.on('error', () => {})
    own.on('message', (topic, payload, packet) => {
      const message = { topic, payload, packet }
      const next = this.#waiting.shift()
      next ? next(message) : this.#queue.push(message)
    })
    this.closed = new Promise((resolve) => own.once('close', resolve))
    this.disconnectPacket = new Promise((resolve) => own.once('disconnect', resolve))
  }

  get sessionPresent() {
    return this.connack.sessionPresent
  }

  subscribe(filter, options = { qos: 2 }) {
    return within(this.own.subscribeAsync(filter, options), `SUBACK of ${String(filter).slice(0, 80)}`)
  }

  unsubscribe(filter) {
    return within(this.own.unsubscribeAsync(filter), 'UNSUBACK')
  }

  /** Resolves when it is complete: for QoS 1 and 2 acknowledged. */
  publish(topic, payload = '', options = { qos: 1 }) {
    return within(this.own.publishAsync(topic, payload, options), `publish to ${topic.slice(0, 80)}`)
  }

  receive() {
    if (this.#queue.length > 0) return Promise.resolve(this.#queue.shift())
    return within(new Promise((resolve) => this.#waiting.push(resolve)), 'a message')
  }

  async receiveText() {
    return (await this.receive()).payload.toString()
  }

  async receiveTexts(count) {
    const texts = []
    for (let n = 0; n < count; n++) texts.push(await this.receiveText())
    return texts
  }

  /** Leaves with a DISCONNECT. */
  end() {
    return within(this.own.endAsync(false), 'DISCONNECT')
  }

  /** Cuts the network connection without a DISCONNECT. */
  async drop() {
    this.own.stream.destroy()
    await within(this.closed, 'close')
  }
}

/** Clients that are closed when the test ends, whatever became of it. */
function connector(t, url) {
  return async (version, options) => {
    const client = await Client.connect(url, version, options)
    t.after(() => client.own.end(true))
    return client
  }
}

module.exports = { Client, connector, transports, uniqueName, versions, within }
