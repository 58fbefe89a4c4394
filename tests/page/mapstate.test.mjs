// SPDX-License-Identifier: BSD-3-Clause
// The map and its changes: what comes over the wire, in which order it counts, what a filter shows.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Filter, MapState, STATES, decodeDelta, decodeMap, stateMask } from '../../api/page/mapstate.js';
import { MapSync } from '../../api/page/mapsync.js';

function mapBytes(states, sequence, magic = 'SHM1') {
	const bytes = new Uint8Array(16 + Math.ceil(states.length / 2));
	for (let i = 0; i < 4; i++) bytes[i] = magic.charCodeAt(i);
	const view = new DataView(bytes.buffer);
	view.setUint32(4, states.length);
	view.setBigUint64(8, BigInt(sequence));
	states.forEach((state, i) => {
		bytes[16 + (i >> 1)] |= state << (4 * (i & 1));
	});
	return bytes.buffer;
}

function records(pairs) {
	const bytes = Buffer.alloc(pairs.length * 5);
	pairs.forEach(([phone, state], i) => {
		bytes.writeUInt32BE(phone, 5 * i);
		bytes[5 * i + 4] = state;
	});
	return bytes.toString('base64');
}

const named = (map) => STATES.map((_, i) => map.counts[i]);

test('a map is taken apart, lower nibble first, also with an odd number of phones', () => {
	const map = decodeMap(mapBytes([4, 5, 0, 7, 2], 2 ** 33 + 9));
	assert.equal(map.phones, 5);
	assert.equal(map.sequence, 2 ** 33 + 9);
	assert.deepEqual([...map.states], [4, 5, 0, 7, 2]);
	assert.equal(decodeMap(mapBytes([], 0)).phones, 0);
});

test('what is no map is refused', () => {
	assert.throws(() => decodeMap(mapBytes([1], 1, 'SHM2')), /no map/);
	assert.throws(() => decodeMap(new ArrayBuffer(7)), /too short/);
	assert.throws(() => decodeMap(mapBytes([1, 2, 3], 1).slice(0, 17)), /cut off/);
});

test('a nibble that is no state of ours does no harm', () => {
	assert.deepEqual([...decodeMap(mapBytes([15, 9, 4], 1)).states], [0, 0, 4]);
});

test('a delta has big-endian phones, also beyond 2^31', () => {
	const delta = decodeDelta(records([[1, 4], [0x01020304, 5], [0xfffffffe, 7]]));
	assert.deepEqual([...delta.phones], [1, 0x01020304, 0xfffffffe]);
	assert.deepEqual([...delta.states], [4, 5, 7]);
});

test('changes move counts, which always add up; strange ones are left out', () => {
	const map = new MapState();
	assert.equal(map.load(decodeMap(mapBytes([4, 4, 4, 4], 10)), 1), null);
	map.apply(11, decodeDelta(records([[0, 6], [3, 5], [77, 5], [1, 12]])), 5);
	assert.deepEqual(named(map), [0, 0, 0, 0, 2, 1, 1, 0]);
	assert.deepEqual([...map.changed], [5, 0, 0, 5]);
	assert.equal(map.sequence, 11);
});

test('a batch that the map already has is not applied twice; one that is missing is noticed', () => {
	const map = new MapState();
	map.load(decodeMap(mapBytes([4, 4], 10)), 1);
	assert.equal(map.apply(10, decodeDelta(records([[0, 5]])), 2), 'old');
	assert.equal(map.apply(12, decodeDelta(records([[0, 5]])), 2), 'gap');
	assert.deepEqual([...map.states], [4, 4]);
});

test('a newer map tells which phones differ', () => {
	const map = new MapState();
	map.load(decodeMap(mapBytes([4, 4, 4], 10)), 1);
	assert.deepEqual([...map.load(decodeMap(mapBytes([4, 5, 6], 20)), 9)], [1, 2]);
	assert.deepEqual([...map.changed], [0, 9, 9]);
	assert.equal(map.load(decodeMap(mapBytes([4, 5], 21)), 9), null, 'another number of phones');
});

