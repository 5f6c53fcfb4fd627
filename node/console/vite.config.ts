import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** The folder of the package that a bundled module comes from; none for modules of ours. */
function packageOf(module: string): string | undefined {
  const found = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(module.replaceAll('\\', '/'));
  return found?.[1];
}

/** Writes licenses.txt: what the licences of all that is bundled ask for. */
function licenses(): Plugin {
  return {
    name: 'licenses',
    generateBundle(_, bundle) {
      const folders = new Set<string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk') continue;
        for (const module of Object.keys(chunk.modules)) {
          const folder = packageOf(module);
          if (folder) folders.add(folder);
        }
      }
      // MQTT.js comes as one file with what it depends on already inside.
      for (const folder of folders) {
        const { dependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
        const shipped = folder.endsWith('/svelte') ? [] : Object.keys(dependencies);
        const above = folder.slice(0, folder.indexOf('/node_modules/') + '/node_modules/'.length);
        for (const name of shipped) if (existsSync(join(above, name))) folders.add(join(above, name));
      }
      const texts = [...folders].map((folder) => {
        const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
        const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
        const text = file ? readFileSync(join(folder, file), 'utf8').trim().replace(/\r\n/g, '\n') : '';
        return { title: `${name} ${version} (${license})`, text };
      });
      texts.sort((a, b) => (a.title < b.title ? -1 : 1));
      const source = texts.map(({ title, text }) => `${title}\n\n${text}\n`).join(`\n${'-'.repeat(72)}\n\n`);
      this.emitFile({ type: 'asset', fileName: 'licenses.txt', source });
    },
  };
}

export default defineConfig({
  plugins: [svelte(), licenses()],
  base: './',
  root: dirname(new URL(import.meta.url).pathname),
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: true,
    chunkSizeWarningLimit: 500,
    rollupOptions: {
      // Names without hashes, since the built files are committed; the node answers with an ETag.
      output: {
        entryFileNames: 'console.js',
        chunkFileNames: '[name].js',
        assetFileNames: '[name][extname]',
      },
    },
  },
  worker: { format: 'es', rollupOptions: { output: { entryFileNames: '[name].js' } } },
  // `npm run dev` beside a node: MICRO_MQ_ADMIN=http://127.0.0.1:18083
  server: {
    host: '127.0.0.1',
    proxy: Object.fromEntries(
      ['/api', '/health', '/metrics'].map((path) => [path, process.env.MICRO_MQ_ADMIN ?? 'http://127.0.0.1:18083']),
    ),
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
