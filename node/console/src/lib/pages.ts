// Which pages there are, and where the navigation has them.

import type { IconName } from '../components/Icon.svelte';

export interface Entry {
  name: string;
  title: string;
  icon: IconName;
  /** The key behind `g` that leads there. */
  key: string;
}

export const GROUPS: { title: string; entries: Entry[] }[] = [
  {
    title: '',
    entries: [{ name: 'overview', title: 'Overview', icon: 'overview', key: 'o' }],
  },
  {
    title: 'Who',
    entries: [
      { name: 'clients', title: 'Clients', icon: 'clients', key: 'c' },
      { name: 'sessions', title: 'Sessions', icon: 'sessions', key: 's' },
    ],
  },
  {
    title: 'What',
    entries: [
      { name: 'topics', title: 'Topics', icon: 'topics', key: 't' },
      { name: 'subscriptions', title: 'Subscriptions', icon: 'subscriptions', key: 'b' },
      { name: 'groups', title: 'Shared groups', icon: 'groups', key: 'h' },
      { name: 'retained', title: 'Retained', icon: 'retained', key: 'r' },
      { name: 'drops', title: 'Drops', icon: 'drops', key: 'd' },
    ],
  },
  {
    title: 'The node',
    entries: [
      { name: 'nodes', title: 'Nodes', icon: 'nodes', key: 'n' },
      { name: 'actors', title: 'Actors', icon: 'actors', key: 'a' },
    ],
  },
  {
    title: 'Try it',
    entries: [{ name: 'mqtt', title: 'MQTT client', icon: 'mqtt', key: 'm' }],
  },
];

export const ENTRIES: Entry[] = GROUPS.flatMap(({ entries }) => entries);