test('filters by state, proxy, membership and change', () => {
	const map = new MapState();
	map.load(decodeMap(mapBytes([0, 1, 2, 3, 4, 5, 6, 7], 1)), 1);
	map.apply(2, decodeDelta(records([[4, 4], [5, 5]])), 30);
	const filter = new Filter();
	assert.ok(filter.isOpen);
	assert.equal(filter.count(map), 8);
	const shown = () => [...Array(8).keys()].filter((i) => filter.passes(map, i));
	filter.mask = stateMask(new Set(), 'primary');
	assert.deepEqual(shown(), [2, 4, 7]);
	filter.mask = stateMask(new Set(['registered-primary']), 'primary');
	assert.deepEqual(shown(), [2, 7]);
	filter.mask = stateMask(new Set(), 'redundant');
	assert.deepEqual(shown(), [3, 5, 6]);
	filter.mask = stateMask(new Set(), '');
	filter.since = 30;
	assert.deepEqual(shown(), [4, 5]);
	filter.member = Uint8Array.of(1, 0, 0, 0, 0, 1, 0, 0);
	assert.deepEqual(shown(), [5]);
	assert.equal(filter.count(map), 1);
	assert.equal(filter.first(map), 5);
});

// A server in miniature: all batches ever made, and maps of any of them.
class Fleet {
	constructor(phones) {
		this.states = Array(phones).fill(4);
		this.sequence = 0;
	}

	change(pairs) {
		for (const [phone, state] of pairs) this.states[phone] = state;
		return { sequence: ++this.sequence, records: decodeDelta(records(pairs)) };
	}

	map() {
		return decodeMap(mapBytes(this.states, this.sequence));
	}
}

const turn = () => new Promise((done) => setImmediate(done));

function synced(fetchMap) {
	const map = new MapState();
	return new MapSync({ state: map, fetchMap, nowS: () => 1, changed: () => {}, wait: turn });
}

async function settled(sync) {
	for (let i = 0; i < 100 && sync.busy; i++) await turn();
	assert.equal(sync.busy, false);
}

test('batches that come while the map is on its way are applied behind it', async () => {
	const fleet = new Fleet(4);
	let deliver;
	const sync = synced(() => new Promise((done) => {
		deliver = done;
	}));
	sync.reset(0);
	const early = fleet.change([[0, 5]]);
	const map = fleet.map();
	const late = fleet.change([[1, 6]]);
	sync.delta(early);
	sync.delta(late);
	deliver(map);
	await settled(sync);
	assert.deepEqual([...sync.state.states], fleet.states);
	assert.equal(sync.fetches, 1);
});

test('a batch that is missing, a resync, a failed answer and an old map each lead to the map of now', async () => {
	const fleet = new Fleet(4);
	const answers = [];
	const sync = synced(async () => {
		const answer = answers.shift();
		if (answer === 'fail') throw new Error('cut off');
		return answer ?? fleet.map();
	});
	sync.reset(0);
	await settled(sync);
	fleet.change([[2, 7]]); // never told
	sync.delta(fleet.change([[0, 5]]));
	await settled(sync);
	assert.deepEqual([...sync.state.states], fleet.states);

	const old = fleet.map();
	fleet.change([[3, 1]]);
	answers.push('fail', old);
	sync.need(fleet.sequence);
	await settled(sync);
	assert.deepEqual([...sync.state.states], fleet.states);
	assert.equal(sync.fetches, 5);
	sync.need(fleet.sequence - 1);
	assert.equal(sync.busy, false, 'what the map already has needs no other');
});

test('an answer from before a reset does not count', async () => {
	const before = new Fleet(4);
	const after = new Fleet(2);
	const waiting = [];
	const sync = synced(() => new Promise((done) => {
		waiting.push(done);
	}));
	sync.reset(0);
	sync.reset(0);
	waiting[0](before.map());
	await turn();
	assert.equal(sync.state.phones, 0);
	waiting[1](after.map());
	await settled(sync);
	assert.equal(sync.state.phones, 2);
});

test('any order of batches, maps and losses ends with the fleet', async () => {
	const seed = Number(process.env.SEED ?? Date.now() % 1000000);
	console.log(`SEED=${seed}`);
	let word = seed || 1;
	const random = (n) => {
		word = (Math.imul(word, 1664525) + 1013904223) >>> 0;
		return Math.floor((word / 2 ** 32) * n);
	};
	const fleet = new Fleet(50);
	const sync = synced(async () => {
		if (random(4) === 0) throw new Error('cut off');
		const map = fleet.map();
		for (let i = random(4); i > 0; i--) await turn();
		return map;
	});
	sync.reset(0);
	for (let i = 0; i < 500; i++) {
		const batch = fleet.change([...Array(1 + random(5))].map(() => [random(50), random(8)]));
		const luck = random(10);
		if (luck === 0) sync.need(batch.sequence);
		else if (luck > 1 || i === 499) sync.delta(batch);
		if (random(3) === 0) await turn();
	}
	await settled(sync);
	assert.deepEqual([...sync.state.states], fleet.states);
	assert.equal(named(sync.state).reduce((a, b) => a + b), 50);
});
