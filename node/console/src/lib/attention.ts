// What of a node asks to be looked at, most urgent first.

import { reasonLabel } from './flow';
import { count, plural } from './format';
import { rise, type Ring } from './history';
import type { Ledger, Node } from './types';

export interface Matter {
  kind: 'gone' | 'waits';
  text: string;
  /** Where to look: segments of a page's path, and its query. */
  at: [string[], Record<string, string>];
}

/** Of the connections that there may be; above it, it is said. */
const NEARLY_FULL = 0.9;
/** Drops are of today if they are younger, in seconds. */
const RECENT_SECONDS = 60;

export function matters(nodes: Node[], silent: string[], ledger: Ledger | undefined, ring: Ring): Matter[] {
  const found: Matter[] = [];
  const say = (kind: Matter['kind'], text: string, path: string[], query: Record<string, string> = {}) =>
    found.push({ kind, text, at: [path, query] });
  for (const name of silent) say('gone', `${name} does not answer.`, ['nodes']);
  for (const node of nodes) {
    if (!node.ready) say('gone', `${node.name} does not serve everybody: ${node.reason ?? 'it does not say why'}.`, ['nodes']);
    if (node.connections >= node.connections_max * NEARLY_FULL)
      say('waits', `${node.name} has ${count(node.connections)} of at most ${plural(node.connections_max, 'connection')}.`, ['nodes']);
  }
  for (const reason of Object.keys(ledger?.dropped ?? {})) {
    const recent = rise(ring, `dropped ${reason}`, RECENT_SECONDS);
    if (recent > 0)
      say('gone', `${plural(recent, 'message')} dropped within the last minute: ${reasonLabel(reason)}.`, ['drops']);
  }
  if (ledger && ledger.queued > 0)
    say('waits', `${plural(ledger.queued, 'message')} ${ledger.queued === 1 ? 'waits' : 'wait'} for clients.`, ['sessions'], {
      show: 'waiting',
      sort: 'queued',
      order: 'desc',
    });
  return found;
}
