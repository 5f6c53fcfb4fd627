// Which rows of a long list are drawn.

export interface Window {
  first: number;
  /** Behind the last. */
  end: number;
}

/** The rows that can be seen, and a few above and below, so that scrolling shows no gaps. */
export function windowOf(scrolled: number, height: number, row: number, rows: number, beyond = 8): Window {
  const first = Math.max(0, Math.floor(scrolled / row) - beyond);
  const end = Math.min(rows, Math.ceil((scrolled + height) / row) + beyond);
  return { first: Math.min(first, rows), end: Math.max(end, Math.min(first, rows)) };
}

/** How far to scroll so that a row can be seen whole. */
export function reveal(scrolled: number, height: number, row: number, at: number): number {
  if (at * row < scrolled) return at * row;
  return Math.max(scrolled, (at + 1) * row - height);
}
