// Answers of the API that are asked for again and again, for as long as somebody can see them.

import type { ApiError } from './api';

export class Live<T> {
  data = $state.raw<T | undefined>(undefined);
  /** Why the last question had no answer; what was answered before stays. */
  error = $state.raw<ApiError | Error | undefined>(undefined);
  /** When it was last answered, in milliseconds since 1970. */
  at = $state(0);
  #ask: (() => void) | undefined;

  /** Asks at once. */
  refresh(): void {
    this.#ask?.();
  }

  bind(ask: (() => void) | undefined): void {
    this.#ask = ask;
  }
}

/**
 * Asks now, whenever what `load` reads before its first wait changes, and `every` milliseconds (0: never again). While
 * the page is hidden nobody is asked. Call it where a component starts.
 */
export function live<T>(load: (signal: AbortSignal) => Promise<T>, every: number): Live<T> {
  const state = new Live<T>();
  $effect(() => {
    const ending = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let asking: AbortController | undefined;
    const later = () => {
      clearTimeout(timer);
      if (every > 0 && !ending.signal.aborted) timer = setTimeout(ask, every);
    };
    const ask = () => {
      clearTimeout(timer);
      if (document.hidden) return;
      asking?.abort();
      const now = (asking = new AbortController());
      void settle(load(now.signal), now);
    };
    const settle = async (answer: Promise<T>, now: AbortController) => {
      try {
        const data = await answer;
        if (now.signal.aborted) return;
        state.data = data;
        state.error = undefined;
        state.at = Date.now();
      } catch (error) {
        if (now.signal.aborted) return;
        state.error = error instanceof Error ? error : new Error(String(error));
      }
      later();
    };
    const seen = () => !document.hidden && ask();
    document.addEventListener('visibilitychange', seen);
    state.bind(ask);
    const first = (asking = new AbortController());
    void settle(load(first.signal), first);
    return () => {
      ending.abort();
      asking?.abort();
      clearTimeout(timer);
      state.bind(undefined);
      document.removeEventListener('visibilitychange', seen);
    };
  });
  return state;
}
