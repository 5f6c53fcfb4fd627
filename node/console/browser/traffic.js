// Clients of a node that pages can show.

import mqtt from 'mqtt';
import { DEADLINE_MS, ws } from './console.js';

const clients = [];

export async function client(clientId, options = {}) {
  const made = await mqtt.connectAsync(ws, {
    clientId,
    protocolVersion: 5,
    reconnectPeriod: 0,
    connectTimeout: DEADLINE_MS,
    ...options,
  });
  clients.push(made);
  return made;
}

/** Whatever a test left behind ends, so that the process does. */
export function endAll() {
  for (const made of clients) made.end(true);
}

/** Two clients, one of them gone, with something waiting, something dropped, something shared and something retained. */
export async function makeSomething(name) {
  const durable = { clean: false, properties: { sessionExpiryInterval: 3600 } };
  const away = await client(`${name}-away`, durable);
  await away.subscribeAsync(`${name}/+/state`, { qos: 1 });
  await away.subscribeAsync(`${name}/quick`, { qos: 0 });
  await away.endAsync();
  const reader = await client(`${name}-reader`, { protocolVersion: 4 });
  await reader.subscribeAsync(`${name}/#`, { qos: 1 });
  await reader.subscribeAsync(`$share/${name}/${name}/jobs/#`, { qos: 1 });
  const writer = await client(`${name}-writer`, {
    will: { topic: `${name}/gone`, payload: 'gone', qos: 1, retain: false },
  });
  await writer.publishAsync(`${name}/press/state`, '{"on":true}', { qos: 1, retain: true });
  await writer.publishAsync(`${name}/quick`, 'now', { qos: 1 });
  await writer.publishAsync(`nobody/${name}`, 'unmatched', { qos: 1 });
  return {
    writer,
    reader,
    end: async () => {
      await reader.endAsync();
      await writer.endAsync();
      // What was left behind goes.
      const last = await client(`${name}-away`, { clean: true });
      await last.publishAsync(`${name}/press/state`, '', { qos: 1, retain: true });
      await last.endAsync();
    },
  };
}
