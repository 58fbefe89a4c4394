// SPDX-License-Identifier: BSD-3-Clause
// A sipherd that runs for the browser tests, the screenshots and the benchmark of the page: on a port
// of its own, in a folder of its own, with the built-in registrars.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const SIPHERD = process.env.SIPHERD ?? 'build/api/sipherd';

// Short timers, as in the demo: a failover takes seconds.
export const fleetOf = (phones, more = '') => `fleet: herd
phones: ${phones}
user: "2{n:07}"
password: "very-secret-{user}"
domain: herd.example.net
link: memory
proxies: { primary: "192.0.2.1:5060", redundant: "192.0.2.2:5060" }
redundancy: { mode: asymmetric, switch_delay: 1s }
keepalive: { period: 2s }
timers: { no_response: 1s }
registrar: { realm: herd.example.net }
store: none
${more}`;

// The primary is away for half of each period, many times: whoever is late sees the next time.
export const comesAndGoes = (periodS, times) => Array.from({ length: times }, (_, i) => [
	'--fault', `primary:crash@${(i + 0.5) * periodS * 1000}ms-${(i + 1) * periodS * 1000}ms`]).flat();

const alive = new Set();
process.on('exit', () => alive.forEach((herd) => herd.process.kill('SIGKILL')));

export class Herd {
	static async start(options = {}) {
		const herd = new Herd();
		herd.folder = mkdtempSync(join(tmpdir(), 'sipherd-browser-'));
		await herd.run(options);
		return herd;
	}

	// Again after stop(): port 0 is any, herd.port the one it had.
	async run({ fleet = fleetOf(200, 'ramp: 500/s'), args = [], port = 0 } = {}) {
		const file = join(this.folder, 'fleet.yaml');
		writeFileSync(file, fleet);
		const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('SIPHERD'));
		this.said = '';
		this.process = spawn(SIPHERD, ['run', file, '--state', join(this.folder, 'state'),
			'--http', `127.0.0.1:${port}`, ...args], {
			env: { ...Object.fromEntries(clean), TERM: 'dumb' }, stdio: ['ignore', 'pipe', 'pipe'],
		});
		alive.add(this);
		this.ended = new Promise((done) => {
			this.process.on('close', (code, signal) => {
				alive.delete(this);
				done(signal ?? code);
			});
		});
		this.process.stdout.setEncoding('utf8').on('data', (text) => { this.said += text; });
		this.process.stderr.setEncoding('utf8').on('data', (text) => { this.said += text; });
		const [, url, port_] = await this.says(/^page: (http:\/\/127\.0\.0\.1:(\d+)\/)$/m);
		const [, tokens] = await this.says(/, tokens in (.+)$/m);
		await this.says(/^link /m);
		Object.assign(this, { url, port: Number(port_), tokens });
	}

	// What it has said, or will say within two minutes.
	async says(pattern) {
		let over = false;
		this.ended.then(() => { over = true; });
		for (let i = 0; i < 1200 && !pattern.test(this.said) && !over; i++)
			await sleep(100);
		const found = pattern.exec(this.said);
		if (found === null)
			throw new Error(`sipherd never said ${pattern}:\n${this.said}`);
		return found;
	}

	token(role) {
		const lines = readFileSync(this.tokens, 'utf8').split('\n').map((line) => line.split(' '));
		return Object.fromEntries(lines)[role];
	}

	async get(path) {
		const answer = await fetch(new URL(`/api/v1/${path}`, this.url), {
			headers: { Authorization: `Bearer ${this.token('viewer')}` },
		});
		if (!answer.ok)
			throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
		return answer.json();
	}

	signal(name) {
		this.process.kill(name);
	}

	// Orderly; what it returned.
	async stop() {
		this.signal('SIGCONT');
		this.signal('SIGTERM');
		return this.ended;
	}

	async end() {
		if (alive.has(this)) {
			this.process.kill('SIGKILL');
			await this.ended;
		}
		rmSync(this.folder, { recursive: true, force: true });
	}
}

export const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

// Ask until the answer is truthy, and return it; an assertion that fails is a no. A busy machine has all
// the time it may need.
export async function until(what, ask, seconds = 120) {
	const end = Date.now() + seconds * 1000;
	for (;;) {
		let why = '';
		try {
			const answer = await ask();
			if (answer)
				return answer;
		} catch (error) {
			if (error.code !== 'ERR_ASSERTION')
				throw error;
			why = `: ${error.message}`;
		}
		if (Date.now() > end)
			throw new Error(`not within ${seconds} s: ${what}${why}`);
		await sleep(100);
	}
}
