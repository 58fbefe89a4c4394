// SPDX-License-Identifier: BSD-3-Clause
// The event stream of /api/v1/events, read with fetch so that a token can go with it. Comes back by
// itself, where it stopped.
import { ask } from './api.js';
import { EventParser } from './sse.js';

const PAUSE_FIRST_MS = 250;
const PAUSE_MOST_MS = 5000;
const SILENCE_MS = 8000; // a tick comes each second: after so long the connection is dead

export class EventStream {
	// handlers: { [event name]: (data) => void }; status(word, nextTryMs, why): connecting, open, or
	// waiting because of why.
	constructor(handlers, status) {
		this.handlers = handlers;
		this.status = status;
		this.lastId = '';
		this.pause = PAUSE_FIRST_MS;
		this.skip = null; // ends the pause
		this.running = false;
		this.why = '';
	}

	start() {
		if (this.running) return;
		this.running = true;
		this.#loop();
	}

	// Somebody is looking, or the network is back: try now.
	hurry() {
		if (this.skip) this.skip();
	}

	async #loop() {
		for (;;) {
			this.status('connecting', 0, this.why);
			try {
				await this.#read();
				this.why = 'sipherd ended the connection';
			} catch (error) {
				this.why = error.name === 'AbortError' ? 'sipherd is silent' : error.message;
			}
			const pause = this.pause * (0.75 + Math.random() / 2);
			this.pause = Math.min(PAUSE_MOST_MS, this.pause * 2);
			this.status('waiting', pause, this.why);
			await new Promise((done) => {
				const timer = setTimeout(done, pause);
				this.skip = () => {
					clearTimeout(timer);
					done();
				};
			});
			this.skip = null;
		}
	}

	async #read() {
		const control = new AbortController();
		let watchdog = setTimeout(() => control.abort(), SILENCE_MS);
		try {
			const more = { Accept: 'text/event-stream' };
			if (this.lastId !== '') more['Last-Event-ID'] = this.lastId;
			const answer = await ask('/api/v1/events', { headers: more, signal: control.signal });
			const reader = answer.body.getReader();
			const decoder = new TextDecoder();
			const parser = new EventParser((event) => this.#take(event));
			parser.id = this.lastId;
			for (;;) {
				const { done, value } = await reader.read();
				if (done) return;
				clearTimeout(watchdog);
				watchdog = setTimeout(() => control.abort(), SILENCE_MS);
				parser.push(decoder.decode(value, { stream: true }));
			}
		} finally {
			clearTimeout(watchdog);
			control.abort();
		}
	}

	#take({ id, name, data }) {
		let parsed;
		try {
			parsed = JSON.parse(data);
		} catch {
			return; // not one of ours
		}
		if (name === 'hello') {
			this.pause = PAUSE_FIRST_MS;
			this.why = '';
			this.status('open', 0, '');
		}
		this.lastId = id;
		const handler = this.handlers[name];
		if (handler) handler(parsed);
	}
}
