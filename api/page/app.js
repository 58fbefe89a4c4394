// SPDX-License-Identifier: BSD-3-Clause
// The page: joins the event stream, the map, the figures and the panel of one phone.
import { getBytes, getJson } from './api.js';
import { MarkList } from './chartmarks.js';
import { Charts } from './charts.js';
import { byId, make, setTable, setText } from './dom.js';
import { DrillConsole } from './drill.js';
import { EventList } from './eventlist.js';
import { EventStream } from './events.js';
import { quantile } from './cells.js';
import * as figures from './figures.js';
import { count, microseconds, span, timeOfDay } from './format.js';
import { LoadControl } from './load.js';
import { MapView } from './map.js';
import { Filter, MapState, STATES, decodeDelta, decodeMap, stateMask } from './mapstate.js';
import { MapSync } from './mapsync.js';
import { Marks, faultOf, markOf } from './marks.js';
import { Names } from './names.js';
import { PhonePanel } from './phone.js';
import { points, timeOf, timersOf } from './predict.js';
import { backAfter, findWaves, predicted } from './recovery.js';
import { startTokens } from './token.js';

const STALE_S = 3;
const KEPT_S = 900;
const RECENT_S = 60;
const PHASES = [['detect', 'detect'], ['switch', 'switch'], ['register', 'register'],
	['since_answer', 'since the last answer']];

const stats = { frames: 0, paintMs: 0, lastPaintMs: 0, longestPaintMs: 0, fps: 0, cells: 0, phones: 0,
	sequence: -1, mapFetches: 0, deltas: 0, resyncs: 0, ticks: 0, connects: 0, mapCounts: {} };
window.sipherdStats = stats;

const state = {
	run: '',
	seconds: [], // the time line
	range: 300,
	counts: null, // of the newest tick
	clockMs: 0, // sipherd's clock minus the page's
	heard: 0, // when the newest tick came, performance.now()
	status: 'connecting',
	nextTry: 0,
	why: '', // the connection was lost or refused
	timers: null,
	unixStart: 0, // of the run's clock, in seconds
	signs: [], // of the beginning of waves, found by looking
	fleet: '', // its name
	direction: 'failover',
	wave: '', // the one that was chosen by hand: its beginning; empty: the newest
};

const nowS = () => Math.floor(performance.now() / 1000) + 1;
const sipherdMs = () => Date.now() + state.clockMs;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/* --- The map --- */

const map = new MapState();
const filter = new Filter();
const hidden = new Set();
let names = new Names(null);

const view = new MapView({
	canvas: byId('map'),
	tip: byId('map-tip'),
	map,
	filter,
	stats,
	open: (phone) => {
		location.hash = `#phone=${phone}`;
	},
	told: (text) => setText(byId('map-announce'), text),
	nameOf: (phone) => names.user(phone),
});

const sync = new MapSync({
	state: map,
	nowS,
	wait: pause,
	fetchMap: async () => {
		stats.mapFetches++;
		return decodeMap(await getBytes('map'));
	},
	changed: (phones) => {
		if (phones === null && filter.member !== null) filter.member = names.match(prefix(), map.phones);
		view.changed(phones);
		stats.sequence = map.sequence;
		byId('map-wait').hidden = true;
		tellCells();
	},
});

function tellCells() {
	const per = view.picture.perCell;
	const cell = per === 1 ? 'One cell is one phone.'
		: `One cell is ${per} phones and shows the most urgent state among them.`;
	setText(byId('map-cells'), `${cell} A click on a state shows it alone, on a phone opens it.`);
}

const prefix = () => byId('filter-prefix').value;

function makeLegend() {
	STATES.forEach((entry, i) => {
		const button = make('button', { type: 'button', 'aria-pressed': 'true', title: entry.help,
			'data-testid': `legend-${entry.name}` },
		make('i', { class: `dot s${i}`, 'aria-hidden': 'true' }), make('span', {}, entry.label), make('b'));
		button.addEventListener('click', (event) => toggleState(entry.name, event.altKey || event.shiftKey));
		byId('legend').append(button);
	});
}

// A click shows or hides a state; the first one on a full map, or with Shift, shows it alone.
function toggleState(name, alone) {
	const others = STATES.map((s) => s.name).filter((n) => n !== name);
	if (alone || hidden.size === 0) others.forEach((n) => hidden.add(n));
	else if (hidden.has(name)) hidden.delete(name);
	else hidden.add(name);
	if (alone) hidden.delete(name);
	if (hidden.size === STATES.length) hidden.clear();
	applyFilter();
}

// A minute ago is later with every second.
function setSince() {
	filter.since = byId('filter-recent').checked ? Math.max(1, nowS() - RECENT_S) : 0;
}

