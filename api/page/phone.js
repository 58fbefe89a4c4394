// SPDX-License-Identifier: BSD-3-Clause
// One phone: the panel that the address's #phone=N opens.
import { Problem, ask, getJson, send } from './api.js';
import { byId, make, setFacts, setTable, setText } from './dom.js';
import { cause, clock, count, milliseconds, place, span, timeOfDay } from './format.js';
import { Ladder } from './ladder.js';
import { STATES } from './mapstate.js';

const LOOK_MS = 1000;
const COUNT_DOWN_MS = 100;

const REGISTER_WORDS = {
	boot: 'first REGISTER',
	switch: 'REGISTER after the switch',
	retry: 'REGISTER again',
	refresh: 'refresh',
};

// [name, milliseconds left at the time of the look] of the timers that run.
function timersOf({ timers, binding }) {
	const list = [];
	const add = (name, ms) => {
		if (ms !== null && ms !== undefined) list.push([name, ms]);
	};
	if (timers !== null) {
		add('keep-alive', timers.keepalive_in_ms);
		add('keep-alive times out', timers.keepalive_timeout_in_ms);
		add(REGISTER_WORDS[timers.register_what] ?? 'REGISTER', timers.register_in_ms);
		add('REGISTER times out', timers.register_timeout_in_ms);
	}
	if (binding && binding.expires_in_s !== null)
		add(`binding at the ${binding.proxy} proxy expires`, binding.expires_in_s * 1000);
	return list;
}

function bindingOf({ binding }) {
	if (!binding) return 'none';
	return binding.granted_s === null ? binding.proxy : `${binding.proxy}, granted ${clock(binding.granted_s)}`;
}

export class PhonePanel {
	// opened(phone or -1); now() -> sipherd's unix ms.
	constructor({ opened, now }) {
		Object.assign(this, { opened, now });
		this.panel = byId('phone');
		this.ladder = new Ladder();
		this.number = -1;
		this.round = 0;
		this.before = null; // what had the focus
		this.longest = new Map(); // timer: the most it was seen to have left
		byId('phone-close').addEventListener('click', () => this.#leave());
		this.panel.addEventListener('keydown', (event) => {
			if (event.key === 'Escape') this.#leave();
		});
		byId('phone-capture').addEventListener('click', () => this.#capture());
		for (const button of byId('phone-actions').querySelectorAll('button'))
			button.addEventListener('click', () => this.#act(button.dataset.action));
		window.addEventListener('hashchange', () => this.follow());
		setInterval(() => this.#countDown(), COUNT_DOWN_MS);
	}

	// The address says which phone.
	follow() {
		const told = /^#phone=(\d{1,10})$/.exec(location.hash);
		this.#show(told === null ? -1 : Number(told[1]));
	}

	#leave() {
		history.pushState(null, '', location.pathname + location.search);
		this.#show(-1);
	}

	#show(number) {
		if (number === this.number) return;
		this.number = number;
		this.round++;
		this.look = null;
		this.ladder.clear();
		this.longest.clear();
		for (const id of ['phone-user', 'phone-trouble', 'phone-result', 'phone-state']) setText(byId(id), '');
		for (const id of ['phone-facts', 'phone-timers', 'phone-history']) byId(id).replaceChildren();
		document.body.classList.toggle('with-phone', number >= 0);
		this.panel.hidden = number < 0;
		this.panel.dataset.phone = String(number);
		this.opened(number);
		if (number < 0) {
			this.before?.focus({ preventScroll: true });
			this.before = null;
			return;
		}
		this.before ??= document.activeElement;
		setText(byId('phone-title'), `Phone ${number}`);
		byId('phone-title').focus({ preventScroll: true });
		this.#watch(number, this.round);
	}

	async #watch(number, round) {
		while (round === this.round) {
			if (!document.hidden) await this.#lookOnce(number, round);
			await new Promise((done) => setTimeout(done, LOOK_MS));
		}
	}

	async #lookOnce(number, round) {
		try {
			const [look, trace] = await Promise.all([getJson(`phones/${number}`),
				getJson(`phones/${number}/trace`).catch((problem) => problem)]);
			if (round !== this.round) return;
			setText(byId('phone-trouble'), '');
			this.#render(look);
			if (trace instanceof Error) setText(byId('ladder-note'), trace.message);
			else this.ladder.show(trace);
		} catch (problem) {
			if (round !== this.round) return;
			setText(byId('phone-trouble'), problem instanceof Problem && problem.status === 404
				? `There is no phone ${number} in this fleet.` : `Cannot look: ${problem.message}`);
		}
	}

