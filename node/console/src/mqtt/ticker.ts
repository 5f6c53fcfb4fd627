// Timers of a worker: those of a page that nobody looks at are held back for up to a minute, and a keep alive would be
// missed.

const running = new Map<number, ReturnType<typeof setInterval>>();

self.addEventListener('message', ({ data: { id, every } }: MessageEvent<{ id: number; every: number | null }>) => {
  clearInterval(running.get(id));
  running.delete(id);
  if (every !== null) running.set(id, setInterval(() => self.postMessage(id), every));
});
