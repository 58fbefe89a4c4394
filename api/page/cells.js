// SPDX-License-Identifier: BSD-3-Clause
// Quantiles from the raw cells of /api/v1/histograms/{name}. Pure.

// The value that `share` of the samples do not exceed, as exact as the cells are: the middle of one.
// cells: [[smallest value, samples], ...] ascending; values are whole multiples of unit.
export function quantile(cells, share, unit = 1) {
	const total = cells.reduce((sum, [, n]) => sum + n, 0);
	if (total === 0) return NaN;
	const rank = Math.max(1, Math.ceil(share * total));
	let seen = 0;
	for (const [low, n] of cells) {
		seen += n;
		if (seen >= rank) return low + (unit * width(low / unit)) / 2;
	}
	return NaN;
}

// 64 cells an octave: below 128 each value has a cell of its own.
function width(low) {
	return low < 128 ? 0 : 2 ** (Math.floor(Math.log2(low)) - 6) - 1;
}
