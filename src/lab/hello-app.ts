import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export type HelloVersion = '1.0.0' | '2.0.0' | '3.0.0'

/**
 * Writes the demo's app into a folder: three files, a web server on a port that is chosen for it. 2.0.0 differs in two
 * small files; 3.0.0 is broken and ends at once.
 */
export async function writeHelloApp(folder: string, version: HelloVersion): Promise<void> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'manifest.yaml'), manifest(version))
  await writeFile(join(folder, 'server.mjs'), version === '3.0.0' ? BROKEN_SERVER : SERVER)
  await chmod(join(folder, 'server.mjs'), 0o755)
  await writeFile(join(folder, 'page.html'), PAGE)
}

const manifest = (version: HelloVersion): string => `name: hello
version: ${version}
description: Says hello from the machine it runs on
entrypoint: server.mjs
ports:
  web: auto
health_check:
  type: http
  http_port: \${port.web}
  http_path: /healthz
  interval: 5s
  timeout: 2s
`

const SERVER = `#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'

const { PORT, WARREN_NODE, WARREN_VERSION } = process.env
const page = readFileSync(new URL('page.html', import.meta.url), 'utf8')
  .replaceAll('{node}', WARREN_NODE)
  .replaceAll('{version}', WARREN_VERSION)

createServer((request, response) => {
  if (request.url === '/healthz') return response.end('ok\\n')
  response.setHeader('content-type', 'text/html; charset=utf-8')
  response.end(page)
}).listen(Number(PORT), '127.0.0.1', () => {
  console.log(\`hello from \${WARREN_NODE}, version \${WARREN_VERSION}, port \${PORT}\`)
})

process.on('SIGTERM', () => process.exit(0))
`

const BROKEN_SERVER = `#!/usr/bin/env node
console.error('boom')
process.exit(1)
`

/** Hills and burrows, drawn by arithmetic, so that the page has some weight for the transfer to move. */
const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>hello from {node}</title>
<style>
  body { margin: 0; font: 18px/1.5 system-ui, sans-serif; background: #eaf2e3; color: #22321d; }
  main { max-width: 40rem; margin: 12vh auto 2rem; padding: 0 1.5rem; }
  h1 { font-size: 3rem; margin: 0; }
  svg { display: block; width: 100%; height: 38vh; }
  @media (prefers-color-scheme: dark) { body { background: #182015; color: #dcebd3; } }
</style>
</head>
<body>
<main>
<h1>Hello from {node}</h1>
<p>Version {version}, packed, signed, sent and started by Warren.</p>
</main>
<svg viewBox="0 0 1200 400" preserveAspectRatio="none" role="img" aria-label="hills">
${hills()}
</svg>
</body>
</html>
`

function hills(): string {
  const shades = ['#b9d3a4', '#9cc086', '#7eaa68', '#628f4d', '#4a7438']
  return shades
    .map((shade, layer) => {
      const points: string[] = []
      for (let x = 0; x <= 1200; x += 12) {
        const wave = Math.sin(x / (90 + layer * 23) + layer * 1.7) + 0.5 * Math.sin(x / 37 + layer * 3.1)
        points.push(`${x},${Math.round(140 + layer * 52 - 34 * wave)}`)
      }
      return `<polygon fill="${shade}" points="0,400 ${points.join(' ')} 1200,400"/>`
    })
    .join('\n')
}
