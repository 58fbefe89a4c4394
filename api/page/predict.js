// SPDX-License-Identifier: BSD-3-Clause
// What PHONE.md section 5 predicts of a fleet whose keep-alives are spread evenly over their period.
// Pure: timers in, curves out; times in seconds, shares from 0 to 1.
//
// Every wave is a mixture of uniform distributions: a phone notices after `low` plus a uniform share
// of `width`, with probability `weight`. Pauses before a switch, uniform in 0..switch_delay, are
// added to that; all sums have closed forms, nothing is drawn at random. The same model in C, for drills:
// api/predict.c; tests/samples/predict.json holds both to the same numbers.

// From the configuration of GET /api/v1/fleet.
export function timersOf(configuration) {
	const { keepalive, timers, redundancy, registration } = configuration;
	return {
		enabled: redundancy.enabled !== false,
		symmetric: redundancy.mode === 'symmetric',
		period: keepalive.period_ms / 1000,
		failThreshold: keepalive.fail_threshold,
		successThreshold: keepalive.success_threshold,
		noResponse: timers.no_response_ms / 1000,
		t1: timers.t1_ms / 1000,
		t2: timers.t2_ms / 1000,
		switchDelay: redundancy.switch_delay_ms / 1000,
		refresh: (registration.expires_s * registration.refresh_permille) / 1000,
	};
}

// When a request of a transaction that nobody answers is sent: RFC 3261, timers E and F.
export function sendTimes(t1, t2, noResponse) {
	const times = [];
	for (let at = 0, wait = t1; at < noResponse; at += wait, wait = Math.min(2 * wait, t2))
		times.push(at);
	return times;
}

// Keep-alives never overlap: a tick that finds one pending is skipped.
function silentPeriod(timers) {
	return Math.max(1, Math.ceil(timers.noResponse / timers.period)) * timers.period;
}

// The proxy of a registered phone crashes at 0: until the phone begins its switch. Refreshes that are spread
// evenly over their interval come first for few phones, unless keep-alives take longer than a tenth of it.
function crash(timers, probed) {
	const { noResponse, period, refresh } = timers;
	const byRefresh = { low: noResponse, width: refresh, weight: 1 };
	if (period === 0 || !probed) return { segments: refresh > 0 ? [byRefresh] : [], rival: null };
	const more = (timers.failThreshold - 1) * silentPeriod(timers);
	const segments = [{ low: noResponse + more, width: period, weight: 1 }];
	return { segments, rival: refresh > 0 && more + period > refresh / 10 ? byRefresh : null };
}

// The primary returns at 0 after a long outage: until a phone that probes it has enough answers.
function returnSegments(timers) {
	if (timers.period === 0) return [];
	const period = timers.period;
	const cycle = silentPeriod(timers);
	const sends = [...sendTimes(timers.t1, timers.t2, timers.noResponse), cycle];
	const segments = [];
	for (let i = 1; i < sends.length; i++) {
		const width = sends[i] - sends[i - 1];
		// The answer comes at age sends[i] of this probe; the next tick of the grid after it is
		// the next probe, which is answered at once.
		const fresh = i === sends.length - 1;
		const tick = fresh ? cycle + period : (Math.floor(sends[i] / period) + 1) * period;
		const more = timers.successThreshold - 1;
		const low = more === 0 ? 0 : tick - sends[i] + (more - 1) * period;
		segments.push({ low, width, weight: width / cycle });
	}
	return segments;
}

// Both proxies were dead and phones tried them in turn: a time-out, a pause, and again. One returns at 0 and
// answers the next datagram that it gets.
function rescueSegments(timers) {
	const { t1, t2, noResponse, switchDelay } = timers;
	const cycle = 2 * noResponse + switchDelay;
	const sends = [...sendTimes(t1, t2, noResponse), noResponse];
	// Who tries the other proxy; who is in the pause before this one, and before the other.
	const segments = [{ low: 0, width: noResponse, weight: noResponse / cycle }];
	if (switchDelay > 0) {
		const weight = switchDelay / 2 / cycle;
		segments.push({ low: 0, width: 0, weight, pauses: 'rest' });
		segments.push({ low: noResponse, width: switchDelay, weight, pauses: 'rest' });
	}
	for (let i = 1; i < sends.length; i++) {
		const width = sends[i] - sends[i - 1];
		const last = i === sends.length - 1;
		segments.push({ low: last ? noResponse : 0, width, weight: width / cycle, pauses: last ? 'two' : 'none' });
	}
	return segments;
}

