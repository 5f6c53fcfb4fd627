// Every page in a real Chromium against a live node: it shows what is there, asks nobody else, and axe finds nothing.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { admin, launch, open, overflow, PHONE, picture, violations, WIDE } from './console.js';
import { endAll, makeSomething } from './traffic.js';

const name = `c${randomBytes(4).toString('hex')}`;
let browser;
let something;
/** A browser's page for each size and theme, which goes from page to page of the console. */
let screens;

before(async () => {
  browser = await launch();
  something = await makeSomething(name);
  screens = [];
  for (const size of [WIDE, PHONE])
    for (const scheme of ['light', 'dark']) screens.push({ ...(await open(browser, '', { size, scheme })), size, scheme });
});

after(async () => {
  await something?.end();
  endAll();
  await browser?.close();
});

/** Each page, and what is to be seen on it, whatever else the node has. */
const PAGES = [
  ['overview', 'What became of messages'],
  [`clients?prefix=${name}`, `${name}-reader`],
  [`clients/${name}-reader`, `${name}/#`],
  [`clients/${name}-away`, 'the client was away (QoS 0)'],
  [`sessions?prefix=${name}`, `${name}-away`],
  ['topics', name],
  [`topics?prefix=${name}`, `${name}/+/state`],
  [`subscriptions?client=${name}`, `${name}/+/state`],
  [`subscriptions?matches=${name}/press/state`, `${name}-away`],
  [`groups?share=${name}`, `${name}/jobs/#`],
  [`retained?filter=${name}/%23`, `${name}/press/state`],
  ['drops', 'the client was away (QoS 0)'],
  ['nodes', 'serves everybody'],
  ['actors', 'topic trie'],
  ['mqtt', 'Speak MQTT from this page'],
];

for (const [page, text] of PAGES) {
  test(`${page.replaceAll(name, 'NAME')} is there, light and dark, wide and on a phone`, async () => {
    for (const opened of screens) {
      const kind = `${page} ${opened.size.width} ${opened.scheme}`;
      await opened.page.evaluate((hash) => (location.hash = hash), `#/${page}`);
      await opened.page.locator('main').getByText(text).first().waitFor();
      assert.deepEqual(await violations(opened.page), [], kind);
      assert.ok((await overflow(opened.page)) <= 0, `${kind}: it is wider than the screen`);
      await picture(opened.page, kind.replaceAll(name, 'plant').replaceAll(/[^\w]+/g, '-'));
      assert.deepEqual(opened.faults, [], kind);
      const elsewhere = opened.requests.filter((url) => !url.startsWith(admin) && !url.startsWith('data:'));
      assert.deepEqual(elsewhere, [], kind);
    }
  });
}

test('a page that is not there says so', async () => {
  const { page, close } = await open(browser, '#/nowhere');
  await page.getByText('There is no such page').waitFor();
  await close();
});

test('the first load asks for few files', async () => {
  const { page, requests, close } = await open(browser, '#/nodes');
  await page.getByText('serves everybody').waitFor();
  const files = requests.filter((url) => url.startsWith('http') && !url.includes('/api/'));
  assert.ok(files.length <= 4, files.join(' '));
  await close();
});

test('a node that fails, refuses or is silent is told of, and asked again', async () => {
  let answer = { status: 503, body: JSON.stringify({ type: 'about:blank', title: 'x', status: 503, detail: 'it starts' }) };
  const { page, close } = await open(browser, `#/clients?prefix=${name}`, {
    before: (page) => page.route('**/api/v1/clients**', (route) => (answer ? route.fulfill(answer) : route.continue())),
  });
  await page.getByText('The node is busy starting or stopping').waitFor();
  assert.deepEqual(await violations(page), []);
  answer = undefined;
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByText(`${name}-reader`).first().waitFor();
  await close();

  const silent = await open(browser, '#/nodes', {
    before: (page) =>
      page.route('**/api/v1/nodes**', async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, json: { ...(await response.json()), silent: ['node-7'] } });
      }),
  });
  await silent.page.getByText('A member is silent').waitFor();
  assert.deepEqual(await violations(silent.page), []);
  await silent.close();

  const gone = await open(browser, '#/actors', { before: (page) => page.route('**/api/v1/actors**', (route) => route.abort()) });
  await gone.page.getByText('The node does not answer', { exact: true }).waitFor();
  await gone.close();
});

test('the members of a cluster are shown, and which of them are silent', async () => {
  const member = (node, slot, alive) => ({ node, slot, incarnation: 1, address: `127.0.0.${slot + 1}:7883`, applied: 7, alive, clock_skew_ms: -3 });
  const cluster = {
    node: 'one', slot: 0, incarnation: 1, fresh: true, applied: 7, own_routes: 2, routes: 5, forward_bytes: 0,
    kafka_trouble: 'no broker answers', members: [member('one', 0, true), member('two', 1, false)],
  };
  const { page, faults, close } = await open(browser, '#/nodes', {
    size: PHONE,
    before: (page) => page.route('**/api/v1/cluster', (route) => route.fulfill({ json: cluster })),
  });
  await page.getByText('a cluster of 2, as one sees it').waitFor();
  await page.getByText('silent', { exact: true }).waitFor();
  await page.getByText('Kafka: no broker answers').waitFor();
  assert.deepEqual(await violations(page), []);
  assert.ok((await overflow(page)) <= 0);
  assert.deepEqual(faults, []);
  await close();
});

test('keys lead everywhere: to pages, to a filter, through a list', async () => {
  const { page, close } = await open(browser, '#/overview');
  await page.getByText('What became of messages').waitFor();
  await page.keyboard.press('g');
  await page.keyboard.press('s');
  await page.getByRole('heading', { name: 'Sessions', level: 1 }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type(`${name}-aw`);
  await page.getByText('1 session').waitFor();
  await page.waitForURL((url) => url.hash.includes(`prefix=${name}-aw`));
  await page.getByRole('grid').focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: `${name}-away`, level: 1 }).waitFor();
  await page.keyboard.press('?');
  await page.getByRole('dialog').getByText('to the filter of the page').waitFor();
  assert.deepEqual(await violations(page), []);
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await close();
});

test('a list is sorted by its columns, and its address says how', async () => {
  const { page, close } = await open(browser, `#/sessions?prefix=${name}`);
  await page.getByText('3 sessions').waitFor();
  await page.getByRole('button', { name: 'Waiting' }).click();
  await page.waitForURL(/sort=queued/);
  await page.getByRole('columnheader', { name: 'Waiting' }).and(page.locator('[aria-sort=descending]')).waitFor();
  await page.getByRole('row').nth(1).getByText(`${name}-away`).waitFor();
  await close();
});

test('100,000 rows scroll without all of them being drawn', async () => {
  const rows = Array.from({ length: 100_000 }, (_, at) => ({ topic: `many/${at}`, qos: 0, payload_bytes: at, expires_in_ms: null }));
  const { page, close } = await open(browser, '#/retained', {
    before: (page) =>
      page.route('**/api/v1/retained**', (route) => route.fulfill({ json: { items: rows, next: null, silent: [] } })),
  });
  await page.getByText('many/0').first().waitFor();
  await page.getByRole('grid').evaluate((grid) => (grid.scrollTop = grid.scrollHeight));
  await page.getByText('many/99999').first().waitFor();
  assert.ok((await page.getByRole('row').count()) < 100);
  await close();
});
