// SPDX-License-Identifier: BSD-3-Clause
// Numbers, times and the API's words as people read them. Pure.

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const NONE = '\u2013';

export function count(n) {
	return Number.isFinite(n) ? whole.format(n) : NONE;
}

// 1,234 stays, 1,234,567 becomes 1.23 M: for places with little room.
export function brief(n) {
	if (!Number.isFinite(n)) return NONE;
	for (const [unit, word] of [[1e9, 'G'], [1e6, 'M'], [1e4, 'k']]) {
		if (Math.abs(n) < unit) continue;
		const divisor = word === 'k' ? 1e3 : unit;
		return `${(n / divisor).toPrecision(3)} ${word}`;
	}
	return whole.format(n);
}

// A share of 0 to 1. Never rounds to all or nothing what is not.
export function percent(share) {
	if (!Number.isFinite(share)) return NONE;
	if (share > 0.9995 && share < 1) return '> 99.9 %';
	if (share > 0 && share < 0.0005) return '< 0.1 %';
	return `${(share * 100).toFixed(share === 1 || share === 0 ? 0 : 1)} %`;
}

export function milliseconds(ms) {
	if (!Number.isFinite(ms)) return NONE;
	if (ms >= 10000) return `${(ms / 1000).toFixed(1)} s`;
	if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
	if (ms >= 100) return `${ms.toFixed(0)} ms`;
	if (ms >= 10) return `${ms.toFixed(1)} ms`;
	return `${ms.toFixed(2)} ms`;
}

export function microseconds(us) {
	return milliseconds(Number.isFinite(us) ? us / 1000 : NaN);
}

// 75 becomes 1:15; 3,700 becomes 1:01:40.
export function clock(seconds) {
	if (!Number.isFinite(seconds)) return NONE;
	const s = Math.max(0, Math.floor(seconds));
	const two = (n) => String(n).padStart(2, '0');
	const hours = Math.floor(s / 3600);
	const minutes = Math.floor(s / 60) % 60;
	return hours > 0 ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
}

// How long ago or how long until, in one unit or two.
export function span(seconds) {
	if (!Number.isFinite(seconds)) return NONE;
	const s = Math.max(0, seconds);
	if (s < 10) return `${s.toFixed(1)} s`;
	if (s < 120) return `${s.toFixed(0)} s`;
	if (s < 7200) return `${Math.floor(s / 60)} min`;
	if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
	return `${Math.floor(s / 86400)} d`;
}

export function timeOfDay(unixMs, digits = 0) {
	const at = new Date(unixMs);
	if (Number.isNaN(at.getTime())) return NONE;
	const two = (n) => String(n).padStart(2, '0');
	const text = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
	return digits > 0 ? `${text}.${String(at.getMilliseconds()).padStart(3, '0')}` : text;
}

const CAUSES = {
	'none': 'none',
	'keepalive-silence': 'keep-alive silence',
	'keepalive-answer': 'keep-alive answered',
	'register-silence': 'REGISTER silence',
	'refresh-silence': 'refresh silence',
	'code': 'switching code',
	'start': 'start',
	'due': 'timer due',
	'registered': 'registered',
	'refused': 'refused',
	'reboot': 'reboot',
	'disabled': 'redundancy off',
	'stopped': 'stopped',
};

export function cause(word) {
	return CAUSES[word] ?? String(word ?? NONE);
}

export function place(side) {
	if (!side || !side.proxy) return 'nowhere';
	return side.registered ? side.proxy : `not at ${side.proxy}`;
}
