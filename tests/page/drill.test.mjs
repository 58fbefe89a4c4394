// SPDX-License-Identifier: BSD-3-Clause
// Marks of drills and of faults, and drills in words.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as words from '../../api/page/drilltext.js';
import { Marks, faultOf, markOf } from '../../api/page/marks.js';

const told = (id, phase, at, more = {}) =>
	markOf({ id, phase, text: `${phase} ${id}`, unix_ms: at * 1000, proxy: null, restores: false, ...more });
const step = (id, at, proxy, restores, text = `${proxy} ${restores ? 'back' : 'gone'}`) =>
	told(id, 'step', at, { proxy, restores, text });

function marksOf(...list) {
	const marks = new Marks();
	for (const mark of list) marks.add(mark);
	return marks;
}

test('what is told twice is one mark, what is done twice are two', () => {
	const marks = new Marks();
	assert.equal(marks.add(step(1, 10, 'primary', false)), true);
	assert.equal(marks.add(step(1, 10.1, 'primary', false)), false);
	assert.equal(marks.add(step(1, 12, 'primary', false)), true);
	assert.equal(marks.add(step(2, 10, 'primary', false)), true);
	assert.equal(marks.list.length, 3);
});

test('marks are numbered by their times, also those that are learned later', () => {
	const marks = marksOf(step(1, 30, 'primary', true), step(1, 10, 'primary', false));
	const drawn = marks.drawn();
	assert.deepEqual(drawn.map((m) => [m.number, m.kind, m.unixMs]), [[1, 'out', 10000], [2, 'back', 30000]]);
});

test('a beginning and an end are drawn only where no step is, an abort always', () => {
	const kinds = (...list) => marksOf(...list).drawn().map((m) => `${m.phase} ${m.kind}`);
	assert.deepEqual(kinds(told(1, 'began', 10), step(1, 10.05, 'primary', false),
		step(1, 20, null, true, 'watched'), told(1, 'ended', 20.1)), ['step out', 'step end']);
	assert.deepEqual(kinds(told(1, 'began', 10), step(1, 12, 'primary', false), told(1, 'ended', 40)),
		['began out', 'step out', 'ended end']);
	assert.deepEqual(kinds(step(1, 12, 'primary', false), told(1, 'aborted', 12.1)), ['step out', 'aborted back']);
});

test('no more marks are kept than there is room for, the newest', () => {
	const marks = new Marks();
	for (let i = 0; i < 1000; i++) marks.add(step(1, i, 'primary', i % 2 === 1));
	assert.equal(marks.list.length, 256);
	assert.equal(marks.list.at(-1).unixMs, 999000);
	assert.equal(marks.add(step(1, 5, 'primary', true)), false, 'too old to be kept');
});

test('what is in force is what was begun and not given back', () => {
	const open = (...list) => marksOf(...list).inForce().map((m) => m.text);
	const out = step(1, 10, 'primary', false);
	assert.deepEqual(open(out), ['primary gone']);
	assert.deepEqual(open(out, step(1, 20, 'redundant', false)), ['primary gone', 'redundant gone']);
	assert.deepEqual(open(out, step(1, 20, 'redundant', false), step(1, 30, 'primary', true)), ['redundant gone']);
	assert.deepEqual(open(out, told(1, 'aborted', 20)), []);
	assert.deepEqual(open(out, told(1, 'ended', 20)), []);
	// Drained, then silent, then drained no longer: still silent.
	assert.deepEqual(open(step(1, 10, 'primary', false, 'drains'), out, step(1, 10, 'primary', true)), ['primary gone']);
	// The end of one drill, or of a fault of the schedule, is not that of another.
	assert.deepEqual(open(step(12, 10, 'primary', false), told(1, 'ended', 20)), ['primary gone']);
	assert.deepEqual(open(out, faultOf({ text: 'the primary proxy serves again', unix_ms: 20000 })), ['primary gone']);
});

test('faults of a schedule are known by what a run tells of them', () => {
	const kinds = (text) => {
		const fault = faultOf({ text, unix_ms: 5000 });
		return fault && [fault.proxy, fault.restores];
	};
	assert.deepEqual(kinds('the primary proxy crashed'), ['primary', false]);
	assert.deepEqual(kinds('the redundant proxy answers REGISTER with 503'), ['redundant', false]);
	assert.deepEqual(kinds('the redundant proxy serves again'), ['redundant', true]);
	assert.deepEqual(kinds('the primary proxy forgot all bindings'), ['primary', true]);
	assert.equal(kinds('load: phones below 100, ramp 10/s'), null);
	assert.equal(kinds('all 200 phones registered at the primary proxy'), null);
});

test('steps are signs of waves, and an abort gives back what was gone', () => {
	const signs = marksOf(step(1, 110, 'primary', false), step(1, 115, 'redundant', false),
		step(1, 120, 'redundant', true), told(1, 'aborted', 130)).signs(100);
	assert.deepEqual(signs.map((s) => [s.proxy, s.dead, s.at_s, s.exact]), [['primary', true, 10, true],
		['redundant', true, 15, true], ['redundant', false, 20, true], ['primary', false, 30, true]]);
});

