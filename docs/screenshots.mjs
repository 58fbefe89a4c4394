// SPDX-License-Identifier: BSD-3-Clause
// Takes the pictures of the page that the README shows, from a herd that it starts:
//
//   python3 tests/browser/run.py docs/screenshots.mjs [FOLDER]
//
// Half a minute after a primary proxy came back it crashes again; the pictures are taken when about
// half of the phones are at the redundant one: page-light.png; page-dark.png with one phone's messages,
// which are kept from the crash on; page-phone.png, 390 pixels wide. Then page-drill.png: a drill that takes
// the primary proxy away and gives it back, while phones return.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { launch, openPage } from '../tests/browser/browser.mjs';
import { Herd, until } from '../tests/browser/herd.mjs';

const PHONES = 10000;
const FOLDER = process.argv[2] ?? 'docs';
const FLEET = `fleet: office
phones: ${PHONES}
user: "2{n:06}"
password: "pw-{user}"
domain: pbx.example.net
link: memory
proxies: { primary: "192.0.2.1:5060", redundant: "192.0.2.2:5060" }
redundancy: { mode: asymmetric, switch_delay: 4s }
keepalive: { period: 20s }
timers: { no_response: 4s }
registrar: { realm: pbx.example.net }
ramp: 500/s
`;
const FAULTS = ['--fault', 'primary:crash@25s-65s', '--fault', 'primary:crash@105s'];
const TRACED = 12; // phones whose messages are kept: one of them will have failed over in time
const VIEWS = [
	{ name: 'page-light.png', width: 1280, height: 1700, downTo: '.charts' },
	{ name: 'page-dark.png', width: 1280, height: 1010, dark: true, ladder: true },
	{ name: 'page-phone.png', width: 390, height: 844, scale: 2 },
];

// The console and the charts of a drill, when about half of the phones have returned.
async function drill() {
	const herd = await Herd.start({ fleet: FLEET });
	try {
		await herd.says(/all 10,?000 phones registered at the primary/);
		const { page } = await openPage(browser, herd.url, { width: 1280, height: 1400 });
		await page.click('#token-open');
		await page.fill('#token-input', herd.token('operator'));
		await page.click('#token-save');
		await page.selectOption('#drill-name', 'crash');
		await page.fill('#drill-field-hold', '40s');
		await page.click('#drill-show');
		await page.fill('#drill-fleet', 'office');
		await page.click('#drill-start');
		await until('about half of the phones have returned', async () => {
			const { running } = await herd.get('drills');
			const wave = running?.waves.find(({ kind }) => kind === 'fail-back');
			return wave?.begun && wave.back >= PHONES * 0.5;
		});
		await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
		await page.mouse.move(0, 0);
		await page.screenshot({ path: join(FOLDER, 'page-drill.png'), animations: 'disabled' });
	} finally {
		await herd.end();
	}
}

const herd = await Herd.start({ fleet: FLEET, args: FAULTS });
const browser = await launch();
try {
	for (const view of VIEWS)
		view.page = (await openPage(browser, herd.url, view)).page;
	// The second time: the charts have something to show by then.
	await herd.says(/(primary proxy crashed[\s\S]*){2}/);
	const traced = Array.from({ length: TRACED }, (_, i) => 417 + 503 * i);
	for (const phone of traced)
		await herd.get(`phones/${phone}/trace`);
	await until('nearly half of the phones are at the redundant proxy', async () =>
		(await herd.get('fleet')).phones.registered.redundant >= PHONES * 0.4);
	const looks = await Promise.all(traced.map((phone) => herd.get(`phones/${phone}`)));
	const over = looks.find((look) => look.map_state === 'registered-redundant') ?? looks[0];
	const { page: panel } = VIEWS.find((view) => view.ladder);
	await panel.evaluate((phone) => { window.location.hash = `#phone=${phone}`; }, over.phone);
	await panel.waitForSelector('#ladder li.message');
	// All of the same moment.
	await Promise.all(VIEWS.map(async ({ name, page, width, height, downTo }) => {
		const box = downTo && await page.locator(downTo).first().boundingBox();
		const clip = { x: 0, y: 0, width, height: box ? Math.ceil(box.y + box.height) + 16 : height };
		await page.screenshot({ path: join(FOLDER, name), animations: 'disabled', clip });
	}));
	const limited = (await herd.get('generator')).verdict.generator_limited;
	await herd.end();
	await drill();
	for (const { name } of [...VIEWS, { name: 'page-drill.png' }])
		console.log(`${join(FOLDER, name)}: ${Math.round(statSync(join(FOLDER, name)).size / 1000)} kB`);
	if (limited)
		console.log('This machine was too busy, and the pictures say so: take them again.');
} finally {
	await browser.close();
	await herd.end();
}
