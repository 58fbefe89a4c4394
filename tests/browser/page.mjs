// SPDX-License-Identifier: BSD-3-Clause
// The page as people use it: Chromium against a herd that runs.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test, { after, before, describe } from 'node:test';
import { launch, openPage } from './browser.mjs';
import { comesAndGoes, fleetOf, Herd, until } from './herd.mjs';
import { atMessage, contrasts, coloursOf, figures, reachable } from './look.mjs';

const PHONES = 200;
const [AT_PRIMARY, AT_REDUNDANT] = [4, 5]; // enum watch_state
const FIRST_LOAD_MAX = 2 << 20; // bytes
const PCAPNG = '0a0d0d0a';
let browser;

before(async () => { browser = await launch(); });
after(async () => { await browser?.close(); });

// What the API says of phones by state, in the page's words.
function statesOf({ phones }) {
	const at = (proxy) => phones.boot[proxy] + phones.registering[proxy] + phones.waiting[proxy];
	return {
		off: phones.off.primary + phones.off.redundant,
		'trying-primary': at('primary'),
		'trying-redundant': at('redundant'),
		'registered-primary': phones.registered.primary,
		'registered-redundant': phones.registered.redundant,
		switching: phones.switching.primary + phones.switching.redundant,
	};
}

// Header, legend and map agree with the API and add up.
async function agrees(page, herd, phones) {
	const [seen, fleet] = await Promise.all([page.evaluate(figures), herd.get('fleet')]);
	const { 'failing-over': over, 'failing-back': back, elsewhere, ...rest } = seen.header;
	const sum = Object.values(seen.header).reduce((a, b) => a + b, 0);
	assert.equal(elsewhere, 0);
	assert.deepEqual({ ...rest, switching: over + back }, statesOf(fleet));
	assert.deepEqual(seen.legend, seen.header);
	assert.deepEqual(seen.map, seen.header);
	assert.equal(sum, phones);
	assert.equal(seen.total, phones);
	return true;
}

const isAt = async (page, proxy, phones) =>
	(await page.evaluate(figures)).map[`registered-${proxy}`] === phones;

async function whenAt(page, proxy, phones = PHONES) {
	await until(`all phones at the ${proxy} proxy, on the page`, () => isAt(page, proxy, phones));
}

// The share of the map's cells in a state's colour, seen in its pixels.
async function share(page, state) {
	const colours = await page.evaluate(coloursOf);
	return colours.cells === 0 ? 0 : colours.states[state] / colours.cells;
}

async function give(page, token) {
	await page.waitForSelector('#token-dialog[open]');
	await page.fill('#token-input', token);
	await page.click('#token-save');
}

const stale = (page) => page.getAttribute('#age', 'data-stale');