function applyFilter() {
	filter.mask = stateMask(hidden, byId('filter-proxy').value);
	filter.member = names.match(prefix(), map.phones);
	setSince();
	for (const [i, button] of [...byId('legend').children].entries())
		button.setAttribute('aria-pressed', String(!hidden.has(STATES[i].name)));
	view.repaint();
	tellMatches();
}

function tellMatches() {
	const matches = byId('map-matches');
	const n = filter.count(map);
	matches.dataset.value = String(n);
	setText(matches, filter.isOpen ? '' : `${count(n)} of ${count(map.phones)} phones shown. `);
}

function listenToFilters() {
	byId('filters').addEventListener('submit', (event) => {
		event.preventDefault();
		const phone = filter.first(map);
		if (prefix().trim() !== '' && phone >= 0) location.hash = `#phone=${phone}`;
	});
	byId('filter-proxy').addEventListener('change', applyFilter);
	byId('filter-recent').addEventListener('change', applyFilter);
	let timer = 0;
	byId('filter-prefix').addEventListener('input', () => {
		clearTimeout(timer);
		timer = setTimeout(applyFilter, 150);
	});
	byId('zoom-in').addEventListener('click', () => view.zoomBy(1.5));
	byId('zoom-out').addEventListener('click', () => view.zoomBy(1 / 1.5));
	byId('zoom-fit').addEventListener('click', () => view.fit());
}

function showLegend(counts) {
	STATES.forEach((entry, i) => {
		const figure = byId('legend').children[i].lastElementChild;
		figure.dataset.value = String(counts[entry.name] ?? 0);
		setText(figure, count(counts[entry.name] ?? 0));
		stats.mapCounts[entry.name] = map.counts[i];
	});
}

/* --- Charts --- */

let charts = null;
const markList = new MarkList((number) => charts.light(number));

function chosenWave(waves) {
	return waves.find((w) => w.start.toFixed(1) === state.wave) ?? waves[waves.length - 1];
}

function listWaves(waves) {
	const select = byId('wave');
	const key = waves.map((w) => w.start.toFixed(1)).join(' ');
	if (select.dataset.key === key) return;
	select.dataset.key = key;
	const newest = state.seconds[state.seconds.length - 1]?.at_s ?? 0;
	const base = sipherdMs() - newest * 1000;
	select.replaceChildren(make('option', { value: '' }, 'newest'), ...waves.map((w) =>
		make('option', { value: w.start.toFixed(1) }, `${w.kind} ${timeOfDay(base + w.start * 1000)}`)));
	select.value = waves.some((w) => w.start.toFixed(1) === state.wave) ? state.wave : '';
	select.hidden = waves.length < 2;
}

function showRecovery() {
	const timers = state.timers;
	if (!timers) return;
	const waves = findWaves(state.seconds, timers, [...state.signs, ...marks.signs(state.unixStart)],
		drill.waves);
	listWaves(waves);
	const wave = chosenWave(waves);
	const curve = wave ? predicted(wave, timers) : null;
	charts.recovery.show(wave ? wave.points : [], curve ? points(curve) : [],
		wave ? marked().map((mark) => ({ ...mark, x: mark.at_s - wave.start })) : []);
	setText(byId('recovery-note'), recoveryNote(wave, curve, timers));
}

function recoveryNote(wave, curve, timers) {
	if (!timers.enabled) return 'Redundancy is off: phones have nowhere to go.';
	if (!wave) return 'No outage in the last 15 minutes. The curve that PHONE.md predicts is drawn over the next one.';
	const said = (share) => {
		const after = backAfter(wave, share);
		return after === null ? 'not yet' : `after ${after.toFixed(1)} s`;
	};
	return `${wave.kind === 'fail-over' ? 'Fail-over' : 'Fail-back'} of ${count(wave.affected)} phones: half ` +
		`back ${said(0.5)}, all ${said(0.995)}${wave.estimated ? ', its beginning estimated' : ''}. Predicted for ` +
		`keep-alives spread evenly: half after ${timeOf(curve, 0.5).toFixed(1)} s, all after ${curve.last.toFixed(1)} s.`;
}

// A proxy fell silent or answers again, as was found by looking.
function sign(proxy, dead, unixMs) {
	const at = unixMs / 1000 - state.unixStart;
	const known = state.signs.some((s) => s.proxy === proxy && s.dead === dead && Math.abs(s.at_s - at) < 2);
	if (!known) state.signs = [...state.signs.slice(-50), { proxy, dead, at_s: at, exact: false }];
}

