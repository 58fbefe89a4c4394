// SPDX-License-Identifier: BSD-3-Clause
// The list of events, and what is wrong now.
import { byId, make, setText } from './dom.js';
import { cause, place, span, timeOfDay } from './format.js';

const KEPT = 200;
const PHASES = { began: 'begins', ended: 'is over', aborted: 'was aborted' };

export class EventList {
	constructor() {
		this.list = byId('events');
		this.silent = new Map(); // proxy: unixMs since when it does not answer, found by looking
		this.showFault(0, []);
		byId('events-phones').addEventListener('change', (event) =>
			this.list.classList.toggle('no-phones', !event.target.checked));
	}

	// Another run: what was wrong with the last one is over. Its events stay, they were seen.
	forgetFaults() {
		this.silent.clear();
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
	}

	drill({ title, phase, text, restores, unix_ms: unixMs }) {
		const what = PHASES[phase] ? `drill ${PHASES[phase]}: ${title}` : text;
		const more = phase !== 'step' && text && text !== title ? `, ${text}` : '';
		this.#add('drill', unixMs, phase === 'step' && !restores ? 'drill out' : 'drill', what, more);
	}

	// What /api/v1/proxies says: also of what began before this page was opened.
	look({ id, dead_since_unix_ms: since }) {
		if (since === null) this.silent.delete(id);
		else this.silent.set(id, since);
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

	// inForce: marks of what was done and not given back.
	showFault(nowMs, inForce) {
		const element = byId('fault');
		const unexplained = [...this.silent].filter(([proxy]) => !inForce.some((mark) => mark.proxy === proxy))
			.map(([proxy, unixMs]) => ({ text: `the ${proxy} proxy does not answer`, unixMs }));
		const faults = [...inForce, ...unexplained].sort((a, b) => b.unixMs - a.unixMs)
			.map(({ text, unixMs }) => `${text}, for ${span((nowMs - unixMs) / 1000)}`);
		element.dataset.active = String(faults.length > 0);
		setText(element, faults.length > 0 ? `Fault now: ${faults.join('; ')}.` : 'No fault is active.');
	}
}
