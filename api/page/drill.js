// SPDX-License-Identifier: BSD-3-Clause
// The drill console: choose and plan, confirm and start, watch and abort, and what came of it.
import { ask, getJson, readsNeedToken, send } from './api.js';
import { byId, make, setFacts, setTable, setText } from './dom.js';
import * as words from './drilltext.js';
import { clock, count, timeOfDay } from './format.js';
import { markOf } from './marks.js';

const ABORTS = ['drill-abort', 'drill-strip-abort'];

function field({ name, label, hint, choices, standard }) {
	const id = `drill-field-${name}`;
	const usual = standard === '' ? 'as suits' : standard;
	const input = choices
		? make('select', { id, name }, make('option', { value: '' }, standard === '' ? 'as suits' : `${standard} (default)`),
			...choices.filter((choice) => choice !== standard).map((choice) => make('option', { value: choice }, choice)))
		: make('input', { id, name, size: 10, maxlength: 64, autocomplete: 'off', spellcheck: 'false',
			placeholder: standard === '' && hint !== '' ? `as ${hint}` : usual });
	return make('div', { class: 'field' }, make('label', { for: id }, label), input);
}

export class DrillConsole {
	// fleet() -> its name; marked(marks): what sipherd remembers to have done.
	constructor({ fleet, marked }) {
		Object.assign(this, { fleet, marked });
		this.catalogue = [];
		this.hooks = [];
		this.running = null; // of GET drills, and at: when it was said, performance.now()
		this.step = ''; // its newest step, in words
		this.planned = null; // the body of the request that is shown as a plan
		this.waves = []; // of drills seen here: { drill, kind, at_s of the run, concerned }
		this.results = new Map(); // id: element of `drills`
		this.shown = 0; // the drill whose result is shown
		this.asked = 0;
		this.answered = 0;
		this.looks = 0;
		this.told = false; // ticks tell of drills: there is something to ask for
		this.#listen();
	}

	#listen() {
		byId('drill-name').addEventListener('change', () => this.#choose());
		byId('drill-form').addEventListener('submit', (event) => {
			event.preventDefault();
			this.#plan();
		});
		byId('drill-form').addEventListener('input', () => this.#forgetPlan());
		byId('drill-confirm').addEventListener('submit', (event) => {
			event.preventDefault();
			this.#start();
		});
		byId('drill-fleet').addEventListener('input', () => this.#wrongName(''));
		for (const id of ABORTS) byId(id).addEventListener('click', () => this.#abort());
		byId('drill-strip-name').addEventListener('click', () => {
			byId('drills').scrollIntoView({ block: 'start' });
			byId('drill-title').focus({ preventScroll: true });
		});
		setInterval(() => this.#showClock(), 250);
	}

	/* --- What sipherd says --- */

	// Another run: its drills have numbers of their own.
	forget() {
		this.results.clear();
		this.waves = [];
		this.running = null;
		this.#turn(0);
		this.#showResult(0);
		this.#forgetPlan();
		this.told = false; // the next tick asks
	}

	async refresh() {
		const round = ++this.asked;
		const told = await getJson('drills');
		// A later question was answered already.
		if (round < this.answered) return;
		this.answered = round;
		const { running, catalogue, plans, hooks, finished, marks } = told;
		this.#offer(catalogue, plans, hooks);
		this.marked(marks.map(markOf));
		this.step = marks.filter(({ id, phase }) => id === running?.id && phase === 'step').pop()?.text ?? '';
		const before = this.running?.id ?? 0;
		this.running = running ? { ...running, at: performance.now() } : null;
		if (running) this.#keepWaves(running, told.at_s - running.at_ms / 1000);
		if (before !== (running?.id ?? 0)) this.#turn(before);
		this.#showRunning();
		this.#listFinished(finished);
		if (finished.some(({ id }) => id === this.shown)) await this.#learn(this.shown);
	}

	#keepWaves({ id, waves }, begin) {
		const others = this.waves.filter(({ drill }) => drill !== id);
		this.waves = [...others, ...waves.filter(({ begun }) => begun).map(({ kind, at_ms: at, concerned }) =>
			({ drill: id, kind, at_s: begin + at / 1000, concerned }))].slice(-64);
	}

	// Once a second: while one runs its waves grow, else little changes.
	async look() {
		this.looks = (this.looks + 1) % 5;
		if (this.told && (this.running !== null || this.looks === 0)) await this.refresh();
	}

	event() {
		this.refresh().catch(() => {});
	}

	// drill: null, or the one that runs: { id, at_ms, end_ms }
	tick(drill) {
		if (drill === undefined) return;
		if (this.running && drill && drill.id === this.running.id)
			Object.assign(this.running, drill, { at: performance.now() });
		// An event may have been missed.
		if (!this.told || (drill?.id ?? 0) !== (this.running?.id ?? 0)) this.refresh().catch(() => {});
		this.told = true;
	}

	// The result that somebody waits for.
	async #learn(id) {
		if (this.results.has(id)) return;
		this.results.set(id, await getJson(`drills/${id}`));
		if (id === this.shown) this.#showResult(id);
	}

	/* --- Choosing --- */

	#offer(catalogue, plans, hooks) {
		const key = JSON.stringify([catalogue, plans, hooks]);
		if (key === this.offered) return;
		Object.assign(this, { offered: key, catalogue, hooks });
		const select = byId('drill-name');
		const chosen = select.value;
		const options = (names) => names.map((name) => make('option', { value: name }, name));
		select.replaceChildren(make('optgroup', { label: 'Catalogue' }, ...options(catalogue.map((entry) => entry.name))));
		if (plans.length > 0)
			select.append(make('optgroup', { label: 'Plans of the fleet file' },
				...options(plans)));
		if (chosen !== '') select.value = chosen;
		if (select.selectedIndex < 0) select.selectedIndex = 0;
		this.#choose();
	}

	#choose() {
		const entry = this.catalogue.find(({ name }) => name === byId('drill-name').value);
		setText(byId('drill-question'), entry ? words.questionText(entry.question)
			: 'A plan of the fleet file: several drills, one behind the other.');
		byId('drill-fields').replaceChildren(...(entry ? words.fieldsOf(entry, this.hooks).map(field) : []));
		this.#forgetPlan();
	}

