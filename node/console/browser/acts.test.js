// What changes something, in a real Chromium against a live node: it says before what it will touch, and then does it.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { launch, open, picture, violations } from './console.js';
import { client, endAll, makeSomething } from './traffic.js';

const name = `a${randomBytes(4).toString('hex')}`;
let browser;
let something;

before(async () => {
  browser = await launch();
  something = await makeSomething(name);
});

after(async () => {
  await something?.end();
  endAll();
  await browser?.close();
});

const confirm = async (page, text, act) => {
  const dialog = page.getByRole('dialog');
  await dialog.getByText(text).waitFor();
  assert.deepEqual(await violations(page), []);
  await dialog.getByRole('button', { name: act }).click();
  await dialog.waitFor({ state: 'detached' });
};

test('a client is disconnected, and its session discarded', async () => {
  const victim = await client(`${name}-victim`, { clean: false, properties: { sessionExpiryInterval: 600 } });
  await victim.subscribeAsync(`${name}/victim`, { qos: 1 });
  const closed = new Promise((resolve) => victim.once('close', resolve));
  const { page, close } = await open(browser, `#/clients/${name}-victim`);
  await page.getByRole('button', { name: 'Disconnect' }).click();
  await confirm(page, 'Its session stays, with 1 subscription', 'Disconnect it');
  await closed;
  await page.getByText('offline', { exact: true }).first().waitFor();
  await something.writer.publishAsync(`${name}/victim`, 'waits', { qos: 1 });
  await page.getByText('It is offline: what is published').waitFor();
  await page.getByRole('button', { name: 'Discard the session' }).click();
  await picture(page, 'discard');
  await confirm(page, '1 subscription and 1 message', 'Discard it');
  await page.getByText('There is no such thing here').waitFor();
  await close();
});

test('a client is subscribed and unsubscribed on its behalf', async () => {
  const { page, close } = await open(browser, `#/clients/${name}-reader`);
  await page.getByLabel('Topic filter to subscribe it to').fill('a/#/b');
  await page.getByText('# stands alone in the last level').waitFor();
  await page.getByLabel('Topic filter to subscribe it to').fill(`${name}-more/#`);
  await page.getByRole('button', { name: 'Subscribe it' }).click();
  await page.getByText(`subscribed to ${name}-more/#`).waitFor();
  const end = page.getByRole('button', { name: `End the subscription to ${name}-more/#` });
  await end.click();
  await confirm(page, 'is not told so', 'End it');
  await end.waitFor({ state: 'detached' });
  await close();
});

test('clients are disconnected by a filter, after they were counted', async () => {
  const many = await Promise.all([1, 2, 3].map((at) => client(`${name}-kick-${at}`)));
  const closed = Promise.all(many.map((one) => new Promise((resolve) => one.once('close', resolve))));
  const { page, close } = await open(browser, `#/clients?prefix=${name}-kick`);
  await page.getByText('3 clients').waitFor();
  await page.getByRole('button', { name: 'Disconnect all of these' }).click();
  await confirm(page, '3 clients are as the filters above say', 'Disconnect 3');
  await closed;
  await page.getByText('Nothing is like that').waitFor();
  await close();
});

test('retained messages are read and deleted, one and by filter', async () => {
  for (const at of [1, 2, 3]) await something.writer.publishAsync(`${name}/kept/${at}`, `payload-${at}`, { qos: 1, retain: true });
  const { page, close } = await open(browser, `#/retained?filter=${name}/kept/%2B`);
  await page.getByText('3 messages').waitFor();
  await page.getByRole('button', { name: `${name}/kept/1` }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('payload-1').waitFor();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await confirm(page, 'Who subscribes later gets nothing', 'Delete it');
  await page.getByText('2 messages').waitFor();
  await page.getByRole('button', { name: 'Delete all of these' }).click();
  await confirm(page, '2 messages match', 'Delete 2');
  await page.getByText('Nothing is retained there').waitFor();
  await close();
});

test('where the node wants to know who asks, a login is asked for, and what a viewer may not do is not offered', async () => {
  const viewer = { name: 'vera', role: 'viewer', scopes: [] };
  let isIn = false;
  const refuse = (route) =>
    route.fulfill({ status: 401, json: { type: 'about:blank', title: 'Unauthorized', status: 401, detail: 'name or password is wrong' } });
  const { page, close } = await open(browser, `#/clients/${name}-reader`, {
    before: async (page) => {
      await page.route('**/api/v1/**', (route) => (isIn ? route.fallback() : refuse(route)));
      await page.route('**/api/v1/whoami', (route) => (isIn ? route.fulfill({ json: viewer }) : refuse(route)));
      await page.route('**/api/v1/login', (route) => {
        isIn = route.request().postDataJSON().password === 'right';
        return isIn ? route.fulfill({ json: viewer }) : refuse(route);
      });
      await page.route('**/api/v1/logout', (route) => ((isIn = false), route.fulfill({ status: 204 })));
    },
  });
  await page.getByLabel('User').fill('vera');
  await page.getByLabel('Password').fill('wrong');
  assert.deepEqual(await violations(page), []);
  await picture(page, 'login');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByText('name or password is wrong').waitFor();
  await page.getByLabel('Password').fill('right');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByText(`${name}/#`).first().waitFor();
  assert.equal(await page.getByRole('button', { name: 'Disconnect' }).count(), 0);
  assert.deepEqual(await violations(page), []);
  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByLabel('User').waitFor();
  await close();
});
