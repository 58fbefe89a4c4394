// SPDX-License-Identifier: BSD-3-Clause
// The load: how many phones are on, how fast they are started, and a pause of that.
import { getJson, send } from './api.js';
import { byId, setText } from './dom.js';
import { count } from './format.js';

function loadText({ phones, ramp_per_s: ramp, paused }, all) {
	const speed = ramp === 0 ? 'all at once' : `${count(ramp)} a second`;
	const who = all > 0 ? `${count(phones)} of ${count(all)} phones` : `${count(phones)} phones`;
	return `${who} are to be on, started ${speed}${paused ? '; starting is paused' : ''}.`;
}

export class LoadControl {
	// phones() -> of the fleet; 0: not known yet.
	constructor(phones) {
		this.phones = phones;
		this.load = null;
		byId('load-form').addEventListener('submit', (event) => {
			event.preventDefault();
			this.#apply();
		});
		byId('load-pause').addEventListener('click', () => this.#change({ paused: !this.load?.paused }));
	}

	async refresh() {
		this.#show(await getJson('load'));
	}

	#show(load) {
		this.load = load;
		setText(byId('load-now'), loadText(load, this.phones()));
		byId('load-phones').placeholder = String(load.phones);
		byId('load-ramp').placeholder = String(load.ramp_per_s);
		if (this.phones() > 0) byId('load-phones').max = String(this.phones());
		setText(byId('load-pause'), load.paused ? 'Go on starting' : 'Pause starting');
		byId('load').dataset.paused = String(load.paused);
	}

	// Empty fields stay as they are.
	#apply() {
		const body = {};
		for (const [id, name] of [['load-phones', 'phones'], ['load-ramp', 'ramp_per_s']])
			if (byId(id).value !== '') body[name] = Number(byId(id).value);
		if (Object.keys(body).length === 0) setText(byId('load-result'), 'Give a number of phones, or how many a second.');
		else this.#change(body);
	}

	async #change(body) {
		const result = byId('load-result');
		setText(result, '');
		try {
			this.#show(await send('PATCH', 'load', body));
			setText(result, 'Accepted.');
			byId('load-form').reset();
		} catch (problem) {
			setText(result, `Not changed: ${problem.message}`);
		}
	}
}
