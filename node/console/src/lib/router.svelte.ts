// Pages have addresses behind a hash, so that the node answers one path and a link can be passed on.

export interface Route {
  /** Segments of the path, decoded: `#/clients/a%2Fb` is `['clients', 'a/b']`. */
  path: string[];
  query: URLSearchParams;
}

export function parse(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  return { path: path.split('/').filter(Boolean).map(decoded), query: new URLSearchParams(query) };
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The hash of a page: `link('clients', 'a/b')` is `#/clients/a%2Fb`. */
export function link(...segments: string[]): string {
  return `#/${segments.map(encodeURIComponent).join('/')}`;
}

/** The same with a query; values that are empty are left out. */
export function linkWith(segments: string[], query: Record<string, string | undefined>): string {
  const kept = Object.entries(query).filter((entry): entry is [string, string] => !!entry[1]);
  const text = new URLSearchParams(kept).toString();
  return link(...segments) + (text ? `?${text}` : '');
}

class Router {
  current = $state.raw<Route>(parse(globalThis.location?.hash ?? ''));

  constructor() {
    globalThis.addEventListener?.('hashchange', () => (this.current = parse(location.hash)));
  }

  go(hash: string): void {
    location.hash = hash;
  }

  /** Changes the query of the present page without a new entry in the history. */
  setQuery(changes: Record<string, string | undefined>): void {
    const query = new URLSearchParams(this.current.query);
    for (const [key, value] of Object.entries(changes)) {
      if (value) query.set(key, value);
      else query.delete(key);
    }
    const hash = linkWith(this.current.path, Object.fromEntries(query));
    history.replaceState(null, '', hash);
    this.current = parse(hash);
  }
}

export const router = new Router();
