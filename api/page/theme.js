// SPDX-License-Identifier: BSD-3-Clause
// Light or dark, before the first paint: a classic script in the head. Who has chosen by hand keeps it
// for this session; everybody else gets what the system says.
(function () {
	'use strict';
	const KEY = 'sipherd.theme';
	const dark = window.matchMedia('(prefers-color-scheme: dark)');

	function chosen() {
		try {
			return sessionStorage.getItem(KEY);
		} catch {
			return null; // storage is forbidden here: the system decides
		}
	}

	function apply() {
		document.documentElement.dataset.theme = chosen() || (dark.matches ? 'dark' : 'light');
		window.dispatchEvent(new Event('sipherd-theme'));
	}

	dark.addEventListener('change', apply);
	window.sipherdToggleTheme = function () {
		const next = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
		try {
			sessionStorage.setItem(KEY, next);
		} catch {
			document.documentElement.dataset.theme = next;
		}
		apply();
	};
	apply();
})();
