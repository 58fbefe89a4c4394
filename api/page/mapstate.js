// SPDX-License-Identifier: BSD-3-Clause
// The state of every phone: the map and the changes told since, counts and filters. Pure; times are
// whole seconds on any clock that starts above 0.

// In the order of enum watch_state (api/watch.h). proxy: last tried, where the state says it.
// urgency: which state stands for a cell of several phones.
export const STATES = [
	{ name: 'elsewhere', label: 'elsewhere', proxy: null, urgency: 0,
		help: 'driven by another generator, or never started' },
	{ name: 'off', label: 'off', proxy: null, urgency: 3, help: 'switched off' },
	{ name: 'trying-primary', label: 'trying primary', proxy: 'primary', urgency: 5,
		help: 'booting, registering or waiting for a retry at the primary proxy' },
	{ name: 'trying-redundant', label: 'trying redundant', proxy: 'redundant', urgency: 6,
		help: 'booting, registering or waiting for a retry at the redundant proxy' },
	{ name: 'registered-primary', label: 'at primary', proxy: 'primary', urgency: 1,
		help: 'registered at the primary proxy' },
	{ name: 'registered-redundant', label: 'at redundant', proxy: 'redundant', urgency: 2,
		help: 'registered at the redundant proxy' },
	{ name: 'failing-over', label: 'failing over', proxy: 'redundant', urgency: 7,
		help: 'in the pause before the switch to the redundant proxy' },
	{ name: 'failing-back', label: 'failing back', proxy: 'primary', urgency: 4,
		help: 'in the pause before the switch to the primary proxy' },
];

const HEADER_BYTES = 16;
const RECORD_BYTES = 5;

// The map as it comes, without its gzip. Throws what is wrong with it.
export function decodeMap(buffer) {
	const bytes = new Uint8Array(buffer);
	if (bytes.length < HEADER_BYTES) throw new Error('the map is too short');
	if (String.fromCharCode(...bytes.subarray(0, 4)) !== 'SHM1')
		throw new Error('that is no map of phones');
	const view = new DataView(buffer);
	const phones = view.getUint32(4);
	const sequence = view.getUint32(8) * 2 ** 32 + view.getUint32(12);
	if (bytes.length < HEADER_BYTES + Math.ceil(phones / 2)) throw new Error('the map is cut off');
	const states = new Uint8Array(phones);
	for (let i = 0, at = HEADER_BYTES; i < phones; i += 2, at++) {
		const low = bytes[at] & 15;
		const high = bytes[at] >> 4;
		states[i] = low < STATES.length ? low : 0;
		if (i + 1 < phones) states[i + 1] = high < STATES.length ? high : 0;
	}
	return { phones, sequence, states };
}

// The records of a delta: { phones: Uint32Array, states: Uint8Array }.
export function decodeDelta(base64) {
	const text = atob(base64);
	const records = Math.floor(text.length / RECORD_BYTES);
	const phones = new Uint32Array(records);
	const states = new Uint8Array(records);
	for (let i = 0, at = 0; i < records; i++, at += RECORD_BYTES) {
		phones[i] = ((text.charCodeAt(at) << 24) | (text.charCodeAt(at + 1) << 16) |
			(text.charCodeAt(at + 2) << 8) | text.charCodeAt(at + 3)) >>> 0;
		states[i] = text.charCodeAt(at + 4);
	}
	return { phones, states };
}

export class MapState {
	constructor() {
		this.clear();
	}

	clear() {
		this.phones = 0;
		this.sequence = -1; // no map yet
		this.states = new Uint8Array(0);
		this.changed = new Uint32Array(0); // second of the last change seen here; 0: none
		this.counts = new Uint32Array(STATES.length);
	}

	// A whole map. The phones that differ from what was known, or null: all are new.
	load(map, nowS) {
		const same = this.sequence >= 0 && this.phones === map.phones;
		const changes = same ? this.#difference(map.states, nowS) : null;
		if (!same) this.changed = new Uint32Array(map.phones);
		this.phones = map.phones;
		this.sequence = map.sequence;
		this.states = map.states;
		this.counts.fill(0);
		for (let i = 0; i < this.phones; i++) this.counts[this.states[i]]++;
		return changes;
	}

	#difference(states, nowS) {
		const before = this.states;
		const changes = new Uint32Array(states.length);
		let n = 0;
		for (let i = 0; i < states.length; i++) {
			if (before[i] === states[i]) continue;
			this.changed[i] = nowS;
			changes[n++] = i;
		}
		return changes.subarray(0, n);
	}

	// One batch: the phones it touched; 'old' when the map already has it, 'gap' when one is missing.
	apply(sequence, records, nowS) {
		if (sequence <= this.sequence) return 'old';
		if (sequence !== this.sequence + 1) return 'gap';
		const { phones, states } = records;
		for (let i = 0; i < phones.length; i++) {
			const phone = phones[i];
			if (phone >= this.phones || states[i] >= STATES.length) continue;
			this.counts[this.states[phone]]--;
			this.counts[states[i]]++;
			this.states[phone] = states[i];
			this.changed[phone] = nowS;
		}
		this.sequence = sequence;
		return phones;
	}
}

// Which states pass: a set of bits from the states hidden by name and the proxy asked for.
export function stateMask(hidden, proxy) {
	let mask = 0;
	STATES.forEach((state, i) => {
		if (hidden.has(state.name)) return;
		if (proxy && state.proxy !== proxy) return;
		mask |= 1 << i;
	});
	return mask;
}

export class Filter {
	constructor() {
		this.mask = 0xff;
		this.member = null; // Uint8Array, 1: its name begins so; null: all
		this.since = 0; // changed at this second or later; 0: all
	}

	get isOpen() {
		return this.mask === 0xff && this.member === null && this.since === 0;
	}

	passes(map, phone) {
		return ((this.mask >> map.states[phone]) & 1) === 1 &&
			(this.member === null || this.member[phone] === 1) &&
			(this.since === 0 || map.changed[phone] >= this.since);
	}

	count(map) {
		if (this.isOpen) return map.phones;
		let n = 0;
		for (let i = 0; i < map.phones; i++) if (this.passes(map, i)) n++;
		return n;
	}

	first(map) {
		for (let i = 0; i < map.phones; i++) if (this.passes(map, i)) return i;
		return -1;
	}
}
