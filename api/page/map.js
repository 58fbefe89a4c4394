// SPDX-License-Identifier: BSD-3-Clause
// The map on its canvas: what part of the picture is seen, pointer and keys, what is under them.
import { Picture } from './paint.js';
import { STATES } from './mapstate.js';

const CELL_MOST = 64; // CSS pixels: as large as a cell gets
const CELL_FIT_MOST = 46; // when a small fleet is shown whole
const GAP_FROM = 4; // device pixels: from this size on cells are drawn apart
// A batch is painted over the time in which the next one is expected, so that the map moves smoothly.
const SPREAD_LEAST_MS = 200;
const SPREAD_MOST_MS = 400;
const CLICK_PX = 4; // a pointer that moved less has clicked

export class MapView {
	// open(phone), told(text) for ears, nameOf(phone) -> user or null.
	constructor({ canvas, tip, map, filter, stats, open, told, nameOf }) {
		Object.assign(this, { canvas, tip, map, filter, stats, open, told, nameOf });
		this.context = canvas.getContext('2d', { alpha: false });
		this.picture = new Picture(map, filter);
		this.zoom = 1; // times the scale at which all is seen
		this.x = 0; // cells left of the canvas' left edge
		this.y = 0;
		this.cursor = -1; // cell that keys have come to
		this.hovered = -1;
		this.marked = -1; // phone that is open
		this.waiting = []; // batches that are being painted
		this.newest = 0; // when the newest batch came
		this.spread = SPREAD_LEAST_MS;
		this.pointers = new Map();
		this.asked = false;
		this.calm = window.matchMedia('(prefers-reduced-motion: reduce)');
		this.paints = [];
		this.#listen();
		new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
		window.addEventListener('sipherd-theme', () => this.recolour());
		this.recolour();
	}

	recolour() {
		const style = getComputedStyle(document.documentElement);
		const colour = (name) => style.getPropertyValue(name).trim();
		this.ground = colour('--map-ground');
		this.ring = colour('--text');
		this.picture.colours(STATES.map((_, i) => colour(`--s${i}`)), this.ground);
		this.repaint();
	}

	resize() {
		const box = this.canvas.parentElement.getBoundingClientRect();
		const ratio = Math.min(2, window.devicePixelRatio || 1);
		const width = Math.max(1, Math.round(box.width * ratio));
		const height = Math.max(1, Math.round(box.height * ratio));
		if (width === this.canvas.width && height === this.canvas.height) return;
		this.canvas.width = width;
		this.canvas.height = height;
		this.ratio = ratio;
		this.reshape();
	}

	// Another number of phones, or another shape of canvas.
	reshape() {
		this.waiting.length = 0;
		this.picture.shape(this.canvas.width, this.canvas.height, CELL_FIT_MOST * this.ratio);
		this.stats.cells = this.picture.cells;
		this.stats.phones = this.map.phones;
		this.canvas.dataset.phones = String(this.map.phones);
		this.#clamp();
		this.#ask();
	}

	// The filter or the colours changed.
	repaint() {
		if (!this.picture.pixels) return;
		this.waiting.length = 0;
		this.picture.paintAll();
		this.#ask();
	}

	// These phones changed; null: all of them are new.
	changed(phones) {
		this.canvas.dataset.sequence = String(this.map.sequence);
		if (phones === null) {
			this.reshape();
			return;
		}
		this.#finishBatches();
		const now = performance.now();
		this.spread = Math.max(SPREAD_LEAST_MS, Math.min(SPREAD_MOST_MS, now - this.newest));
		this.newest = now;
		if (phones.length > 0) this.waiting.push({ phones, done: 0, since: now });
		this.#ask();
	}