// What was done, on the clock of the seconds.
const marked = () => marks.drawn().map((mark) => ({ ...mark, at_s: mark.unixMs / 1000 - state.unixStart }));

function addMarks(fresh) {
	if (fresh.filter((mark) => marks.add(mark)).length === 0 || state.counts === null) return;
	drawTrends();
	showRecovery();
}

// They are counted in whole milliseconds.
function phaseTime(samples, us) {
	if (samples === 0) return '\u2013';
	return us < 1000 ? '< 1 ms' : microseconds(us);
}

async function showPhases() {
	const wanted = state.direction;
	const answers = await Promise.all(PHASES.map(([name]) => getJson(`histograms/${wanted}_${name}`)));
	if (wanted !== state.direction) return;
	charts.phases.show(answers.map((answer, i) => ({
		label: PHASES[i][1],
		ranges: answer.count === 0 ? null : [[0.25, 0.75], [0.01, 0.99]].map((pair) =>
			pair.map((share) => quantile(answer.cells_us, share, answer.unit_us) / 1e6)),
	})));
	setTable(byId('phases-table'), ['phase', 'p50', 'p90', 'p99', 'longest', 'switches'],
		answers.map(({ count: n, quantiles_us: q, max_us: most }, i) => [PHASES[i][1],
			...[q.p50, q.p90, q.p99, most].map((us) => phaseTime(n, us)), count(n)]));
}

function press(group, button) {
	for (const other of group.querySelectorAll('button'))
		other.setAttribute('aria-pressed', String(other === button));
}

function listenToCharts() {
	for (const button of byId('range').querySelectorAll('button'))
		button.addEventListener('click', () => {
			state.range = Number(button.dataset.seconds);
			press(byId('range'), button);
			drawTrends();
		});
	for (const button of byId('direction').querySelectorAll('button'))
		button.addEventListener('click', () => {
			state.direction = button.dataset.direction;
			press(byId('direction'), button);
			showPhases().catch(() => {});
		});
	byId('wave').addEventListener('change', (event) => {
		state.wave = event.target.value;
		showRecovery();
	});
}

function drawTrends() {
	const done = marked();
	charts.switches.show(state.seconds, state.range, done);
	charts.requests.show(state.seconds, state.range, done);
	const newest = state.seconds[state.seconds.length - 1]?.at_s ?? 0;
	markList.show(done.filter((mark) => mark.at_s > newest - state.range));
}

/* --- What is asked for again and again --- */

async function loadFleet() {
	const fleet = await getJson('fleet');
	state.fleet = fleet.name;
	setText(byId('fleet-name'), fleet.name);
	document.title = `${fleet.name} \u00b7 sipherd`;
	setText(byId('mode'), fleet.mode.enabled
		? `${fleet.mode.audiocodes} \u00b7 ${fleet.mode.spider}` : 'redundancy off');
	state.timers = timersOf(fleet.configuration);
	if (names.pattern !== fleet.user_pattern) {
		names = new Names(fleet.user_pattern);
		names.pattern = fleet.user_pattern;
		applyFilter();
	}
	figures.showLosses(fleet);
}

// Waits for the answer before it asks again. A page that nobody sees asks nothing, nor one that has
// lost its sipherd: the event stream finds that again.
async function every(ms, what) {
	for (;;) {
		while (document.hidden || state.status !== 'open') await pause(200);
		await what().catch(() => {});
		await pause(ms);
	}
}

function askAgainAndAgain() {
	every(5000, loadFleet);
	every(1000, async () => {
		const { proxies } = await getJson('proxies');
		figures.showProxies(proxies, sipherdMs());
		for (const proxy of proxies) {
			list.look(proxy);
			if (proxy.dead_since_unix_ms !== null) sign(proxy.id, true, proxy.dead_since_unix_ms);
		}
	});
	every(2000, async () => {
		const generator = await getJson('generator');
		figures.showCodes(generator);
		figures.showGenerator(generator);
	});
	every(3000, async () => figures.showStore(await getJson('store')));
	every(4000, showPhases);
	every(5000, () => load.refresh());
	every(1000, () => drill.look());
}

/* --- Events --- */

const list = new EventList();
const marks = new Marks();
const drill = new DrillConsole({ fleet: () => state.fleet, marked: addMarks });
const load = new LoadControl(() => map.phones);

async function loadTimeline() {
	const { seconds } = await getJson(`timeline?seconds=${KEPT_S}`);
	const newest = seconds[seconds.length - 1]?.at_s ?? 0;
	state.seconds = [...seconds, ...state.seconds.filter((s) => s.at_s > newest)].slice(-KEPT_S);
	drawTrends();
	showRecovery();
}

