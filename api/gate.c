/* SPDX-License-Identifier: BSD-3-Clause */
#include "gate.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "fleet_table.h"
#include "gate_measures.h"

#define ENDINGS_MAX 8 /* of one row; struct gate.measure is row * this + ending */
#define DIGITS_MAX 12

static const struct {
	const char *text;
	uint8_t compare;
} comparisons[] = {{"<=", GATE_AT_MOST}, {">=", GATE_AT_LEAST}, {"==", GATE_EQUAL},
	{"<", GATE_LESS}, {">", GATE_MORE}};

static const char *const unit_names[] = {"ms", "ratio", "per_s", "count"};

static int refuse(char reason[GATE_REASON_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(char reason[GATE_REASON_MAX], const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(reason, GATE_REASON_MAX, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* A decimal by hand: no sign, no exponent, whatever the locale. False: none. */
static bool decimal(const char *text, double *out, const char **rest)
{
	size_t whole = strspn(text, "0123456789"), fraction = 0;
	double scale = 1;
	*out = 0;
	if (whole == 0 || whole > DIGITS_MAX)
		return false;
	for (size_t i = 0; i < whole; i++)
		*out = *out * 10 + (text[i] - '0');
	text += whole;
	if (*text == '.') {
		fraction = strspn(++text, "0123456789");
		if (fraction == 0 || fraction > DIGITS_MAX)
			return false;
	}
	for (size_t i = 0; i < fraction; i++) {
		scale *= 10;
		*out = *out * 10 + (text[i] - '0');
	}
	*out /= scale;
	*rest = text + fraction;
	return true;
}

struct ending {
	const char *text;
	double factor;
};

static bool ending_factor(enum gate_unit unit, const char *text, double *out)
{
	static const struct ending known[][8] = {
		[GATE_MS] = {{"us", 1e-3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}},
		[GATE_RATIO] = {{"", 1}, {"%", 0.01}},
		[GATE_PER_S] = {{"/s", 1}, {"k/s", 1e3}, {"M/s", 1e6}, {"", 1}, {"k", 1e3},
			{"M", 1e6}},
		[GATE_COUNT] = {{"", 1}, {"k", 1e3}, {"M", 1e6}},
	};
	for (size_t i = 0; i < 8 && known[unit][i].text != NULL; i++) {
		if (strcmp(known[unit][i].text, text) == 0) {
			*out = known[unit][i].factor;
			return true;
		}
	}
	return false;
}

static int parse_limit(struct gate *gate, const char *text, char reason[GATE_REASON_MAX])
{
	static const char *const shapes[] = {"a duration like 95s or 250ms",
		"a share like 0.01% or 0.5", "a rate like 5000/s", "a number like 0 or 20k"};
	char quoted[FLEET_QUOTED_MAX];
	const char *rest;
	double factor;
	if (!decimal(text, &gate->limit, &rest) || !ending_factor(gate->unit, rest, &factor))
		return refuse(reason, "the limit %s is not %s", fleet_quote(text, quoted),
			shapes[gate->unit]);
	gate->limit *= factor;
	return 0;
}

/* The row and ending of a name; false: no such measure. */
static bool find_measure(const char *name, uint16_t *out)
{
	char known[GATE_MEASURE_NAME_MAX];
	for (size_t i = 0; i < gate_measures_count; i++) {
		for (unsigned e = 0; e < gate_measure_names(&gate_measures[i]); e++) {
			gate_measure_name(&gate_measures[i], e, known);
			if (strcmp(known, name) != 0)
				continue;
			*out = (uint16_t)(i * ENDINGS_MAX + e);
			return true;
		}
	}
	return false;
}

static size_t alike(const char *name, const struct gate_measure *measure)
{
	size_t length = 0;
	while (name[length] != '\0' && name[length] == measure->name[length])
		length++;
	return length;
}

/* With the measures whose names begin most alike. */
static int refuse_measure(const char *name, char reason[GATE_REASON_MAX])
{
	char known[GATE_MEASURE_NAME_MAX], quoted[FLEET_QUOTED_MAX];
	size_t best = 3, used;
	for (size_t i = 0; i < gate_measures_count; i++)
		best = alike(name, &gate_measures[i]) > best ? alike(name, &gate_measures[i])
							     : best;
	refuse(reason, "there is no measure %s, 'man sipherd' lists them",
		fleet_quote(name, quoted));
	const char *before = "; alike are ";
	for (size_t i = 0; i < gate_measures_count; i++) {
		if (alike(name, &gate_measures[i]) < best)
			continue;
		for (unsigned e = 0; e < gate_measure_names(&gate_measures[i]); e++) {
			gate_measure_name(&gate_measures[i], e, known);
			used = strlen(reason);
			snprintf(reason + used, GATE_REASON_MAX - used, "%s%s", before, known);
			before = ", ";
		}
	}
	return -EINVAL;
}

static int parse_wave(
	struct gate *gate, const char *name, const char *at, char reason[GATE_REASON_MAX])
{
	const struct gate_measure *measure = &gate_measures[gate->measure / ENDINGS_MAX];
	char quoted[FLEET_QUOTED_MAX];
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	if (at == NULL)
		return 0;
	size_t length = strlen(at);
	if (length == 0 || length >= sizeof(gate->wave) || at[strspn(at, allowed)] != '\0')
		return refuse(reason, "%s is no name of a wave", fleet_quote(at, quoted));
	if (measure->wave == NULL && measure->proxy == NULL)
		return refuse(reason, "%s is of the whole run: leave @%s out", name, at);
	bool is_proxy = strcmp(at, "primary") == 0 || strcmp(at, "redundant") == 0;
	if (measure->wave == NULL && !is_proxy)
		return refuse(reason, "%s is of a proxy: write @primary or @redundant, not @%s",
			name, at);
	if (measure->proxy == NULL && is_proxy)
		return refuse(reason, "%s is of a wave, not of a proxy: @%s", name, at);
	memcpy(gate->wave, at, length + 1);
	return 0;
}

static int parse_parts(
	struct gate *gate, char *name, const char *limit, char reason[GATE_REASON_MAX])
{
	char *at = strchr(name, '@');
	if (at != NULL)
		*at++ = '\0';
	if (!find_measure(name, &gate->measure))
		return refuse_measure(name, reason);
	gate->unit = gate_measures[gate->measure / ENDINGS_MAX].unit;
	int error = parse_wave(gate, name, at, reason);
	return error != 0 ? error : parse_limit(gate, limit, reason);
}

int gate_parse(struct gate *gate, const char *text, char reason[GATE_REASON_MAX])
{
	char name[GATE_TEXT_MAX], quoted[FLEET_QUOTED_MAX];
	size_t length = 0;
	*gate = (struct gate){0};
	reason[0] = '\0';
	for (const char *c = text; *c != '\0'; c++) {
		if (*c == ' ' || *c == '\t')
			continue;
		if (length == sizeof(gate->text) - 1)
			return refuse(reason, "a goal is no longer than %zu characters",
				sizeof(gate->text) - 1);
		gate->text[length++] = *c;
	}
	size_t end = strcspn(gate->text, "<>=");
	for (size_t i = 0; i < sizeof(comparisons) / sizeof(comparisons[0]); i++) {
		const char *sign = comparisons[i].text;
		if (strncmp(gate->text + end, sign, strlen(sign)) != 0)
			continue;
		memcpy(name, gate->text, end);
		name[end] = '\0';
		gate->compare = comparisons[i].compare;
		return parse_parts(gate, name, gate->text + end + strlen(sign), reason);
	}
	return refuse(reason, "%s is no goal: write MEASURE<=LIMIT, also with <, >=, > or ==",
		fleet_quote(text, quoted));
}

struct worst {
	const struct gate *gate;
	struct gate_result *result;
};

static bool is_worse(const struct gate *gate, double value, double than)
{
	switch (gate->compare) {
	case GATE_AT_MOST:
	case GATE_LESS:
		return value > than;
	case GATE_AT_LEAST:
	case GATE_MORE:
		return value < than;
	default:
		return fabs(value - gate->limit) > fabs(than - gate->limit);
	}
}

static void keep_worst(void *context, double value, const char *where)
{
	struct worst *worst = context;
	struct gate_result *result = worst->result;
	if (!isnan(result->value) && !is_worse(worst->gate, value, result->value))
		return;
	result->value = value;
	snprintf(result->wave, sizeof(result->wave), "%s", where);
}

/* A limit of 0.01 % is not to be missed by the last bit of a double. */
static bool is_met(const struct gate *gate, double value)
{
	double slack = isinf(value) ? 0 : 1e-9 * fabs(gate->limit);
	switch (gate->compare) {
	case GATE_AT_MOST:
		return value <= gate->limit + slack;
	case GATE_LESS:
		return value < gate->limit - slack;
	case GATE_AT_LEAST:
		return value >= gate->limit - slack;
	case GATE_MORE:
		return value > gate->limit + slack;
	default:
		return fabs(value - gate->limit) <= slack;
	}
}

void gate_check(const struct gate *gate, const json_t *run, struct gate_result *out)
{
	struct worst worst = {gate, out};
	*out = (struct gate_result){.verdict = GATE_UNKNOWN, .value = NAN};
	gate_measure_look(&gate_measures[gate->measure / ENDINGS_MAX], gate->measure % ENDINGS_MAX,
		gate->wave, run, keep_worst, &worst);
	if (!isnan(out->value))
		out->verdict = is_met(gate, out->value) ? GATE_MET : GATE_MISSED;
}

/* 5120 as "5,120"; parts of one only where they say something. */
static void group(double value, char *out, size_t size)
{
	char digits[32];
	if (value < 100 && value != floor(value)) {
		snprintf(out, size, "%.3g", value);
		return;
	}
	int length = snprintf(digits, sizeof(digits), "%.0f", value);
	size_t used = 0;
	for (int i = 0; i < length && used + 2 < size; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			out[used++] = ',';
		out[used++] = digits[i];
	}
	out[used] = '\0';
}

void gate_value_text(enum gate_unit unit, double value, char out[48])
{
	char number[40];
	if (isnan(value)) {
		snprintf(out, 48, "unknown");
		return;
	}
	if (isinf(value)) {
		snprintf(out, 48, "never");
		return;
	}
	if (unit == GATE_MS) {
		bool seconds = value >= 1000;
		snprintf(out, 48, "%.*g %s", seconds && value < 1e5 ? 4 : 6,
			seconds ? value / 1e3 : round(value * 1e3) / 1e3, seconds ? "s" : "ms");
		return;
	}
	if (unit == GATE_RATIO) {
		snprintf(out, 48, "%.4g %%", value * 100);
		return;
	}
	group(value, number, sizeof(number));
	snprintf(out, 48, "%s%s", number, unit == GATE_PER_S ? "/s" : "");
}

json_t *gates_json(const struct gate *gates, uint32_t count, const json_t *run)
{
	json_t *array = json_array();
	for (uint32_t i = 0; i < count; i++) {
		struct gate_result result = {0};
		gate_check(&gates[i], run, &result);
		json_t *value = isfinite(result.value) ? json_real(result.value) : json_null();
		json_t *wave = result.wave[0] != '\0' ? json_string(result.wave) : json_null();
		json_array_append_new(
			array, json_pack("{s: s, s: o, s: s, s: o, s: b}", "goal", gates[i].text,
				       "value", value, "unit", unit_names[gates[i].unit], "wave",
				       wave, "met", result.verdict == GATE_MET));
	}
	return array;
}

/* Text that roff takes as it stands. */
static void print(FILE *out, bool roff, const char *text)
{
	for (; *text != '\0'; text++)
		fprintf(out, "%s%c", roff && *text == '-' ? "\\" : "", *text);
}

void gate_describe(FILE *out, bool roff)
{
	static const char *const units[] = {"Duration", "Share", "Rate", "Number"};
	char name[GATE_MEASURE_NAME_MAX];
	for (size_t i = 0; i < gate_measures_count; i++) {
		const struct gate_measure *measure = &gate_measures[i];
		fputs(roff ? ".TP\n.B " : "", out);
		for (unsigned e = 0; e < gate_measure_names(measure); e++) {
			gate_measure_name(measure, e, name);
			fprintf(out, "%s%s", e > 0 ? ", " : "", name);
		}
		fprintf(out, "%s%s: ", roff ? "\n" : ": ", units[measure->unit]);
		print(out, roff, measure->help);
		fputs(".\n", out);
	}
}
