// What a connection of the web client is made with, and how that is kept in the browser.

export type Version = '3.1' | '3.1.1' | '5.0';
export type Qos = 0 | 1 | 2;

export interface Will {
  topic: string;
  payload: string;
  qos: Qos;
  retain: boolean;
  /** Seconds; 5.0 alone. */
  delay: number;
}

export interface Profile {
  id: string;
  name: string;
  /** ws:// or wss:// with the path. */
  url: string;
  version: Version;
  /** Empty: a name is drawn for each tab, so that two tabs do not take the session from each other. */
  clientIdentifier: string;
  userName: string;
  /** Kept in the browser only if `keepPassword`. */
  password: string;
  keepPassword: boolean;
  /** Clean session, or clean start. */
  clean: boolean;
  /** Seconds; 5.0 alone. */
  sessionExpiry: number;
  /** Seconds; 0: none. */
  keepAlive: number;
  /** 5.0 alone; 0: as MQTT has it, 65,535. */
  receiveMaximum: number;
  userProperties: Pair[];
  will: Will | null;
  subscriptions: Wanted[];
}

export interface Pair {
  name: string;
  value: string;
}

/** What is subscribed to when the connection is made. */
export interface Wanted {
  filter: string;
  qos: Qos;
  noLocal: boolean;
  retainAsPublished: boolean;
  retainHandling: 0 | 1 | 2;
  /** Subscription identifier; 0: none. */
  identifier: number;
}

export function newProfile(url: string, number: number): Profile {
  return {
    id: drawn(8),
    name: `Connection ${number}`,
    url,
    version: '5.0',
    clientIdentifier: '',
    userName: '',
    password: '',
    keepPassword: false,
    clean: true,
    sessionExpiry: 0,
    keepAlive: 60,
    receiveMaximum: 0,
    userProperties: [],
    will: null,
    subscriptions: [],
  };
}

const LETTERS = 'abcdefghijkmnpqrstuvwxyz23456789';

/** So many random letters. */
export function drawn(length: number): string {
  const numbers = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(numbers, (number) => LETTERS[number % LETTERS.length]).join('');
}

/** Why a profile cannot be connected with; none if it can. */
export function problemOf(profile: Profile): string | undefined {
  let url: URL;
  try {
    url = new URL(profile.url);
  } catch {
    return 'The address is no URL such as ws://127.0.0.1:8083/mqtt.';
  }
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') return 'The address has to begin with ws:// or wss://.';
  if (profile.version === '3.1' && profile.clientIdentifier.length > 23)
    return 'MQTT 3.1 allows client identifiers of 23 characters.';
  if (profile.version !== '5.0' && profile.password && !profile.userName)
    return 'Before MQTT 5.0 a password needs a user name.';
  if (!profile.clean && !profile.clientIdentifier)
    return 'A session that is to be found again needs a client identifier.';
  if (profile.will && !profile.will.topic) return 'The will message has no topic.';
  if (profile.will && /[+#]/.test(profile.will.topic)) return 'The topic of the will message has a wildcard.';
  return undefined;
}

const KEY = 'micro-mq.connections';

/** What is in the browser; what cannot be read of it is left out. */
export function load(storage: Pick<Storage, 'getItem'>): Profile[] {
  try {
    const found: unknown = JSON.parse(storage.getItem(KEY) ?? '[]');
    if (!Array.isArray(found)) return [];
    return found
      .filter((item): item is Partial<Profile> => typeof item === 'object' && item !== null && typeof item.id === 'string')
      .map((item, at) => ({ ...newProfile('', at + 1), ...item }));
  } catch {
    return [];
  }
}

/** Keeps them in the browser, passwords only where that is wanted. */
export function save(storage: Pick<Storage, 'setItem'>, profiles: Profile[]): void {
  const kept = profiles.map((profile) => ({ ...profile, password: profile.keepPassword ? profile.password : '' }));
  try {
    storage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // a browser that keeps nothing, or has no room: they last as long as the page
  }
}
