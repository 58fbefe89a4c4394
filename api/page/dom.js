// SPDX-License-Identifier: BSD-3-Clause
// Elements. Text from sipherd goes through textContent only, whatever it holds.

export function byId(id) {
	return document.getElementById(id);
}

// make('dd', { class: 'x', 'data-kind': 'y' }, 'text' or elements...)
export function make(name, attributes = {}, ...children) {
	const element = document.createElement(name);
	for (const [key, value] of Object.entries(attributes))
		if (value !== null && value !== undefined && value !== false)
			element.setAttribute(key, value === true ? '' : String(value));
	element.append(...children.filter((child) => child !== null && child !== undefined));
	return element;
}

const SVG = 'http://www.w3.org/2000/svg';

export function makeSvg(name, attributes = {}, ...children) {
	const element = document.createElementNS(SVG, name);
	for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
	element.append(...children);
	return element;
}

// Only when it differs: readers of the screen are told of changes only.
export function setText(element, text) {
	if (element.textContent !== text) element.textContent = text;
}

// A list of [term, text] as <dt> and <dd>; elements are kept, texts replaced.
export function setFacts(list, facts) {
	if (list.children.length !== facts.length * 2)
		list.replaceChildren(...facts.flatMap(() => [make('dt'), make('dd')]));
	facts.forEach(([term, text], i) => {
		setText(list.children[2 * i], term);
		setText(list.children[2 * i + 1], text);
	});
}

const shown = new WeakMap(); // table: its texts

// Rows of texts; head is the first row. Only when one differs: what somebody has selected stays.
export function setTable(table, head, rows) {
	const texts = JSON.stringify([head, rows]);
	if (shown.get(table) === texts && table.firstChild) return;
	shown.set(table, texts);
	const line = (cells, cell) => make('tr', {}, ...cells.map((text, i) =>
		cell === 'th' ? make('th', { scope: 'col' }, text)
			: i === 0 ? make('th', { scope: 'row' }, text) : make('td', {}, text)));
	table.replaceChildren(make('thead', {}, line(head, 'th')),
		make('tbody', {}, ...rows.map((row) => line(row, 'td'))));
}