	#finishBatches() {
		for (const { phones, done } of this.waiting)
			this.picture.paintSome(phones, done, phones.length);
		this.waiting.length = 0;
	}

	mark(phone) {
		this.marked = phone;
		this.#ask();
	}

	/* --- Painting --- */

	#ask() {
		if (this.asked) return;
		this.asked = true;
		requestAnimationFrame(() => {
			this.asked = false;
			this.#frame();
		});
	}

	#frame() {
		const begin = performance.now();
		for (const batch of this.waiting) {
			const share = this.calm.matches ? 1 : Math.min(1, (begin - batch.since) / this.spread);
			const to = Math.max(batch.done, Math.ceil(share * batch.phones.length));
			this.picture.paintSome(batch.phones, batch.done, to);
			batch.done = to;
		}
		this.waiting = this.waiting.filter((batch) => batch.done < batch.phones.length);
		if (this.picture.pixels) {
			this.picture.flush();
			this.#draw();
		}
		this.#count(begin, performance.now() - begin);
		if (this.waiting.length > 0) this.#ask();
	}

	#count(begin, took) {
		const { stats, paints } = this;
		stats.frames++;
		stats.paintMs += took;
		stats.lastPaintMs = took;
		stats.longestPaintMs = Math.max(stats.longestPaintMs, took);
		paints.push(begin);
		while (paints[0] < begin - 1000) paints.shift();
		stats.fps = paints.length;
	}

	// Device pixels per cell when all of them are seen.
	#fit() {
		const { columns, rows } = this.picture;
		return Math.min(this.canvas.width / columns, this.canvas.height / rows, CELL_FIT_MOST * this.ratio);
	}

	// As it is now. Whole numbers once cells are drawn apart, so that all are alike.
	#scale() {
		const fit = this.#fit();
		const scale = Math.min(fit * this.zoom, Math.max(fit, CELL_MOST * this.ratio));
		return scale >= GAP_FROM ? Math.floor(scale) : scale;
	}

	#clamp() {
		const scale = this.#scale();
		const place = (at, cells, size) => {
			const seen = size / scale;
			return seen >= cells ? (cells - seen) / 2 : Math.max(0, Math.min(cells - seen, at));
		};
		this.x = place(this.x, this.picture.columns, this.canvas.width);
		this.y = place(this.y, this.picture.rows, this.canvas.height);
	}

	#draw() {
		const { context, canvas, picture } = this;
		const scale = this.#scale();
		const left = Math.round(-this.x * scale);
		const top = Math.round(-this.y * scale);
		context.fillStyle = this.ground;
		context.fillRect(0, 0, canvas.width, canvas.height);
		context.imageSmoothingEnabled = scale < 1;
		context.imageSmoothingQuality = scale < 0.5 ? 'medium' : 'low';
		context.drawImage(picture.canvas, left, top, picture.columns * scale, picture.rows * scale);
		if (scale >= GAP_FROM) this.#gaps(scale, left, top);
		const marked = this.marked < 0 ? -1 : Math.floor(this.marked / picture.perCell);
		if (marked >= 0) this.#ringAt(marked, scale, left, top, 3);
		if (this.hovered >= 0) this.#ringAt(this.hovered, scale, left, top, 1.5);
		if (this.cursor >= 0 && document.activeElement === canvas)
			this.#ringAt(this.cursor, scale, left, top, 2);
	}

	#gaps(scale, left, top) {
		const { context, canvas, picture } = this;
		const gap = scale >= 14 ? 2 : 1;
		const width = Math.min(canvas.width, left + picture.columns * scale);
		const height = Math.min(canvas.height, top + picture.rows * scale);
		context.fillStyle = this.ground;
		for (let x = left < 0 ? left % scale : left; x <= width; x += scale)
			context.fillRect(x - gap, Math.max(0, top), gap, height);
		for (let y = top < 0 ? top % scale : top; y <= height; y += scale)
			context.fillRect(Math.max(0, left), y - gap, width, gap);
	}

	#ringAt(cell, scale, left, top, line) {
		const { context, picture } = this;
		const size = Math.max(scale, 7 * this.ratio);
		const more = (size - scale) / 2;
		const x = left + (cell % picture.columns) * scale - more;
		const y = top + Math.floor(cell / picture.columns) * scale - more;
		context.lineWidth = line * this.ratio;
		context.strokeStyle = this.ring;
		context.strokeRect(x - 1, y - 1, size, size);
	}

	/* --- Moving --- */

	// Zoom so that the point (device pixels) stays where it is.
	zoomBy(factor, px = this.canvas.width / 2, py = this.canvas.height / 2) {
		const before = this.#scale();
		const cx = this.x + px / before;
		const cy = this.y + py / before;
		const most = Math.max(1, (CELL_MOST * this.ratio) / this.#fit());
		this.zoom = Math.max(1, Math.min(most, this.zoom * factor));
		const after = this.#scale();
		this.x = cx - px / after;
		this.y = cy - py / after;
		this.#clamp();
		this.canvas.classList.toggle('zoomed', this.zoom > 1);
		this.#ask();
	}

	fit() {
		this.zoom = 1;
		this.zoomBy(1);
	}

	pan(dx, dy) {
		const scale = this.#scale();
		this.x -= dx / scale;
		this.y -= dy / scale;
		this.#clamp();
		this.#ask();
	}

	#cellAt(event) {
		const box = this.canvas.getBoundingClientRect();
		const scale = this.#scale();
		const column = Math.floor(this.x + ((event.clientX - box.left) * this.ratio) / scale);
		const row = Math.floor(this.y + ((event.clientY - box.top) * this.ratio) / scale);
		const { columns, cells } = this.picture;
		const cell = row * columns + column;
		return column >= 0 && column < columns && row >= 0 && cell < cells ? cell : -1;
	}

	/* --- What is there --- */

	describe(cell) {
		const [first, last] = this.picture.phonesOf(cell);
		if (first !== last) return `phones ${first} to ${last}`;
		const user = this.nameOf(first);
		const state = STATES[this.map.states[first]].label;
		return `${user === null ? `phone ${first}` : `${user} \u00b7 phone ${first}`} \u00b7 ${state}`;
	}

	#hover(event) {
		const cell = this.#cellAt(event);
		if (cell !== this.hovered) {
			this.hovered = cell;
			this.#ask();
		}
		this.tip.hidden = cell < 0;
		if (cell < 0) return;
		this.tip.textContent = this.describe(cell);
		const box = this.canvas.getBoundingClientRect();
		const x = event.clientX - box.left;
		const wide = this.tip.offsetWidth;
		this.tip.style.left = `${Math.max(4, Math.min(box.width - wide - 4, x + 14))}px`;
		const y = event.clientY - box.top;
		this.tip.style.top = `${y > box.height - 50 ? y - 40 : y + 16}px`;
	}

	#leave() {
		this.hovered = -1;
		this.tip.hidden = true;
		this.#ask();
	}

	#listen() {
		const { canvas } = this;
		canvas.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
		canvas.addEventListener('pointerdown', (event) => this.#down(event));
		canvas.addEventListener('pointermove', (event) => this.#move(event));
		canvas.addEventListener('pointerup', (event) => this.#up(event));
		canvas.addEventListener('pointercancel', (event) => this.pointers.delete(event.pointerId));
		canvas.addEventListener('pointerleave', () => this.#leave());
		canvas.addEventListener('keydown', (event) => this.#key(event));
		canvas.addEventListener('focus', () => this.#ask());
		canvas.addEventListener('blur', () => this.#ask());
	}

	#wheel(event) {
		// Seen whole already: the page scrolls.
		if (event.deltaY > 0 && this.zoom <= 1) return;
		event.preventDefault();
		const box = this.canvas.getBoundingClientRect();
		const lines = event.deltaMode === 1 ? 16 : 1;
		this.zoomBy(Math.exp(-event.deltaY * lines * 0.0022),
			(event.clientX - box.left) * this.ratio, (event.clientY - box.top) * this.ratio);
		this.#hover(event);
	}

	#down(event) {
		if (event.button !== 0) return;
		this.canvas.setPointerCapture(event.pointerId);
		this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, far: 0 });
	}

	#move(event) {
		const pointer = this.pointers.get(event.pointerId);
		if (!pointer) {
			this.#hover(event);
			return;
		}
		const dx = event.clientX - pointer.x;
		const dy = event.clientY - pointer.y;
		const others = [...this.pointers.values()].filter((p) => p !== pointer);
		if (others.length === 1) this.#pinch(event, pointer, others[0]);
		else this.pan(dx * this.ratio, dy * this.ratio);
		pointer.far += Math.hypot(dx, dy);
		pointer.x = event.clientX;
		pointer.y = event.clientY;
	}

	#pinch(event, pointer, other) {
		const before = Math.hypot(pointer.x - other.x, pointer.y - other.y);
		const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
		const box = this.canvas.getBoundingClientRect();
		if (before < 1) return;
		this.zoomBy(after / before, ((event.clientX + other.x) / 2 - box.left) * this.ratio,
			((event.clientY + other.y) / 2 - box.top) * this.ratio);
		other.far += CLICK_PX;
	}

	#up(event) {
		const pointer = this.pointers.get(event.pointerId);
		this.pointers.delete(event.pointerId);
		if (!pointer || pointer.far > CLICK_PX) return;
		const cell = this.#cellAt(event);
		if (cell >= 0) this.#openCell(cell);
	}

	// Of several phones the first of the state that is shown.
	#openCell(cell) {
		const [first, last] = this.picture.phonesOf(cell);
		let best = first;
		const rank = (i) => (this.filter.passes(this.map, i) ? 10 : 0) + STATES[this.map.states[i]].urgency;
		for (let i = first + 1; i <= last; i++) if (rank(i) > rank(best)) best = i;
		this.open(best);
	}

	#key(event) {
		const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
		const step = steps[event.key];
		if (event.ctrlKey || event.altKey || event.metaKey) return;
		if (step && event.shiftKey) this.pan(-step[0] * 80 * this.ratio, -step[1] * 80 * this.ratio);
		else if (step) this.#step(step[0] + step[1] * this.picture.columns);
		else if (event.key === 'Home') this.#moveTo(0);
		else if (event.key === 'End') this.#moveTo(this.picture.cells - 1);
		else if (event.key === '+' || event.key === '=') this.zoomBy(1.5);
		else if (event.key === '-') this.zoomBy(1 / 1.5);
		else if (event.key === '0') this.fit();
		else if ((event.key === 'Enter' || event.key === ' ') && this.cursor >= 0)
			this.#openCell(this.cursor);
		else return;
		event.preventDefault();
	}

	#step(by) {
		const to = this.cursor < 0 ? 0 : this.cursor + by;
		if (to >= 0 && to < this.picture.cells) this.#moveTo(to);
	}

	#moveTo(cell) {
		this.cursor = cell;
		const { columns } = this.picture;
		const scale = this.#scale();
		const column = cell % columns;
		const row = Math.floor(cell / columns);
		this.x = Math.min(column, Math.max(this.x, column + 1 - this.canvas.width / scale));
		this.y = Math.min(row, Math.max(this.y, row + 1 - this.canvas.height / scale));
		this.#clamp();
		this.told(this.describe(cell));
		this.#ask();
	}
}
