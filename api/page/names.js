// SPDX-License-Identifier: BSD-3-Clause
// Who a phone is, from the fleet's pattern ("2{n:06}"; see engine/identity.h), and which phones' names
// begin with a text. Pure.

// [text, width, text, width, ...] without the pattern's end, or null when there is no pattern.
function parts(pattern) {
	const list = [];
	let text = '';
	for (let i = 0; i < pattern.length; i++) {
		const rest = pattern.slice(i);
		if (rest.startsWith('{{') || rest.startsWith('}}')) {
			text += pattern[i++];
			continue;
		}
		const field = /^\{n(?::0(\d+))?\}/.exec(rest);
		if (field === null) {
			text += pattern[i];
			continue;
		}
		list.push({ text, width: field[1] ? Number(field[1]) : 0 });
		text = '';
		i += field[0].length - 1;
	}
	return { fields: list, tail: text };
}

export class Names {
	constructor(pattern) {
		this.parsed = pattern ? parts(pattern) : null;
		if (this.parsed && this.parsed.fields.length === 0) this.parsed = null;
	}

	get known() {
		return this.parsed !== null;
	}

	// The user of a phone, or null when the page cannot know it.
	user(phone) {
		if (!this.parsed) return null;
		let name = '';
		for (const { text, width } of this.parsed.fields)
			name += text + String(phone).padStart(width, '0');
		return name + this.parsed.tail;
	}

	// 1 for each phone whose user begins so; "#12" means numbers that begin with 12, as any text does
	// where users are not known. null: all phones.
	match(prefix, phones) {
		const wanted = prefix.trim();
		if (wanted === '' || wanted === '#') return null;
		const member = new Uint8Array(phones);
		if (wanted.startsWith('#')) mark(member, numbersFrom(wanted.slice(1), 0, phones));
		else if (!this.parsed) mark(member, numbersFrom(wanted, 0, phones));
		else this.#markUsers(member, wanted);
		return member;
	}

	#markUsers(member, wanted) {
		const [{ text, width }] = this.parsed.fields;
		if (text.startsWith(wanted)) {
			member.fill(1);
			return;
		}
		if (!wanted.startsWith(text)) return;
		const digits = wanted.slice(text.length);
		if (/^\d+$/.test(digits) && this.parsed.fields.length === 1 &&
			!/^\d/.test(this.parsed.tail)) {
			mark(member, numbersFrom(digits, width, member.length));
			return;
		}
		for (let i = 0; i < member.length; i++)
			if (this.user(i).startsWith(wanted)) member[i] = 1;
	}
}

// Ranges [low, high) of numbers below `phones` whose decimal text, padded to `width`, begins so.
export function numbersFrom(digits, width, phones) {
	if (!/^\d+$/.test(digits)) return [];
	const ranges = [];
	const longest = Math.max(width, String(Math.max(0, phones - 1)).length);
	for (let length = Math.max(width, digits.length, 1); length <= longest; length++) {
		// Longer than the padding: no leading zero, except the number 0 itself.
		if (length > width && digits[0] === '0' && !(length === 1 && digits === '0')) continue;
		const unit = 10 ** (length - digits.length);
		const low = Number(digits) * unit;
		const high = Math.min(low + unit, phones);
		if (low < high) ranges.push([low, high]);
	}
	return ranges;
}

function mark(member, ranges) {
	for (const [low, high] of ranges) member.fill(1, low, high);
}
