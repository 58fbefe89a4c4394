// SPDX-License-Identifier: BSD-3-Clause
// Questions to sipherd. The token, where one was given, lives in this tab's sessionStorage only and
// goes out in the Authorization header, never in an address.

const KEY = 'sipherd.token';
const KEY_READS = 'sipherd.reads';
let token = '';
let readsRefused = false; // without a token

try {
	token = sessionStorage.getItem(KEY) ?? '';
	readsRefused = sessionStorage.getItem(KEY_READS) !== null;
} catch {
	token = ''; // storage is forbidden here: kept for as long as the page is open
}

// Looking takes a token here too: a link does not do.
export function readsNeedToken() {
	return readsRefused;
}

function noteRefusal() {
	readsRefused = true;
	try {
		sessionStorage.setItem(KEY_READS, 'token');
	} catch {
		// As above.
	}
}

export function hasToken() {
	return token !== '';
}

export function setToken(text) {
	token = text.trim();
	try {
		if (token === '') sessionStorage.removeItem(KEY);
		else sessionStorage.setItem(KEY, token);
	} catch {
		// As above.
	}
}

export function headers(more = {}) {
	return token === '' ? more : { ...more, Authorization: `Bearer ${token}` };
}

// What sipherd did not do, as its problem object (RFC 9457) says it.
export class Problem extends Error {
	constructor(status, title, detail) {
		super(detail || title || `HTTP ${status}`);
		this.status = status;
		this.title = title;
	}
}

async function problemOf(answer) {
	try {
		const body = await answer.json();
		return new Problem(answer.status, body.title, body.detail);
	} catch {
		return new Problem(answer.status, answer.statusText, '');
	}
}

// Asks the user for a token when one is missing: set by the page. (status, deliberate) -> Promise of
// true when there is a new one; deliberate: somebody has just pressed a button for this.
let askForToken = async () => false;

export function onTokenNeeded(ask) {
	askForToken = ask;
}

function once(path, { method = 'GET', body, signal, headers: more }) {
	return fetch(path, {
		method,
		body,
		signal,
		headers: headers(more),
		cache: 'no-store',
		credentials: 'omit',
		redirect: 'error',
	}).catch((error) => {
		throw unreachable(error);
	});
}

// fetch says "Failed to fetch" or worse: in words that help.
function unreachable(error) {
	return error.name === 'AbortError' ? error : new Error('sipherd does not answer');
}

// The answer, or a Problem. Asks for a token at most once, when sipherd wants one.
export async function ask(path, options = {}) {
	let answer = await once(path, options);
	const refused = answer.status === 401 || answer.status === 403;
	if (answer.status === 401 && (options.method ?? 'GET') === 'GET') noteRefusal();
	if (refused && (await askForToken(answer.status, options.deliberate === true)))
		answer = await once(path, options);
	if (!answer.ok) throw await problemOf(answer);
	return answer;
}

export async function getJson(path, options) {
	return (await ask(`/api/v1/${path}`, options)).json();
}

export async function getBytes(path, options) {
	return (await ask(`/api/v1/${path}`, options)).arrayBuffer();
}

export async function send(method, path, body) {
	const answer = await ask(`/api/v1/${path}`, {
		method,
		headers: { 'Content-Type': 'application/json' },
		body: JSON.stringify(body),
		deliberate: true,
	});
	return answer.json();
}
