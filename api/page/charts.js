// SPDX-License-Identifier: BSD-3-Clause
// The charts, drawn by Chart.js: what they show comes from outside, here is how.
import { marksNear, marksPlugin } from './chartmarks.js';
import { brief, clock, count, milliseconds, percent } from './format.js';

const Chart = window.Chart;
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif';

function colours() {
	const style = getComputedStyle(document.documentElement);
	return (name) => style.getPropertyValue(name).trim();
}

function axis(colour, more) {
	return {
		grid: { color: colour('--line'), drawBorder: false, drawTicks: false },
		ticks: { color: colour('--soft'), font: { family: FONT, size: 11 }, padding: 6, maxRotation: 0,
			...more.ticks },
		...more.axis,
	};
}

function options(colour, { x, y, tooltip, legend = {}, more = {} }) {
	return {
		animation: false,
		responsive: true,
		maintainAspectRatio: false,
		parsing: false,
		normalized: true,
		interaction: { mode: 'index', intersect: false },
		plugins: {
			legend: {
				align: 'start',
				labels: { color: colour('--text'), font: { family: FONT, size: 12 }, boxWidth: 10,
					boxHeight: 10, padding: 12, ...legend },
			},
			tooltip: {
				backgroundColor: colour('--tip'), titleColor: colour('--tip-text'),
				bodyColor: colour('--tip-text'), cornerRadius: 4, padding: 8, displayColors: true,
				boxWidth: 8, boxHeight: 8, titleFont: { family: FONT, size: 12, weight: '600' },
				bodyFont: { family: FONT, size: 12 }, footerFont: { family: FONT, size: 12, weight: '600' },
				footerColor: colour('--tip-text'), callbacks: tooltip,
			},
		},
		scales: { x, y },
		...more,
	};
}

function line(colour, label, name, more = {}) {
	return {
		label,
		data: [],
		borderColor: colour(name),
		backgroundColor: colour(name),
		borderWidth: 1.75,
		pointRadius: 0,
		pointHitRadius: 6,
		tension: 0,
		...more,
	};
}

const agoText = (x) => (x === 0 ? 'now' : `\u2212${clock(-x)}`);

// A chart with time on its x axis: marks of drills on it, and in its tooltip.
class Timed {
	constructor(canvas) {
		this.canvas = canvas;
		this.marks = []; // { x, number, kind, text, unixMs }
		this.lit = 0;
		this.plugin = marksPlugin(() => this);
	}

	near(items) {
		return items.length > 0 ? marksNear(this.marks, this.chart, items[0].element.x) : [];
	}

	light(number) {
		this.lit = number;
		this.chart.draw();
	}
}

// Lines over the newest seconds: fields of the time line.
class Trend extends Timed {
	constructor(canvas, lines) {
		super(canvas);
		Object.assign(this, { lines, seconds: [], range: 300, done: [] });
		this.#make();
	}

	#make() {
		const colour = colours();
		this.chart = new Chart(this.canvas, {
			type: 'line',
			plugins: [this.plugin],
			data: { datasets: this.lines.map(([, label, name]) => line(colour, label, name)) },
			options: options(colour, {
				x: axis(colour, { axis: { type: 'linear', min: -this.range, max: 0 },
					ticks: { stepSize: this.range / 5, callback: agoText } }),
				y: axis(colour, { axis: { beginAtZero: true, suggestedMax: 10, grace: '12%' },
					ticks: { maxTicksLimit: 5, precision: 0, callback: brief } }),
				tooltip: {
					title: (items) => (items[0].parsed.x > -1 ? 'now'
						: `${clock(-items[0].parsed.x)} ago`),
					label: (item) => ` ${item.dataset.label}: ${count(item.parsed.y)} /s`,
					footer: (items) => this.near(items),
				},
			}),
		});
	}

	recolour() {
		this.chart.destroy();
		this.#make();
		this.show(this.seconds, this.range, this.done);
	}

	// done: marks with at_s, on the clock of the seconds.
	show(seconds, range, done) {
		Object.assign(this, { seconds, range, done });
		const newest = seconds.length > 0 ? seconds[seconds.length - 1].at_s : 0;
		// A young run fills the chart too: whole minutes, as many as there are.
		const lived = seconds.length > 0 ? newest - seconds[0].at_s : 0;
		const shown = Math.min(range, Math.max(60, Math.ceil(lived / 60) * 60));
		const seen = seconds.filter((s) => s.at_s >= newest - shown - 1);
		this.lines.forEach(([field], i) => {
			this.chart.data.datasets[i].data = seen.map((s) => ({ x: s.at_s - newest, y: s[field] }));
		});
		this.marks = done.map((mark) => ({ ...mark, x: Math.min(0, mark.at_s - newest) }));
		const { x } = this.chart.options.scales;
		x.min = -shown;
		x.ticks.stepSize = shown / (shown % 300 === 0 ? 5 : 4);
		this.chart.update('none');
	}
}

