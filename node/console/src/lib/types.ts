// What the admin API answers, as its OpenAPI document (/api/v1/openapi.json) has it.

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
}

export interface Page<T> {
  items: T[];
  next: string | null;
  /** Members of the cluster that did not answer in time. */
  silent: string[];
}

export interface Node {
  name: string;
  version: string;
  own: boolean;
  ready: boolean;
  reason: string | null;
  started_at_ms: number;
  uptime_seconds: number;
  workers: number;
  connections: number;
  connections_max: number;
  sessions: number;
  sessions_online: number;
  subscriptions: number;
  shared_subscriptions: number;
  retained_messages: number;
  retained_bytes: number;
  queued: number;
  queued_bytes: number;
  published: number;
  unmatched: number;
  delivered: number;
  dropped: number;
  published_per_second: number | null;
  delivered_per_second: number | null;
  dropped_per_second: number | null;
}

export interface Listener {
  node: string;
  name: string;
  address: string;
  type?: 'tcp' | 'websocket';
  path?: string | null;
  tls?: boolean;
}

export interface Ledger {
  published: number;
  unmatched: number;
  matched: number;
  restored: number;
  delivered: number;
  queued: number;
  dropped: Record<string, number>;
  balanced: boolean;
  own?: Ledger;
}

export interface Will {
  topic: string;
  qos: number;
  retain: boolean;
  payload_bytes: number;
  delay_seconds: number;
}

export interface Session {
  client_identifier: string;
  node: string;
  worker: number;
  user_name: string | null;
  protocol_version: '3.1' | '3.1.1' | '5.0';
  online: boolean;
  connected_at_ms: number | null;
  connected_seconds: number | null;
  idle_seconds: number | null;
  keep_alive_seconds: number | null;
  maximum_packet_size: number | null;
  receive_maximum: number | null;
  session_expiry_interval: number;
  expires_in_seconds: number | null;
  subscriptions: number;
  subscription_bytes: number;
  inflight: number;
  queued: number;
  queued_bytes: number;
  outbox_bytes: number;
  bytes_sent: number;
  awaiting_release: number;
  has_will: boolean;
  matched: number;
  delivered: number;
  returned: number;
  dropped: Record<string, number>;
  dropped_total: number;
  delivered_per_second: number | null;
  dropped_per_second: number | null;
  will?: Will | null;
}

export interface Subscription {
  client_identifier: string;
  node: string;
  filter: string;
  share: string | null;
  qos: number;
  no_local: boolean;
  retain_as_published: boolean;
  identifier: number | null;
  online: boolean;
}

export interface Group {
  full_filter: string;
  share: string;
  filter: string;
  node: string;
  worker: number;
  members: number;
  members_online: number;
  queued: number;
  queued_bytes: number;
}

export interface Topic {
  topic: string;
  wildcard: boolean;
  subscriptions: number;
  shared_subscriptions: number;
  retained: boolean;
}

export interface TopicTreeNode {
  topic: string;
  level: string;
  has_children: boolean;
  subscriptions: number;
  subscriptions_below: number;
  retained_below: number;
}

export interface RetainedMessage {
  topic: string;
  qos: number;
  payload_bytes: number;
  expires_in_ms: number | null;
}

export interface Actor {
  node: string;
  worker: number | null;
  kind: string;
  live: number;
  waiting: number;
  handled: number;
  restarts: number;
  waiting_p50_seconds: number | null;
  waiting_p99_seconds: number | null;
  handling_p50_seconds: number | null;
  handling_p99_seconds: number | null;
}

export type Role = 'viewer' | 'operator' | 'admin';

export interface Identity {
  /** Null where nobody has to say who they are. */
  name: string | null;
  role: Role;
  scopes: string[];
}

export interface Concerned {
  count: number;
  dry_run: boolean;
}

export interface RetainedPayload {
  topic: string;
  qos: number;
  expires_in_ms: number | null;
  payload_base64: string;
  payload: string | null;
}

export interface Drop {
  at_ms: number;
  node: string;
  worker: number;
  client_identifier: string;
  topic: string;
  reason: string;
  /** Dropped by this worker between the one before and this one, of which nothing is remembered. */
  left_out: number;
}

export interface Permission {
  allowed: boolean | null;
  by: string;
}

export interface ExplainedCopy {
  client_identifier: string;
  node: string;
  worker: number;
  filter: string;
  qos: number;
  outcome: 'delivered' | 'queued' | 'dropped' | 'may_get_it';
  reason: string | null;
}

export interface ExplainedPublish {
  accepted: boolean;
  reason: string | null;
  permission: Permission;
  matched: number;
  delivered: number;
  queued: number;
  dropped: number;
  groups: number;
  copies: ExplainedCopy[];
}

export interface ExplainedSubscribe {
  granted: boolean;
  reason: string | null;
  permission: Permission;
  node: string;
  worker: number;
  exists: boolean;
}

export interface Member {
  node: string;
  slot: number;
  incarnation: number;
  address: string;
  applied: number | null;
  alive: boolean;
  clock_skew_ms: number | null;
}

export interface Cluster {
  node: string;
  slot: number | null;
  incarnation: number | null;
  fresh: boolean;
  applied: number | null;
  own_routes: number;
  routes: number;
  forward_bytes: number;
  kafka_trouble: string | null;
  members: Member[];
}
