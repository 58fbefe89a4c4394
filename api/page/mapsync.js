// SPDX-License-Identifier: BSD-3-Clause
// Keeps a MapState equal to the fleet: fetches the map when it must, applies batches in their order,
// and fetches again when one is missing. Pure but for the functions it is given.

const QUEUE_MAX = 256; // batches kept while a map is on its way; more than that is a new map's job

export class MapSync {
	// fetchMap() -> Promise of a decoded map; nowS() -> second; changed(phones | null); wait(ms) -> Promise.
	constructor({ state, fetchMap, nowS, changed, wait }) {
		Object.assign(this, { state, fetchMap, nowS, changed, wait });
		this.queue = [];
		this.wanted = -1; // the map must be of this sequence or later
		this.busy = false;
		this.round = 0; // a reset makes what is on its way worthless
		this.fetches = 0;
	}

	// Nothing that was known counts any more: a new run of sipherd, or events were missed.
	reset(sequence) {
		this.round++;
		this.queue.length = 0;
		this.busy = false;
		this.wanted = -1;
		this.state.sequence = -1;
		this.need(sequence);
	}

	need(sequence) {
		this.wanted = Math.max(this.wanted, sequence);
		if (!this.busy && this.state.sequence < this.wanted) this.#run(this.round);
	}

	// { sequence, records } with records decoded.
	delta(batch) {
		if (this.busy || this.state.sequence < 0) {
			this.queue.push(batch);
			if (this.queue.length > QUEUE_MAX) {
				this.wanted = Math.max(this.wanted, this.queue.shift().sequence);
			}
			return;
		}
		if (this.#apply(batch)) return;
		this.queue.push(batch);
		this.need(batch.sequence);
	}

	#apply(batch) {
		const phones = this.state.apply(batch.sequence, batch.records, this.nowS());
		if (phones === 'gap') return false;
		if (phones !== 'old') this.changed(phones);
		return true;
	}

	// True when all that waited is in the map.
	#drain() {
		while (this.queue.length > 0) {
			if (!this.#apply(this.queue[0])) {
				this.wanted = Math.max(this.wanted, this.queue[0].sequence);
				return false;
			}
			this.queue.shift();
		}
		return this.state.sequence >= this.wanted;
	}

	async #run(round) {
		this.busy = true;
		for (let pause = 100; round === this.round; pause = Math.min(2000, pause * 2)) {
			try {
				this.fetches++;
				const map = await this.fetchMap();
				if (round !== this.round) return;
				if (map.sequence >= this.wanted) {
					this.changed(this.state.load(map, this.nowS()));
					if (this.#drain()) break;
				}
			} catch {
				// No answer or half of one: asked again, as long as somebody wants it.
			}
			await this.wait(pause);
		}
		if (round === this.round) this.busy = false;
	}
}
