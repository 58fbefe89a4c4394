// SPDX-License-Identifier: BSD-3-Clause
// The drill console as people use it: Chromium against a herd that runs.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test, { after, before } from 'node:test';
import { launch, openPage } from './browser.mjs';
import { fleetOf, Herd, until } from './herd.mjs';
import { contrasts, figures } from './look.mjs';

const PHONES = 200;
const FLEET = fleetOf(PHONES, 'ramp: 500/s\ndrills:\n  evening: [ { do: crash, hold: 5s }, { wait: 1s }, { do: return } ]\n');
const TIMED = ['switches', 'requests', 'recovery']; // charts with time on their x axis
let browser;

before(async () => { browser = await launch(); });
after(async () => { await browser?.close(); });

async function whenAtPrimary(page) {
	await until('all phones at the primary proxy, on the page', async () =>
		(await page.evaluate(figures)).map['registered-primary'] === PHONES);
}

async function give(page, token) {
	await page.waitForSelector('#token-dialog[open]');
	await page.fill('#token-input', token);
	await page.click('#token-save');
}

async function plan(page, drill, fields = {}) {
	await until('the catalogue is there', async () => await page.locator('#drill-name option').count() > 9);
	await page.selectOption('#drill-name', drill);
	for (const [name, text] of Object.entries(fields))
		await page.fill(`#drill-field-${name}`, text);
	await page.click('#drill-show');
}

async function confirm(page, name) {
	await page.waitForSelector('#drill-plan', { state: 'visible' });
	await page.fill('#drill-fleet', name);
	await page.press('#drill-fleet', 'Enter');
}

const marksOn = (page) => Promise.all(TIMED.map(async (name) =>
	Number(await page.getAttribute(`#chart-${name}`, 'data-marks'))));
const running = (page) => page.getAttribute('#drills', 'data-running');
const isReadable = async (page) => assert.deepEqual((await page.evaluate(contrasts)).poor, []);
const width = (page) => page.evaluate(() => document.documentElement.scrollWidth);

// All that the tooltips say of marks while the pointer moves over a chart.
async function hovered(page, name) {
	await page.locator(`#chart-${name}`).scrollIntoViewIfNeeded();
	const box = await page.locator(`#chart-${name}`).boundingBox();
	const said = new Set();
	for (let x = 0; x < box.width; x += 5) {
		await page.mouse.move(box.x + x, box.y + box.height / 2);
		const footer = await page.evaluate((id) => window.Chart.getChart(id).tooltip.footer, `chart-${name}`);
		(footer ?? []).forEach((line) => said.add(line));
	}
	return [...said].join('\n');
}

