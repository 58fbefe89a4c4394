// SPDX-License-Identifier: BSD-3-Clause
// Takes the pictures of the example report that the README shows:
//
//   python3 tests/browser/run.py docs/report.mjs
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { launch } from '../tests/browser/browser.mjs';

const REPORT = pathToFileURL(resolve('docs/examples/report.html')).href;
const browser = await launch();
try {
	for (const colorScheme of ['light', 'dark']) {
		const page = await browser.newPage({ viewport: { width: 1100, height: 1500 }, colorScheme });
		await page.goto(REPORT);
		await page.screenshot({ path: `docs/report-${colorScheme}.png` });
		await page.close();
	}
} finally {
	await browser.close();
}
