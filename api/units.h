/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers with units, as the fleet file, the command line and the environment write them. Decimal
 * only, no signs, no exponents, nothing guessed.
 *
 * 0, or -EINVAL with reason filled: a clause that goes behind the value in a message.
 */
#ifndef SIPHERD_UNITS_H
#define SIPHERD_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNITS_REASON_MAX 160

/* "100", "10k", "1.5M". */
int units_count(const char *text, uint64_t *out, char reason[UNITS_REASON_MAX]);

/* "500ms", "1.5s", "2m", "1h"; a bare number counts in bare_ms, unless that is 0: then a unit is
 * required, except for zero. unit_ms is what the field counts in: the value must be a whole number
 * of it. The result is in units of unit_ms. */
int units_duration(const char *text, uint64_t unit_ms, uint64_t bare_ms, uint64_t *out,
	char reason[UNITS_REASON_MAX]);

/* "0.5" or "50%" or, when bare_percent, "50", in thousandths. */
int units_permille(
	const char *text, bool bare_percent, uint64_t *out, char reason[UNITS_REASON_MAX]);

/* "0.5" or "50%", in millionths: "0.0001%" is 1. */
int units_ppm(const char *text, uint64_t *out, char reason[UNITS_REASON_MAX]);

/* "2000/s", "2k/s", "0", "none". */
int units_rate(const char *text, uint64_t *out, char reason[UNITS_REASON_MAX]);

/* Shortest exact text: "60s", "500ms". */
void units_format_duration(uint64_t ms, char *out, size_t size);

#endif
