// What the admin API is asked.

import type { Problem } from './types';

export type Query = Record<string, string | number | boolean | string[] | null | undefined>;

/** Why there is no answer: what the node says, or that there is none. */
export class ApiError extends Error {
  constructor(
    /** The status of HTTP; 0 if nothing came back. */
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export function url(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (Array.isArray(value)) for (const item of value) parameters.append(key, item);
    else if (value != null && value !== '') parameters.append(key, String(value));
  }
  const text = parameters.toString();
  return `/api/v1/${path}${text ? `?${text}` : ''}`;
}

let unauthorized = () => {};

/** Who is told when the node wants to know who asks. */
export function onUnauthorized(tell: () => void): void {
  unauthorized = tell;
}

async function answer(target: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(target, { ...init, headers: { accept: 'application/json', ...init.headers } });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(0, 'the node does not answer');
  }
  if (response.ok) return response;
  if (response.status === 401 && !target.endsWith('/login')) unauthorized();
  let problem: Partial<Problem> = {};
  try {
    problem = await response.json();
  } catch {
    // not a problem in the form of RFC 9457: the status says what there is to say
  }
  throw new ApiError(response.status, problem.detail ?? problem.title ?? `the node answered ${response.status}`);
}

export async function get<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<T> {
  return (await answer(url(path, query), { signal: signal ?? null })).json();
}

/** What changes something carries a header that no form of another page can send. */
export async function change<T>(method: string, path: string, query: Query = {}, body?: unknown): Promise<T | undefined> {
  const headers: Record<string, string> = { 'x-requested-by': 'console' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  const response = await answer(url(path, query), {
    method,
    headers,
    body: body === undefined ? null : JSON.stringify(body),
  });
  const text = await response.text();
  return text ? JSON.parse(text) : undefined;
}
