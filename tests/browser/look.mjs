// SPDX-License-Identifier: BSD-3-Clause
// What is run inside the page to see what it shows. Each function stands for itself: it is sent there
// as text.

// The numbers in the header, in the legend, and of the map.
export function figures() {
	const read = (what) => Object.fromEntries([...document.querySelectorAll(`[data-testid^="${what}-"]`)]
		.map((element) => [element.dataset.testid.slice(what.length + 1),
			Number((element.dataset.value ? element : element.querySelector('[data-value]'))?.dataset.value)]));
	return {
		header: read('count'),
		legend: read('legend'),
		map: { ...window.sipherdStats?.mapCounts },
		total: Number(document.querySelector('#total').textContent.replaceAll(',', '')),
		frames: window.sipherdStats?.frames ?? 0,
	};
}

// How many pixels of the map have the colour of each state, and how many are no ground.
export function coloursOf() {
	const canvas = document.querySelector('#map');
	const style = getComputedStyle(document.documentElement);
	const number = (name) => parseInt(style.getPropertyValue(name).trim().slice(1), 16);
	const states = Array.from({ length: 8 }, (_, i) => number(`--s${i}`));
	const ground = number('--map-ground');
	const counts = new Array(8).fill(0);
	let cells = 0;
	if (canvas.width === 0 || canvas.height === 0) return { states: counts, cells };
	const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
	copy.drawImage(canvas, 0, 0);
	const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
	for (let i = 0; i < data.length; i += 4) {
		const pixel = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
		if (pixel === ground) continue;
		cells++;
		const state = states.indexOf(pixel);
		if (state >= 0) counts[state]++;
	}
	return { states: counts, cells };
}

// The message of the ladder that has the focus.
export function atMessage() {
	return document.activeElement.dataset.message;
}

// Everything that can be used and is shown, each named in its own data-reachable.
export function reachable() {
	const names = [];
	for (const element of document.querySelectorAll('a[href], button, input, select, [tabindex="0"]')) {
		if (!element.checkVisibility({ visibilityProperty: true }) || element.disabled) continue;
		if (element.tabIndex < 0) continue;
		const name = `${names.length} ${element.id || element.dataset.testid || element.textContent.trim()}`;
		element.dataset.reachable = name;
		names.push(name);
	}
	return names;
}

// Texts whose contrast to what is behind them is below WCAG's AA: 4.5, or 3 for large ones.
export function contrasts() {
	const parse = (text) => (text.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
	const over = ([r, g, b, a = 1], under) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
	const luminance = (rgb) => {
		const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const behind = (element) => {
		if (element === null) return [255, 255, 255];
		const own = parse(getComputedStyle(element).backgroundColor);
		return (own[3] ?? 1) === 1 ? own : over(own, behind(element.parentElement));
	};
	const opacity = (element) =>
		(element === null ? 1 : Number(getComputedStyle(element).opacity) * opacity(element.parentElement));
	const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	const poor = [];
	let count = 0;
	while (texts.nextNode()) {
		const text = texts.currentNode.textContent.trim();
		const element = texts.currentNode.parentElement;
		if (text === '' || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
		if (element.closest('.for-ears, .skip, [disabled]')) continue;
		const style = getComputedStyle(element);
		const ground = behind(element);
		const [r, g, b, alpha = 1] = parse(style.color);
		const colour = over([r, g, b, alpha * opacity(element)], ground);
		const [light, dark] = [luminance(colour), luminance(ground)].sort((x, y) => y - x);
		const ratio = (light + 0.05) / (dark + 0.05);
		const size = parseFloat(style.fontSize);
		const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
		count++;
		if (ratio < (large ? 3 : 4.5)) poor.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
	}
	return { texts: count, poor, ground: getComputedStyle(document.body).backgroundColor };
}
