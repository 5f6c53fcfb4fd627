// MQTT.js: messages and sessions, over 3.1, 3.1.1 and 5.0, through TCP and WebSocket.
'use strict'

const assert = require('node:assert/strict')
const { describe, it } = require('node:test')
const { connector, transports, uniqueName, versions, within } = require('./client.js')

const MEBIBYTE = Buffer.alloc(1024 * 1024, 'abcdefghijklmno')

const numbers = (count) => Array.from({ length: count }, (_, n) => String(n))

for (const [transport, url] of Object.entries(transports)) {
  for (const [versionName, version] of Object.entries(versions)) {
    describe(`MQTT.js, ${versionName} over ${transport}`, () => {
      it('carries every QoS both ways', async (t) => {
        const connect = connector(t, url)
        const name = uniqueName()
        const [subscriber, publisher] = [await connect(version), await connect(version)]
        for (const granted of [0, 1, 2]) {
          const [answer] = await subscriber.subscribe(`${name}/${granted}`, { qos: granted })
          assert.equal(answer.qos, granted)
        }
        for (const published of [0, 1, 2]) {
          for (const granted of [0, 1, 2]) {
            await publisher.publish(`${name}/${granted}`, `${published}`, { qos: published })
            const { topic, payload, packet } = await subscriber.receive()
            assert.equal(topic, `${name}/${granted}`)
            assert.equal(payload.toString(), `${published}`)
            assert.equal(packet.qos, Math.min(published, granted))
          }
        }
      })

      for (const qos of [0, 1, 2]) {
        it(`carries a payload of 1 MiB with QoS ${qos}`, async (t) => {
          const client = await connector(t, url)(version)
          const name = uniqueName()
          await client.subscribe(name, { qos })
          await client.publish(name, MEBIBYTE, { qos })
          assert.ok((await client.receive()).payload.equals(MEBIBYTE))
        })
      }

      it('keeps the order of many publishes at once', async (t) => {
        const connect = connector(t, url)
        const name = uniqueName()
        const [subscriber, publisher] = [await connect(version), await connect(version)]
        await subscriber.subscribe(name, { qos: 1 })
        await Promise.all(numbers(300).map((number) => publisher.publish(name, number, { qos: 1 })))
        assert.deepEqual(await subscriber.receiveTexts(300), numbers(300))
      })

      it('keeps, sends and clears a retained message', async (t) => {
        const connect = connector(t, url)
        const name = uniqueName()
        const publisher = await connect(version)
        await publisher.publish(name, 'kept', { qos: 1, retain: true })
        const subscriber = await connect(version)
        await subscriber.subscribe(name)
        const { payload, packet } = await subscriber.receive()
        assert.deepEqual([payload.toString(), packet.retain], ['kept', true])
        await publisher.publish(name, '', { qos: 1, retain: true })
        const late = await connect(version)
        await late.subscribe(name)
        await publisher.publish(name, 'fence')
        assert.equal(await late.receiveText(), 'fence')
      })

      it('publishes the will of a lost connection', async (t) => {
        const connect = connector(t, url)
        const name = uniqueName()
        const watcher = await connect(version)
        await watcher.subscribe(name)
        const client = await connect(version, { will: { topic: name, payload: Buffer.from('gone'), qos: 2 } })
        await client.drop()
        const { payload, packet } = await watcher.receive()
        assert.deepEqual([payload.toString(), packet.qos], ['gone', 2])
      })

      it('delivers the offline queue when the session is resumed', async (t) => {
        const connect = connector(t, url)
        const clientId = uniqueName()
        const first = await connect(version, { clientId, durable: true })
        assert.equal(first.sessionPresent, false)
        await first.subscribe(clientId, { qos: 1 })
        await first.end()
        const publisher = await connect(version)
        for (const number of numbers(20)) await publisher.publish(clientId, number)
        const second = await connect(version, { clientId, durable: true })
        // 3.1 has no session present flag.
        assert.equal(second.sessionPresent, version !== 3)
        assert.deepEqual(await second.receiveTexts(20), numbers(20))
        await second.end()
        const third = await connect(version, { clientId })
        assert.equal(third.sessionPresent, false)
      })

      it('gives each message to one member of a shared subscription', async (t) => {
        const connect = connector(t, url)
        const name = uniqueName()
        const shares = [[], []]
        let complete
        const everything = new Promise((resolve) => { complete = resolve })
        for (const share of shares) {
          const member = await connect(version)
          member.own.on('message', (_topic, payload) => {
            share.push(Number(payload))
            if (shares[0].length + shares[1].length === 100) complete()
          })
          await member.subscribe(`$share/${name}/${name}/+`, { qos: 1 })
        }
        const publisher = await connect(version)
        await Promise.all(numbers(100).map((number) => publisher.publish(`${name}/${number}`, number)))
        await within(everything, 'the delivery of every message')
        assert.deepEqual(shares.flat().sort((a, b) => a - b), numbers(100).map(Number))
        assert.ok(shares[0].length > 0 && shares[1].length > 0)
      })

      it('lets a second connection take the session over', async (t) => {
        const connect = connector(t, url)
        const clientId = uniqueName()
        const first = await connect(version, { clientId, durable: true })
        await first.subscribe(clientId, { qos: 1 })
        const second = await connect(version, { clientId, durable: true })
        if (version === 5) {
          const packet = await within(first.disconnectPacket, 'DISCONNECT')
          assert.equal(packet.reasonCode, 0x8e)
        }
        await within(first.closed, 'close')
        await second.publish(clientId, 'yours')
        assert.equal(await second.receiveText(), 'yours')
        await second.end()
        await (await connect(version, { clientId })).end()
      })

      it('stops delivering after UNSUBSCRIBE', async (t) => {
        const client = await connector(t, url)(version)
        const name = uniqueName()
        await client.subscribe([`${name}/+`, `${name}/fence`])
        await client.unsubscribe(`${name}/+`)
        await client.publish(`${name}/a`, 'no more')
        await client.publish(`${name}/fence`, 'fence')
        assert.equal(await client.receiveText(), 'fence')
      })

      it('serves keep alive 0 and answers pings', async (t) => {
        const connect = connector(t, url)
        const silent = await connect(version, { keepalive: 0 })
        const pinging = await connect(version, { keepalive: 1 })
        // Two of its PINGREQs were answered: without an answer MQTT.js ends the connection.
        for (let n = 0; n < 2; n++) {
          await within(
            new Promise((resolve) => pinging.own.once('packetreceive', (packet) => resolve(packet.cmd))),
            'PINGRESP'
          ).then((command) => assert.equal(command, 'pingresp'))
        }
        const name = uniqueName()
        await silent.subscribe(name)
        await silent.publish(name, 'still here')
        assert.equal(await silent.receiveText(), 'still here')
      })

      it('accepts long client identifiers and long topic names', async (t) => {
        // 3.1 limits client identifiers to 23 characters.
        const clientId = `${uniqueName().slice(0, 8)} a/b ${'ü/ 測 '.repeat(50)}`.slice(0, version === 3 ? 23 : 200)
        const client = await connector(t, url)(version, { clientId })
        const topic = `${uniqueName()}/`.padEnd(60_000, 'x')
        await client.subscribe(topic)
        await client.publish(topic, 'x')
        assert.equal((await client.receive()).topic, topic)
      })
    })
  }

  it(`500 connections over ${transport} at once are all served`, async (t) => {
    const connect = connector(t, url)
    const name = uniqueName()
    const started = Date.now()
    const clients = await Promise.all(numbers(500).map(() => connect(4)))
    t.diagnostic(`500 connections in ${Date.now() - started} ms`)
    await Promise.all(clients.map((client) => client.subscribe(name, { qos: 0 })))
    await clients[0].publish(name, 'to all')
    const received = await Promise.all(clients.map((client) => client.receiveText()))
    assert.deepEqual(new Set(received), new Set(['to all']))
  })
}
