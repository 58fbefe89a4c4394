// SPDX-License-Identifier: BSD-3-Clause
// The map's picture, one pixel per cell, kept in an ordinary array and copied to a canvas band by
// band: only bands with a change. The map's canvas shows this picture enlarged or reduced.
import { STATES } from './mapstate.js';

const BAND_ROWS = 16;
const CELLS_MAX = 1000000;
const DIM = 0.18; // of its colour is left to a phone that the filter hides

// "#rrggbb" as the pixel of an ImageData on a little-endian machine.
function pixel(colour) {
	const n = parseInt(colour.slice(1), 16);
	return ((255 << 24) | ((n & 255) << 16) | (n & 0xff00) | (n >> 16)) >>> 0;
}

function mix(colour, ground, share) {
	const channel = (text, at) => parseInt(text.slice(at, at + 2), 16);
	let out = '#';
	for (const at of [1, 3, 5]) {
		const value = channel(colour, at) * share + channel(ground, at) * (1 - share);
		out += Math.round(value).toString(16).padStart(2, '0');
	}
	return out;
}

const APART = 4; // pixels a cell has at least, where cells are drawn apart and of whole pixels

// How many columns show this many cells in a box of width by height pixels. Cells that are drawn apart
// are as large as fits, and a round number of them stands in a row where that costs no size.
export function columnsFor(cells, width, height, most) {
	if (cells <= 1) return 1;
	let size = Math.min(most, Math.floor(Math.sqrt((width * height) / cells)) + 1);
	while (size >= APART && Math.floor(width / size) * Math.floor(height / size) < cells) size--;
	if (size < APART) return Math.round(Math.sqrt((cells * width) / height) / 10) * 10 || 1;
	const exact = Math.min(cells, Math.floor(width / size));
	const unit = exact > 25 ? 10 : 5;
	const round = Math.floor(exact / unit) * unit;
	return round > 0 && Math.ceil(cells / round) * size <= height ? round : exact;
}

export class Picture {
	constructor(map, filter) {
		this.map = map;
		this.filter = filter;
		this.canvas = document.createElement('canvas');
		this.context = this.canvas.getContext('2d', { willReadFrequently: true });
		this.lit = new Uint32Array(STATES.length);
		this.dim = new Uint32Array(STATES.length);
		this.columns = 1;
		this.rows = 1;
		this.cells = 0;
		this.perCell = 1;
	}

	colours(palette, ground) {
		palette.forEach((colour, state) => {
			this.lit[state] = pixel(colour);
			this.dim[state] = pixel(mix(colour, ground, DIM));
		});
	}

	// A place for every phone of the map, in a box of this many pixels; cells of at most `most`.
	shape(width, height, most) {
		this.perCell = Math.max(1, Math.ceil(this.map.phones / CELLS_MAX));
		this.cells = Math.ceil(this.map.phones / this.perCell);
		this.columns = columnsFor(this.cells, width, height, most);
		this.rows = Math.max(1, Math.ceil(this.cells / this.columns));
		this.canvas.width = this.columns;
		this.canvas.height = this.rows;
		this.image = this.context.createImageData(this.columns, this.rows);
		this.pixels = new Uint32Array(this.image.data.buffer);
		this.bands = new Uint8Array(Math.ceil(this.rows / BAND_ROWS));
		this.paintAll();
	}

	// The state that stands for a cell, in the colour it has under the filter.
	#cell(cell) {
		const { map, filter } = this;
		if (this.perCell === 1) {
			const state = map.states[cell];
			return filter.passes(map, cell) ? this.lit[state] : this.dim[state];
		}
		const first = cell * this.perCell;
		const end = Math.min(first + this.perCell, map.phones);
		let shown = -1;
		let hidden = map.states[first];
		for (let i = first; i < end; i++) {
			const state = map.states[i];
			if (!filter.passes(map, i)) hidden = state;
			else if (shown < 0 || STATES[state].urgency > STATES[shown].urgency) shown = state;
		}
		return shown >= 0 ? this.lit[shown] : this.dim[hidden];
	}

	paintAll() {
		const { map, filter, pixels, lit } = this;
		if (filter.isOpen && this.perCell === 1)
			for (let i = 0; i < this.cells; i++) pixels[i] = lit[map.states[i]];
		else for (let i = 0; i < this.cells; i++) pixels[i] = this.#cell(i);
		this.bands.fill(1);
	}

	// These phones, from `from` to before `to` of the list.
	paintSome(phones, from, to) {
		const { pixels, bands, columns, perCell } = this;
		const bandCells = columns * BAND_ROWS;
		for (let i = from; i < to; i++) {
			const cell = perCell === 1 ? phones[i] : Math.floor(phones[i] / perCell);
			if (cell >= this.cells) continue;
			pixels[cell] = this.#cell(cell);
			bands[Math.floor(cell / bandCells)] = 1;
		}
	}

	// To the canvas; true when something was new.
	flush() {
		const { bands } = this;
		let any = false;
		for (let band = 0; band < bands.length; band++) {
			if (bands[band] === 0) continue;
			let end = band;
			while (end < bands.length && bands[end] === 1) bands[end++] = 0;
			const top = band * BAND_ROWS;
			const height = Math.min(this.rows, end * BAND_ROWS) - top;
			this.context.putImageData(this.image, 0, 0, 0, top, this.columns, height);
			band = end;
			any = true;
		}
		return any;
	}

	// First and last phone of a cell.
	phonesOf(cell) {
		const first = cell * this.perCell;
		return [first, Math.min(first + this.perCell, this.map.phones) - 1];
	}
}
