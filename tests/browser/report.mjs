// SPDX-License-Identifier: BSD-3-Clause
// Reports as people read them: in Chromium, wide and on a phone, light and dark, and on paper.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { launch, openPage } from './browser.mjs';
import { contrasts } from './look.mjs';

const SIPHERD = process.env.SIPHERD ?? 'build/api/sipherd';
const SAMPLE = fileURLToPath(new URL('../report/sample.py', import.meta.url));
const PHONES = '1000';
const reports = {};
let browser, folder;

function made(character) {
	const path = join(folder, `${character}.json`);
	writeFileSync(path, execFileSync('python3', [SAMPLE, character, PHONES], { maxBuffer: 1 << 26 }));
	return path;
}

function report(name, ...summaries) {
	const path = join(folder, `${name}.html`);
	execFileSync(SIPHERD, ['report', ...summaries, '-o', path]);
	reports[name] = pathToFileURL(path).href;
}

before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'sipherd-report-'));
	const [one, other] = [made('refusing'), made('saturated')];
	report('one', one);
	report('compared', one, other);
	browser = await launch();
});
after(async () => {
	await browser?.close();
	rmSync(folder, { recursive: true, force: true });
});

// What is wider than the page, unless it lies in something that scrolls by itself; and what is cut off.
function tooWide() {
	const width = document.documentElement.clientWidth;
	const out = [...document.body.querySelectorAll('*')].filter((element) => {
		const box = element.getBoundingClientRect();
		return box.width > 0 && (box.right > width + 1 || box.left < -1) &&
			!element.closest('.scroll, pre');
	});
	return out.map((element) => `${element.tagName} ${element.textContent.slice(0, 30)}`);
}

// Labels of one axis that lie on each other.
function overlapping() {
	const found = [];
	for (const chart of document.querySelectorAll('svg.chart')) {
		for (const axis of ['x', 'y']) {
			const boxes = [...chart.querySelectorAll(`text.${axis}:not(.name)`)].map((text) =>
				({ text: text.textContent, box: text.getBoundingClientRect() }));
			for (let i = 1; i < boxes.length; i++) {
				const [a, b] = [boxes[i - 1].box, boxes[i].box];
				if (axis === 'x' ? a.right > b.left : a.top < b.bottom)
					found.push(`${boxes[i - 1].text} and ${boxes[i].text}`);
			}
		}
	}
	return found;
}

for (const name of ['one', 'compared']) {
	describe(`report ${name}`, () => {
		for (const width of [390, 1280]) {
			for (const dark of [false, true]) {
				test(`${width} pixels wide, ${dark ? 'dark' : 'light'}`, async () => {
					const { page, record, close } = await openPage(browser, reports[name], { width, dark });
					assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= width);
					assert.deepEqual(await page.evaluate(tooWide), []);
					assert.deepEqual(await page.evaluate(overlapping), []);
					const seen = await page.evaluate(contrasts);
					assert.ok(seen.texts > 100, `${seen.texts} texts`);
					assert.deepEqual(seen.poor, []);
					const [red] = seen.ground.match(/\d+/g).map(Number);
					assert.equal(red < 128, dark, seen.ground);
					assert.deepEqual(record.complaints, []);
					assert.deepEqual(record.requests.filter((url) => url !== reports[name] && url !== 'data:,'), []);
					await close();
				});
			}
		}

		test('on paper it is light, whatever the screen is', async () => {
			const { page, record, close } = await openPage(browser, reports[name], { dark: true });
			await page.emulateMedia({ media: 'print' });
			assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
				'rgb(255, 255, 255)');
			const pdf = await page.pdf({ preferCSSPageSize: true });
			assert.equal(pdf.subarray(0, 5).toString(), '%PDF-');
			assert.deepEqual(record.complaints, []);
			await close();
		});
	});
}
