// SPDX-License-Identifier: BSD-3-Clause
// Debian's Chromium, driven by playwright-core from the folder that PLAYWRIGHT_AT names.
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const from = createRequire(join(resolve(process.env.PLAYWRIGHT_AT ?? 'build/browser'), 'package.json'));
const { chromium } = from('playwright-core');

export async function launch() {
	const options = {
		executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
		args: ['--disable-dev-shm-usage'], // which is small in many containers
		timeout: 120000,
	};
	const bare = { ...options, args: [...options.args, '--no-sandbox'] };
	if (process.getuid() === 0)
		return chromium.launch(bare);
	// Containers may forbid what the sandbox is made of; the only page it sees is ours.
	return chromium.launch(options).catch(() => chromium.launch(bare));
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
