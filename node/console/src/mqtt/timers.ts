// Timers for MQTT.js that go on while the page is hidden.

let worker: Worker | undefined;
let count = 0;
const running = new Map<number, () => void>();

function started(): Worker {
  if (!worker) {
    worker = new Worker(new URL('./ticker.ts', import.meta.url), { type: 'module' });
    worker.addEventListener('message', ({ data }: MessageEvent<number>) => running.get(data)?.());
  }
  return worker;
}

export const timers = {
  set(run: () => void, every: number): number {
    count += 1;
    running.set(count, run);
    started().postMessage({ id: count, every });
    return count;
  },
  clear(id: number): void {
    running.delete(id);
    started().postMessage({ id, every: null });
  },
};
