// SPDX-License-Identifier: BSD-3-Clause
// The header, the tiles and the cards beside the map.
import { byId, make, setText } from './dom.js';
import { brief, count, microseconds, milliseconds, percent, span } from './format.js';
import { STATES } from './mapstate.js';

/* --- Phones by state --- */

export function makeStates() {
	const bar = byId('state-bar');
	const list = byId('states');
	STATES.forEach((state, i) => {
		bar.append(make('i', { class: `s${i}` }));
		const figure = make('b', { 'data-testid': `count-${state.name}`, 'data-value': 0 }, '\u2013');
		list.append(make('li', { title: state.help },
			make('i', { class: `dot s${i}`, 'aria-hidden': 'true' }), figure, ` ${state.label}`));
	});
}

// counts: { [state name]: phones }, of all phones of the fleet.
export function showStates(counts) {
	const total = STATES.reduce((sum, state) => sum + (counts[state.name] ?? 0), 0);
	setText(byId('total'), count(total));
	byId('total').dataset.value = String(total);
	STATES.forEach((state, i) => {
		const n = counts[state.name] ?? 0;
		byId('state-bar').children[i].style.flexGrow = String(n);
		const figure = byId('states').children[i].querySelector('b');
		figure.dataset.value = String(n);
		setText(figure, count(n));
		byId('states').children[i].classList.toggle('none', n === 0);
	});
}

/* --- Tiles --- */

const TILES = [
	['in-service', 'Registered', 'of the phones that are on'],
	['requests', 'Requests per second', ''],
	['switches', 'Switches per second', ''],
	['rtt', 'OPTIONS round trip', 'p99 of the last second'],
	['again', 'Sent again per second', ''],
	['not-sent', 'Not sent', ''],
];

export function makeTiles() {
	for (const [name, title, note] of TILES)
		byId('tiles').append(make('div', { class: 'tile', 'data-testid': `tile-${name}` },
			make('span', { class: 'tile-title' }, title), make('b', {}, '\u2013'),
			make('span', { class: 'hint' }, note)));
}

function tile(name, value, note) {
	const element = byId('tiles').querySelector(`[data-testid="tile-${name}"]`);
	setText(element.querySelector('b'), value);
	if (note !== undefined) setText(element.querySelector('.hint'), note);
	return element;
}

export function showSecond(second, counts) {
	const registered = counts['registered-primary'] + counts['registered-redundant'];
	const on = STATES.reduce((sum, s) => sum + (counts[s.name] ?? 0), 0) - counts.elsewhere - counts.off;
	tile('in-service', on > 0 ? percent(registered / on) : '\u2013',
		`${count(registered)} of ${count(on)} that are on`);
	tile('requests', brief(second.register_sent + second.options_sent),
		`${brief(second.register_sent)} REGISTER, ${brief(second.options_sent)} OPTIONS`);
	tile('switches', brief(second.failovers + second.failbacks),
		`${brief(second.failovers)} over, ${brief(second.failbacks)} back`);
	tile('rtt', second.options_rtt_p99_us > 0 ? microseconds(second.options_rtt_p99_us) : '\u2013',
		second.options_rtt_p99_us > 0 ? `p99; half within ${microseconds(second.options_rtt_p50_us)}`
			: 'no answer in the last second');
	tile('again', brief(second.retransmitted), `${brief(second.silent)} time-outs`);
}

export function showLosses(fleet) {
	const element = tile('not-sent', brief(fleet.losses.not_sent),
		`${brief(fleet.losses.no_answer)} no answer, ${brief(fleet.losses.bad_answer)} bad answers`);
	element.classList.toggle('bad', fleet.losses.not_sent > 0);
}

/* --- Proxies --- */

const PROXY_FIELDS = [
	['share', 'share'], ['answered', 'answered'], ['p50', 'RTT p50'], ['p99', 'p99'], ['p999', 'p99.9'],
];

function makeProxy(id) {
	const facts = make('dl', { class: 'facts five' });
	for (const [field, term] of PROXY_FIELDS)
		facts.append(make('div', {}, make('dt', {}, term), make('dd', { 'data-field': field }, '\u2013')));
	return make('article', { class: `proxy ${id}`, 'data-testid': `proxy-${id}`, 'aria-label': `${id} proxy` },
		make('h3', {}, make('i', { class: 'dot', 'aria-hidden': 'true' }), id,
			make('span', { class: 'where' }), make('span', { class: 'grow' }),
			make('span', { class: 'proxy-state', 'data-field': 'state' }, '\u2013')),
		make('div', { class: 'share-bar', 'aria-hidden': 'true' }, make('i')), facts);
}

