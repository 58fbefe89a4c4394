// SPDX-License-Identifier: BSD-3-Clause
// The list of events, and the fault that it tells of.
import { byId, make, setText } from './dom.js';
import { cause, place, span, timeOfDay } from './format.js';

const KEPT = 200;

export class EventList {
	constructor() {
		this.list = byId('events');
		this.faults = new Map(); // proxy: { text, unixMs, told: in an event, not found by looking }
		this.reset();
		byId('events-phones').addEventListener('change', (event) =>
			this.list.classList.toggle('no-phones', !event.target.checked));
	}

	reset() {
		this.faults.clear();
		this.list.replaceChildren();
		this.showFault(0);
	}

	#add(kind, unixMs, level, ...content) {
		const row = make('li', { 'data-kind': kind, class: level },
			make('time', { datetime: new Date(unixMs).toISOString() }, timeOfDay(unixMs)),
			make('span', {}, ...content));
		this.list.prepend(row);
		// Single phones are many: they go first when there is no more room.
		while (this.list.children.length > KEPT) {
			const phones = this.list.querySelectorAll('[data-kind="transition"]');
			(phones[phones.length - 1] ?? this.list.lastElementChild).remove();
		}
	}

	alert({ level, text, unix_ms: unixMs }) {
		this.#add('alert', unixMs, level, text);
		this.#watch(text, unixMs);
	}

	// Faults are told in words, as the terminal tells them.
	#watch(text, unixMs) {
		const told = /\b(primary|redundant) proxy (.*)/.exec(text);
		if (told === null) return;
		if (/serves again|restored|returned/.test(told[2])) this.faults.delete(told[1]);
		else if (/crash|drain|slow|delay|loss|reject/.test(told[2]))
			this.faults.set(told[1], { text, unixMs, told: true });
	}

	// What /api/v1/proxies says: for a fault that began before this page was opened.
	look({ id, dead_since_unix_ms: since }) {
		const known = this.faults.get(id);
		if (since === null && known && !known.told) this.faults.delete(id);
		if (since !== null && !known)
			this.faults.set(id, { text: `the ${id} proxy does not answer`, unixMs: since, told: false });
	}

	proxy({ proxy, answering, unix_ms: unixMs }) {
		this.#add('proxy', unixMs, answering ? 'info' : 'warning',
			answering ? `the ${proxy} proxy answers` : `the ${proxy} proxy does not answer any more`);
		if (answering) this.faults.delete(proxy);
		else if (!this.faults.has(proxy))
			this.faults.set(proxy, { text: `the ${proxy} proxy does not answer`, unixMs, told: true });
	}

	transition({ phone, from, to, cause: word, unix_ms: unixMs }) {
		this.#add('transition', unixMs, 'single', make('a', { href: `#phone=${phone}` }, `phone ${phone}`),
			` ${place(from)} \u2192 ${place(to)}, ${cause(word)}`);
	}

	note(unixMs, level, text) {
		this.#add('alert', unixMs, level, text);
	}

	showFault(nowMs) {
		const element = byId('fault');
		const [fault] = [...this.faults.values()].sort((a, b) => b.unixMs - a.unixMs);
		element.dataset.active = String(fault !== undefined);
		setText(element, fault === undefined ? 'No fault is active.'
			: `Fault now: ${fault.text}, for ${span((nowMs - fault.unixMs) / 1000)}.`);
	}
}
