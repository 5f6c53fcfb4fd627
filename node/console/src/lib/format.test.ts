import { expect, test } from 'vitest';
import { bytes, count, duration, expiry, latency, plural, rate, short, timeOfDay } from './format';

test('figures keep the digits that matter', () => {
  expect([0, 7, 999, 1000, 1234, 12_345, 999_999, 1_000_000, 2_500_000_000].map(short)).toEqual([
    '0', '7', '999', '1 k', '1.23 k', '12.3 k', '1 M', '1 M', '2.5 G',
  ]);
  expect(short(0.25)).toBe('0.3');
  expect(count(1_234_567)).toBe('1,234,567');
  expect([count(null), short(undefined), rate(null), bytes(null), duration(null), latency(null)]).toEqual(Array(6).fill('–'));
  expect(plural(1, 'message')).toBe('1 message');
  expect(plural(1200, 'message')).toBe('1,200 messages');
});

test('bytes are counted in powers of two', () => {
  expect([0, 1023, 1024, 1536, 200 * 1024, 5 * 1024 ** 3].map(bytes)).toEqual(['0 B', '1023 B', '1.0 KiB', '1.5 KiB', '200 KiB', '5.0 GiB']);
});

test('durations have their two largest units', () => {
  expect([0.25, 1, 59.6, 61, 3600, 93_784].map(duration)).toEqual(['250 ms', '1 s', '1 min', '1 min 1 s', '1 h', '1 d 2 h']);
  expect([0, 1e-8, 8.2e-6, 1.28e-4, 5.2e-4, 0.0021, 0.26, 3].map(latency)).toEqual([
    '0', '10 ns', '8.2 µs', '128 µs', '520 µs', '2.1 ms', '260 ms', '3 s',
  ]);
  expect([0, 60, 0xffffffff].map(expiry)).toEqual(['with its connection', '1 min', 'never']);
});

test('a time of day has its milliseconds', () => {
  expect(timeOfDay(new Date(2026, 0, 2, 3, 4, 5, 6).getTime())).toBe('03:04:05.006');
});
