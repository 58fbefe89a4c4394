// SPDX-License-Identifier: BSD-3-Clause
// A million phones lose their proxy at once, before everybody's eyes: the page goes on painting, and
// is right at the end. How fast it paints is measured by bench/page.mjs; no test asks for a speed.
import assert from 'node:assert/strict';
import { freemem } from 'node:os';
import test from 'node:test';
import { launch, openPage } from './browser.mjs';
import { Herd, until } from './herd.mjs';
import { figures } from './look.mjs';
import { MILLION, millionOf } from './million-fleet.mjs';

const NEEDS_BYTES = 3 * 2 ** 30;
const FIRST_LOAD_MAX = 2 << 20; // bytes, the map of a million phones included
const SECONDS = 600; // all the time that a busy machine may need

test('a million phones fail over', async (t) => {
	if (freemem() < NEEDS_BYTES)
		return t.skip('less than 3 GiB of memory are free');
	const herd = await Herd.start({ fleet: millionOf(), args: ['--fault', 'primary:crash@40s'] });
	const browser = await launch();
	try {
		const { page, record } = await openPage(browser, herd.url);
		await page.waitForSelector(`#map[data-phones="${MILLION}"]`);
		const first = record.bytes;
		await herd.says(/the primary proxy crashed/);
		let frames = -1;
		await until('all phones at the redundant proxy, on the page', async () => {
			const seen = await page.evaluate(figures);
			const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);
			if (sum(seen.map) !== MILLION || sum(seen.header) !== MILLION)
				throw new Error(`counts do not add up: ${JSON.stringify(seen)}`);
			const { registered } = (await herd.get('fleet')).phones;
			const moves = registered.redundant > 0 && registered.redundant < MILLION;
			if (moves && frames >= 0)
				await until('the map is painted again', async () =>
					(await page.evaluate(figures)).frames > frames);
			frames = seen.frames;
			return seen.map['registered-redundant'] === MILLION;
		}, SECONDS);
		const { registered } = (await herd.get('fleet')).phones;
		assert.equal(registered.redundant, MILLION);
		const seen = await page.evaluate(figures);
		assert.equal(seen.header['registered-redundant'], MILLION);
		assert.deepEqual(record.complaints, []);
		assert.ok(first < FIRST_LOAD_MAX, `${first} bytes`);
	} finally {
		await browser.close();
		await herd.end();
	}
	return undefined;
});
