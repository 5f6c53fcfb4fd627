// A real Chromium, and what tests of the console ask of it.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** On a machine that does much else. */
export const DEADLINE_MS = 60_000;

export const admin = process.env.MICRO_MQ_TEST_ADMIN ?? 'http://127.0.0.1:18083';
export const ws = process.env.MICRO_MQ_TEST_WS ?? 'ws://127.0.0.1:8083/mqtt';

export const WIDE = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** Where it is installed: Debian's first. */
function program() {
  const named = process.env.MICRO_MQ_CHROMIUM;
  const found = [named, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
    (path) => path && existsSync(path),
  );
  assert.ok(found, 'no Chromium: install the package chromium, or name one by MICRO_MQ_CHROMIUM');
  return found;
}

export function launch() {
  // A test machine's root may start it, and its shared memory may be small.
  return chromium.launch({ executablePath: program(), args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/**
 * Opens a page of the console. `faults` is what the browser says is wrong: errors, and whatever the security policy of the
 * page did not let through. `requests` is what was asked for.
 */
export async function open(browser, hash, { size = WIDE, scheme = 'light', before } = {}) {
  const context = await browser.newContext({ viewport: size, colorScheme: scheme, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  const faults = [];
  const requests = [];
  page.on('console', (message) => {
    // What a test answers in place of the node, the browser calls an error.
    const isAnswer = message.text().startsWith('Failed to load resource');
    if (['error', 'warning'].includes(message.type()) && !isAnswer) faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('request', (request) => requests.push(request.url()));
  if (before) await before(page);
  await page.goto(`${admin}/${hash}`);
  return { page, faults, requests, close: () => context.close() };
}

/** What axe-core finds wrong with the page as it is. The page's policy lets no script in but by the protocol. */
export async function violations(page) {
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(AXE);
  const found = await page.evaluate(() =>
    globalThis.axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations),
  );
  return found.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`);
}

/** Nothing is cut off at the right. */
export async function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** Keeps a picture where MICRO_MQ_SCREENSHOTS names a folder. */
export async function picture(page, name) {
  const folder = process.env.MICRO_MQ_SCREENSHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: `${folder}/${name}.png` });
}