	#render(look) {
		this.look = { ...look, at: performance.now() };
		setText(byId('phone-user'), `${look.user}@${look.domain}`);
		const state = STATES.findIndex((s) => s.name === look.map_state);
		const badge = byId('phone-state');
		badge.className = `state-badge s${state}`;
		badge.replaceChildren(make('i', { class: `dot s${state}`, 'aria-hidden': 'true' }),
			STATES[state]?.label ?? look.map_state);
		setFacts(byId('phone-facts'), [
			['state', look.state],
			['for', span((this.now() - look.since_unix_ms) / 1000)],
			['proxy', look.registered ? look.proxy : `${look.proxy}, not registered`],
			['last cause', cause(look.cause)],
			['address', `${look.address}:${look.port}`],
			['owner', look.owner],
			['round trip', look.rtt_ms === null ? '\u2013' : milliseconds(look.rtt_ms)],
			['transition', count(look.transition)],
			['registrations', `${count(look.registrations_ok)} good, ${count(look.registrations_failed)} failed`],
			['keep-alives', `${count(look.keepalives_sent)} sent, ${count(look.keepalives_missed)} missed, ` +
				`${count(look.misses)} in a row`],
			['switches', `${count(look.failovers)} over, ${count(look.failbacks)} back`],
			['binding', bindingOf(look)],
		]);
		this.#countDown();
		const rows = look.transitions.map((t) => [timeOfDay(t.unix_ms, 3), place(t.from), place(t.to),
			t.phase, cause(t.cause)]);
		setTable(byId('phone-history'), ['time', 'from', 'to', 'phase', 'cause'], rows);
	}

	#countDown() {
		if (!this.look) return;
		const list = byId('phone-timers');
		const passed = performance.now() - this.look.at;
		const timers = timersOf(this.look);
		if (list.children.length !== Math.max(1, timers.length) || list.firstChild?.className === 'hint')
			list.replaceChildren(...timers.map(() => make('li', {}, make('span'), make('b'),
				make('span', { class: 'left', 'aria-hidden': 'true' }, make('i')))));
		if (timers.length === 0)
			list.replaceChildren(make('li', { class: 'hint' }, this.look.timers === null
				? 'Not known: another generator drives this phone, or its worker was not asked this time.'
				: 'No timer runs.'));
		timers.forEach(([name, ms], i) => {
			const left = Math.max(0, ms - passed);
			const most = Math.max(this.longest.get(name) ?? 1, ms);
			this.longest.set(name, most);
			const [label, figure, bar] = list.children[i].children;
			setText(label, name);
			setText(figure, left >= 60000 ? clock(left / 1000) : `${(left / 1000).toFixed(1)} s`);
			bar.firstChild.style.width = `${(left / most) * 100}%`;
		});
	}

	async #act(action) {
		const number = this.number;
		const result = byId('phone-result');
		setText(result, `${action} \u2026`);
		try {
			await send('POST', `phones/${number}/actions`, { action });
			setText(result, `${action}: accepted`);
		} catch (problem) {
			setText(result, `${action}: ${problem.message}`);
		}
	}

	// Fetched rather than linked to: a link cannot carry the token.
	async #capture() {
		const number = this.number;
		try {
			const answer = await ask(`/api/v1/phones/${number}/capture.pcapng`, { deliberate: true });
			const address = URL.createObjectURL(await answer.blob());
			const link = make('a', { href: address, download: `phone-${number}.pcapng` });
			link.click();
			setTimeout(() => URL.revokeObjectURL(address), 10000);
		} catch (problem) {
			setText(byId('phone-result'), `pcapng: ${problem.message}`);
		}
	}
}
