// SPDX-License-Identifier: BSD-3-Clause
// Names from patterns, event streams cut anywhere, waves in a time line, numbers as people read them.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { quantile } from '../../api/page/cells.js';
import { brief, clock, count, milliseconds, percent, span } from '../../api/page/format.js';
import { Names, numbersFrom } from '../../api/page/names.js';
import { failBack, failOver } from '../../api/page/predict.js';
import { backAfter, findWaves } from '../../api/page/recovery.js';
import { EventParser } from '../../api/page/sse.js';

test('users from patterns, as engine/identity.h has them', () => {
	assert.equal(new Names('2{n:06}').user(417), '2000417');
	assert.equal(new Names('{n}').user(0), '0');
	assert.equal(new Names('a{{{n}}}-{n:03}z').user(7), 'a{7}-007z');
	assert.equal(new Names('2{n:06}').user(12345678), '212345678');
	assert.equal(new Names(null).user(7), null);
	assert.equal(new Names('same').known, false);
});

test('prefixes find exactly the users that begin so', () => {
	const phones = 2500;
	for (const pattern of ['2{n:06}', '{n}', 'u{n}', 'u{n:03}', '2{n:02}', 'x{n}9', 'a{n}-{n:04}', '1{n:010}']) {
		const names = new Names(pattern);
		for (const prefix of ['2', '20', '2000', '2000417', '20004170', '0', '00', '1', '12', '249', 'u', 'u1',
			'u01', 'u2499', 'x19', 'x1', 'a1-', 'a12-00', 'zz', '10000', '9999', '25', '2417']) {
			const member = names.match(prefix, phones);
			for (let i = 0; i < phones; i++)
				assert.equal(member[i] === 1, names.user(i).startsWith(prefix), `${pattern} ${prefix} ${i}`);
		}
	}
});

test('numbers, where a # asks for them or users are not known', () => {
	assert.equal(new Names('2{n:06}').match(' ', 10), null);
	assert.equal(new Names('2{n:06}').match('#', 10), null);
	const numbers = (names, text) => [...names.match(text, 120)].flatMap((m, i) => (m ? [i] : []));
	assert.deepEqual(numbers(new Names('2{n:06}'), '#11'), [11, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119]);
	assert.deepEqual(numbers(new Names(null), '0'), [0]);
	assert.deepEqual(numbers(new Names(null), 'x'), []);
	assert.deepEqual(numbersFrom('12', 0, 10), []);
});

const STREAM = ': hi\r\n\r\nevent: hello\ndata: {"a":1}\n\nid: ab.1\nevent: tick\ndata: one\ndata: two\n\n' +
	'id\nevent:delta\ndata:x: y\n\nevent: nothing\n\ndata\n\n';
const EVENTS = [
	{ id: '', name: 'hello', data: '{"a":1}' },
	{ id: 'ab.1', name: 'tick', data: 'one\ntwo' },
	{ id: '', name: 'delta', data: 'x: y' },
	{ id: '', name: 'message', data: '' },
];

test('an event stream is understood wherever it was cut', () => {
	for (let size = 1; size <= STREAM.length; size++) {
		const seen = [];
		const parser = new EventParser((event) => seen.push(event));
		for (let at = 0; at < STREAM.length; at += size) parser.push(STREAM.slice(at, at + size));
		assert.deepEqual(seen, EVENTS, `pieces of ${size}`);
	}
});

test('a line without an end is not kept for ever', () => {
	const parser = new EventParser(() => {});
	const piece = 'x'.repeat(1 << 20);
	assert.throws(() => {
		for (let i = 0; i < 10; i++) parser.push(piece);
	}, /no end/);
});

const TIMERS = { enabled: true, symmetric: false, period: 60, failThreshold: 1, successThreshold: 1,
	noResponse: 32, t1: 0.5, t2: 4, switchDelay: 10, refresh: 1800 };

// A fleet that does exactly what is predicted: the primary dies at 50.3 s and returns at 200.7 s.
function timeline(timers, phones) {
	const seconds = [];
	const over = failOver(timers);
	const decideOver = failOver({ ...timers, switchDelay: 0 });
	const back = failBack(timers);
	const decideBack = failBack({ ...timers, switchDelay: 0 });
	const n = (wave, t) => Math.round(phones * (t > 0 ? wave.share(t) : 0));
	for (let at = 1; at <= 300; at++) {
		seconds.push({
			at_s: at,
			registered_primary: phones - n(decideOver, at - 50.3) + n(back, at - 200.7),
			registered_redundant: n(over, at - 50.3) - n(decideBack, at - 200.7),
			failovers: n(decideOver, at - 50.3) - n(decideOver, at - 51.3),
			failbacks: n(decideBack, at - 200.7) - n(decideBack, at - 201.7),
		});
	}
	return seconds;
}