describe('a herd in service', () => {
	let herd, page, record, close;

	before(async () => {
		herd = await Herd.start({ fleet: fleetOf(PHONES, 'ramp: 500/s') });
		await herd.says(/all 200 phones registered at the primary/);
	});
	after(async () => { await herd?.end(); });

	async function open(options) {
		({ page, record, close } = await openPage(browser, herd.url, options));
		await whenAt(page, 'primary');
	}

	test('loads, without a word, from here only, and small', async () => {
		await open();
		await until('the page agrees with the API', () => agrees(page, herd, PHONES));
		assert.deepEqual(record.complaints, []);
		const others = record.requests.filter((url) => !url.startsWith(herd.url) &&
			!/^(data|blob):/.test(url));
		assert.deepEqual(others, []);
		assert.ok(record.bytes > 50000 && record.bytes < FIRST_LOAD_MAX, `${record.bytes} bytes`);
		assert.equal(await page.textContent('#fleet-name'), 'herd');
		assert.match(await page.textContent('#mode'), /asymmetric.*homing/s);
		await until('the data is called new', async () => await stale(page) === 'false');
		await until('the map is in the colour of registered phones', async () =>
			await share(page, AT_PRIMARY) > 0.95);
		await close();
	});

	test('is readable, light and dark', async () => {
		const grounds = [];
		for (const dark of [false, true]) {
			await open({ dark });
			// While data is old all is pale: that is what it is for.
			const good = () => until('contrast of WCAG AA', async () => {
				const seen = await page.evaluate(contrasts);
				assert.ok(seen.texts > 50, `${seen.texts} texts`);
				assert.deepEqual(seen.poor, []);
				return seen;
			});
			const { ground } = await good();
			grounds.push(ground);
			await page.click('#theme-toggle');
			await until('the theme turned', async () => (await good()).ground !== ground);
			assert.deepEqual(record.complaints, []);
			await close();
		}
		assert.notEqual(grounds[0], grounds[1]);
	});

	test('fits a phone of 390 pixels, one phone opened too', async () => {
		await open({ width: 390, height: 844 });
		const widest = () => page.evaluate(() => document.documentElement.scrollWidth);
		assert.ok(await widest() <= 390);
		await page.evaluate(() => { window.location.hash = '#phone=3'; });
		await page.waitForSelector('#phone[data-phone="3"]', { state: 'visible' });
		await page.waitForSelector('#ladder li.message');
		assert.ok(await widest() <= 390);
		const box = await page.locator('#phone').boundingBox();
		assert.ok(box.x >= 0 && box.x + box.width <= 390, JSON.stringify(box));
		assert.deepEqual(record.complaints, []);
		await close();
	});

	test('can be used by keyboard alone', async () => {
		await open();
		const all = await page.evaluate(reachable);
		assert.ok(all.length > 15, all.join());
		const seen = new Set();
		const unmarked = [];
		for (let i = 0; i < 3 * all.length && seen.size < all.length; i++) {
			await page.keyboard.press('Tab');
			const { name, marked } = await page.evaluate(() => {
				const at = document.activeElement;
				const style = getComputedStyle(at);
				const line = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
				return { name: at.dataset.reachable, marked: line || style.boxShadow !== 'none' };
			});
			if (name === undefined) continue;
			seen.add(name);
			if (!marked) unmarked.push(name);
		}
		assert.deepEqual(all.filter((name) => !seen.has(name)), [], 'Tab comes to everything');
		assert.deepEqual(unmarked, [], 'where Tab is can be seen');

		await page.focus('#map');
		await page.keyboard.press('ArrowRight');
		await page.keyboard.press('ArrowRight');
		assert.match(await page.textContent('#map-announce'), /phone 1\b/);
		await page.keyboard.press('Enter');
		await page.waitForSelector('#phone[data-phone="1"]', { state: 'visible' });
		await page.keyboard.press('Escape');
		await page.waitForSelector('#phone', { state: 'hidden' });
		assert.equal(await page.evaluate(() => document.activeElement.id), 'map');
		assert.deepEqual(record.complaints, []);
		await close();
	});

	test("a click opens a phone, whose ladder and capture have no secret in them", async () => {
		await open();
		await page.click('#map');
		await page.waitForSelector('#phone', { state: 'visible' });
		const phone = Number(await page.getAttribute('#phone', 'data-phone'));
		assert.ok(phone >= 0 && phone < PHONES);
		await until('a keep-alive and its answer on the ladder', async () => {
			const lines = await page.locator('#ladder li.message').allTextContents();
			return lines.some((line) => /OPTIONS/.test(line)) && lines.some((line) => /200/.test(line));
		});
		const first = page.locator('#ladder li.message button').first();
		assert.equal(await first.getAttribute('aria-expanded'), 'false');
		await first.click();
		assert.equal(await first.getAttribute('aria-expanded'), 'true');
		await page.evaluate(() => { document.querySelector('#phone-history tbody tr').dataset.seen = 'before'; });
		const [focused, messages] = [await page.evaluate(atMessage), await page.locator('#ladder li.message').count()];
		assert.ok(focused);
		await until('another message came', async () => await page.locator('#ladder li.message').count() > messages);
		assert.equal(await page.evaluate(atMessage), focused, 'the keyboard stays where it was');
		assert.equal(await page.locator('#phone-history tr[data-seen]').count(), 1, 'what is the same stays');
		const text = await page.locator('#ladder li.message pre').first().textContent();
		assert.match(text, /^(OPTIONS|SIP\/2\.0|REGISTER) .*\r?\nVia: SIP\/2\.0\/UDP /);
		assert.ok(!(await page.content()).includes('very-secret'));
		const [file] = await Promise.all([page.waitForEvent('download'), page.click('#phone-capture')]);
		const bytes = readFileSync(await file.path());
		assert.equal(bytes.subarray(0, 4).toString('hex'), PCAPNG);
		assert.ok(bytes.includes('OPTIONS'));
		await page.click('#phone-close');
		await page.waitForSelector('#phone', { state: 'hidden' });
		assert.deepEqual(record.complaints, []);
		await close();
	});

	test('filters dim what does not match', async () => {
		await open();
		await page.fill('#filter-prefix', '2000001');
		await until('ten phones match', async () =>
			await page.getAttribute('#map-matches', 'data-value') === '10');
		await until('the others are dim', async () => await share(page, AT_PRIMARY) < 0.1);
		await page.fill('#filter-prefix', '');
		await page.selectOption('#filter-proxy', 'redundant');
		await until('no phone matches', async () =>
			await page.getAttribute('#map-matches', 'data-value') === '0');
		await page.selectOption('#filter-proxy', '');
		await until('the map is bright again', async () => await share(page, AT_PRIMARY) > 0.95);
		assert.deepEqual(record.complaints, []);
		await close();
	});

	test('tells what is under the pointer, and enlarges', async () => {
		await open();
		await page.hover('#map');
		await page.waitForSelector('#map-tip', { state: 'visible' });
		assert.match(await page.textContent('#map-tip'), /^2\d+ \u00b7 phone \d+ \u00b7 at primary$/);
		const before = await share(page, AT_PRIMARY);
		await page.click('#zoom-in');
		await page.waitForSelector('#map.zoomed');
		await page.click('#zoom-fit');
		await page.waitForSelector('#map:not(.zoomed)');
		await until('all is seen again', async () => Math.abs(await share(page, AT_PRIMARY) - before) < 0.01);
		assert.deepEqual(record.complaints, []);
		await close();
	});

	test("an action takes the operator's token", async () => {
		await open();
		const counts = async (state) => (await page.evaluate(figures)).header[state];
		const act = (name) => page.click(`#phone-actions button[data-action="${name}"]`);
		await page.evaluate(() => { window.location.hash = '#phone=7'; });
		await page.waitForSelector('#phone[data-phone="7"]', { state: 'visible' });
		await act('unregister');
		await give(page, herd.token('viewer'));
		await until('a viewer may only look', async () =>
			/^unregister: (?!accepted)\w/.test(await page.textContent('#phone-result')));
		assert.equal(await counts('off'), 0);
		await act('unregister');
		await give(page, herd.token('operator'));
		await until('it is accepted', async () =>
			await page.textContent('#phone-result') === 'unregister: accepted');
		await until('the phone is off', async () => await counts('off') === 1);
		await until('the page agrees with the API', () => agrees(page, herd, PHONES));
		await act('reboot');
		await whenAt(page, 'primary');
		const stored = await page.evaluate(() => [document.cookie, localStorage.length]);
		assert.equal(stored[0], '');
		await close();
	});

	test('is grey while nothing new comes, and comes back', async () => {
		await open();
		const grey = () => page.evaluate(() => getComputedStyle(document.querySelector('main')).filter);
		const before = await grey();
		herd.signal('SIGSTOP');
		try {
			await until('the data is called old', async () => await stale(page) === 'true');
			assert.ok(await page.isVisible('#stale'));
			assert.notEqual(await grey(), before);
			assert.match(await grey(), /grayscale/);
		} finally {
			herd.signal('SIGCONT');
		}
		await until('the data is new again', async () => await stale(page) === 'false');
		await until('the page agrees with the API', () => agrees(page, herd, PHONES));
		assert.ok(!await page.isVisible('#stale'));
		await close();
	});

	test('comes back by itself when sipherd starts again', async () => {
		await open();
		const connects = async () => page.evaluate(() => window.sipherdStats.connects);
		const before = await connects();
		assert.equal(await herd.stop(), 0);
		await until('the data is called old', async () => await stale(page) === 'true');
		// Half of the fleet, so that it is seen which of the two is shown.
		await herd.run({ port: herd.port, fleet: fleetOf(PHONES / 2, 'ramp: 500/s') });
		await until('the data is new again', async () => await stale(page) === 'false');
		await whenAt(page, 'primary', PHONES / 2);
		await until('the page agrees with the API', () => agrees(page, herd, PHONES / 2));
		assert.ok(await connects() > before);
		await close();
	});
});

