// SPDX-License-Identifier: BSD-3-Clause
// How many frames a second Chromium paints of the page while a million phones fail over at once:
//
//   ./dev bench page            or, for another number of runs (3):
//   python3 tests/browser/run.py bench/page.mjs 5
//
// A frame is one that Chromium's compositor has drawn (DrawFrame in its own trace), a map is one that
// the page has painted; both are counted over each second between the crash and the last fail-over.
import { cpus } from 'node:os';
import { launch, openPage } from '../tests/browser/browser.mjs';
import { Herd, sleep, until } from '../tests/browser/herd.mjs';
import { figures } from '../tests/browser/look.mjs';
import { MILLION, millionOf } from '../tests/browser/million-fleet.mjs';

const RUNS = Number(process.argv[2] ?? 3);
const CATEGORY = 'disabled-by-default-devtools.timeline.frame';

const sorted = (list) => [...list].sort((a, b) => a - b);
const median = (list) => sorted(list)[Math.floor(list.length / 2)];

// Seconds since the first frame in which so many were drawn, the last incomplete one left out.
function perSecond(trace) {
	const times = JSON.parse(trace.toString()).traceEvents
		.filter((event) => event.name === 'DrawFrame').map((event) => event.ts / 1e6);
	const begin = Math.min(...times);
	const seconds = new Array(Math.floor(Math.max(...times) - begin)).fill(0);
	for (const time of times)
		if (Math.floor(time - begin) < seconds.length) seconds[Math.floor(time - begin)]++;
	const ordered = sorted(times);
	const gaps = ordered.slice(1).map((time, i) => time - ordered[i]);
	return { seconds, longest: Math.max(...gaps) };
}

async function run() {
	const herd = await Herd.start({ fleet: millionOf(), args: ['--fault', 'primary:crash@32s'] });
	const browser = await launch();
	try {
		const { page, record } = await openPage(browser, herd.url);
		await page.waitForSelector(`#map[data-phones="${MILLION}"]`);
		const loaded = record.bytes;
		await herd.says(/first phone registered at the redundant proxy/);
		await browser.startTracing(page, { categories: [CATEGORY] });
		const before = await page.evaluate('({ ...window.sipherdStats })');
		const began = Date.now();
		await herd.says(/all 1,000,000 phones registered at the redundant proxy/);
		const took = (Date.now() - began) / 1000;
		const after = await page.evaluate('({ ...window.sipherdStats })');
		const { seconds, longest } = perSecond(await browser.stopTracing());
		await until('the map is right', async () =>
			(await page.evaluate(figures)).map['registered-redundant'] === MILLION);
		await sleep(1000);
		const fleet = await herd.get('generator');
		return {
			frames: median(seconds), least: Math.min(...seconds), longest,
			maps: (after.frames - before.frames) / took,
			paint: (after.paintMs - before.paintMs) / (after.frames - before.frames),
			loaded, verdict: fleet.verdict.generator_limited ? 'generator limited' : 'healthy',
		};
	} finally {
		await browser.close();
		await herd.end();
	}
}

const runs = [];
console.log(`page: ${MILLION.toLocaleString('en')} phones fail over, ${RUNS} runs, ${cpus().length} CPUs (${cpus()[0].model})`);
for (let i = 0; i < RUNS; i++) {
	const got = await run();
	runs.push(got);
	console.log(`  frames/s median ${got.frames}, least ${got.least}; longest pause ${(got.longest * 1000).toFixed(0)} ms; ` +
		`maps/s ${got.maps.toFixed(1)}, ${got.paint.toFixed(1)} ms each; ` +
		`first load ${(got.loaded / 1e6).toFixed(2)} MB; ${got.verdict}`);
}
console.log(`page: median of the runs: ${median(runs.map((r) => r.frames))} frames/s`);
