// SPDX-License-Identifier: BSD-3-Clause
// Waves of switching in the time line: where each began and how many phones were back in service
// after how long. Pure.
//
// In service after a crash means registered at the other proxy; after a return, at the one that
// returned. When it began is not in the time line: it is found from the share of phones that had
// decided to switch in the first second, by the predicted curve turned round.
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

function begin(seconds, i, words, timers) {
	const before = seconds[Math.max(0, i - 1)];
	const affected = before[words.from];
	const curve = curveOf(words.kind, timers);
	const decide = decided(timers, curve);
	if (affected === 0 || decide === null) return null;
	const share = Math.min(1, seconds[i][words.count] / affected);
	return {
		kind: words.kind,
		words,
		affected,
		start: seconds[i].at_s - timeOf(decide, share),
		already: before[words.to],
		switched: 0,
		lastSwitch: seconds[i].at_s,
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

function wavesOf(seconds, words, timers, quiet) {
	const other = KINDS.find((k) => k !== words);
	const found = [];
	let wave = null;
	for (let i = 0; i < seconds.length; i++) {
		const second = seconds[i];
		if (wave !== null && isOver(wave, second, other, quiet)) {
			found.push(wave);
			wave = null;
		}
		if (wave === null && second[words.count] > 0) wave = begin(seconds, i, words, timers);
		if (wave === null) continue;
		if (second[words.count] > 0) wave.lastSwitch = second.at_s;
		wave.switched += second[words.count];
		measure(wave, second);
	}
	if (wave !== null) found.push(wave);
	return found;
}

// All waves of the seconds given, oldest first.
export function findWaves(seconds, timers) {
	if (!timers.enabled || seconds.length === 0) return [];
	const found = [];
	for (const words of KINDS) {
		const curve = curveOf(words.kind, timers)(timers);
		if (curve === null) continue;
		found.push(...wavesOf(seconds, words, timers, timers.period + timers.switchDelay + 2));
	}
	return found
		.filter((w) => w.switched >= Math.max(1, w.affected * SMALLEST_SHARE))
		.sort((a, b) => a.start - b.start);
}