test('a drill is chosen, planned, confirmed, watched, and leaves marks and a report', async () => {
	const herd = await Herd.start({ fleet: FLEET });
	try {
		const { page, record, close } = await openPage(browser, herd.url);
		const other = await openPage(browser, herd.url, { width: 390, height: 844, dark: true });
		await whenAtPrimary(page);
		// Before it is asked for: what is refused is told in the console.
		await page.click('#token-open');
		await give(page, herd.token('operator'));

		await plan(page, 'evening');
		await page.waitForSelector('#drill-plan', { state: 'visible' });
		assert.ok(await page.locator('#drill-steps tbody tr').count() >= 4);
		await page.selectOption('#drill-name', 'crash');
		assert.ok(await page.isHidden('#drill-plan'), 'a plan of something else is gone');
		assert.match(await page.textContent('#drill-question'), /\?$/);

		await plan(page, 'crash', { hold: '8s' });
		await page.waitForSelector('#drill-plan', { state: 'visible' });
		assert.match(await page.textContent('#drill-plan-title'), /crash/);
		assert.match(await page.textContent('#drill-plan-facts'), /takes at most\d:\d\d/);
		await isReadable(page);
		await confirm(page, 'another');
		assert.match(await page.textContent('#drill-fleet-wrong'), /not the name of this fleet/);
		assert.equal((await herd.get('drills')).running, null);

		await confirm(page, 'herd');
		await page.waitForSelector('#drill-running', { state: 'visible' });
		assert.equal(await running(page), '1');
		assert.ok(await page.isVisible('#drill-strip-abort'));
		assert.equal(await page.evaluate(() => document.activeElement.id), 'drill-title');
		await until('the fault is told of', async () => await page.getAttribute('#fault', 'data-active') === 'true');
		await until('its beginning is marked on every chart', async () =>
			(await marksOn(page)).every((n) => n >= 1));
		await until('who only looks sees it too', async () => await running(other.page) === '1' &&
			await other.page.locator('#marks li[data-kind="out"]').count() === 1);
		await isReadable(page);
		await isReadable(other.page);
		assert.ok(await width(other.page) <= 390);
		await until('phones of the wave are back', async () => /\d+ \([\d.]+ %\) back/.test(
			await page.locator('#drill-waves li').first().textContent()));
		await page.focus('#marks button');
		await page.keyboard.press('Enter');
		assert.equal(await page.getAttribute('#marks button', 'aria-pressed'), 'true');

		await page.waitForSelector('#drill-result', { state: 'visible' });
		assert.equal(await running(page), '0');
		assert.ok(await page.isHidden('#drill-strip'));
		assert.equal(await page.getAttribute('#drill-verdict', 'data-good'), 'true',
			await page.textContent('#drill-verdict'));
		const rows = await page.locator('#drill-times tbody tr').allTextContents();
		assert.ok(rows.length >= 2 && rows.every((row) => /\d\.\d s/.test(row)), rows.join('\n'));
		await until('what was given back is marked too', async () =>
			await page.locator('#marks li[data-kind="back"]').count() >= 1 && (await marksOn(page))[0] >= 2);
		assert.match(await hovered(page, 'switches'), /\d\d:\d\d:\d\d {2}the primary proxy serves again/);
		assert.equal(await page.getAttribute('#fault', 'data-active'), 'false');
		assert.match(await page.textContent('#recovery-note'), /^Fail-back of 200 phones(?!.*estimated)/);

		const [report] = await Promise.all([page.waitForEvent('popup'), page.click('#drill-result a[data-report="1"]')]);
		const complaints = [];
		report.on('console', (message) => complaints.push(message.text()));
		await report.waitForLoadState();
		assert.match(await report.content(), /<svg/);
		assert.deepEqual(complaints, []);
		await until('it is on the list of all who look', async () =>
			await other.page.locator('#drill-finished li[data-outcome="completed"]').count() === 1);
		assert.deepEqual(record.complaints, []);
		assert.deepEqual(other.record.complaints, []);
		await other.close();
		await close();
		assert.equal(await herd.stop(), 0);
	} finally {
		await herd.end();
	}
});

test('one press aborts a drill, and where looking takes a token the report is a file', async () => {
	const herd = await Herd.start({ fleet: FLEET, args: ['--http-auth'] });
	try {
		const { page, close } = await openPage(browser, herd.url);
		await give(page, herd.token('operator'));
		await whenAtPrimary(page);
		await plan(page, 'crash', { hold: '5m' });
		await confirm(page, 'herd');
		await page.waitForSelector('#drill-running', { state: 'visible' });
		await until('phones leave', async () =>
			(await page.evaluate(figures)).map['registered-primary'] < PHONES / 2);
		await page.click('#drill-abort');
		await page.waitForSelector('#drill-result', { state: 'visible' });
		assert.match(await page.textContent('#drill-verdict'), /^Aborted/);
		assert.equal(await page.locator('#drill-finished li[data-outcome="aborted"]').count(), 1);
		await until('nothing is wrong any more', async () =>
			await page.getAttribute('#fault', 'data-active') === 'false');
		await whenAtPrimary(page);
		const [file] = await Promise.all([page.waitForEvent('download'), page.click('#drill-result a[data-report="1"]')]);
		assert.match(readFileSync(await file.path(), 'utf8'), /^<!doctype html>/i);
		await close();
		assert.equal(await herd.stop(), 0);
	} finally {
		await herd.end();
	}
});

test('the load is changed and paused', async () => {
	const herd = await Herd.start({ fleet: FLEET });
	try {
		const { page, record, close } = await openPage(browser, herd.url);
		await whenAtPrimary(page);
		await page.click('#token-open');
		await give(page, herd.token('operator'));
		const at = async () => (await page.evaluate(figures)).map;
		await page.fill('#load-phones', '50');
		await page.press('#load-phones', 'Enter');
		await until('three quarters are off', async () => (await at()).off === PHONES - 50);
		assert.match(await page.textContent('#load-now'), /^50 of 200 phones/);
		await page.click('#load-pause');
		await until('it is paused', async () => await page.getAttribute('#load', 'data-paused') === 'true');
		await page.fill('#load-phones', '200');
		await page.click('#load-apply');
		await until('it is accepted', async () => /^200 of 200/.test(await page.textContent('#load-now')));
		assert.equal((await at()).off, PHONES - 50);
		await page.click('#load-pause');
		await whenAtPrimary(page);
		assert.deepEqual(record.complaints, []);
		await close();
		assert.equal(await herd.stop(), 0);
	} finally {
		await herd.end();
	}
});
