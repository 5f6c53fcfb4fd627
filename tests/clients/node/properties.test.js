// MQTT.js: what MQTT 5.0 adds, through TCP and WebSocket.
'use strict'

const assert = require('node:assert/strict')
const { describe, it } = require('node:test')
const { connector, transports, uniqueName, within } = require('./client.js')

for (const [transport, url] of Object.entries(transports)) {
  describe(`MQTT.js, properties of 5.0 over ${transport}`, () => {
    it('carries the properties of a message unaltered', async (t) => {
      const connect = connector(t, url)
      const name = uniqueName()
      const [subscriber, publisher] = [await connect(5), await connect(5)]
      const sent = {
        payloadFormatIndicator: true,
        contentType: 'application/json',
        responseTopic: `${name}/answer`,
        correlationData: Buffer.from([0, 1, 254, 255]),
        userProperties: { b: ['1', '3'], a: '2' }
      }
      await subscriber.subscribe(name, { qos: 1, properties: { subscriptionIdentifier: 300 } })
      await publisher.publish(name, 'payload', { qos: 1, properties: { ...sent, messageExpiryInterval: 100 } })
      const { messageExpiryInterval, ...received } = (await subscriber.receive()).packet.properties
      assert.ok(messageExpiryInterval > 0 && messageExpiryInterval <= 100)
      assert.deepEqual({ ...received, userProperties: { ...received.userProperties } }, {
        ...sent,
        subscriptionIdentifier: 300
      })
      await publisher.publish(name, 'bare', { qos: 1 })
      assert.deepEqual((await subscriber.receive()).packet.properties, { subscriptionIdentifier: 300 })
    })

    it('carries the properties of a will', async (t) => {
      const connect = connector(t, url)
      const name = uniqueName()
      const watcher = await connect(5)
      await watcher.subscribe(name)
      const will = {
        topic: name,
        payload: Buffer.from('gone'),
        qos: 1,
        properties: { willDelayInterval: 1, contentType: 'text/plain', userProperties: { k: 'v' } }
      }
      const client = await connect(5, { durable: true, will })
      const dropped = Date.now()
      await client.drop()
      const { packet } = await watcher.receive()
      assert.ok(Date.now() - dropped > 500, 'the will came without its delay')
      assert.equal(packet.properties.contentType, 'text/plain')
      assert.deepEqual({ ...packet.properties.userProperties }, { k: 'v' })
    })

    it('understands topic aliases of the client and sets its own', async (t) => {
      const connect = connector(t, url)
      const name = uniqueName()
      // MQTT.js resolves the aliases that the server sets, and refuses one above what it announced here.
      const subscriber = await connect(5, { properties: { topicAliasMaximum: 3 } })
      await subscriber.subscribe(`${name}/#`)
      const publisher = await connect(5, { autoAssignTopicAlias: true, properties: { topicAliasMaximum: 3 } })
      assert.ok(publisher.connack.properties.topicAliasMaximum > 0)
      const topics = []
      for (let n = 0; n < 60; n++) topics.push(`${name}/${n % 2 ? n % 5 : n}`)
      for (const topic of topics) await publisher.publish(topic, topic)
      for (const topic of topics) {
        const message = await subscriber.receive()
        assert.deepEqual([message.topic, message.payload.toString()], [topic, topic])
      }
    })

    it('tells a publisher that nobody subscribed', async (t) => {
      const client = await connector(t, url)(5)
      const name = uniqueName()
      for (const [qos, command] of [[1, 'puback'], [2, 'pubrec']]) {
        const answer = new Promise((resolve) => {
          client.own.on('packetreceive', (packet) => packet.cmd === command && resolve(packet))
        })
        await client.publish(name, 'x', { qos })
        assert.equal((await within(answer, command)).reasonCode, 0x10)
      }
    })

    it('assigns a client identifier', async (t) => {
      const connect = connector(t, url)
      const [first, second] = [await connect(5, { clientId: '' }), await connect(5, { clientId: '' })]
      const assigned = first.connack.properties.assignedClientIdentifier
      assert.ok(assigned)
      assert.notEqual(assigned, second.connack.properties.assignedClientIdentifier)
    })

    it('announces its limits', async (t) => {
      const { properties } = (await connector(t, url)(5)).connack
      assert.notEqual(properties.receiveMaximum, 0)
      assert.notEqual(properties.retainAvailable, false)
      assert.notEqual(properties.wildcardSubscriptionAvailable, false)
      assert.notEqual(properties.subscriptionIdentifiersAvailable, false)
      assert.notEqual(properties.sharedSubscriptionAvailable, false)
      assert.ok(properties.maximumQoS === undefined)
    })

    it('ends a session at once when its expiry interval is 0', async (t) => {
      const connect = connector(t, url)
      const clientId = uniqueName()
      const first = await connect(5, { clientId, clean: false })
      await first.end()
      const second = await connect(5, { clientId, durable: true })
      assert.equal(second.sessionPresent, false)
      await within(second.own.endAsync(false, { properties: { sessionExpiryInterval: 0 } }), 'DISCONNECT')
      const third = await connect(5, { clientId, clean: false })
      assert.equal(third.sessionPresent, false)
    })

    it('obeys no local, retain as published and retain handling', async (t) => {
      const connect = connector(t, url)
      const name = uniqueName()
      const [client, other] = [await connect(5), await connect(5)]
      await client.subscribe(`${name}/nl`, { qos: 1, nl: true })
      await client.publish(`${name}/nl`, 'mine')
      await other.publish(`${name}/nl`, 'theirs')
      assert.equal(await client.receiveText(), 'theirs')
      await client.subscribe(`${name}/rap`, { qos: 1, rap: true })
      await other.publish(`${name}/rap`, 'r', { qos: 1, retain: true })
      assert.equal((await client.receive()).packet.retain, true)
      await client.subscribe(`${name}/rap`, { qos: 1, rh: 1 })
      await client.subscribe(`${name}/rap`, { qos: 1, rh: 2 })
      await other.publish(`${name}/rap`, 'fence')
      assert.equal(await client.receiveText(), 'fence')
      await other.publish(`${name}/rap`, '', { qos: 1, retain: true })
    })

    it('never sends more than the maximum packet size of the client', async (t) => {
      const connect = connector(t, url)
      const name = uniqueName()
      const client = await connect(5, { properties: { maximumPacketSize: 512 } })
      await client.subscribe(name, { qos: 1 })
      const publisher = await connect(5)
      await publisher.publish(name, 'x'.repeat(600))
      await publisher.publish(name, 'fits')
      assert.equal(await client.receiveText(), 'fits')
    })
  })
}
