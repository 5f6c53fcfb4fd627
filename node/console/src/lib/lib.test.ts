import { expect, test } from 'vitest';
import { url } from './api';
import { matters } from './attention';
import { place, REASONS, ribbons } from './flow';
import { Ring, rise } from './history';
import { link, linkWith, parse } from './router.svelte';
import type { Ledger, Node } from './types';
import { reveal, windowOf } from './windowing';

test('addresses of pages are read as they were written', () => {
  for (const name of ['a/b', 'ä ?&#%', '$share/x/+/#', '..']) {
    expect(parse(link('clients', name)).path).toEqual(['clients', name]);
    expect(parse(linkWith(['subscriptions'], { matches: name })).query.get('matches')).toBe(name);
  }
  expect(parse('')).toEqual({ path: [], query: new URLSearchParams() });
  expect(parse('#/clients/%zz').path).toEqual(['clients', '%zz']);
  expect(linkWith(['clients'], { prefix: '', show: undefined })).toBe('#/clients');
});

test('questions leave out what is not asked, and repeat what is a list', () => {
  expect(url('clients', { prefix: '', user_name: ['a', 'b'], limit: 3, online: false, sort: null })).toBe(
    '/api/v1/clients?user_name=a&user_name=b&limit=3&online=false',
  );
});

test('rates are those between samples, and start anew with the node', () => {
  const ring = new Ring(4);
  for (const [at, published] of [[0, 100], [1, 150], [2, 150], [4, 250], [5, 3]] as const) ring.push({ at, values: { published } });
  expect(ring.times).toEqual([1, 2, 4, 5]);
  expect(ring.rate('published')).toEqual([null, 0, 50, null]);
  expect(rise(ring, 'published', 3)).toBe(3);
  expect(ring.gauge('other')).toEqual([null, null, null, null]);
  ring.push({ at: 5, values: { published: 9 } });
  expect(ring.times).toHaveLength(4);
});

test('every band of the flow is seen, and all of them fit', () => {
  const bands = [1_000_000, 1, 0, 500].map((value, at) => ({ name: String(at), label: '', color: '', value }));
  const placed = place(bands, 200, 10);
  expect(placed.map(({ name }) => name)).toEqual(['0', '1', '3']);
  for (const { height } of placed) expect(height).toBeGreaterThanOrEqual(3);
  const last = placed.at(-1);
  expect((last?.y ?? 0) + (last?.height ?? 0)).toBeCloseTo(200);
  const left = place(bands.slice(0, 2), 200, 10);
  expect(ribbons(left, placed, 0, 100)).toHaveLength(6);
  expect(place([], 200, 10)).toEqual([]);
});

test('of a long list what can be seen is drawn', () => {
  expect(windowOf(0, 300, 30, 100_000)).toEqual({ first: 0, end: 18 });
  expect(windowOf(3_000_000 - 300, 300, 30, 100_000)).toEqual({ first: 99_982, end: 100_000 });
  expect(windowOf(9000, 300, 30, 5)).toEqual({ first: 5, end: 5 });
  expect(reveal(0, 300, 30, 4)).toBe(0);
  expect(reveal(0, 300, 30, 10)).toBe(30);
  expect(reveal(600, 300, 30, 3)).toBe(90);
});

const node: Node = {
  name: 'one', version: '', own: true, ready: true, reason: null, started_at_ms: 0, uptime_seconds: 0, workers: 1,
  connections: 5, connections_max: 100, sessions: 0, sessions_online: 0, subscriptions: 0, shared_subscriptions: 0,
  retained_messages: 0, retained_bytes: 0, queued: 0, queued_bytes: 0, published: 0, unmatched: 0, delivered: 0, dropped: 0,
  published_per_second: null, delivered_per_second: null, dropped_per_second: null,
};

test('what has to be looked at is named, and nothing else', () => {
  const ring = new Ring(10);
  const ledger: Ledger = { published: 0, unmatched: 0, matched: 0, restored: 0, delivered: 0, queued: 0, dropped: { expired: 7 }, balanced: true };
  ring.push({ at: 0, values: { 'dropped expired': 7 } });
  ring.push({ at: 1, values: { 'dropped expired': 7 } });
  expect(matters([node], [], ledger, ring)).toEqual([]);
  ring.push({ at: 2, values: { 'dropped expired': 9 } });
  const said = matters([{ ...node, ready: false, reason: 'it loads', connections: 95 }], ['two'], { ...ledger, queued: 1 }, ring);
  expect(said.map(({ text }) => text)).toEqual([
    'two does not answer.',
    'one does not serve everybody: it loads.',
    'one has 95 of at most 100 connections.',
    '2 messages dropped within the last minute: expired.',
    '1 message waits for clients.',
  ]);
});

test('every reason says what happened and what helps', () => {
  for (const { label, what, help } of Object.values(REASONS)) expect(label && what && help).toBeTruthy();
});