test('fields have words and defaults, also one that the page does not know', () => {
	const entry = { fields: ['proxy', 'hold', 'hook', 'moon_phase'], defaults: ['primary', '90s', '', ''] };
	const fields = (hooks) => words.fieldsOf(entry, hooks).map((f) => [f.label, f.standard, f.choices]);
	const proxy = ['Proxy', 'primary', ['primary', 'redundant']];
	assert.deepEqual(fields([]), [proxy, ['Hold', '90s', null], ['moon phase', '', null]]);
	assert.deepEqual(fields(['stop'])[2], ['Outage made by', 'sipherd itself', ['stop']]);
});

test('empty fields are not asked for', () => {
	assert.deepEqual(words.bodyOf('crash', { proxy: '', hold: ' 90s ', share: ' ' }), { drill: 'crash', hold: '90s' });
});

test('questions are sentences', () => {
	assert.equal(words.questionText('do phones oscillate'), 'Do phones oscillate?');
	assert.equal(words.questionText('Do phones oscillate?'), 'Do phones oscillate?');
});

test('a plan says when, and at which rate; a bound is called one', () => {
	const forecast = { register_per_s: 1375.4, register_per_100ms: 140, options_datagrams_per_s: 25000,
		steady_per_s: 1250, known: true };
	const plan = { end_ms: 92000, steps: [{ at_ms: 0, text: 'a' }, { at_ms: 61500, text: 'b' }], waves: [{}], forecast };
	assert.deepEqual(words.planRows(plan), [['0:00', 'a'], ['1:01', 'b']]);
	const facts = Object.fromEntries(words.planFacts(plan));
	assert.equal(facts['takes at most'], '1:32');
	assert.equal(facts['REGISTER in the busiest second'], '1,375');
	assert.equal(facts['OPTIONS at most'], '25.0 k /s');
	const bound = Object.fromEntries(words.planFacts({ ...plan, forecast: { ...forecast, known: false } }));
	assert.equal(bound['REGISTER in the busiest second'], 'up to about 1,375');
});

test('progress of a drill and of its waves', () => {
	assert.equal(words.leftText(61001), '1:02 left at most');
	assert.equal(words.leftText(-5), 'ending');
	assert.equal(words.nextText(null, 0), '');
	assert.equal(words.nextText({ at_ms: 20000, text: 'it returns' }, 7500), 'In 0:13: it returns');
	assert.equal(words.nextText({ at_ms: 20000, text: 'it returns' }, 20100), 'In 0:00: it returns');
	const wave = { begun: true, running: false, concerned: 1000, detected: 1000, back: 1000 };
	assert.equal(words.waveState({ ...wave, begun: false, concerned: 0, back: 0 }), 'to come');
	assert.equal(words.waveState({ ...wave, running: true }), 'now');
	assert.equal(words.waveState(wave), 'all back');
	assert.equal(words.waveState({ ...wave, back: 0 }), '1,000 not back');
	assert.equal(words.waveState({ ...wave, kind: 'watch', back: 0 }), 'over');
	assert.equal(words.waveShare(5, 0), 0);
	assert.equal(words.waveShare(5, 4), 1);
	assert.equal(words.shareText(250, 1000), '250 (25.0 %)');
});

const WAVE = { name: 'fail-over', kind: 'fail-over', text: 'phones go over', phones: 1000, out: 0,
	back_at_ms: { p50: 6523, p90: 61000, p99: null, p99_9: null, p100: null } };

test('a result: times to be back, and never where it was never', () => {
	assert.deepEqual(words.resultRows({ waves: [WAVE] }),
		[['phones go over', '1,000', '6.5 s', '1:01', 'never', 'never', '0']]);
	assert.deepEqual(words.resultRows({ waves: [{ ...WAVE, kind: 'watch', left: 12, out: 5 }] })[0].slice(2),
		['\u2013', '\u2013', '\u2013', '\u2013', '5 of 12 that left']);
	assert.deepEqual(words.resultRows({ waves: [{ ...WAVE, phones: 0 }] })[0].slice(1, 3), ['0', '\u2013']);
	assert.equal(words.resultHead.length, words.resultRows({ waves: [WAVE] })[0].length);
});

test('the verdict is good only when nobody was left behind and nothing was lost', () => {
	const good = { outcome: 'completed', reason: null, waves: [WAVE], totals: { stranded: 0 }, incomplete: false };
	assert.deepEqual(words.verdictOf(good), { good: true, text: 'Every phone came back in every wave.' });
	for (const [more, said] of [[{ waves: [WAVE, { ...WAVE, out: 1234 }] }, /^1,234 phones were not back/],
		[{ totals: { stranded: 3 } }, /3 stranded/], [{ incomplete: true }, /incomplete/],
		[{ outcome: 'aborted', reason: 'aborted by an operator' }, /^Aborted \(by an operator\): everything was restored/],
		[{ outcome: 'aborted', reason: null }, /^Aborted: everything/]]) {
		const { good: isGood, text } = words.verdictOf({ ...good, ...more });
		assert.equal(isGood, false, text);
		assert.match(text, said);
	}
});
