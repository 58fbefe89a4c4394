// SPDX-License-Identifier: BSD-3-Clause
// Marks on the charts: a line where something was done, its number on a flag, and the list that says
// what each number means. Kinds differ by line, flag and colour.
import { byId, make, setText } from './dom.js';
import { timeOfDay } from './format.js';

const FLAG = 15; // CSS pixels
const ROWS = 3; // of flags that would cover each other
const NEAR = 9; // of the pointer, to be told of
const DASH = { out: [], back: [5, 3], end: [1, 3] };

function flagsOf(marks, x, area) {
	const ends = new Array(ROWS).fill(-Infinity); // of the flags in each row
	return marks.filter((mark) => mark.x >= x.min && mark.x <= x.max).map((mark) => {
		const at = x.getPixelForValue(mark.x);
		const width = FLAG + 6 * (String(mark.number).length - 1);
		const left = Math.min(Math.max(at, area.left), area.right - width);
		const row = Math.max(0, ends.findIndex((end) => end <= left));
		ends[row] = left + width + 1;
		return { mark, at, left, width, top: area.top + row * (FLAG + 1) };
	});
}

function drawLine(context, { mark, at }, area, colour, lit) {
	context.strokeStyle = colour;
	context.lineWidth = lit ? 2.5 : 1.25;
	context.setLineDash(DASH[mark.kind]);
	context.beginPath();
	context.moveTo(Math.round(at) + 0.5, area.top);
	context.lineTo(Math.round(at) + 0.5, area.bottom);
	context.stroke();
	context.setLineDash([]);
}

// Full: taken away. A frame: given back, or over.
function drawFlag(context, { mark, left, top, width }, colour, ground, lit) {
	context.fillStyle = mark.kind === 'out' ? colour : ground;
	context.strokeStyle = colour;
	context.lineWidth = lit ? 2.5 : 1.25;
	context.beginPath();
	context.rect(left + 0.5, top + 0.5, width - 1, FLAG - 1);
	context.fill();
	context.stroke();
	context.fillStyle = mark.kind === 'out' ? ground : colour;
	context.font = '600 10.5px system-ui, sans-serif';
	context.textAlign = 'center';
	context.textBaseline = 'middle';
	context.fillText(String(mark.number), left + width / 2, top + FLAG / 2 + 0.5);
}

// A plugin of Chart.js. now() -> { marks: [{ x, number, kind, text, unixMs }], lit: number or 0 }
export function marksPlugin(now) {
	return {
		id: 'sipherd-marks',
		afterDatasetsDraw({ ctx: context, chartArea: area, scales, canvas }) {
			const { marks, lit } = now();
			const flags = flagsOf(marks, scales.x, area);
			canvas.dataset.marks = String(flags.length);
			if (flags.length === 0) return;
			const style = getComputedStyle(document.documentElement);
			const colour = (name) => style.getPropertyValue(name).trim();
			const ground = colour('--card');
			context.save();
			for (const flag of flags)
				drawLine(context, flag, area, colour(`--m-${flag.mark.kind}`), flag.mark.number === lit);
			for (const flag of flags)
				drawFlag(context, flag, colour(`--m-${flag.mark.kind}`), ground, flag.mark.number === lit);
			context.restore();
		},
	};
}

const lineOf = (mark) => `${mark.number}  ${timeOfDay(mark.unixMs)}  ${mark.text}`;

// For the footer of a tooltip: what was done where the pointer is.
export function marksNear(marks, chart, px) {
	const { x } = chart.scales;
	return marks
		.filter((mark) => mark.x >= x.min && mark.x <= x.max && Math.abs(x.getPixelForValue(mark.x) - px) <= NEAR)
		.map(lineOf);
}

// The list under the charts' title. lit(number or 0): one is looked at, none is.
export class MarkList {
	constructor(lit) {
		this.lit = lit;
		this.list = byId('marks');
		this.pinned = 0;
		this.key = '';
	}

	#row(mark) {
		const button = make('button', { type: 'button', 'aria-pressed': 'false', 'data-number': mark.number },
			make('b', { class: `flag ${mark.kind}` }, String(mark.number)),
			make('time', { datetime: new Date(mark.unixMs).toISOString() }, timeOfDay(mark.unixMs)),
			make('span', {}, mark.text));
		const leave = () => this.lit(this.pinned);
		for (const event of ['mouseenter', 'focus']) button.addEventListener(event, () => this.lit(mark.number));
		for (const event of ['mouseleave', 'blur']) button.addEventListener(event, leave);
		button.addEventListener('click', () => {
			this.pinned = this.pinned === mark.number ? 0 : mark.number;
			this.#press();
			this.lit(this.pinned);
		});
		return make('li', { 'data-kind': mark.kind }, button);
	}

	#press() {
		for (const button of this.list.querySelectorAll('button'))
			button.setAttribute('aria-pressed', String(Number(button.dataset.number) === this.pinned));
	}

	show(marks) {
		byId('marks-box').hidden = marks.length === 0;
		const key = marks.map((mark) => `${mark.number} ${mark.unixMs} ${mark.text}`).join('\n');
		if (key === this.key) return;
		this.key = key;
		const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.number : null;
		// Numbers follow from what is known: they may mean another mark now.
		this.pinned = 0;
		this.lit(0);
		this.list.replaceChildren(...marks.map((mark) => this.#row(mark)));
		if (focused === null) this.list.scrollTop = this.list.scrollHeight;
		else this.list.querySelector(`[data-number="${focused}"]`)?.focus({ preventScroll: true });
		setText(byId('marks-count'), `${marks.length}`);
	}
}