	#body() {
		const values = Object.fromEntries([...byId('drill-fields').querySelectorAll('input, select')]
			.map((input) => [input.name, input.value]));
		return words.bodyOf(byId('drill-name').value, values);
	}

	/* --- Plan --- */

	#forgetPlan() {
		this.planned = null;
		byId('drill-plan').hidden = true;
		byId('drill-fleet').value = '';
		this.#wrongName('');
		this.#trouble('');
	}

	async #plan() {
		this.#forgetPlan();
		const body = this.#body();
		const button = byId('drill-show');
		button.setAttribute('aria-busy', 'true');
		try {
			const plan = await send('POST', 'drills', { ...body, dry_run: true });
			// Something else was chosen meanwhile.
			if (JSON.stringify(this.#body()) !== JSON.stringify(body)) return;
			this.planned = body;
			this.#showPlan(plan);
		} catch (problem) {
			this.#trouble(`No plan: ${problem.message}`);
		} finally {
			button.removeAttribute('aria-busy');
		}
	}

	#showPlan(plan) {
		setText(byId('drill-plan-title'), `Plan: ${plan.title}`);
		setFacts(byId('drill-plan-facts'), words.planFacts(plan));
		setTable(byId('drill-steps'), ['at', 'what is done'], words.planRows(plan));
		setText(byId('drill-fleet-name'), this.fleet());
		byId('drill-plan').hidden = false;
		byId('drill-plan-title').focus({ preventScroll: true });
		byId('drill-plan').scrollIntoView({ block: 'nearest' });
	}

	#wrongName(text) {
		setText(byId('drill-fleet-wrong'), text);
		byId('drill-fleet').setAttribute('aria-invalid', String(text !== ''));
	}

	async #start() {
		const confirm = byId('drill-fleet').value.trim();
		if (this.planned === null) return;
		if (confirm !== this.fleet()) {
			this.#wrongName(`That is not the name of this fleet, ${this.fleet()}. Nothing was started.`);
			byId('drill-fleet').focus();
			return;
		}
		this.#trouble('');
		try {
			const { id } = await send('POST', 'drills', { ...this.planned, dry_run: false, confirm });
			this.#forgetPlan();
			this.#showResult(0);
			this.shown = id;
			await this.refresh();
			byId('drill-title').focus({ preventScroll: true });
			byId('drills').scrollIntoView({ block: 'nearest' });
		} catch (problem) {
			this.#trouble(`Not started: ${problem.message}`);
		}
	}

	#trouble(text) {
		setText(byId('drill-trouble'), text);
		if (text !== '') byId('drill-trouble').scrollIntoView({ block: 'nearest' });
	}

	/* --- While it runs --- */

	// One began or ended; before: the id of the one that ran.
	#turn(before) {
		const running = this.running !== null;
		const focused = byId('drill-running').contains(document.activeElement) ||
			document.activeElement.id === 'drill-strip-abort';
		byId('drill-running').hidden = !running;
		byId('drill-strip').hidden = !running;
		byId('drill-form').hidden = running;
		byId('drills').dataset.running = String(this.running?.id ?? 0);
		document.body.classList.toggle('with-drill', running);
		if (running) {
			this.#forgetPlan();
			this.#showResult(0);
			for (const id of ABORTS) byId(id).removeAttribute('aria-busy');
		} else {
			this.shown = before;
			if (this.results.has(before)) this.#showResult(before);
			if (focused) byId('drills-title').focus({ preventScroll: true });
		}
	}

	#showRunning() {
		const { running } = this;
		if (running === null) return;
		setText(byId('drill-title'), running.title);
		setText(byId('drill-strip-name'), running.title);
		const step = words.stepText(running);
		setText(byId('drill-step'), this.step === '' ? step : `${step}: ${this.step}`);
		setText(byId('drill-strip-step'), words.outText(running));
		this.#showWaves(running.waves ?? []);
		this.#showClock();
	}

	#showWaves(waves) {
		const list = byId('drill-waves');
		if (list.children.length !== waves.length)
			list.replaceChildren(...waves.map(() => make('li', {}, make('b'), make('span', { class: 'wave-state' }),
				make('span', { class: 'wave-bar', 'aria-hidden': 'true' }, make('i', { class: 'noticed' }), make('i')),
				make('span', { class: 'wave-figures' }))));
		waves.forEach((wave, i) => {
			const [name, state, bar, figures] = list.children[i].children;
			const { concerned, detected, back } = wave;
			list.children[i].dataset.wave = wave.name;
			list.children[i].dataset.running = String(wave.running);
			setText(name, wave.text || wave.name);
			setText(state, words.waveState(wave));
			bar.children[0].style.width = `${words.waveShare(detected, concerned) * 100}%`;
			bar.children[1].style.width = `${words.waveShare(back, concerned) * 100}%`;
			setText(figures, wave.begun ? `${count(concerned)} concerned \u00b7 ${words.shareText(detected, concerned)} ` +
				`noticed \u00b7 ${words.shareText(back, concerned)} back` : '');
		});
	}

	#showClock() {
		const { running } = this;
		if (running === null) return;
		const at = running.at_ms + (performance.now() - running.at);
		const left = words.leftText(running.end_ms - at);
		setText(byId('drill-left'), `${clock(at / 1000)} of ${clock(running.end_ms / 1000)} \u00b7 ${left}`);
		setText(byId('drill-next'), words.nextText(running.next, at));
		setText(byId('drill-strip-left'), left);
		byId('drill-bar').style.width = `${Math.min(1, at / Math.max(1, running.end_ms)) * 100}%`;
	}

	async #abort() {
		if (this.running === null) return;
		const { id } = this.running;
		for (const button of ABORTS) byId(button).setAttribute('aria-busy', 'true');
		this.#trouble('');
		try {
			await send('POST', `drills/${id}/abort`, {});
			await this.refresh();
		} catch (problem) {
			this.#trouble(`Not aborted: ${problem.message}`);
		} finally {
			for (const button of ABORTS) byId(button).removeAttribute('aria-busy');
		}
	}

	/* --- Afterwards --- */

	// 0: none.
	#showResult(id) {
		const result = this.results.get(id);
		this.shown = id;
		byId('drill-result').hidden = result === undefined;
		for (const button of byId('drill-finished').querySelectorAll('button'))
			button.setAttribute('aria-pressed', String(Number(button.dataset.id) === id && result !== undefined));
		if (result === undefined) return;
		const { good, text } = words.verdictOf(result);
		setText(byId('drill-result-title'), `${result.title}, ${timeOfDay(result.begin_unix_ms)}`);
		const verdict = byId('drill-verdict');
		verdict.dataset.good = String(good);
		setText(verdict, text);
		setTable(byId('drill-times'), words.resultHead, words.resultRows(result));
		byId('drill-result-foot').replaceChildren(this.#report(id));
	}

	async #look(id) {
		try {
			const again = this.shown === id && !byId('drill-result').hidden;
			await this.#learn(id);
			this.#showResult(again ? 0 : id);
		} catch (problem) {
			this.#trouble(problem.message);
		}
	}

	#report(id) {
		const link = make('a', { href: `/api/v1/drills/${id}/report`, target: '_blank', rel: 'noopener',
			'data-report': id }, 'Report', make('span', { class: 'for-ears' }, ` of drill ${id}, in a new tab`));
		link.addEventListener('click', (event) => {
			if (!readsNeedToken()) return;
			event.preventDefault();
			this.#download(id);
		});
		return link;
	}

	// Where looking takes a token, a link does not do: it cannot carry one. Kept as a file, because what
	// this page opens by itself would be under its policy, which forbids the report's own style.
	async #download(id) {
		try {
			const answer = await ask(`/api/v1/drills/${id}/report`, { deliberate: true });
			const address = URL.createObjectURL(await answer.blob());
			make('a', { href: address, download: `drill-${id}.html` }).click();
			setTimeout(() => URL.revokeObjectURL(address), 10000);
		} catch (problem) {
			this.#trouble(`No report: ${problem.message}`);
		}
	}

	#listFinished(finished) {
		const key = JSON.stringify(finished);
		if (key === this.listed) return;
		this.listed = key;
		byId('drill-finished-box').hidden = finished.length === 0;
		const list = byId('drill-finished');
		list.replaceChildren(...[...finished].sort((a, b) => b.id - a.id).map((drill) => {
			const button = make('button', { type: 'button', class: 'quiet', 'data-id': drill.id, 'aria-pressed': 'false' },
				'Result', make('span', { class: 'for-ears' }, ` of drill ${drill.id}`));
			button.addEventListener('click', () => this.#look(drill.id));
			return make('li', { 'data-drill': drill.id, 'data-outcome': drill.outcome },
				make('time', { datetime: new Date(drill.begin_unix_ms).toISOString() }, timeOfDay(drill.begin_unix_ms)),
				make('b', {}, drill.title), make('span', {}, `${drill.outcome} after ${clock(drill.duration_ms / 1000)}`),
				button, this.#report(drill.id));
		}));
		this.#showResult(this.shown);
	}
}
