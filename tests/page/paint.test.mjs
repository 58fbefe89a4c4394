// SPDX-License-Identifier: BSD-3-Clause
// The map's picture, on a canvas that only notes what it is given.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Filter, MapState, stateMask } from '../../api/page/mapstate.js';
import { Picture, columnsFor } from '../../api/page/paint.js';

const PALETTE = [...Array(8).keys()].map((i) => `#${i}0${i}0${i}0`);

let put = [];
globalThis.document = {
	createElement: () => ({
		getContext: () => ({
			createImageData: (width, height) => ({ data: new Uint8ClampedArray(4 * width * height) }),
			putImageData: (image, x, y, left, top, width, height) => put.push([top, width, height]),
		}),
	}),
};

function picture(states, width, height) {
	const map = new MapState();
	map.load({ phones: states.length, sequence: 1, states: Uint8Array.from(states) }, 1);
	const filter = new Filter();
	const shown = new Picture(map, filter);
	shown.colours(PALETTE, '#ffffff');
	shown.shape(width, height, 40);
	put = [];
	shown.flush();
	return { map, filter, shown };
}

// Which state's colour a cell has; 8 and more: dimmed.
function seen(shown, cell) {
	const lit = shown.lit.indexOf(shown.pixels[cell]);
	return lit >= 0 ? lit : 8 + shown.dim.indexOf(shown.pixels[cell]);
}

test('all cells find room, as large as they can be', () => {
	for (const cells of [1, 2, 7, 100, 999, 1000, 2000, 10000, 54321])
		for (const [width, height] of [[848, 526], [340, 340], [300, 900]]) {
			const columns = columnsFor(cells, width, height, 40);
			const rows = Math.ceil(cells / columns);
			const size = Math.min(40, Math.floor(Math.min(width / columns, height / rows)));
			assert.ok(columns >= 1 && columns <= cells);
			const larger = size + 1;
			const fits = Math.floor(width / larger) * Math.floor(height / larger) >= cells;
			assert.ok(size === 40 || !fits || size < 4, `${cells} in ${width}x${height}: ${columns} of ${size}`);
		}
	assert.equal(columnsFor(1000000, 848, 526, 40), 1270);
	assert.equal(columnsFor(0, 848, 526, 40), 1);
});

test('colours are written as ImageData has them: red first, opaque', () => {
	const { shown } = picture([4], 100, 100);
	shown.colours(['#000000', '#000000', '#000000', '#000000', '#123456', '#000000', '#000000', '#000000'], '#ffffff');
	shown.paintAll();
	assert.deepEqual([...shown.image.data.subarray(0, 4)], [0x12, 0x34, 0x56, 255]);
});

test('only bands with a change go to the canvas, neighbours at once', () => {
	const { map, shown } = picture(Array(100000).fill(4), 300, 300);
	assert.deepEqual(put, [[0, shown.columns, shown.rows]]);
	const band = 16 * shown.columns;
	const phones = Uint32Array.of(5, 3 * band, 4 * band + 1, 6 * band);
	map.apply(2, { phones, states: Uint8Array.of(5, 6, 7, 1) }, 2);
	put = [];
	shown.paintSome(phones, 0, 3);
	assert.equal(shown.flush(), true);
	assert.deepEqual(put, [[0, shown.columns, 16], [48, shown.columns, 32]]);
	assert.deepEqual([...phones].map((p) => seen(shown, p)), [5, 6, 7, 4]);
	assert.equal(shown.flush(), false);
});

test('what the filter hides is dimmed', () => {
	const { filter, shown } = picture([4, 5, 6, 7], 100, 100);
	filter.mask = stateMask(new Set(), 'redundant');
	shown.paintAll();
	assert.deepEqual([0, 1, 2, 3].map((cell) => seen(shown, cell)), [12, 5, 6, 15]);
});

test('above a million a cell is several phones, and shows the most urgent one that passes', () => {
	const states = new Uint8Array(2500001).fill(4);
	states[3] = 5;
	states[4] = 6;
	states[2500000] = 3;
	const { map, filter, shown } = picture(states, 848, 526);
	assert.equal(shown.perCell, 3);
	assert.deepEqual(shown.phonesOf(1), [3, 5]);
	assert.deepEqual(shown.phonesOf(shown.cells - 1), [2499999, 2500000]);
	assert.equal(seen(shown, 0), 4);
	assert.equal(seen(shown, 1), 6);
	assert.equal(seen(shown, shown.cells - 1), 3);
	filter.mask = stateMask(new Set(['failing-over']), '');
	shown.paintAll();
	assert.equal(seen(shown, 1), 5);
	map.apply(2, { phones: Uint32Array.of(4), states: Uint8Array.of(3) }, 2);
	shown.paintSome(Uint32Array.of(4), 0, 1);
	assert.equal(seen(shown, 1), 3);
});
