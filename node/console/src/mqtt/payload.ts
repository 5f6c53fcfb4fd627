// Payloads as people read them.

const decoder = new TextDecoder('utf-8', { fatal: true });

/** The payload as text; none if it is no UTF-8, or holds what no text has. */
export function textOf(payload: Uint8Array): string | undefined {
  try {
    const text = decoder.decode(payload);
    // eslint-disable-next-line no-control-regex
    return /[\u0000-\u0008\u000e-\u001f]/.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** What is shown in a line of a list. */
export function preview(payload: Uint8Array, length = 160): string {
  if (payload.length === 0) return '(empty)';
  // A character may be cut in two at the end: up to three bytes of it.
  for (let cut = 0; cut < 4; cut += 1) {
    const end = Math.min(payload.length, length) - (payload.length > length ? cut : 0);
    const text = textOf(payload.subarray(0, end));
    if (text !== undefined) return text.replace(/\s+/g, ' ');
    if (payload.length <= length) break;
  }
  return hexOf(payload.subarray(0, 32));
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

export interface HexLine {
  offset: string;
  hex: string;
  text: string;
}

/** Lines of 16 bytes, at most so many. */
export function hexLines(payload: Uint8Array, linesMax = 4096): HexLine[] {
  const lines: HexLine[] = [];
  for (let at = 0; at < payload.length && lines.length < linesMax; at += 16) {
    const bytes = payload.subarray(at, at + 16);
    lines.push({
      offset: at.toString(16).padStart(6, '0'),
      hex: hexOf(bytes).padEnd(47),
      text: Array.from(bytes, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '·')).join(''),
    });
  }
  return lines;
}

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** The payload as JSON that is more than a plain word; none if it is none. */
export function jsonOf(payload: Uint8Array): Json | undefined {
  const text = textOf(payload);
  if (text === undefined || !/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}

/** Bytes of hexadecimal digits, with or without spaces; none if it is something else. */
export function bytesOfHex(text: string): Uint8Array | undefined {
  const digits = text.replace(/\s+/g, '');
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) return undefined;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