// Phones back in service: what was measured over what is predicted.
class Recovery extends Timed {
	constructor(canvas) {
		super(canvas);
		this.measured = [];
		this.predicted = [];
		this.#make();
	}

	#make() {
		const colour = colours();
		this.chart = new Chart(this.canvas, {
			type: 'line',
			plugins: [this.plugin],
			data: { datasets: [
				line(colour, 'measured', '--c-measured', { borderWidth: 2.25, pointStyle: 'line' }),
				line(colour, 'predicted', '--soft', { borderDash: [4, 3], borderWidth: 1.5, pointStyle: 'line' }),
			] },
			options: options(colour, {
				x: axis(colour, { axis: { type: 'linear', min: 0 },
					ticks: { maxTicksLimit: 9, callback: (x) => `${x} s` } }),
				y: axis(colour, { axis: { min: 0, max: 1.1 },
					ticks: { stepSize: 0.25, includeBounds: false, callback: (y) => `${y * 100} %` } }),
				tooltip: {
					title: (items) => `${items[0].parsed.x.toFixed(1)} s after it began`,
					label: (item) => ` ${item.dataset.label}: ${percent(item.parsed.y)}`,
					footer: (items) => this.near(items),
				},
				legend: { usePointStyle: true },
				more: { interaction: { mode: 'nearest', axis: 'x', intersect: false } },
			}),
		});
	}

	recolour() {
		this.chart.destroy();
		this.#make();
		this.show(this.measured, this.predicted, this.marks);
	}

	// marks: x is seconds of the wave.
	show(measured, predicted, marks) {
		Object.assign(this, { measured, predicted, marks });
		const [first, second] = this.chart.data.datasets;
		first.data = measured;
		second.data = predicted;
		const last = (list) => (list.length > 0 ? list[list.length - 1].x : 0);
		this.chart.options.scales.x.max = Math.ceil(Math.max(last(measured), last(predicted), 1));
		this.chart.update('none');
	}
}

// One bar per phase: the middle half in full, from 1 to 99 of 100 pale.
class Phases {
	constructor(canvas) {
		this.canvas = canvas;
		this.phases = [];
		this.#make();
	}

	#make() {
		const colour = colours();
		const bar = (label, name, thickness) => ({ label, data: [], backgroundColor: colour(name),
			grouped: false, barThickness: thickness, borderRadius: 2, borderSkipped: false, minBarLength: 2 });
		this.chart = new Chart(this.canvas, {
			type: 'bar',
			data: { datasets: [bar('middle half', '--c-half', 12), bar('1 to 99 of 100', '--c-most', 12)] },
			options: options(colour, {
				x: axis(colour, { axis: { type: 'linear', beginAtZero: true },
					ticks: { maxTicksLimit: 8, callback: (x) => `${x} s` } }),
				y: axis(colour, { axis: { type: 'category', labels: [], grid: { display: false } },
					ticks: { color: colour('--text') } }),
				tooltip: {
					label: (item) => {
						const [low, high] = item.raw.x;
						return ` ${item.dataset.label}: ${milliseconds(low * 1000)} to ${milliseconds(high * 1000)}`;
					},
				},
				more: { indexAxis: 'y', parsing: true, interaction: { mode: 'index', axis: 'y', intersect: false } },
			}),
		});
	}

	recolour() {
		this.chart.destroy();
		this.#make();
		this.show(this.phases);
	}

	// { label, ranges: [[low, high] of the half, of most] in seconds, or null without samples }
	show(phases) {
		this.phases = phases;
		this.chart.options.scales.y.labels = phases.map((p) => p.label);
		[0, 1].forEach((which) => {
			this.chart.data.datasets[which].data = phases
				.filter((p) => p.ranges !== null)
				.map((p) => ({ x: p.ranges[which], y: p.label }));
		});
		this.chart.update('none');
	}
}

export class Charts {
	constructor(byId) {
		this.switches = new Trend(byId('chart-switches'), [
			['failovers', 'fail-overs', '--c-over'],
			['failbacks', 'fail-backs', '--c-back'],
			['silent', 'time-outs', '--c-silent'],
		]);
		this.requests = new Trend(byId('chart-requests'), [
			['options_sent', 'OPTIONS', '--c-options'],
			['register_sent', 'REGISTER', '--c-register'],
			['retransmitted', 'sent again', '--c-again'],
		]);
		this.recovery = new Recovery(byId('chart-recovery'));
		this.phases = new Phases(byId('chart-phases'));
		this.timed = [this.switches, this.requests, this.recovery];
		window.addEventListener('sipherd-theme', () => {
			for (const chart of [...this.timed, this.phases]) chart.recolour();
		});
	}

	// The mark that somebody looks at; 0: none.
	light(number) {
		for (const chart of this.timed) chart.light(number);
	}
}
