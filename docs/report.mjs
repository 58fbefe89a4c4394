// SPDX-License-Identifier: BSD-3-Clause
// Takes the picture of the example report that the README shows, light and dark: its fail-back wave.
//
//   python3 tests/browser/run.py docs/report.mjs
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { launch } from '../tests/browser/browser.mjs';

const REPORT = pathToFileURL(resolve('docs/examples/report.html')).href;
const WAVE = '#wave-1-2';
const HEIGHT = 950; // its charts; the tables behind them are for readers of the report
const browser = await launch();
try {
	for (const colorScheme of ['light', 'dark']) {
		const page = await browser.newPage({ viewport: { width: 1100, height: HEIGHT }, colorScheme });
		await page.goto(REPORT);
		await page.evaluate((wave) => document.querySelector(wave).scrollIntoView(), WAVE);
		await page.screenshot({ path: `docs/report-${colorScheme}.png` });
		await page.close();
	}
} finally {
	await browser.close();
}
