// SPDX-License-Identifier: BSD-3-Clause
// The prediction against the table of PHONE.md, section 5.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { busiest, failBack, failOver, points, rescue, sendTimes, timeOf, timersOf } from '../../api/page/predict.js';

const book = { enabled: true, symmetric: false, period: 60, failThreshold: 1, successThreshold: 1,
	noResponse: 32, t1: 0.5, t2: 4, switchDelay: 0, refresh: 1800 };
const vendor = { ...book, switchDelay: 10 };

function near(value, wanted, by, what) {
	assert.ok(Math.abs(value - wanted) <= by, `${what}: ${value}, wanted ${wanted} within ${by}`);
}

test('a request that nobody answers is sent 11 times in 32 s', () => {
	assert.deepEqual(sendTimes(0.5, 4, 32), [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]);
});

test('fail over, no switch delay', () => {
	const wave = failOver(book);
	near(busiest(wave), 0.017, 0.0005, 'busiest second');
	assert.equal(wave.first, 32);
	assert.equal(wave.last, 92);
	near(wave.mean, 62, 1e-9, 'mean');
	near(wave.share(62), 0.5, 1e-9, 'half');
});

test('fail over, switch delay 0-10 s', () => {
	const wave = failOver(vendor);
	near(busiest(wave), 0.017, 0.0005, 'busiest second');
	assert.equal(wave.first, 32);
	assert.equal(wave.last, 102);
	near(wave.mean, 67, 1e-9, 'mean');
	near(wave.share(67), 0.5, 1e-9, 'half');
});

test('fail back, no switch delay', () => {
	const wave = failBack(book);
	near(busiest(wave), 0.174, 0.002, 'busiest second');
	near(busiest(wave, 0.1), 0.019, 0.001, 'busiest 100 ms');
	near(wave.share(4), 0.59, 0.005, 'within 4 s');
	near(wave.last, 28.5, 1e-9, 'all');
	assert.ok(wave.share(28.4) < 1);
});

test('fail back, switch delay 0-10 s', () => {
	const wave = failBack(vendor);
	near(busiest(wave), 0.069, 0.001, 'busiest second');
	near(wave.share(4), 0.125, 0.002, 'in 4 s');
	near(wave.share(14), 0.675, 0.005, 'in 14 s');
	near(wave.last, 38.5, 1e-9, 'all');
});

test('both dead, one returns, no switch delay', () => {
	const wave = rescue(book);
	near(wave.share(4), 0.55, 0.006, 'within 4 s');
	near(wave.last, 32.5, 1e-9, 'all');
});

test('shares begin at 0, end at 1, never fall; the mean is the area above', () => {
	for (const wave of [failOver(book), failOver(vendor), failBack(book), failBack(vendor), rescue(book),
		failBack({ ...book, successThreshold: 3 }), failOver({ ...book, failThreshold: 3 })]) {
		const step = 0.005;
		let before = 0;
		let mean = 0;
		for (let t = 0; t <= wave.last + 1; t += step) {
			const share = wave.share(t);
			assert.ok(share >= before - 1e-12 && share <= 1 + 1e-12, `share ${share} at ${t}`);
			mean += (1 - share) * step;
			before = share;
		}
		near(before, 1, 1e-9, 'end');
		near(mean, wave.mean, 0.01, 'mean');
		const drawn = points(wave);
		assert.equal(drawn[0].y, 0);
		near(drawn[drawn.length - 1].y, 1, 1e-9, 'last point');
	}
});

test('a time and its share are each other\'s reverse', () => {
	const wave = failBack(vendor);
	for (const share of [0.01, 0.2, 0.5, 0.9, 0.999]) near(wave.share(timeOf(wave, share)), share, 1e-6, 'share');
});

test('thresholds wait for more keep-alives', () => {
	const over = failOver({ ...book, failThreshold: 3 });
	assert.equal(over.first, 152);
	assert.equal(over.last, 212);
	const back = failBack({ ...book, successThreshold: 2 });
	// The probe that was answered last, 31.5 s old, is followed by the next tick 28.5 s later; one that
	// was answered at once, by one a whole period later.
	near(back.first, 28.5, 1e-9, 'first');
	near(back.last, 88.5, 1e-9, 'last');
});

test('a period shorter than the time-out skips ticks, so that silences are whole periods apart', () => {
	const timers = { ...book, period: 20, failThreshold: 2 };
	const wave = failOver(timers);
	assert.equal(wave.first, 40 + 32);
	assert.equal(wave.last, 40 + 32 + 20);
});

test('without keep-alives only the refresh notices', () => {
	const wave = failOver({ ...book, period: 0 });
	assert.equal(wave.first, 32);
	assert.equal(wave.last, 1832);
	assert.equal(failBack({ ...book, period: 0 }), null);
});

test('symmetric phones stay where they are; without redundancy nobody moves', () => {
	assert.equal(failBack({ ...book, symmetric: true }), null);
	assert.notEqual(failOver({ ...book, symmetric: true }), null);
	assert.equal(failOver({ ...book, enabled: false }), null);
	assert.equal(failBack({ ...book, enabled: false }), null);
});

test('timers come from the configuration in force', () => {
	assert.deepEqual(timersOf({
		keepalive: { period_ms: 60000, fail_threshold: 1, success_threshold: 1 },
		timers: { no_response_ms: 32000, t1_ms: 500, t2_ms: 4000 },
		redundancy: { enabled: true, mode: 'asymmetric', switch_delay_ms: 10000 },
		registration: { expires_s: 3600, refresh_permille: 500 },
	}), vendor);
});

test('the same numbers as the model in C', () => {
	const waves = { 'fail-over': failOver, blind: (timers) => failOver(timers, false), 'fail-back': failBack, rescue };
	const cases = JSON.parse(readFileSync(new URL('../samples/predict.json', import.meta.url)));
	assert.ok(cases.length > 30);
	for (const { name, kind, timers, wave: wanted } of cases) {
		const wave = waves[kind](timers);
		const what = `${kind}, ${name}`;
		assert.equal(wave === null, wanted === null, what);
		if (!wanted) continue;
		for (const key of ['first', 'last', 'mean']) near(wave[key], wanted[key], 1e-6, `${what}: ${key}`);
		for (const [t, share] of wanted.shares) near(wave.share(t), share, 1e-6, `${what} at ${t}`);
	}
});

test('refreshes notice first where keep-alives take long', () => {
	const wave = failOver({ ...book, period: 300 });
	// The smaller of two uniforms: 150 s less 300 * 300 / (6 * 1800).
	near(wave.mean, 32 + 150 - 300 ** 2 / 6 / 1800, 1e-9, 'mean');
	near(wave.share(32 + 150), 1 - (1 - 150 / 300) * (1 - 150 / 1800), 1e-9, 'half a period');
	assert.equal(failOver(book, false).last, 32 + 1800);
});

test('with a pause, phones between two dead proxies are also found in it', () => {
	const wave = rescue(vendor);
	// Just behind the time-out, then a pause, the other proxy, and a second pause.
	near(wave.last, 32.5 + 20, 1e-9, 'all');
	assert.ok(wave.share(4) < rescue(book).share(4));
	near(rescue({ ...book, switchDelay: 1e-6 }).share(4), rescue(book).share(4), 1e-6, 'a pause of nothing');
});
