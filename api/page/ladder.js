// SPDX-License-Identifier: BSD-3-Clause
// A phone's messages as a ladder: one small SVG per message, so that its lifelines go on from row to
// row, and below each row the message's text when it is opened.
import { byId, make, makeSvg, setText } from './dom.js';
import { timeOfDay } from './format.js';

const HEIGHT = 34;
const ARROW_Y = 23;

// Two lifelines, or three when both proxies have been spoken to. Places in percent of the width.
function lifelinesOf(messages) {
	const proxies = new Set(messages.map((m) => m.proxy));
	if (proxies.size < 2) {
		const [only = 'primary'] = proxies;
		return [{ name: 'phone', label: 'phone', at: 22 }, { name: only, label: only, at: 86 }];
	}
	return [
		{ name: 'primary', label: 'primary', at: 18 },
		{ name: 'phone', label: 'phone', at: 53 },
		{ name: 'redundant', label: 'redundant', at: 88 },
	];
}

// "REGISTER", or "200 OK": what stands on the arrow.
export function shortName(firstLine) {
	if (firstLine.startsWith('SIP/2.0 ')) return firstLine.slice(8);
	return firstLine.split(' ')[0];
}

// "+0.50 s" after the message before.
function gap(us) {
	if (us < 1000) return `+${us} \u00b5s`;
	if (us < 100000) return `+${(us / 1000).toFixed(1)} ms`;
	return `+${(us / 1e6).toFixed(2)} s`;
}

function arrow(message, lifelines, again) {
	const at = (name) => lifelines.find((l) => l.name === name).at;
	const sent = message.direction === 'sent';
	const from = at(sent ? 'phone' : message.proxy);
	const to = at(sent ? message.proxy : 'phone');
	const right = to > from;
	const name = shortName(message.first_line);
	// A challenge is asked for by protocol, it refuses nothing.
	const status = !/^\d\d\d/.test(name) ? 'request' : /^(401|407|1)/.test(name) ? 'between'
		: /^2/.test(name) ? 'accepted' : 'refused';
	const svg = makeSvg('svg', { class: `arrow ${status} ${message.proxy}`, height: HEIGHT, width: '100%',
		'aria-hidden': 'true', focusable: 'false' });
	for (const l of lifelines)
		svg.append(makeSvg('line', { class: 'lifeline', x1: `${l.at}%`, x2: `${l.at}%`, y1: 0, y2: HEIGHT }));
	svg.append(makeSvg('line', { class: 'shaft', x1: `${from}%`, x2: `${to}%`, y1: ARROW_Y, y2: ARROW_Y }));
	// The head: percentages cannot stand in a path, so it is drawn at 0 of an inner picture.
	const head = makeSvg('svg', { x: `${to}%`, y: ARROW_Y, overflow: 'visible' });
	head.append(makeSvg('path', { class: 'head', d: right ? 'M0 0 L-8 -4 L-8 4 Z' : 'M0 0 L8 -4 L8 4 Z' }));
	const label = makeSvg('text', { class: 'label', x: `${(from + to) / 2}%`, y: ARROW_Y - 7,
		'text-anchor': 'middle' });
	label.textContent = again ? `${name} again` : name;
	svg.append(head, label);
	return svg;
}

export class Ladder {
	constructor() {
		this.list = byId('ladder');
		this.clear();
	}

	clear() {
		this.shown = '';
		this.open = new Set();
		this.list.replaceChildren();
		byId('ladder-head').replaceChildren();
		setText(byId('ladder-note'), '');
	}

	show(trace) {
		const { messages } = trace;
		const last = messages[messages.length - 1];
		const key = `${messages.length} ${messages[0]?.unix_us} ${last?.unix_us} ${trace.dropped}`;
		if (key === this.shown) return;
		this.shown = key;
		setText(byId('ladder-note'), this.#note(trace));
		const lifelines = lifelinesOf(messages);
		byId('ladder-head').replaceChildren(...(messages.length > 0 ? [this.#head(lifelines)] : []));
		const focused = document.activeElement.dataset.message;
		const rows = messages.map((message, i) =>
			this.#row(message, messages[i - 1], lifelines, messages.slice(0, i)));
		this.list.replaceChildren(...rows);
		// Who is at a message with the keyboard stays there when another one comes.
		if (focused) rows.map((row) => row.firstChild).find((button) =>
			button.dataset.message === focused)?.focus({ preventScroll: true });
	}

	#note({ since_unix_us: since, dropped, messages }) {
		if (messages.length === 0)
			return 'Messages are kept from now on, since this phone is being looked at. None yet.';
		const lost = dropped > 0 ? `, ${dropped} older ones dropped` : '';
		return `${messages.length} since ${timeOfDay(since / 1000)}${lost}; credentials are masked.`;
	}

	#head(lifelines) {
		const svg = makeSvg('svg', { height: 22, width: '100%' });
		for (const l of lifelines) {
			const text = makeSvg('text', { class: `actor ${l.name}`, x: `${l.at}%`, y: 15, 'text-anchor': 'middle' });
			text.textContent = l.label;
			svg.append(text);
		}
		return svg;
	}

	#row(message, before, lifelines, earlier) {
		const key = `${message.unix_us} ${message.direction} ${message.first_line}`;
		const again = message.direction === 'sent' && earlier.some((m) =>
			m.direction === 'sent' && m.proxy === message.proxy && m.text === message.text);
		const text = make('pre', {}, message.text);
		text.hidden = !this.open.has(key);
		const when = timeOfDay(message.unix_us / 1000, 3);
		const button = make('button', { type: 'button', 'aria-expanded': String(!text.hidden), 'data-message': key,
			'aria-label': `${when}, ${message.direction} ${message.direction === 'sent' ? 'to' : 'by'} the ` +
				`${message.proxy} proxy: ${message.first_line}` },
		make('span', { class: 'when' }, when.slice(3),
			make('small', {}, before ? gap(message.unix_us - before.unix_us) : '')),
		arrow(message, lifelines, again));
		button.addEventListener('click', () => {
			text.hidden = !text.hidden;
			button.setAttribute('aria-expanded', String(!text.hidden));
			if (text.hidden) this.open.delete(key);
			else this.open.add(key);
		});
		return make('li', { class: 'message' }, button, text);
	}
}
