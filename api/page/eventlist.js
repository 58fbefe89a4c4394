// SPDX-License-Identifier: BSD-3-Clause
// The list of events, and the fault that it tells of.
import { byId, make, setText } from './dom.js';
import { cause, place, span, timeOfDay } from './format.js';

const KEPT = 200;
// The words of --fault as a run tells them; "forgot all bindings" is over at once.
const FAULTS = /^(crashed|drains|loses|ignores|answers REGISTER with|answers \d+ ms late)/;

export class EventList {
	constructor() {
		this.list = byId('events');
		this.faults = new Map(); // proxy: { text, unixMs, told: in an event, not found by looking }
		this.showFault(0);
		byId('events-phones').addEventListener('change', (event) =>
			this.list.classList.toggle('no-phones', !event.target.checked));
	}

	// Another run: what was wrong with the last one is over. Its events stay, they were seen.
	forgetFaults() {
		this.faults.clear();
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

	// { proxy, dead } when it tells of a crash or its end, else null.
	alert({ level, text, unix_ms: unixMs }) {
		this.#add('alert', unixMs, level, text);
		// Faults are told in words, as the terminal tells them: "the primary proxy crashed".
		const told = /^the (primary|redundant) proxy (.*)/.exec(text);
		if (told === null) return null;
		const [, proxy, what] = told;
		if (what === 'serves again') this.faults.delete(proxy);
		else if (FAULTS.test(what)) this.faults.set(proxy, { text, unixMs, told: true });
		return what === 'serves again' || what === 'crashed' ? { proxy, dead: what === 'crashed' } : null;
	}

	// What /api/v1/proxies says: also of what began before this page was opened.
	look({ id, dead_since_unix_ms: since }) {
		const known = this.faults.get(id);
		if (since === null && known && !known.told) this.faults.delete(id);
		if (since !== null && !known)
			this.faults.set(id, { text: `the ${id} proxy does not answer`, unixMs: since, told: false });
	}

	proxy({ proxy, answering, unix_ms: unixMs }) {
		this.#add('proxy', unixMs, answering ? 'info' : 'warning',
			answering ? `the ${proxy} proxy answers` : `the ${proxy} proxy does not answer any more`);
		this.look({ id: proxy, dead_since_unix_ms: answering ? null : unixMs });
	}

	transition({ phone, from, to, cause: word, unix_ms: unixMs }) {
		// A step on the way is not worth a line.
		if (from.proxy === to.proxy && from.registered === to.registered) return;
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
