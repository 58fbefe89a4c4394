// SPDX-License-Identifier: BSD-3-Clause
// Debian's Chromium, driven by playwright-core from the folder that PLAYWRIGHT_AT names.
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const from = createRequire(join(resolve(process.env.PLAYWRIGHT_AT ?? 'build/browser'), 'package.json'));
const { chromium } = from('playwright-core');

export async function launch() {
	return chromium.launch({
		executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
		// Chromium has no sandbox for root, and containers often have a small /dev/shm.
		args: [...(process.getuid() === 0 ? ['--no-sandbox'] : []), '--disable-dev-shm-usage'],
		timeout: 120000,
	});
}

// A page of its own with nothing in any cache, and a record of what it says and asks for.
export async function openPage(browser, url, { width = 1280, height = 900, dark = false, scale = 1 } = {}) {
	const context = await browser.newContext({
		viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', deviceScaleFactor: scale,
	});
	context.setDefaultTimeout(120000);
	const page = await context.newPage();
	const record = { complaints: [], requests: [], bytes: 0 };
	page.on('console', (message) => record.complaints.push(`${message.type()}: ${message.text()}`));
	page.on('pageerror', (error) => record.complaints.push(`error: ${error.stack ?? error}`));
	page.on('request', (request) => record.requests.push(request.url()));
	const devtools = await context.newCDPSession(page);
	await devtools.send('Network.enable');
	devtools.on('Network.dataReceived', (part) => { record.bytes += part.encodedDataLength; });
	await page.goto(url, { waitUntil: 'load' });
	return { page, record, close: () => context.close() };
}
