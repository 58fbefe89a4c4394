// SPDX-License-Identifier: BSD-3-Clause
// Takes the text of an event stream apart, however it was cut on its way. Pure.

const LINE_MAX = 4 << 20; // longer lines are no events of ours

export class EventParser {
	// event({ id, name, data }): id is that of the last event that had one.
	constructor(event) {
		this.event = event;
		this.id = '';
		this.#begin();
		this.rest = '';
	}

	#begin() {
		this.name = '';
		this.data = [];
	}

	push(text) {
		const lines = (this.rest + text).split('\n');
		this.rest = lines.pop();
		if (this.rest.length > LINE_MAX) throw new Error('a line of the event stream has no end');
		for (const line of lines) this.#line(line.endsWith('\r') ? line.slice(0, -1) : line);
	}

	#line(line) {
		if (line === '') {
			this.#finish();
			return;
		}
		const colon = line.indexOf(':');
		if (colon === 0) return; // a comment: somebody is there
		const field = colon < 0 ? line : line.slice(0, colon);
		const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
		if (field === 'event') this.name = value;
		else if (field === 'data') this.data.push(value);
		else if (field === 'id' && !value.includes('\0')) this.id = value;
	}

	#finish() {
		if (this.data.length > 0)
			this.event({ id: this.id, name: this.name || 'message', data: this.data.join('\n') });
		this.#begin();
	}
}
