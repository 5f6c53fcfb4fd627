// The messages of a connection: the newest of them, bounded by number and by bytes, so that a flood fills no memory.

export interface Message {
  /** Counts from 1 as long as the page is open. */
  number: number;
  /** Milliseconds since 1970. */
  at: number;
  sent: boolean;
  topic: string;
  payload: Uint8Array;
  qos: number;
  retain: boolean;
  duplicate: boolean;
  /** Properties of 5.0, as they are to be read. */
  properties: [name: string, value: string][];
}

const MESSAGES_MAX = 10_000;
const BYTES_MAX = 24 * 1024 * 1024;
/** What a message takes beside its payload and its names, in bytes. */
const OVERHEAD = 240;

export class Messages {
  #kept: Message[] = [];
  #bytes = 0;
  /** Where the oldest stands in `#kept`: dropping one by one would move all others. */
  #first = 0;
  received = 0;
  sent = 0;
  /** No longer kept. */
  forgotten = 0;

  constructor(
    readonly messagesMax = MESSAGES_MAX,
    readonly bytesMax = BYTES_MAX,
  ) {}

  push(message: Omit<Message, 'number'>): void {
    if (message.sent) this.sent += 1;
    else this.received += 1;
    this.#kept.push({ ...message, number: this.received + this.sent });
    this.#bytes += sizeOf(message);
    while (this.length > this.messagesMax || (this.#bytes > this.bytesMax && this.length > 1)) this.#forget();
    if (this.#first > this.messagesMax) {
      this.#kept = this.#kept.slice(this.#first);
      this.#first = 0;
    }
  }

  #forget(): void {
    const oldest = this.#kept[this.#first];
    if (!oldest) return;
    this.#bytes -= sizeOf(oldest);
    // The place stays until the next clearing, and must not hold the payload.
    this.#kept[this.#first] = undefined as unknown as Message;
    this.#first += 1;
    this.forgotten += 1;
  }

  get length(): number {
    return this.#kept.length - this.#first;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The newest first, of those whose topic holds the text. */
  newest(text = ''): Message[] {
    const kept = this.#kept.slice(this.#first).reverse();
    return text ? kept.filter(({ topic }) => topic.includes(text)) : kept;
  }

  clear(): void {
    this.#kept = [];
    this.#first = 0;
    this.#bytes = 0;
    this.received = this.sent = this.forgotten = 0;
  }
}

function sizeOf(message: Omit<Message, 'number'>): number {
  let size = OVERHEAD + message.payload.length + 2 * message.topic.length;
  for (const [name, value] of message.properties) size += 2 * (name.length + value.length);
  return size;
}