function showProxy(element, proxy, nowMs) {
	const field = (name) => element.querySelector(`[data-field="${name}"]`);
	// Where no keep-alives go, registrations tell how fast it is.
	const probed = proxy.rtt_us.count > 0;
	const rtt = probed ? proxy.rtt_us : proxy.register_rtt_us;
	const { p50, p99, p99_9: p999 } = rtt.count > 0 ? rtt.quantiles_us : {};
	const term = field('p50').previousElementSibling;
	setText(term, probed ? 'RTT p50' : 'REG p50');
	term.parentElement.title = `Round trip of ${probed ? 'keep-alives' : 'REGISTER: no keep-alives go there'}`;
	setText(element.querySelector('.where'),
		proxy.address ? `${proxy.address}:${proxy.port}` : (proxy.host ?? 'none'));
	setText(field('share'), percent(proxy.share));
	element.querySelector('.share-bar i').style.width = `${proxy.share * 100}%`;
	setText(field('answered'), proxy.answered_ratio === null ? '\u2013' : percent(proxy.answered_ratio));
	setText(field('p50'), microseconds(p50));
	setText(field('p99'), microseconds(p99));
	setText(field('p999'), microseconds(p999));
	const dead = proxy.dead_since_unix_ms ?? null;
	element.classList.toggle('dead', dead !== null);
	setText(field('state'), dead !== null ? `dead for ${span((nowMs - dead) / 1000)}`
		: proxy.address ? 'answers' : 'not in use');
}

// nowMs: sipherd's clock.
export function showProxies(proxies, nowMs) {
	const box = byId('proxies');
	if (box.children.length !== proxies.length)
		box.replaceChildren(...proxies.map((proxy) => makeProxy(proxy.id)));
	proxies.forEach((proxy, i) => showProxy(box.children[i], proxy, nowMs));
}

/* --- Answers by code --- */

const CODES = ['1xx', '2xx', '3xx', '4xx', '5xx', '6xx'];
let codesBefore = null;

export function showCodes(generator) {
	const box = byId('codes');
	if (box.children.length === 0)
		box.append(...CODES.map((code) => make('div', { class: `code c${code[0]}` }, make('span', {}, code),
			make('b', { 'data-testid': `code-${code}` }),
			make('span', { class: 'code-bar', 'aria-hidden': 'true' }, make('i')),
			make('span', { class: 'rate' }))));
	const values = CODES.map((code) => generator.counters[`responses_${code}`] ?? 0);
	const most = Math.max(1, ...values);
	const passed = codesBefore ? generator.at_s - codesBefore.at_s : 0;
	CODES.forEach((code, i) => {
		const row = box.children[i];
		// A small share is still to be seen: its bar is no shorter than a sliver.
		row.querySelector('i').style.width = values[i] > 0 ? `${Math.max(1.5, (values[i] / most) * 100)}%` : '0';
		row.classList.toggle('none', values[i] === 0);
		const figure = row.querySelector('b');
		figure.dataset.value = String(values[i]);
		setText(figure, brief(values[i]));
		figure.title = count(values[i]);
		const rate = passed > 0 ? (values[i] - codesBefore.values[i]) / passed : NaN;
		setText(row.querySelector('.rate'), rate >= 0 ? `${brief(rate)} /s` : '');
	});
	codesBefore = { at_s: generator.at_s, values };
}

/* --- Generator and store --- */

export function showGenerator(generator) {
	const { verdict, workers, lateness } = generator;
	const health = byId('health');
	const healthy = !verdict.generator_limited;
	health.dataset.healthy = String(healthy);
	setText(health, healthy ? 'keeps its schedule' : 'GENERATOR-LIMITED');
	const reasons = [...verdict.reasons];
	if (verdict.no_answer) reasons.push('no proxy has answered anything');
	byId('health-reasons').replaceChildren(...reasons.map((reason) => make('li', {}, reason)));
	const busy = workers.map((worker) => worker.busy_ratio);
	setText(byId('generator-link'), generator.link);
	setText(byId('generator-busy'), busy.length > 0 ? percent(Math.max(...busy)) : '\u2013');
	setText(byId('generator-late'), microseconds(lateness.quantiles_us.p99_9));
}

export function showStore(store) {
	const redis = store.redis;
	const state = redis === null ? (store.kind === 'none' ? 'none' : store.kind)
		: redis.refused ? 'refused: another schema or fleet'
		: redis.connected ? store.kind : 'not connected';
	setText(byId('store-state'), redis?.trouble ? `${state}: ${redis.trouble}` : state);
	byId('store-state').classList.toggle('bad-text', redis !== null && (!redis.connected || redis.refused));
	setText(byId('store-lag-max'), redis ? microseconds(redis.lag_max_us) : '\u2013');
	setText(byId('store-shards'), redis ? `${count(redis.shards_driven)} of ${count(redis.shards)}` : '\u2013');
}

export function showLag(store) {
	setText(byId('store-lag'), store && store.lag_ms !== null ? milliseconds(store.lag_ms) : '\u2013');
}
