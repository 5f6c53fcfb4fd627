// The connections of this tab. They go on while other pages of the console are looked at.

import { get } from '../lib/api';
import type { Listener, Page } from '../lib/types';
import { Connection } from './connection.svelte';
import { drawn, load, newProfile, save, type Profile } from './profile';

class Bench {
  profiles = $state<Profile[]>(load(localStorage));
  chosen = $state('');
  #connections = new Map<string, Connection>();

  constructor() {
    this.chosen = this.profiles[0]?.id ?? '';
    for (const { id } of this.profiles) this.#connections.set(id, new Connection());
  }

  /** That of a profile, made with it: what is made while a page is drawn is not followed by it. */
  connection(id: string): Connection {
    const known = this.#connections.get(id);
    if (known) return known;
    const made = new Connection();
    this.#connections.set(id, made);
    return made;
  }

  get profile(): Profile | undefined {
    return this.profiles.find(({ id }) => id === this.chosen);
  }

  async add(): Promise<Profile> {
    const made = newProfile(await webSocketUrl(), this.profiles.length + 1);
    this.#connections.set(made.id, new Connection());
    this.profiles.push(made);
    this.chosen = made.id;
    this.keep();
    return made;
  }

  copy(profile: Profile): void {
    const made = { ...$state.snapshot(profile), id: drawn(8), name: `${profile.name} (copy)` };
    // The same client identifier would take the session from the first.
    made.clientIdentifier = made.clientIdentifier ? `${made.clientIdentifier}-2` : '';
    this.#connections.set(made.id, new Connection());
    this.profiles.push(made);
    this.chosen = made.id;
    this.keep();
  }

  remove(id: string): void {
    this.#connections.get(id)?.disconnect();
    this.#connections.delete(id);
    this.profiles = this.profiles.filter((profile) => profile.id !== id);
    if (this.chosen === id) this.chosen = this.profiles[0]?.id ?? '';
    this.keep();
  }

  keep(): void {
    save(localStorage, $state.snapshot(this.profiles));
  }
}

/** Where the node speaks MQTT over WebSocket, seen from the host that this page came from. */
async function webSocketUrl(): Promise<string> {
  const host = location.hostname || '127.0.0.1';
  try {
    const { items } = await get<Page<Listener>>('listeners');
    const found = items.find(({ type, name }) => (type ? type === 'websocket' : name.startsWith('websocket')));
    const port = found ? /:(\d+)$/.exec(found.address)?.[1] : undefined;
    if (found && port) return `${found.tls ? 'wss' : 'ws'}://${host}:${port}${found.path ?? '/mqtt'}`;
  } catch {
    // the node tells of no listeners: where it listens by default
  }
  return `ws://${host}:8083/mqtt`;
}

export const bench = new Bench();