test('a failover turns the map, and the return turns it back', async () => {
	const herd = await Herd.start({ args: comesAndGoes(30, 30) });
	try {
		const { page, record, close } = await openPage(browser, herd.url);
		for (const proxy of ['primary', 'redundant', 'primary']) {
			const state = proxy === 'primary' ? AT_PRIMARY : AT_REDUNDANT;
			await until(`the map is all at the ${proxy} proxy and agrees`, async () =>
				await isAt(page, proxy, PHONES) && await share(page, state) > 0.95 &&
				await agrees(page, herd, PHONES));
		}
		const kinds = await page.evaluate(() =>
			[...document.querySelectorAll('#events li')].map((line) => line.dataset.kind));
		for (const kind of ['proxy', 'transition'])
			assert.ok(kinds.includes(kind), kinds.join());
		await until('how the phones came back is told', async () =>
			/^Fail-(over|back) of 200 phones: half back after [\d.]+ s, all after /.test(
				await page.textContent('#recovery-note')));
		await until('each phase of the failover has its figures', async () =>
			(await page.locator('#phases-table tbody tr').allTextContents()).filter((row) =>
				/^[a-z ]+\D*\d.*\d$/.test(row)).length === 4);
		await until('answers are counted', async () =>
			Number(await page.getAttribute('[data-testid="code-2xx"]', 'data-value')) > 0);
		await page.check('#filter-recent');
		await until('all phones have changed in the last minute', async () =>
			await page.getAttribute('#map-matches', 'data-value') === String(PHONES));
		assert.deepEqual(record.complaints, []);
		await close();
		assert.equal(await herd.stop(), 0);
	} finally {
		await herd.end();
	}
});

test('asks for a token where one is needed, and for a new one after a restart', async () => {
	const options = { args: ['--http-auth'] };
	const herd = await Herd.start(options);
	try {
		const { page, close } = await openPage(browser, herd.url);
		for (const again of [false, true]) {
			await page.waitForSelector('#token-dialog[open]');
			await give(page, herd.token('viewer'));
			await whenAt(page, 'primary');
			await until('the page agrees with the API', () => agrees(page, herd, PHONES));
			if (again)
				break;
			assert.equal(await herd.stop(), 0);
			await herd.run({ ...options, port: herd.port });
		}
		assert.equal(await page.locator('#token-dialog[open]').count(), 0);
		assert.ok(!page.url().includes(herd.token('viewer')));
		await close();
		assert.equal(await herd.stop(), 0);
	} finally {
		await herd.end();
	}
});
