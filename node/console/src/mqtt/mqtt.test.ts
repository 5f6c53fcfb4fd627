import { expect, test } from 'vitest';
import { loadHistory, remember, saveHistory, type Published } from './history';
import { Messages } from './messages';
import { bytesOfHex, hexLines, jsonOf, preview, textOf } from './payload';
import { load, newProfile, problemOf, save } from './profile';
import { problemOfFilter, problemOfTopic } from '../lib/topics';

class Store {
  kept = new Map<string, string>();
  getItem = (key: string) => this.kept.get(key) ?? null;
  setItem = (key: string, value: string) => void this.kept.set(key, value);
}

const bytes = (text: string) => new TextEncoder().encode(text);
const message = (payload: Uint8Array, sent = false) => ({
  at: 0, sent, topic: 'a/b', payload, qos: 0, retain: false, duplicate: false, properties: [],
});

test('the newest messages are kept, by number and by bytes', () => {
  const few = new Messages(3, 1_000_000);
  for (let at = 0; at < 100; at += 1) few.push(message(bytes(String(at)), at % 2 === 0));
  expect(few.newest().map(({ payload }) => textOf(payload))).toEqual(['99', '98', '97']);
  expect([few.received, few.sent, few.forgotten, few.length]).toEqual([50, 50, 97, 3]);
  expect(few.newest().map(({ number }) => number)).toEqual([100, 99, 98]);
  expect(few.newest('c')).toEqual([]);
  const small = new Messages(1000, 2000);
  for (let at = 0; at < 50; at += 1) small.push(message(new Uint8Array(500)));
  expect(small.length).toBe(2);
  expect(small.bytes).toBeLessThanOrEqual(2000);
  // One that is larger than all that may be kept is shown all the same.
  small.push(message(new Uint8Array(5000)));
  expect(small.length).toBe(1);
  small.clear();
  expect([small.length, small.bytes, small.received]).toEqual([0, 0, 0]);
});

test('payloads are told apart', () => {
  expect(jsonOf(bytes(' {"a": [1]} '))).toEqual({ a: [1] });
  expect(jsonOf(bytes('21.5'))).toBeUndefined();
  expect(jsonOf(bytes('{'))).toBeUndefined();
  expect(textOf(bytes('grüße'))).toBe('grüße');
  expect(textOf(Uint8Array.of(0xff, 0xfe))).toBeUndefined();
  expect(textOf(Uint8Array.of(0x61, 0x00))).toBeUndefined();
  expect(preview(new Uint8Array())).toBe('(empty)');
  expect(preview(bytes('ü'.repeat(200)), 9)).toBe('üüüü');
  expect(preview(Uint8Array.of(0xff, 0x00))).toBe('ff 00');
  expect(hexLines(bytes('0123456789abcdefX'))).toEqual([
    { offset: '000000', hex: '30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66', text: '0123456789abcdef' },
    { offset: '000010', hex: '58'.padEnd(47), text: 'X' },
  ]);
  expect(bytesOfHex('0a FF\n00')).toEqual(Uint8Array.of(10, 255, 0));
  expect(bytesOfHex('0a f')).toBeUndefined();
  expect(bytesOfHex('xy')).toBeUndefined();
  expect(bytesOfHex('')).toEqual(new Uint8Array());
});

test('topic filters and topic names are judged as MQTT has them', () => {
  for (const filter of ['#', '+', '/', 'a/+/b', 'a/#', '+/+', '$share/g/a/#', '$SYS/#', '$share/g//']) expect(problemOfFilter(filter), filter).toBeUndefined();
  for (const filter of ['', 'a#', 'a/#/b', '#/a', 'a+', 'a/+b', '$share/g', '$share/g/', '$share//a', '$share/+/a']) expect(problemOfFilter(filter), filter).toBeTruthy();
  expect(problemOfTopic('a/b')).toBeUndefined();
  for (const topic of ['', 'a/+', '#']) expect(problemOfTopic(topic)).toBeTruthy();
});

test('a connection that cannot be made says why', () => {
  const profile = newProfile('ws://127.0.0.1:8083/mqtt', 1);
  expect(problemOf(profile)).toBeUndefined();
  for (const wrong of [
    { url: 'mqtt://a' }, { url: 'no' }, { clean: false }, { version: '3.1' as const, clientIdentifier: 'x'.repeat(24) },
    { version: '3.1.1' as const, password: 'x' }, { will: { topic: 'a/#', payload: '', qos: 0 as const, retain: false, delay: 0 } },
  ]) expect(problemOf({ ...profile, ...wrong }), JSON.stringify(wrong)).toBeTruthy();
});

test('connections are found again, passwords only where that was wanted', () => {
  const store = new Store();
  const first = { ...newProfile('ws://a/', 1), password: 'one' };
  const second = { ...newProfile('ws://b/', 2), password: 'two', keepPassword: true };
  save(store, [first, second]);
  expect(load(store)).toEqual([{ ...first, password: '' }, second]);
  store.setItem('micro-mq.connections', '{"no": "list"}');
  expect(load(store)).toEqual([]);
  store.setItem('micro-mq.connections', '[{"id": "old", "name": "From before"}, 7, null]');
  expect(load(store)).toMatchObject([{ id: 'old', name: 'From before', version: '5.0', subscriptions: [] }]);
});

test('what was published before is remembered once, the newest first', () => {
  const entry = (topic: string): Published => ({ topic, payload: '', format: 'text', qos: 0, retain: false });
  let past: Published[] = [];
  for (let at = 0; at < 60; at += 1) past = remember(past, entry(String(at)));
  past = remember(past, entry('40'));
  expect(past).toHaveLength(40);
  expect(past.slice(0, 2).map(({ topic }) => topic)).toEqual(['40', '59']);
  expect(remember(past, { ...entry('long'), payload: 'x'.repeat(20_000) })).toBe(past);
  const store = new Store();
  saveHistory(store, past);
  expect(loadHistory(store)).toEqual(past);
  store.setItem('micro-mq.published', 'no');
  expect(loadHistory(store)).toEqual([]);
});
