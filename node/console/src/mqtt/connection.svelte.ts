// One network connection of the web client: MQTT.js, and what became of it.

import mqtt, { type IClientOptions, type MqttClient, type Packet } from 'mqtt';
import { Messages } from './messages';
import { drawn, type Profile, type Qos, type Wanted } from './profile';
import { timers } from './timers';

export type Status = 'off' | 'connecting' | 'on' | 'lost';

export interface Subscribed extends Wanted {
  /** The QoS that was granted; 128 and above: refused. */
  granted: number | undefined;
}

export interface Outgoing {
  topic: string;
  payload: Uint8Array;
  qos: Qos;
  retain: boolean;
  properties: Properties;
}

export interface Properties {
  contentType: string;
  responseTopic: string;
  correlationData: string;
  /** Seconds; 0: never. */
  messageExpiryInterval: number;
  topicAlias: number;
  text: boolean;
  userProperties: { name: string; value: string }[];
}

/** Lines of what happened, at most. */
const EVENTS_MAX = 200;
/** How often a flood redraws, in milliseconds. */
const REDRAW_MS = 150;
const CONNECT_TIMEOUT_MS = 10_000;

const PROTOCOLS = {
  '3.1': { protocolId: 'MQIsdp', protocolVersion: 3 },
  '3.1.1': { protocolId: 'MQTT', protocolVersion: 4 },
  '5.0': { protocolId: 'MQTT', protocolVersion: 5 },
} as const;

/** What the server says to a CONNECT or a DISCONNECT, as far as it needs words. */
const REASONS: Record<number, string> = {
  1: 'it does not speak this version',
  2: 'it does not accept this client identifier',
  3: 'it is unavailable',
  4: 'user name or password is wrong',
  5: 'it does not allow this client',
  129: 'malformed packet',
  130: 'protocol error',
  132: 'it does not speak this version',
  133: 'it does not accept this client identifier',
  134: 'user name or password is wrong',
  135: 'not authorized',
  136: 'the server is unavailable',
  137: 'the server is busy',
  138: 'banned',
  139: 'the server shuts down',
  141: 'the keep alive was missed',
  142: 'another connection took the session over',
  143: 'the topic filter is invalid',
  144: 'the topic name is invalid',
  147: 'more was sent than its receive maximum allows',
  149: 'a packet was too large',
  151: 'quota exceeded',
  152: 'an administrator ended it',
  153: 'the payload is not what it says',
  154: 'it keeps no retained messages',
  155: 'it does not take this QoS',
  158: 'it has no shared subscriptions',
  161: 'it has no subscription identifiers',
  162: 'it has no wildcard subscriptions',
};

export function reasonOf(code: number): string {
  const hex = `0x${code.toString(16).padStart(2, '0')}`;
  return REASONS[code] ? `${REASONS[code]} (${hex})` : hex;
}

export class Connection {
  status = $state<Status>('off');
  /** What the server answered, or why there is no connection. */
  said = $state('');
  identifier = $state('');
  subscriptions = $state<Subscribed[]>([]);
  events = $state.raw<{ at: number; text: string }[]>([]);
  /** Rises when there is something new to draw. */
  drawn = $state(0);
  readonly messages = new Messages();
  #client: MqttClient | undefined;
  #redraw: ReturnType<typeof setTimeout> | undefined;
  /** What the PUBACK or PUBREC of a packet identifier said, until it is told. */
  readonly #codes = new Map<number, number>();
  /** For a profile without a client identifier: the same as long as the tab is open. */
  readonly #own = `console-${drawn(8)}`;

