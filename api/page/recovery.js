// SPDX-License-Identifier: BSD-3-Clause
// Waves of switching in the time line: where each began and how many phones were back in service
// after how long. Pure.
//
// In service after a crash means registered at the other proxy; after a return, at the one that
// returned. When it began is not in the time line. A sign of it may be known: a proxy that fell silent
// or answered again. Otherwise it is estimated from the share of phones that had decided to switch in
// the first second, by the predicted curve turned round.
import { decided, failBack, failOver, timeOf } from './predict.js';

const SMALLEST_SHARE = 0.02; // of the phones: fewer are not a wave

const KINDS = [
	{ kind: 'fail-over', count: 'failovers', from: 'registered_primary', to: 'registered_redundant' },
	{ kind: 'fail-back', count: 'failbacks', from: 'registered_redundant', to: 'registered_primary' },
];

// Points later than this many times the predicted end show nothing but the end.
const SHOWN = 1.3;

// In symmetric mode a switch to the primary has the same cause as one to the redundant proxy.
function curveOf(kind, timers) {
	return kind === 'fail-back' && !timers.symmetric ? failBack : failOver;
}

export function predicted(wave, timers) {
	return curveOf(wave.kind, timers)(timers);
}

// Which sign begins which wave.
function isSign(sign, kind, timers) {
	if (kind === 'fail-over') return sign.proxy === 'primary' && sign.dead;
	return timers.symmetric ? sign.proxy === 'redundant' && sign.dead
		: sign.proxy === 'primary' && !sign.dead;
}

// The second that a sign gives for a wave whose first switches were seen at this second, or null. Signs
// are taken once a second, as seconds are: one of slack. Exact ones go first, then the latest.
function signed(signs, kind, timers, decide, at) {
	const fit = signs.filter((sign) => isSign(sign, kind, timers) &&
		sign.at_s <= at - decide.first + 1 && sign.at_s >= at - decide.last - 1);
	fit.sort((a, b) => Number(a.exact) - Number(b.exact) || a.at_s - b.at_s);
	return fit.length > 0 ? fit[fit.length - 1].at_s : null;
}

// Phones that a drill's wave of this time is about; null: it is no drill's.
function concerned(drills, kind, start) {
	const found = drills.find((wave) => wave.kind === kind && Math.abs(wave.at_s - start) < 1);
	return found && found.concerned > 0 ? found.concerned : null;
}

function begin(seconds, i, words, timers, { signs, drills }) {
	const before = seconds[Math.max(0, i - 1)];
	const there = before[words.from];
	const curve = curveOf(words.kind, timers);
	const decide = decided(timers, curve);
	if (there === 0 || decide === null) return null;
	const { at_s: at } = seconds[i];
	const told = signed(signs, words.kind, timers, decide, at);
	const estimate = at - timeOf(decide, Math.min(1, seconds[i][words.count] / there));
	return {
		kind: words.kind,
		words,
		affected: concerned(drills, words.kind, told ?? estimate) ?? there,
		start: told ?? estimate,
		estimated: told === null,
		already: before[words.to],
		switched: 0,
		lastSwitch: at,
		end: curve(timers).last * SHOWN,
		points: [],
	};
}

function measure(wave, second) {
	if (second.at_s - wave.start > wave.end) return;
	const share = (second[wave.words.to] - wave.already) / wave.affected;
	wave.points.push({
		x: second.at_s - wave.start,
		y: Math.max(0, Math.min(1, share)),
	});
}

function isOver(wave, second, other, quiet) {
	return second.at_s - wave.lastSwitch > quiet || second[other.count] > wave.affected / 100;
}

function wavesOf(seconds, words, timers, known) {
	const quiet = timers.period + timers.switchDelay + 2; // without a switch: it is over
	const other = KINDS.find((k) => k !== words);
	const found = [];
	let wave = null;
	for (let i = 0; i < seconds.length; i++) {
		const second = seconds[i];
		if (wave !== null && isOver(wave, second, other, quiet)) {
			found.push(wave);
			wave = null;
		}
		if (wave === null && second[words.count] > 0)
			wave = begin(seconds, i, words, timers, known);
		if (wave === null) continue;
		if (second[words.count] > 0) wave.lastSwitch = second.at_s;
		wave.switched += second[words.count];
		measure(wave, second);
	}
	if (wave !== null) found.push(wave);
	return found;
}

// All waves of the seconds given, oldest first. signs: [{ proxy, dead, at_s, exact }]; drills: their waves,
// [{ kind, at_s, concerned }].
export function findWaves(seconds, timers, signs = [], drills = []) {
	if (!timers.enabled || seconds.length === 0) return [];
	const found = [];
	for (const words of KINDS) {
		const curve = curveOf(words.kind, timers)(timers);
		if (curve === null) continue;
		found.push(...wavesOf(seconds, words, timers, { signs, drills }));
	}
	return found
		.filter((w) => w.switched >= Math.max(1, w.affected * SMALLEST_SHARE))
		.sort((a, b) => a.start - b.start);
}

// When this share was back, between the two seconds around it; null: it is not yet.
export function backAfter(wave, share) {
	const i = wave.points.findIndex((point) => point.y >= share);
	if (i < 0) return null;
	const high = wave.points[i];
	const low = wave.points[i - 1] ?? { x: Math.max(0, high.x - 1), y: 0 };
	if (high.y === low.y) return high.x;
	return low.x + ((high.x - low.x) * (share - low.y)) / (high.y - low.y);
}