// A new run is another herd's life: nothing of the old one holds.
function hello(told) {
	stats.connects++;
	const newRun = told.run !== state.run;
	if (newRun) {
		list.forgetFaults();
		state.run = told.run;
		state.seconds = [];
		state.signs = [];
		marks.clear();
		drill.forget();
		loadFleet().catch(() => {});
	}
	if (newRun) list.note(told.unix_ms, 'info', `sipherd ${told.version} runs ${count(told.phones)} phones of ${told.fleet}`);
	if (newRun) sync.reset(told.sequence);
	else sync.need(told.sequence);
	if (newRun || !told.replayed) loadTimeline().catch(() => {});
}

function tick(told) {
	stats.ticks++;
	state.heard = performance.now();
	state.clockMs = told.unix_ms - Date.now();
	state.unixStart = told.unix_ms / 1000 - told.at_s;
	state.counts = told.states;
	figures.showStates(told.states);
	figures.showSecond(told.second, told.states);
	figures.showLag(told.store);
	showLegend(told.states);
	byId('stopping').hidden = !told.stopping;
	const newest = state.seconds[state.seconds.length - 1]?.at_s ?? -1;
	if (told.second.at_s > newest) state.seconds = [...state.seconds.slice(1 - KEPT_S), told.second];
	if (!document.hidden) {
		drawTrends();
		showRecovery();
	}
	if (filter.since > 0) {
		setSince();
		view.repaint();
	}
	if (!filter.isOpen) tellMatches();
	drill.tick(told.drill);
	list.showFault(told.unix_ms, marks.inForce());
	showAge();
}

const stream = new EventStream({
	hello,
	tick,
	delta: (told) => {
		stats.deltas++;
		sync.delta({ sequence: told.sequence, records: decodeDelta(told.records) });
	},
	resync: (told) => {
		stats.resyncs++;
		sync.need(told.sequence);
	},
	transition: (told) => list.transition(told),
	proxy: (told) => {
		list.proxy(told);
		if (told.answering) sign(told.proxy, false, told.unix_ms);
	},
	alert: (told) => {
		list.alert(told);
		const fault = faultOf(told);
		if (fault) addMarks([fault]);
	},
	drill: (told) => {
		list.drill(told);
		addMarks([markOf(told)]);
		list.showFault(told.unix_ms, marks.inForce());
		drill.event();
	},
	bye: (told) => list.note(sipherdMs(), 'warning', `sipherd says goodbye: ${told.reason}`),
}, (word, next, why) => {
	state.status = word;
	state.why = why;
	state.nextTry = performance.now() + next;
	showAge();
});

/* --- Age of the data --- */

function showAge() {
	const age = state.heard === 0 ? Infinity : (performance.now() - state.heard) / 1000;
	const stale = age > STALE_S;
	const element = byId('age');
	element.dataset.stale = String(stale);
	setText(byId('age-text'), state.heard === 0 ? 'connecting'
		: stale ? `${span(age)} old` : `live \u00b7 ${Math.max(0, age).toFixed(1)} s`);
	document.body.classList.toggle('is-stale', stale && state.heard > 0);
	const banner = byId('stale');
	const wasHidden = banner.hidden;
	banner.hidden = !stale || (state.heard === 0 && state.status !== 'waiting');
	if (banner.hidden) return;
	// Read aloud once, not at each tenth of a second.
	banner.setAttribute('aria-live', wasHidden ? 'assertive' : 'off');
	setText(banner, staleText(age));
}

function staleText(age) {
	const old = state.heard === 0 ? 'Nothing is known yet.' : `Stale: what you see is ${span(age)} old.`;
	if (state.status === 'open') return `${old} Connected, waiting for news.`;
	const lost = state.why ? `${old} ${state.why}.` : old;
	const wait = Math.max(0, Math.ceil((state.nextTry - performance.now()) / 1000));
	return state.status === 'connecting' ? `${lost} Connecting\u2026`
		: `${lost} Trying again in ${wait} s.`;
}

/* --- Beginning --- */

function start() {
	figures.makeStates();
	figures.makeTiles();
	makeLegend();
	charts = new Charts(byId);
	const panel = new PhonePanel({ opened: (phone) => view.mark(phone), now: sipherdMs });
	listenToFilters();
	listenToCharts();
	startTokens(() => stream.hurry());
	byId('theme-toggle').addEventListener('click', window.sipherdToggleTheme);
	window.addEventListener('online', () => stream.hurry());
	document.addEventListener('visibilitychange', () => {
		if (document.hidden) return;
		stream.hurry();
		drawTrends();
		showRecovery();
	});
	setInterval(showAge, 200);
	stream.start();
	askAgainAndAgain();
	panel.follow();
}

start();