  connect(profile: Profile): void {
    this.disconnect();
    this.#codes.clear();
    this.identifier = profile.clientIdentifier || this.#own;
    this.status = 'connecting';
    this.said = '';
    this.subscriptions = profile.subscriptions.map((wanted) => ({ ...wanted, granted: undefined }));
    const client = (this.#client = mqtt.connect(profile.url, optionsOf(profile, this.identifier)));
    const mine = (run: () => void) => () => this.#client === client && run();
    client.on('connect', (connack) => {
      if (this.#client !== client) return;
      this.status = 'on';
      const assigned = connack.properties?.assignedClientIdentifier;
      if (assigned) this.identifier = assigned;
      this.said = connack.sessionPresent ? 'the session was there' : 'a new session';
      this.#note(`connected: ${this.said}`);
      if (!connack.sessionPresent || profile.clean) for (const wanted of this.subscriptions) this.#subscribe(wanted, profile);
    });
    client.on('message', (topic, payload, packet) => {
      if (this.#client !== client) return;
      this.messages.push({
        at: Date.now(),
        sent: false,
        topic,
        payload: new Uint8Array(payload),
        qos: packet.qos,
        retain: packet.retain,
        duplicate: packet.dup,
        properties: propertiesOf(packet.properties),
      });
      this.#changed();
    });
    // MQTT.js tells a publisher of its acknowledgement, but not of the reason code in it.
    client.on('packetreceive', (packet) => {
      if (packet.cmd === 'puback' || packet.cmd === 'pubrec') this.#codes.set(packet.messageId ?? 0, packet.reasonCode ?? 0);
    });
    client.on('disconnect', (packet) => this.#note(`the server ended it: ${reasonOf(packet.reasonCode ?? 0)}`, true));
    client.on('error', (error) => this.#failed(error));
    client.on(
      'close',
      mine(() => {
        if (this.status === 'on') this.#note('the connection was lost', !this.said.startsWith('the server ended it'));
        if (this.status === 'connecting' && !this.said) this.said = 'no connection: nobody answers there';
        this.status = 'lost';
        // Whoever connects again does so knowingly: a console that takes a session over and over helps nobody.
        client.end(true);
      }),
    );
  }

  #failed(error: Error & { code?: number | string }): void {
    if (typeof error.code === 'number') this.said = `the server refused: ${reasonOf(error.code)}`;
    else if (error.message.includes('connack timeout')) this.said = 'no answer to CONNECT';
    else this.said = error.message || 'no connection';
    this.#note(this.said);
  }

  disconnect(): void {
    const client = this.#client;
    this.#client = undefined;
    if (!client) return;
    client.end();
    if (this.status === 'on') this.#note('disconnected');
    this.status = 'off';
    this.said = '';
  }

  subscribe(wanted: Wanted, profile: Profile): void {
    const others = this.subscriptions.filter(({ filter }) => filter !== wanted.filter);
    this.subscriptions = [...others, { ...wanted, granted: undefined }];
    if (this.status === 'on') this.#subscribe(wanted, profile);
  }

  #subscribe(wanted: Wanted, profile: Profile): void {
    const five = profile.version === '5.0';
    this.#client?.subscribe(
      wanted.filter,
      {
        qos: wanted.qos,
        ...(five ? { nl: wanted.noLocal, rap: wanted.retainAsPublished, rh: wanted.retainHandling } : {}),
        ...(five && wanted.identifier > 0 ? { properties: { subscriptionIdentifier: wanted.identifier } } : {}),
      },
      (error, granted) => {
        const code = granted?.[0]?.qos ?? (error ? 128 : wanted.qos);
        const found = this.subscriptions.find(({ filter }) => filter === wanted.filter);
        if (found) found.granted = error && code < 128 ? 128 : code;
        this.#note(error || code >= 128 ? `${wanted.filter} was refused: ${error?.message ?? reasonOf(code)}` : `subscribed to ${wanted.filter}, QoS ${code}`);
      },
    );
  }

  unsubscribe(filter: string): void {
    this.subscriptions = this.subscriptions.filter((subscribed) => subscribed.filter !== filter);
    this.#client?.unsubscribe(filter, () => this.#note(`unsubscribed from ${filter}`));
  }

  /** Sends it; what it answers is said when the server has acknowledged it. */
  publish(message: Outgoing, five: boolean): Promise<string> {
    const client = this.#client;
    if (!client || this.status !== 'on') return Promise.reject(new Error('not connected'));
    const { properties } = message;
    const options = five ? { properties: outgoing(properties) } : {};
    this.messages.push({
      at: Date.now(),
      sent: true,
      topic: message.topic,
      payload: message.payload,
      qos: message.qos,
      retain: message.retain,
      duplicate: false,
      properties: five ? propertiesOf(outgoing(properties) as Packet['properties' & keyof Packet]) : [],
    });
    this.#changed();
    return new Promise((resolve, reject) => {
      // A Buffer of Node is what MQTT.js takes; in a browser a Uint8Array is told from it by nothing but its methods.
      client.publish(message.topic, message.payload as never, { qos: message.qos, retain: message.retain, ...options }, (error, packet) => {
        const identifier = (packet as { messageId?: number } | undefined)?.messageId ?? 0;
        const code = this.#codes.get(identifier) ?? 0;
        this.#codes.delete(identifier);
        if (error) reject('code' in error && typeof error.code === 'number' ? new Error(`refused: ${reasonOf(error.code)}`) : error);
        else resolve(answerOf(message.qos, code));
      });
    });
  }

  clear(): void {
    this.messages.clear();
    this.drawn += 1;
  }

  #changed(): void {
    this.#redraw ??= setTimeout(() => {
      this.#redraw = undefined;
      this.drawn += 1;
    }, REDRAW_MS);
  }

  #note(text: string, said = false): void {
    if (said) this.said = text;
    this.events = [{ at: Date.now(), text }, ...this.events].slice(0, EVENTS_MAX);
  }
}