test('waves are found where they began, and measured as they were', () => {
	const waves = findWaves(timeline(TIMERS, 100000), TIMERS);
	assert.deepEqual(waves.map((w) => w.kind), ['fail-over', 'fail-back']);
	for (const [wave, curve, began] of [[waves[0], failOver(TIMERS), 50.3], [waves[1], failBack(TIMERS), 200.7]]) {
		assert.ok(Math.abs(wave.start - began) < 0.05, `${wave.kind} began at ${wave.start}`);
		assert.equal(wave.affected, 100000);
		for (const point of wave.points)
			assert.ok(Math.abs(point.y - curve.share(point.x)) < 0.01, `${wave.kind} ${point.x}: ${point.y}`);
		assert.equal(wave.points.at(-1).y, 1);
	}
});

test('a sign says when a wave began, the exact one first, one that cannot be is ignored', () => {
	const seconds = timeline(TIMERS, 100000);
	const sign = (at, dead, exact) => ({ proxy: 'primary', dead, at_s: at, exact });
	const starts = (...signs) => findWaves(seconds, TIMERS, signs).map((w) => [w.start.toFixed(1), w.estimated]);
	assert.deepEqual(starts(sign(50.1, true, false), sign(200.9, false, false)),
		[['50.1', false], ['200.9', false]]);
	assert.deepEqual(starts(sign(50.3, true, true), sign(50.9, true, false)), [['50.3', false], ['200.7', true]]);
	assert.deepEqual(starts(sign(70, true, true), sign(-20, true, true), sign(50.3, false, true)),
		[['50.3', true], ['200.7', true]]);
	assert.deepEqual(starts({ ...sign(50.3, true, true), proxy: 'redundant' }), [['50.3', true], ['200.7', true]]);
});

test('a drill says how many phones a wave of its own is about', () => {
	const seconds = timeline(TIMERS, 100000);
	const about = (...drills) => findWaves(seconds, TIMERS, [], drills).map((w) => w.affected);
	assert.deepEqual(about({ kind: 'fail-over', at_s: 50.5, concerned: 120000 }), [120000, 100000]);
	assert.deepEqual(about({ kind: 'fail-back', at_s: 50.5, concerned: 120000 },
		{ kind: 'fail-over', at_s: 60, concerned: 120000 }, { kind: 'fail-over', at_s: 50.5, concerned: 0 }),
	[100000, 100000]);
});

test('when a share was back lies between two seconds', () => {
	const wave = { points: [{ x: 33, y: 0 }, { x: 34, y: 0.4 }, { x: 35, y: 0.6 }] };
	assert.equal(backAfter(wave, 0.5), 34.5);
	assert.equal(backAfter(wave, 0.9), null);
	assert.equal(backAfter({ points: [{ x: 0.8, y: 0.5 }] }, 0.5), 0.8);
});

test('single phones that move are no wave, nor is a fleet without redundancy', () => {
	const seconds = timeline(TIMERS, 100000).slice(0, 40);
	seconds[20].failovers = 3;
	assert.deepEqual(findWaves(seconds, TIMERS), []);
	assert.deepEqual(findWaves(timeline(TIMERS, 100), { ...TIMERS, enabled: false }), []);
	assert.deepEqual(findWaves([], TIMERS), []);
});

test('quantiles from cells', () => {
	assert.equal(quantile([[1, 50], [3, 49], [100, 1]], 0.5), 1);
	assert.equal(quantile([[1, 50], [3, 49], [100, 1]], 0.99), 3);
	assert.equal(quantile([[1, 50], [3, 49], [100, 1]], 1), 100);
	assert.ok(Number.isNaN(quantile([], 0.5)));
	const exact = quantile([[32768, 10]], 0.5);
	assert.ok(exact >= 32768 && exact < 32768 + 512);
	assert.equal(quantile([[100000, 10], [32768000, 1]], 0.5, 1000), 100000);
	assert.equal(quantile([[100000, 10], [32768000, 1]], 1, 1000), exact * 1000);
});

test('numbers as people read them', () => {
	assert.equal(count(1234567), '1,234,567');
	assert.equal(count(NaN), '\u2013');
	assert.equal(brief(9999), '9,999');
	assert.equal(brief(16700), '16.7 k');
	assert.equal(brief(1234567), '1.23 M');
	assert.equal(percent(0.99999), '> 99.9 %');
	assert.equal(percent(0.00001), '< 0.1 %');
	assert.equal(percent(1), '100 %');
	assert.equal(percent(0.5), '50.0 %');
	assert.equal(milliseconds(0.015), '0.01 ms');
	assert.equal(milliseconds(32000), '32.0 s');
	assert.equal(clock(3700), '1:01:40');
	assert.equal(clock(59.9), '0:59');
	assert.equal(span(3.24), '3.2 s');
	assert.equal(span(600), '10 min');
});
