// The ledger as a flow: what came in on the left, what became of it on the right, in proportion.

export interface Band {
  name: string;
  label: string;
  color: string;
  value: number;
}

export interface Placed extends Band {
  y: number;
  height: number;
}

/** Thinner bands cannot be seen. */
const HEIGHT_MIN = 3;

/** Places bands of a column below each other in so much height, with gaps; each is seen, if it is above 0. */
export function place(bands: Band[], height: number, gap: number): Placed[] {
  const seen = bands.filter(({ value }) => value > 0);
  const total = seen.reduce((sum, { value }) => sum + value, 0);
  const room = height - gap * Math.max(0, seen.length - 1);
  const thin = seen.filter(({ value }) => (value / total) * room < HEIGHT_MIN);
  const thick = total - thin.reduce((sum, { value }) => sum + value, 0);
  const left = room - thin.length * HEIGHT_MIN;
  let y = 0;
  return seen.map((band) => {
    const share = thin.includes(band) ? HEIGHT_MIN : (band.value / thick) * left;
    const placed = { ...band, y, height: share };
    y += share + gap;
    return placed;
  });
}

export interface Ribbon {
  from: Placed;
  to: Placed;
  path: string;
}

/** Ribbons from a left column to a right one: each right band takes its share of every left one. */
export function ribbons(left: Placed[], right: Placed[], x0: number, x1: number): Ribbon[] {
  const total = right.reduce((sum, { height }) => sum + height, 0);
  const found: Ribbon[] = [];
  const taken = new Map<Placed, number>();
  for (const from of left) {
    let y = from.y;
    const share = from.height / left.reduce((sum, { height }) => sum + height, 0);
    for (const to of right) {
      const leaves = (to.height / total) * from.height;
      const arrives = to.height * share;
      const at = to.y + (taken.get(to) ?? 0);
      taken.set(to, (taken.get(to) ?? 0) + arrives);
      const middle = (x0 + x1) / 2;
      const path =
        `M${x0} ${y}C${middle} ${y} ${middle} ${at} ${x1} ${at}` +
        `V${at + arrives}C${middle} ${at + arrives} ${middle} ${y + leaves} ${x0} ${y + leaves}Z`;
      found.push({ from, to, path });
      y += leaves;
    }
  }
  return found;
}

/** Why messages are dropped, in words that say what happened. */
export const REASONS: Record<string, { label: string; what: string; help: string }> = {
  outbox_full: {
    label: 'reader too slow (QoS 0)',
    what: 'The client read more slowly than was sent to it, and a QoS 0 message had no room.',
    help: 'Look at who has the largest outbox. QoS 1 would wait instead; node.outbox_bytes_max is the room.',
  },
  queue_full: {
    label: 'its queue was full',
    what: 'The session had as many messages waiting as it may.',
    help: 'The client is away, or acknowledges too slowly. session.queue_messages_max and session.queue_bytes_max are the room.',
  },
  node_queue_full: {
    label: 'the queues of all were full',
    what: 'All that waits on this node together reached its limit.',
    help: 'Look at which sessions have the longest queues.',
  },
  expired: {
    label: 'expired',
    what: 'Its message expiry interval ran out before it could be sent.',
    help: 'The client was away for longer than the publisher gave the message.',
  },
  too_large_for_client: {
    label: 'too large for the client',
    what: 'It was larger than the maximum packet size that the client named.',
    help: 'The client has to name a larger one in its CONNECT.',
  },
  session_gone: {
    label: 'the session ended',
    what: 'It waited for a session that expired, or was ended by a clean start.',
    help: 'A longer session expiry interval keeps it.',
  },
  offline: {
    label: 'the client was away (QoS 0)',
    what: 'A QoS 0 message for a session without a network connection: those are not queued.',
    help: 'QoS 1 waits for clients that are away.',
  },
  connection_closed: {
    label: 'the connection closed (QoS 0)',
    what: 'A QoS 0 message was not yet written when the network connection ended.',
    help: 'QoS 1 would be sent again.',
  },
  shared_group_empty: {
    label: 'a group lost its last member',
    what: 'It waited in a shared subscription whose last member unsubscribed or ended.',
    help: 'A member with a durable session keeps the group.',
  },
  refused_by_client: {
    label: 'the client refused it',
    what: 'The client answered with an error acknowledgement.',
    help: 'The client knows why: look at its log.',
  },
};

export function reasonLabel(reason: string): string {
  return REASONS[reason]?.label ?? reason.replaceAll('_', ' ');
}