function answerOf(qos: Qos, code: number): string {
  if (qos === 0) return 'sent';
  if (code === 16) return 'acknowledged: nobody is subscribed (0x10)';
  return 'acknowledged';
}

function optionsOf(profile: Profile, clientId: string): IClientOptions {
  const five = profile.version === '5.0';
  const pairs = grouped(profile.userProperties);
  const will = profile.will;
  return {
    ...PROTOCOLS[profile.version],
    clientId,
    ...(profile.userName ? { username: profile.userName } : {}),
    ...(profile.password ? { password: profile.password } : {}),
    clean: profile.clean,
    keepalive: profile.keepAlive,
    reconnectPeriod: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    resubscribe: false,
    timerVariant: timers as never,
    ...(five
      ? {
          properties: {
            sessionExpiryInterval: profile.sessionExpiry,
            ...(profile.receiveMaximum > 0 ? { receiveMaximum: profile.receiveMaximum } : {}),
            ...(pairs ? { userProperties: pairs } : {}),
          },
        }
      : {}),
    ...(will
      ? {
          will: {
            topic: will.topic,
            payload: will.payload as never,
            qos: will.qos,
            retain: will.retain,
            ...(five && will.delay > 0 ? { properties: { willDelayInterval: will.delay } } : {}),
          },
        }
      : {}),
  };
}

function grouped(pairs: { name: string; value: string }[]): Record<string, string[]> | undefined {
  const found: Record<string, string[]> = {};
  for (const { name, value } of pairs) if (name) (found[name] ??= []).push(value);
  return Object.keys(found).length > 0 ? found : undefined;
}

function outgoing(properties: Properties): Record<string, unknown> {
  const pairs = grouped(properties.userProperties);
  return {
    ...(properties.text ? { payloadFormatIndicator: true } : {}),
    ...(properties.contentType ? { contentType: properties.contentType } : {}),
    ...(properties.responseTopic ? { responseTopic: properties.responseTopic } : {}),
    ...(properties.correlationData ? { correlationData: new TextEncoder().encode(properties.correlationData) } : {}),
    ...(properties.messageExpiryInterval > 0 ? { messageExpiryInterval: properties.messageExpiryInterval } : {}),
    ...(properties.topicAlias > 0 ? { topicAlias: properties.topicAlias } : {}),
    ...(pairs ? { userProperties: pairs } : {}),
  };
}

const NAMES: Record<string, string> = {
  payloadFormatIndicator: 'Payload format',
  contentType: 'Content type',
  responseTopic: 'Response topic',
  correlationData: 'Correlation data',
  messageExpiryInterval: 'Message expiry interval',
  topicAlias: 'Topic alias',
  subscriptionIdentifier: 'Subscription identifier',
};

function propertiesOf(properties: unknown): [string, string][] {
  const found: [string, string][] = [];
  for (const [name, value] of Object.entries((properties ?? {}) as Record<string, unknown>)) {
    if (name === 'userProperties') {
      for (const [key, values] of Object.entries(value as Record<string, string | string[]>))
        for (const item of [values].flat()) found.push([key, item]);
    } else {
      found.push([NAMES[name] ?? name, shown(name, value)]);
    }
  }
  return found;
}

function shown(name: string, value: unknown): string {
  if (name === 'payloadFormatIndicator') return value ? 'text (UTF-8)' : 'bytes';
  if (name === 'messageExpiryInterval') return `${String(value)} s`;
  if (value instanceof Uint8Array) return new TextDecoder().decode(value);
  return [value].flat().join(', ');
}
