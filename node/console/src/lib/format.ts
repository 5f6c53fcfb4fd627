// Figures as people read them.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** 1234567 as 1,234,567. */
export function count(value: number | null | undefined): string {
  return value == null ? '–' : whole.format(value);
}

/** 1234567 as 1.23 M: three digits that matter. */
export function short(value: number | null | undefined): string {
  if (value == null) return '–';
  const size = Math.abs(value);
  if (size < 1000) return size > 0 && size < 10 && !Number.isInteger(value) ? value.toFixed(1) : String(Math.round(value));
  const units = ['', 'k', 'M', 'G', 'T', 'P'];
  let power = Math.min(Math.floor(Math.log10(size) / 3), units.length - 1);
  if (power < units.length - 1 && Number((size / 1000 ** power).toPrecision(3)) >= 1000) power += 1;
  return `${Number((value / 1000 ** power).toPrecision(3))} ${units[power]}`;
}

/** Per second; null before there is a figure. */
export function rate(value: number | null | undefined): string {
  return value == null ? '–' : `${short(value)}/s`;
}

/** 1536 as 1.5 KiB. */
export function bytes(value: number | null | undefined): string {
  if (value == null) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let power = 0;
  let size = value;
  while (size >= 1024 && power < units.length - 1) {
    size /= 1024;
    power += 1;
  }
  return `${power === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[power]}`;
}

/** 93784 seconds as 1 d 2 h; the two largest units. */
export function duration(seconds: number | null | undefined): string {
  if (seconds == null) return '–';
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const left = Math.round(seconds);
  const parts: [number, string][] = [
    [Math.floor(left / 86400), 'd'],
    [Math.floor(left / 3600) % 24, 'h'],
    [Math.floor(left / 60) % 60, 'min'],
    [left % 60, 's'],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  const shown = parts.slice(first, first + 2).filter(([amount]) => amount > 0);
  return shown.map(([amount, unit]) => `${amount} ${unit}`).join(' ');
}

/** Seconds of a latency: 0.0000082 as 8.2 µs. */
export function latency(seconds: number | null | undefined): string {
  if (seconds == null) return '–';
  if (seconds === 0) return '0';
  if (seconds < 1e-6) return `${Math.round(seconds * 1e9)} ns`;
  if (seconds < 1e-3) return `${twoDigits(seconds * 1e6)} µs`;
  if (seconds < 1) return `${twoDigits(seconds * 1e3)} ms`;
  return duration(seconds);
}

function twoDigits(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(2)));
}

/** A session expiry interval, in seconds. */
export function expiry(seconds: number): string {
  if (seconds === 0) return 'with its connection';
  return seconds >= 0xffffffff ? 'never' : duration(seconds);
}

/** The time of day of a moment in milliseconds since 1970, to the millisecond. */
export function timeOfDay(moment: number): string {
  const date = new Date(moment);
  const two = (part: number) => String(part).padStart(2, '0');
  const fraction = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${fraction}`;
}

/** Day and time of day of a moment in milliseconds since 1970, as they are here. */
export function moment(milliseconds: number): string {
  const date = new Date(milliseconds);
  const two = (part: number) => String(part).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** One or many: `plural(1, 'client')` is 1 client. */
export function plural(amount: number, one: string, many = `${one}s`): string {
  return `${count(amount)} ${amount === 1 ? one : many}`;
}
