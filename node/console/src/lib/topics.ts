// What MQTT has to say of topic filters and topic names [MQTT 5.0, 4.7].

/** Why a topic filter cannot be subscribed to; none if it can [MQTT 5.0, 4.7]. */
export function problemOfFilter(filter: string): string | undefined {
  if (filter === '') return 'A topic filter has at least one character.';
  const levels = filter.startsWith('$share/') ? filter.split('/').slice(2) : filter.split('/');
  if (filter.startsWith('$share/')) {
    const name = filter.split('/')[1] ?? '';
    if (name === '' || /[+#]/.test(name)) return 'A share name has no wildcard and is not empty.';
    if (levels.length === 0 || (levels.length === 1 && levels[0] === '')) return '$share/NAME/ is followed by a topic filter.';
  }
  for (const [at, level] of levels.entries()) {
    if (level.includes('#') && (level !== '#' || at !== levels.length - 1)) return '# stands alone in the last level.';
    if (level.includes('+') && level !== '+') return '+ stands alone in its level.';
  }
  return undefined;
}

/** Why a topic name cannot be published to; none if it can. */
export function problemOfTopic(topic: string): string | undefined {
  if (topic === '') return 'A topic name has at least one character.';
  if (/[+#]/.test(topic)) return 'A topic name has no wildcard.';
  return undefined;
}
