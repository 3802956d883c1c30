// Reads pairs of values, one JSON array [old, new] a line, and writes the delta of jsondiffpatch for each, or null.
// Records are told apart by id, sku, name, or their whole text, as its documentation advises.
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const require = createRequire(`${process.argv[2]}/`)
const { create } = await import(pathToFileURL(require.resolve('jsondiffpatch')).href)
const differ = create({ objectHash: (item) => item.id ?? item.sku ?? item.name ?? JSON.stringify(item) })
for await (const line of createInterface({ input: process.stdin })) {
  const [old, next] = JSON.parse(line)
  console.log(JSON.stringify(differ.diff(old, next) ?? null))
}
