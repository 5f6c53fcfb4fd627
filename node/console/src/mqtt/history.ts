// What was published before, to be published again: the newest of each kind first, kept in the browser.

export interface Published {
  topic: string;
  payload: string;
  format: 'text' | 'json' | 'hex';
  qos: 0 | 1 | 2;
  retain: boolean;
}

const KEY = 'micro-mq.published';
const ENTRIES_MAX = 40;
/** Longer payloads are not kept. */
const PAYLOAD_MAX = 16 * 1024;

export function loadHistory(storage: Pick<Storage, 'getItem'>): Published[] {
  try {
    const found: unknown = JSON.parse(storage.getItem(KEY) ?? '[]');
    return Array.isArray(found) ? (found as Published[]).filter((entry) => typeof entry?.topic === 'string') : [];
  } catch {
    return [];
  }
}

/** Puts it first; the same one further down goes. */
export function remember(history: Published[], entry: Published): Published[] {
  if (entry.payload.length > PAYLOAD_MAX) return history;
  const same = (other: Published) => JSON.stringify(other) === JSON.stringify(entry);
  return [entry, ...history.filter((other) => !same(other))].slice(0, ENTRIES_MAX);
}

export function saveHistory(storage: Pick<Storage, 'setItem'>, history: Published[]): void {
  try {
    storage.setItem(KEY, JSON.stringify(history));
  } catch {
    // no room: it lasts as long as the page
  }
}
