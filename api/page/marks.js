// SPDX-License-Identifier: BSD-3-Clause
// What was done to the proxies, and when: steps of drills, and faults of the run's own schedule. They
// are marked on the charts, say what is wrong now, and when waves begin. Pure.

const KEPT = 256;
const SAME_MS = 400; // told twice: as an event and in the list
const BESIDE_MS = 200; // a step says more than the beginning or the end beside it

// A fault of --fault, as a run tells it: "the primary proxy crashed". Null: another alert.
export function faultOf({ text, unix_ms: unixMs }) {
	const told = /^the (primary|redundant) proxy (.+)/.exec(text);
	// Over at once: nothing is wrong after it.
	const restores = told !== null && /^(serves again|forgot all bindings)$/.test(told[2]);
	return told === null ? null : { drill: 0, phase: 'step', text, unixMs, proxy: told[1], restores };
}

// From an event, or from the list of GET /api/v1/drills: also of what was done before this page was opened.
export function markOf({ id, phase, text, unix_ms: unixMs, proxy, restores }) {
	return { drill: id, phase, text, unixMs, proxy: proxy ?? null, restores: restores === true };
}

// out: something is taken away; back: it is given back; end: a drill is over.
function kindOf({ phase, restores, proxy }) {
	if (phase === 'step' && restores) return proxy === null ? 'end' : 'back';
	if (phase === 'step' || phase === 'began') return 'out';
	return phase === 'aborted' ? 'back' : 'end';
}

export class Marks {
	constructor() {
		this.list = []; // by their times
	}

	clear() {
		this.list = [];
	}

	// True: it was not known, and is kept.
	add(mark) {
		const known = this.list.some((m) => m.drill === mark.drill && m.phase === mark.phase &&
			m.text === mark.text && Math.abs(m.unixMs - mark.unixMs) < SAME_MS);
		if (known) return false;
		this.list = [...this.list, mark].sort((a, b) => a.unixMs - b.unixMs).slice(-KEPT);
		return this.list.includes(mark);
	}

	// What charts show: numbered, and a beginning or an end only where no step is.
	drawn() {
		const step = (mark) => this.list.some((m) => m.phase === 'step' && m.drill === mark.drill &&
			Math.abs(m.unixMs - mark.unixMs) < BESIDE_MS);
		return this.list
			.filter((mark) => mark.phase === 'step' || mark.phase === 'aborted' || !step(mark))
			.map((mark, i) => ({ ...mark, kind: kindOf(mark), number: i + 1 }));
	}

	// What was begun and not given back, by its times. Of two things that are wrong with a proxy the older one
	// is given back first, as drills do.
	inForce() {
		let open = [];
		for (const mark of this.list) {
			const { drill, phase, proxy, restores } = mark;
			if (phase === 'step' && !restores) open.push(mark);
			else if (phase === 'step') {
				const first = open.findIndex((m) => m.drill === drill && m.proxy === proxy);
				if (first >= 0) open.splice(first, 1);
			} else if (phase !== 'began') open = open.filter((m) => m.drill !== drill);
		}
		return open;
	}

	// When a proxy went and came, for waves.
	signs(unixStart) {
		const signs = [];
		const gone = new Set();
		const sign = (proxy, dead, { unixMs }) =>
			signs.push({ proxy, dead, at_s: unixMs / 1000 - unixStart, exact: true });
		for (const mark of this.list) {
			if (mark.phase === 'step' && mark.proxy !== null) {
				sign(mark.proxy, !mark.restores, mark);
				gone[mark.restores ? 'delete' : 'add'](mark.proxy);
			} else if (mark.phase === 'aborted') {
				for (const proxy of gone) sign(proxy, false, mark);
				gone.clear();
			}
		}
		return signs;
	}
}
