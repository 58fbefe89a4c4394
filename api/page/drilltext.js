// SPDX-License-Identifier: BSD-3-Clause
// Drills in words: the fields of the form, plans, progress and results of the API as people read them.
// Pure.
import { brief, clock, count, percent } from './format.js';

const PROXIES = ['primary', 'redundant'];

const FIELDS = {
	proxy: { label: 'Proxy', choices: PROXIES },
	share: { label: 'Share of the phones', hint: '30%' },
	hold: { label: 'Hold', hint: '90s, 5m' },
	settle: { label: 'Then watch, at most', hint: '60s' },
	period: { label: 'One down and up', hint: '30s' },
	times: { label: 'How often', hint: '5' },
	loss: { label: 'Loss, each way', hint: '20%' },
	delay: { label: 'Delay of answers', hint: '200ms' },
	jitter: { label: 'More delay, at random', hint: '50ms' },
	retry_after: { label: 'Retry-After', hint: '30s' },
	spread: { label: 'Power returns within', hint: '10s' },
	method: { label: 'Lost method', choices: ['register', 'options'] },
	hook: { label: 'Outage made by', standard: 'sipherd itself' },
};

// Of one entry of the catalogue: [{ name, label, hint, choices, standard }]. standard: what it takes where
// nothing is given; empty: that is not known. hooks: of the fleet file.
export function fieldsOf({ fields, defaults }, hooks = []) {
	return fields.filter((name) => name !== 'hook' || hooks.length > 0).map((name) => {
		const { label = name.replaceAll('_', ' '), hint = '', choices = null, standard = '' } = FIELDS[name] ?? {};
		const given = defaults?.[fields.indexOf(name)] ?? '';
		return { name, label, hint, choices: name === 'hook' ? hooks : choices, standard: given || standard };
	});
}

export function questionText(question) {
	const text = question.charAt(0).toUpperCase() + question.slice(1);
	return /[.?]$/.test(text) ? text : `${text}?`;
}

// What is left empty is left to sipherd.
export function bodyOf(drill, values) {
	const given = Object.entries(values).map(([name, text]) => [name, text.trim()]);
	return { drill, ...Object.fromEntries(given.filter(([, text]) => text !== '')) };
}

/* --- Plans --- */

export function planRows({ steps }) {
	return (steps ?? []).map(({ at_ms: at, text }) => [clock(at / 1000), text]);
}

export function planFacts({ end_ms: end, steps, waves, forecast }) {
	const facts = [['takes at most', clock(end / 1000)],
		['steps', count((steps ?? []).length)], ['waves measured', count((waves ?? []).length)]];
	if (!forecast) return facts;
	const bound = forecast.known ? '' : 'up to about ';
	const most = (n) => (Number.isFinite(n) ? `${bound}${brief(n)}` : '\u2013');
	return [...facts,
		['requests before it', `${brief(forecast.steady_per_s)} /s`],
		['REGISTER in the busiest second', most(forecast.register_per_s)],
		['REGISTER in the busiest 0.1 s', most(forecast.register_per_100ms)],
		['OPTIONS at most', `${brief(forecast.options_datagrams_per_s)} /s`]];
}

/* --- While it runs --- */

// leftMs: of the plan, as of now.
export function leftText(leftMs) {
	return leftMs > 0 ? `${clock(Math.ceil(leftMs / 1000))} left at most` : 'ending';
}

export function stepText({ step, steps }) {
	return `Step ${step} of ${steps}`;
}

// next: the step to come, or null.
export function nextText(next, atMs) {
	if (!next) return '';
	return `In ${clock(Math.max(0, Math.ceil((next.at_ms - atMs) / 1000)))}: ${next.text}`;
}

export function outText({ phones_out: out }) {
	return out === 1 ? '1 phone out' : `${count(out)} phones out`;
}

export function waveShare(n, concerned) {
	return concerned > 0 ? Math.max(0, Math.min(1, n / concerned)) : 0;
}

export function waveState({ kind, begun, running, concerned, back }) {
	if (!begun) return 'to come';
	if (running) return 'now';
	if (kind === 'watch') return 'over'; // nobody had to come back
	return back >= concerned ? 'all back' : `${count(concerned - back)} not back`;
}

/* --- When it is over --- */

const TIMES = [['p50', '50 %'], ['p90', '90 %'], ['p99', '99 %'], ['p100', '100 %']];

function backAt(ms) {
	if (!Number.isFinite(ms)) return 'never';
	return ms < 60000 ? `${(ms / 1000).toFixed(1)} s` : clock(ms / 1000);
}

export const resultHead = ['wave', 'phones', ...TIMES.map(([, text]) => text), 'not back'];

export function resultRows({ waves }) {
	return (waves ?? []).map((wave) => {
		const none = wave.phones === 0 || wave.kind === 'watch';
		return [wave.text || wave.name, count(wave.phones),
			...TIMES.map(([field]) => (none ? '\u2013' : backAt(wave.back_at_ms?.[field]))),
			wave.kind === 'watch' ? `${count(wave.out)} of ${count(wave.left)} that left` : count(wave.out)];
	});
}

// { good, text }: what is to be said first.
export function verdictOf({ outcome, reason, waves, totals, incomplete }) {
	const out = (waves ?? []).reduce((sum, wave) => sum + wave.out, 0);
	const stranded = totals?.stranded ?? 0;
	const parts = [];
	const why = String(reason ?? '').replace(/^aborted\b ?/, '');
	if (outcome === 'aborted') parts.push(`Aborted${why === '' ? '' : ` (${why})`}: everything was restored.`);
	else
		parts.push(out === 0 ? 'Every phone came back in every wave.'
			: `${count(out)} phones were not back when their wave ended.`);
	if (stranded > 0) parts.push(`${count(stranded)} stranded at the end.`);
	if (incomplete) parts.push('Some transitions were lost: figures are incomplete.');
	return { good: outcome !== 'aborted' && out === 0 && stranded === 0 && !incomplete, text: parts.join(' ') };
}

export function shareText(n, concerned) {
	return `${count(n)} (${percent(waveShare(n, concerned))})`;
}