// Pauses before a switch, each uniform in 0..delay: one, the sum of two, and what is left of one at an arbitrary
// moment in it. Their longest and mean in delays, and how many are over after x delays and the integral of that.
const PAUSES = {
	none: { longest: 0, mean: 0 },
	one: { longest: 1, mean: 0.5, over: (x) => x, area: (x) => x ** 2 / 2 },
	two: {
		longest: 2,
		mean: 1,
		over: (x) => (x < 1 ? x ** 2 / 2 : 1 - (2 - x) ** 2 / 2),
		area: (x) => (x < 1 ? x ** 3 / 6 : x - 1 + (2 - x) ** 3 / 6),
	},
	rest: { longest: 1, mean: 1 / 3, over: (x) => 1 - (1 - x) ** 2, area: (x) => x - 1 / 3 + (1 - x) ** 3 / 3 },
};

function pausesOf(segment) {
	return PAUSES[segment.pauses || 'one'];
}

function over(pauses, delay, t) {
	if (t <= 0) return 0;
	return t >= pauses.longest * delay ? 1 : pauses.over(t / delay);
}

// The integral of that from 0 to t.
function area(pauses, delay, t) {
	if (t <= 0) return 0;
	return t >= pauses.longest * delay ? t - pauses.mean * delay : delay * pauses.area(t / delay);
}

function shareOf(segment, delay, t) {
	const pauses = pausesOf(segment);
	const since = t - segment.low;
	if (segment.width === 0) return over(pauses, delay, since);
	return (area(pauses, delay, since) - area(pauses, delay, since - segment.width)) / segment.width;
}

// Simpson's rule between the points where the curve bends: exact, it is cubic at most in between.
function integral(f, from, to, bends) {
	const cuts = [from, to, ...bends.filter((bend) => bend > from && bend < to)].sort((a, b) => a - b);
	let sum = 0;
	for (let i = 1; i < cuts.length; i++) {
		const [a, b] = [cuts[i - 1], cuts[i]];
		sum += ((b - a) / 6) * (f(a) + 4 * f((a + b) / 2) + f(b));
	}
	return sum;
}

// Whichever of two uniforms comes first, and the pause behind it.
function firstOf(one, other, delay) {
	const bends = [one.low, one.low + one.width, other.low, other.low + other.width];
	const decided = (t) => 1 - (1 - shareOf(one, 0, t)) * (1 - shareOf(other, 0, t));
	const first = Math.min(one.low, other.low);
	const last = Math.min(bends[1], bends[3]) + delay;
	const share = delay > 0 ? (t) => integral(decided, t - delay, t, bends) / delay : decided;
	const mean = first + delay / 2 + integral((t) => 1 - decided(t), first, last, bends);
	return { first, last, mean, share };
}

// A wave: share(t) of the phones that are through t seconds after it began.
function wave(segments, delay) {
	if (segments.length === 0) return null;
	const first = Math.min(...segments.map((s) => s.low));
	const last = Math.max(...segments.map((s) => s.low + s.width + pausesOf(s).longest * delay));
	const meanOf = (s) => s.low + s.width / 2 + pausesOf(s).mean * delay;
	const mean = segments.reduce((sum, s) => sum + s.weight * meanOf(s), 0);
	const share = (t) =>
		t >= last ? 1 : segments.reduce((sum, s) => sum + s.weight * shareOf(s, delay, t), 0);
	return { first, last, mean, share };
}

// Fail-over: until the REGISTER to the other proxy goes out. Null without redundancy. Asymmetric phones at
// the redundant proxy do not probe it.
export function failOver(timers, probed = true) {
	if (!timers.enabled) return null;
	const { segments, rival } = crash(timers, probed);
	return rival ? firstOf(segments[0], rival, timers.switchDelay) : wave(segments, timers.switchDelay);
}

// Fail-back to a primary that returns: null in symmetric mode, where phones stay.
export function failBack(timers) {
	if (!timers.enabled || timers.symmetric) return null;
	return wave(returnSegments(timers), timers.switchDelay);
}

// One of two dead proxies returns.
export function rescue(timers) {
	return timers.enabled ? wave(rescueSegments(timers), timers.switchDelay) : null;
}

// The same without the pause: when phones decide to switch, which is what counters count.
export function decided(timers, which) {
	return which({ ...timers, switchDelay: 0 });
}

// The largest share that gets through in any `seconds`.
export function busiest(wave, seconds = 1, step = 0.01) {
	let most = 0;
	for (let t = wave.first; t <= wave.last; t += step)
		most = Math.max(most, wave.share(t + seconds) - wave.share(t));
	return most;
}

// The time at which this share is through: shares never fall, so halving finds it.
export function timeOf(wave, share) {
	let low = wave.first;
	let high = wave.last;
	for (let i = 0; i < 40; i++) {
		const middle = (low + high) / 2;
		if (wave.share(middle) < share) low = middle;
		else high = middle;
	}
	return high;
}

// Points for a chart, from 0 to a little behind the end.
export function points(wave, steps = 240) {
	const end = wave.last * 1.05;
	const list = [];
	for (let i = 0; i <= steps; i++) {
		const t = (end * i) / steps;
		list.push({ x: t, y: wave.share(t) });
	}
	return list;
}
