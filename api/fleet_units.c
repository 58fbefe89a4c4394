/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers and units of the fleet file. Decimal only, no signs, no exponents, nothing guessed. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fleet_table.h"

#define DIGITS_MAX 12 /* of a whole part: times an hour in milliseconds it stays within 64 bits */

/* A decimal as digits: whole + fraction / scale. */
struct decimal {
	uint64_t whole, fraction, scale;
	const char *rest; /* what follows the digits */
};

static int refuse(char reason[UNITS_REASON_MAX], const char *why)
{
	snprintf(reason, UNITS_REASON_MAX, "%s", why);
	return -EINVAL;
}

static int decimal_parse(const char *text, struct decimal *out, char reason[UNITS_REASON_MAX])
{
	*out = (struct decimal){.scale = 1};
	if (text[0] == '-' || text[0] == '+')
		return refuse(reason, "signs are not allowed");
	size_t digits = strspn(text, "0123456789");
	if (digits == 0)
		return refuse(reason, "is not a number");
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		return refuse(reason, "hexadecimal is not understood, write a decimal number");
	if (text[0] == '0' && digits > 1)
		return refuse(reason, "leading zeros are not allowed");
	if (digits > DIGITS_MAX)
		return refuse(reason, "has too many digits");
	for (size_t i = 0; i < digits; i++)
		out->whole = out->whole * 10 + (uint64_t)(text[i] - '0');
	out->rest = text + digits;
	if (*out->rest != '.')
		return 0;
	const char *fraction = out->rest + 1;
	digits = strspn(fraction, "0123456789");
	if (digits == 0)
		return refuse(reason, "has no digit after the point");
	if (digits > 6)
		return refuse(reason, "has more than six digits after the point");
	for (size_t i = 0; i < digits; i++) {
		out->fraction = out->fraction * 10 + (uint64_t)(fraction[i] - '0');
		out->scale *= 10;
	}
	out->rest = fraction + digits;
	return 0;
}

/* value * factor, which must be whole. */
static bool decimal_times(const struct decimal *value, uint64_t factor, uint64_t *out)
{
	uint64_t part = value->fraction * factor;
	if (part % value->scale != 0)
		return false;
	*out = value->whole * factor + part / value->scale;
	return true;
}

static int unknown_ending(const char *ending, const char *remedy, char reason[UNITS_REASON_MAX])
{
	char quoted[FLEET_QUOTED_MAX];
	snprintf(reason, UNITS_REASON_MAX, "ends in %s, %s", fleet_quote(ending, quoted), remedy);
	return -EINVAL;
}

int units_count(const char *text, uint64_t *out, char reason[UNITS_REASON_MAX])
{
	struct decimal value;
	int error = decimal_parse(text, &value, reason);
	if (error != 0)
		return error;
	uint64_t factor;
	if (value.rest[0] == '\0')
		factor = 1;
	else if (strcmp(value.rest, "k") == 0)
		factor = 1000;
	else if (strcmp(value.rest, "M") == 0)
		factor = 1000000;
	else
		return unknown_ending(
			value.rest, "only k (thousands) and M (millions) are understood", reason);
	if (!decimal_times(&value, factor, out))
		return refuse(reason, "is not a whole number");
	return 0;
}

static uint64_t duration_unit_ms(const char *unit)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(unit, units[i].name) == 0)
			return units[i].ms;
	}
	return 0;
}

int units_duration(const char *text, uint64_t unit_ms, uint64_t bare_ms, uint64_t *out,
	char reason[UNITS_REASON_MAX])
{
	struct decimal value;
	int error = decimal_parse(text, &value, reason);
	if (error != 0)
		return error;
	uint64_t factor_ms = bare_ms;
	if (value.rest[0] != '\0') {
		factor_ms = duration_unit_ms(value.rest);
		if (factor_ms == 0)
			return unknown_ending(value.rest,
				"one of ms, s, m, h must follow the number directly", reason);
	}
	if (factor_ms == 0) {
		if (value.whole != 0 || value.fraction != 0)
			return refuse(reason, "has no unit, write one of ms, s, m, h behind it");
		factor_ms = 1;
	}
	uint64_t ms;
	if (!decimal_times(&value, factor_ms, &ms))
		return refuse(reason, "is not a whole number of milliseconds");
	if (ms % unit_ms != 0)
		return refuse(reason, "is not a whole number of seconds");
	*out = ms / unit_ms;
	return 0;
}

int units_permille(
	const char *text, bool bare_percent, uint64_t *out, char reason[UNITS_REASON_MAX])
{
	struct decimal value;
	int error = decimal_parse(text, &value, reason);
	if (error != 0)
		return error;
	bool percent = strcmp(value.rest, "%") == 0;
	if (!percent && value.rest[0] != '\0')
		return unknown_ending(value.rest, "only % is understood", reason);
	if (!decimal_times(&value, percent || bare_percent ? 10 : 1000, out))
		return refuse(reason, "is finer than a thousandth");
	return 0;
}

int units_ppm(const char *text, uint64_t *out, char reason[UNITS_REASON_MAX])
{
	struct decimal value;
	int error = decimal_parse(text, &value, reason);
	if (error != 0)
		return error;
	bool percent = strcmp(value.rest, "%") == 0;
	if (!percent && value.rest[0] != '\0')
		return unknown_ending(value.rest, "only % is understood", reason);
	if (!decimal_times(&value, percent ? 10000 : 1000000, out))
		return refuse(reason, "is finer than a millionth");
	return 0;
}

int units_rate(const char *text, uint64_t *out, char reason[UNITS_REASON_MAX])
{
	if (strcmp(text, "none") == 0 || strcmp(text, "0") == 0) {
		*out = 0;
		return 0;
	}
	size_t length = strlen(text);
	char count[64];
	if (length < 3 || length - 2 >= sizeof(count) || strcmp(text + length - 2, "/s") != 0)
		return refuse(reason, "is not a rate, write 2000/s, or none for all at once");
	memcpy(count, text, length - 2);
	count[length - 2] = '\0';
	return units_count(count, out, reason);
}

void units_format_duration(uint64_t ms, char *out, size_t size)
{
	if (ms % 1000 == 0)
		snprintf(out, size, "%" PRIu64 "s", ms / 1000);
	else
		snprintf(out, size, "%" PRIu64 "ms", ms);
}
