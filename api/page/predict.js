// SPDX-License-Identifier: BSD-3-Clause
// What PHONE.md section 5 predicts of a fleet whose keep-alives are spread evenly over their period.
// Pure: timers in, curves out; times in seconds, shares from 0 to 1.
//
// Every wave is a mixture of uniform distributions: a phone notices after `low` plus a uniform share
// of `width`, with probability `weight`. The pause before a switch, uniform in 0..switch_delay, is
// added to that; both sums have closed forms, nothing is drawn at random.

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

// The proxy of a registered phone crashes at 0: until the phone begins its switch.
function crashSegments(timers) {
	if (timers.period === 0)
		return [{ low: timers.noResponse, width: timers.refresh, weight: 1 }];
	const more = (timers.failThreshold - 1) * silentPeriod(timers);
	return [{ low: timers.noResponse + more, width: timers.period, weight: 1 }];
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

// Both proxies were dead and phones tried them in turn without a pause; one returns at 0.
function rescueSegments(timers) {
	const { t1, t2, noResponse } = timers;
	const sends = [...sendTimes(t1, t2, noResponse), noResponse];
	const segments = [{ low: 0, width: noResponse, weight: 0.5 }];
	for (let i = 1; i < sends.length; i++) {
		const width = sends[i] - sends[i - 1];
		const low = i === sends.length - 1 ? noResponse : 0;
		segments.push({ low, width, weight: (0.5 * width) / noResponse });
	}
	return segments;
}

// The integral of a uniform distribution's share, from its beginning to t.
function area(segment, t) {
	const x = t - segment.low;
	if (x <= 0) return 0;
	if (x >= segment.width) return x - segment.width / 2;
	return (x * x) / (2 * segment.width);
}

function shareOf(segment, delay, t) {
	if (delay > 0) return (area(segment, t) - area(segment, t - delay)) / delay;
	const x = t - segment.low;
	if (x <= 0) return 0;
	return x >= segment.width ? 1 : x / segment.width;
}

// A wave: share(t) of the phones that are through t seconds after it began.
function wave(segments, delay) {
	if (segments.length === 0) return null;
	const first = Math.min(...segments.map((s) => s.low));
	const last = Math.max(...segments.map((s) => s.low + s.width)) + delay;
	const mean = segments.reduce((sum, s) => sum + s.weight * (s.low + s.width / 2), delay / 2);
	const share = (t) =>
		t >= last ? 1 : segments.reduce((sum, s) => sum + s.weight * shareOf(s, delay, t), 0);
	return { first, last, mean, share };
}

// Fail-over: until the REGISTER to the other proxy goes out. Null without redundancy.
export function failOver(timers) {
	return timers.enabled ? wave(crashSegments(timers), timers.switchDelay) : null;
}

// Fail-back to a primary that returns: null in symmetric mode, where phones stay.
export function failBack(timers) {
	if (!timers.enabled || timers.symmetric) return null;
	return wave(returnSegments(timers), timers.switchDelay);
}

// One of two dead proxies returns; phones switch without a pause.
export function rescue(timers) {
	return timers.enabled ? wave(rescueSegments(timers), 0) : null;
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
