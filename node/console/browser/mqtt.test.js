// The MQTT web client in a real Chromium against a live node.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { launch, open, overflow, PHONE, picture, violations } from './console.js';
import { client, endAll } from './traffic.js';

const name = `w${randomBytes(4).toString('hex')}`;
let browser;

before(async () => (browser = await launch()));
after(async () => {
  endAll();
  await browser?.close();
});

/** The rows of the list; a choice of a form is an option, too. */
const messages = (page) => page.getByRole('listbox', { name: /^Messages/ }).getByRole('option');

async function connect(page, version, identifier = '') {
  await page.getByRole('button', { name: 'New connection' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Version').selectOption(version);
  if (identifier) await dialog.getByLabel('Client identifier').fill(identifier);
  await dialog.getByRole('button', { name: 'Connect', exact: true }).click();
  await page.getByRole('status').getByText('connected: a new session').waitFor();
}

async function subscribe(page, filter) {
  await page.getByLabel('Topic filter to subscribe to').fill(filter);
  await page.getByRole('button', { name: 'Subscribe', exact: true }).click();
  await page.getByText(`subscribed to ${filter}`).first().waitFor();
}

async function publish(page, topic, payload, qos = '1') {
  await page.getByLabel('Topic to publish to').fill(topic);
  await page.getByLabel('Payload', { exact: true }).fill(payload);
  await page.getByLabel('QoS', { exact: true }).selectOption(qos);
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
}

for (const version of ['5.0', '3.1.1', '3.1']) {
  test(`MQTT ${version}: what is published comes back, and is read as JSON, as text and in hexadecimal digits`, async () => {
    const { page, faults, close } = await open(browser, '#/mqtt');
    await connect(page, version, `${name}-${version}`);
    await subscribe(page, `${name}/${version}/#`);
    await publish(page, `${name}/${version}/a`, '{"temperature": 21.5, "on": true}', '2');
    await page.getByText('acknowledged', { exact: true }).waitFor();
    await page.getByText('1 received, 1 sent').waitFor();
    await messages(page).first().click();
    await page.getByText('21.5', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Hex' }).click();
    await page.getByText('7b 22 74 65').waitFor();
    await page.getByRole('button', { name: 'Text' }).click();
    assert.deepEqual(await violations(page), []);
    await picture(page, `mqtt-message-${version}`);
    await page.getByRole('button', { name: 'Disconnect' }).click();
    await page.getByRole('status').getByText('not connected').waitFor();
    assert.deepEqual(faults, []);
    await close();
  });
}

test('properties of 5.0 travel both ways, and nobody who is subscribed is told of', async () => {
  const { page, close } = await open(browser, '#/mqtt');
  await connect(page, '5.0');
  await page.getByText('Properties', { exact: true }).click();
  await page.getByLabel('Content type').fill('text/plain');
  await page.getByLabel('Correlation data').fill('question-1');
  await page.getByRole('button', { name: 'Add one' }).click();
  await page.getByLabel('Name of user property 1').fill('origin');
  await page.getByLabel('Value of user property 1').fill('hall');
  await publish(page, `${name}/nobody`, 'x');
  await page.getByText('nobody is subscribed (0x10)').waitFor();
  await subscribe(page, `${name}/#`);
  await publish(page, `${name}/properties`, 'x');
  await page.getByText('1 received, 2 sent').waitFor();
  await messages(page).first().click();
  const message = page.getByRole('region', { name: /^Message/ });
  for (const text of ['text/plain', 'question-1', 'origin', 'hall']) await message.getByText(text, { exact: true }).waitFor();
  await close();
});

test('several connections stand side by side, are found again, and passwords are not kept', async () => {
  const { page, close } = await open(browser, '#/mqtt');
  await connect(page, '5.0');
  await subscribe(page, `${name}/two`);
  await page.getByRole('button', { name: 'New connection' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name', { exact: true }).fill('Second');
  await dialog.getByLabel('User name').fill('alice');
  await dialog.getByLabel('Password', { exact: true }).fill('hidden');
  await dialog.getByRole('button', { name: 'Connect', exact: true }).click();
  await page.getByRole('status').getByText('connected').waitFor();
  await publish(page, `${name}/two`, 'to the first');
  await page.getByText('acknowledged', { exact: true }).waitFor();
  await page.getByRole('button', { name: /^Connection 1/ }).click();
  await page.getByText('to the first').first().waitFor();
  await page.reload();
  await page.getByRole('button', { name: /^Second/ }).waitFor();
  const kept = await page.evaluate(() => JSON.stringify(localStorage));
  assert.ok(kept.includes('alice') && !kept.includes('hidden'));
  await page.getByRole('button', { name: /^Second/ }).click();
  await page.getByRole('button', { name: 'Remove the connection' }).click();
  await page.getByRole('dialog').getByText('Its settings go from this browser').waitFor();
  assert.deepEqual(await violations(page), []);
  await page.getByRole('button', { name: 'Remove it' }).click();
  await page.getByRole('button', { name: /^Second/ }).waitFor({ state: 'detached' });
  await close();
});

test('a session that another connection takes over says so, and a will is published', async () => {
  const watcher = await client(`${name}-watcher`);
  await watcher.subscribeAsync(`${name}/will`);
  const will = new Promise((resolve) => watcher.once('message', (_topic, payload) => resolve(String(payload))));
  const { page, close } = await open(browser, '#/mqtt');
  await page.getByRole('button', { name: 'New connection' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Client identifier').fill(`${name}-taken`);
  await dialog.getByText('Will message').click();
  await dialog.getByLabel('Published when the connection is lost').check();
  await dialog.getByLabel('Topic').fill(`${name}/will`);
  await dialog.getByLabel('Payload').fill('farewell');
  await dialog.getByRole('button', { name: 'Connect', exact: true }).click();
  await page.getByRole('status').getByText('connected').waitFor();
  const other = await client(`${name}-taken`);
  await page.getByText('another connection took the session over').first().waitFor();
  assert.equal(await will, 'farewell');
  await other.endAsync();
  await watcher.endAsync();
  await close();
});

test('what cannot be connected to says why', async () => {
  const { page, close } = await open(browser, '#/mqtt');
  await page.getByRole('button', { name: 'New connection' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Address').fill('http://127.0.0.1/');
  await dialog.getByText('has to begin with ws:// or wss://').waitFor();
  // Nothing listens on the port of the discard service.
  await dialog.getByLabel('Address').fill('ws://127.0.0.1:9/mqtt');
  await dialog.getByRole('button', { name: 'Connect', exact: true }).click();
  await page.getByRole('status').getByText('no connection').waitFor();
  await close();
});

test('a flood fills no memory, and clicks are answered', async () => {
  const { page, close } = await open(browser, '#/mqtt');
  await connect(page, '5.0');
  await subscribe(page, `${name}/flood`);
  const writer = await client(`${name}-flood`);
  const payload = 'x'.repeat(200);
  // As many at once as the node holds for a reader that is slow: half of outbox_bytes_max.
  const AT_ONCE = 2500;
  for (let sent = AT_ONCE; sent <= 6 * AT_ONCE; sent += AT_ONCE) {
    for (let at = 1; at < AT_ONCE; at += 1) writer.publish(`${name}/flood`, payload);
    await writer.publishAsync(`${name}/flood`, payload, { qos: 1 });
    await page.getByText(`${sent.toLocaleString('en')} received`).waitFor();
  }
  await page.getByText('the newest 10,000 kept').waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await messages(page).first().click();
  await page.getByRole('region', { name: /^Message/ }).waitFor();
  assert.ok((await messages(page).count()) < 100);
  await writer.endAsync();
  await close();
});

test('it can be used on a phone', async () => {
  const { page, close } = await open(browser, '#/mqtt', { size: PHONE });
  await connect(page, '5.0');
  await subscribe(page, `${name}/phone`);
  await publish(page, `${name}/phone`, '{"a": [1, 2]}');
  await messages(page).first().click();
  await page.getByRole('region', { name: /^Message/ }).waitFor();
  assert.ok((await overflow(page)) <= 0);
  assert.deepEqual(await violations(page), []);
  await picture(page, 'mqtt-phone');
  await close();
});
