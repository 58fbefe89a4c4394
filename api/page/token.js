// SPDX-License-Identifier: BSD-3-Clause
// Asks for a token, when sipherd wants one or somebody presses the button.
import { hasToken, onTokenNeeded, setToken } from './api.js';
import { byId, setText } from './dom.js';

let answered = null; // of the question that is open
let declined = false; // do not ask again unless somebody does something

function show() {
	const button = byId('token-open');
	setText(button, hasToken() ? 'Token given' : 'Token');
	button.classList.toggle('on', hasToken());
}

function close(given) {
	const tell = answered;
	answered = null;
	byId('token-dialog').close();
	byId('token-input').value = '';
	declined = !given;
	show();
	if (tell) tell(given);
}

let open = null;

function question(title) {
	setText(byId('token-title'), title);
	byId('token-forget').hidden = !hasToken();
	if (open === null) {
		open = new Promise((done) => {
			answered = done;
		}).finally(() => {
			open = null;
		});
		byId('token-dialog').showModal();
		byId('token-input').focus();
	}
	return open;
}

export function startTokens(given) {
	onTokenNeeded((status, deliberate) => {
		if (declined && !deliberate) return Promise.resolve(false);
		return question(status === 403 || (deliberate && !hasToken())
			? 'This needs the operator\u2019s token' : hasToken() ? 'That token is not known here' : 'A token is needed');
	});
	byId('token-open').addEventListener('click', () => question('Token').then((fresh) => fresh && given()));
	byId('token-form').addEventListener('submit', (event) => {
		event.preventDefault();
		const text = byId('token-input').value.trim();
		if (text === '') return;
		setToken(text);
		close(true);
	});
	byId('token-cancel').addEventListener('click', () => close(false));
	byId('token-forget').addEventListener('click', () => {
		setToken('');
		close(false);
	});
	byId('token-dialog').addEventListener('cancel', (event) => {
		event.preventDefault();
		close(false);
	});
	show();
}
