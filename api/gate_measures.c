/* SPDX-License-Identifier: BSD-3-Clause */
#include "gate_measures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_TEXT 256

enum {
	FAIL_OVER = 1 << 0,
	FAIL_BACK = 1 << 1,
	RESCUE = 1 << 2,
	POWER = 1 << 3,
	WATCH = 1 << 4,
	ANY = FAIL_OVER | FAIL_BACK | RESCUE | POWER | WATCH,
	/* Where a phone is without service until it is registered elsewhere. A phone that fails back
	 * has its redundant proxy meanwhile. */
	OUT = ANY & ~FAIL_BACK,
};

static const char *const kind_names[] = {"fail-over", "fail-back", "rescue", "power", "watch"};

struct ending {
	const char *name, *key;
	double share; /* of the phones that the value speaks for */
};

static const struct ending spread[] = {{"_p50", "p50", 0.5}, {"_p90", "p90", 0.9},
	{"_p99", "p99", 0.99}, {"_p999", "p99_9", 0.999}, {"_max", "max", 1}, {"_mean", "mean", 1}};
static const struct ending shares[] = {{"_50", "p50", 0.5}, {"_90", "p90", 0.9},
	{"_99", "p99", 0.99}, {"_999", "p99_9", 0.999}, {"_100", "p100", 1}};

#define REGISTERED "phones.registered.primary+phones.registered.redundant"
#define KEEPALIVES "counters.options_answered+counters.options_silent+counters.options_fail_code"

const struct gate_measure gate_measures[] = {
	{"outage", GATE_MS, GATE_SPREAD, OUT, .moved = true, .wave = "outage_ms",
		.help = "from a proxy's end until a phone has the 200 OK of the other one; a phone "
			"that is not back when its wave ends counts as never"},
	{"detection", GATE_MS, GATE_SPREAD, ANY, .wave = "detection_ms",
		.help = "from a wave's beginning until a phone gives its proxy up"},
	{"switch", GATE_MS, GATE_SPREAD, ANY, .wave = "switch_ms",
		.help = "from there until its REGISTER leaves for the other proxy"},
	{"registration", GATE_MS, GATE_SPREAD, ANY, .wave = "registration_ms",
		.help = "from there until its 200 OK"},
	{"since_answer", GATE_MS, GATE_SPREAD, ANY, .wave = "since_answer_ms",
		.help = "from the last answer of the old proxy until the 200 OK of the new one"},
	{"return", GATE_MS, GATE_SPREAD, FAIL_BACK, .moved = true, .wave = "outage_ms",
		.help = "from the primary's return until a phone has its 200 OK; never as above"},
	{"back", GATE_MS, GATE_SHARES, ANY & ~WATCH, .wave = "back_at_ms",
		.help = "from a wave's beginning until so many percent of its phones are back"},
	{"rrd", GATE_MS, GATE_SPREAD, ANY, .finer = true, .wave = "rrd_us",
		.run = "histograms.registration",
		.help = "registration request delay of RFC 6076, challenge included; of the whole "
			"run where there was no drill"},
	{"out_60", GATE_COUNT, GATE_ONE, OUT, .wave = "out_longer_than.60",
		.help = "phones without service for longer than 60 s in one wave"},
	{"out_120", GATE_COUNT, GATE_ONE, OUT, .wave = "out_longer_than.120",
		.help = "the same, 120 s"},
	{"out_300", GATE_COUNT, GATE_ONE, OUT, .wave = "out_longer_than.300",
		.help = "the same, 300 s"},
	{"out", GATE_COUNT, GATE_ONE, ANY, .wave = "out",
		.help = "phones that are not back when their wave ends"},
	{"left", GATE_COUNT, GATE_ONE, WATCH, .wave = "left",
		.help = "phones that have left a proxy which they need not have left"},
	{"stranded", GATE_COUNT, GATE_ONE, ANY, .drill = "totals.stranded", .wave = "stranded",
		.help = "phones that are registered nowhere although a proxy serves"},
	{"double_bound", GATE_COUNT, GATE_ONE, 0, .drill = "totals.double_bound",
		.help = "phones that both proxies hold a binding of"},
	{"flaps", GATE_COUNT, GATE_ONE, ANY, .drill = "totals.flaps", .wave = "flaps",
		.help = "switches after a phone's first in one wave"},
	{"late_answers", GATE_COUNT, GATE_ONE, 0, .drill = "totals.late_answers",
		.help = "answers that came when nobody waited for them any more"},
	{"distance", GATE_RATIO, GATE_ONE, ANY, .wave = "predicted.distance",
		.help = "largest distance between the measured and the predicted curve"},
	{"peak_register_1s", GATE_PER_S, GATE_ONE, ANY, .wave = "peak.second.per_s",
		.proxy = "peak_register_per_s",
		.help = "REGISTER transactions in the busiest second of a wave"},
	{"peak_register_100ms", GATE_PER_S, GATE_ONE, ANY, .wave = "peak.tenth.per_s",
		.help = "... and their rate in its busiest tenth of a second"},
	{"ira", GATE_RATIO, GATE_ONE, 0, .proxy = "ira.ratio",
		.help = "ineffective registration attempts of RFC 6076: not answered, or 408, 500, "
			"503, 504"},
	{"retransmission_ratio", GATE_RATIO, GATE_ONE, 0, .proxy = "retransmission_ratio",
		.run = "counters.register_retransmitted+counters.options_retransmitted/"
		       "datagrams.sent",
		.help = "datagrams that were sent again, of all"},
	{"herd_index", GATE_RATIO, GATE_ONE, 0, .drill = "bunching.herd_index",
		.help = "how much keep-alives are bunched after the event"},
	{"registered_ratio", GATE_RATIO, GATE_ONE, 0, .run = REGISTERED "/fleet.phones",
		.help = "phones that are registered when the run ends, of the fleet"},
	{"register_failed_ratio", GATE_RATIO, GATE_ONE, 0,
		.run = "counters.register_silent+counters.register_rejected+counters.register_"
		       "useless+"
		       "counters.register_auth_failed/counters.register_sent",
		.help = "REGISTER transactions that failed: silence, refusal, no use, wrong "
			"credentials"},
	{"register_failed", GATE_COUNT, GATE_ONE, 0,
		.run = "counters.register_silent+counters.register_rejected+counters.register_"
		       "useless+"
		       "counters.register_auth_failed",
		.help = "the same as a number; RFC 7502 searches the highest rate that has none"},
	{"register_accepted_per_s", GATE_PER_S, GATE_ONE, 0,
		.run = "counters.register_ok/duration_s",
		.help = "REGISTERs accepted, over the run"},
	{"options_answered_per_s", GATE_PER_S, GATE_ONE, 0,
		.run = "counters.options_answered/duration_s",
		.help = "keep-alives answered, over the run"},
	{"options_loss", GATE_RATIO, GATE_ONE, 0,
		.run = "counters.options_silent+counters.options_fail_code/" KEEPALIVES,
		.help = "keep-alives that were never answered, or by a code that counts as "
			"silence"},
	{"options_rtt", GATE_MS, GATE_SPREAD, 0, .run = "histograms.options_rtt",
		.help = "from a keep-alive's planned time to its answer"},
	{"register_rtt", GATE_MS, GATE_SPREAD, 0, .run = "histograms.register_rtt",
		.help = "from a REGISTER's planned time to its final answer"},
	{"lateness", GATE_MS, GATE_SPREAD, 0, .run = "histograms.lateness",
		.help = "how late sipherd was with what was due"},
	{"not_sent", GATE_COUNT, GATE_ONE, 0, .run = "losses.not_sent",
		.help = "datagrams that were due and that sipherd could not send"},
	{"no_answer", GATE_COUNT, GATE_ONE, 0, .run = "losses.no_answer",
		.help = "transactions that timed out"},
	{"bad_answer", GATE_COUNT, GATE_ONE, 0, .run = "losses.bad_answer",
		.help = "answers that were refused, useless, foreign or malformed"},
};
const size_t gate_measures_count = sizeof(gate_measures) / sizeof(gate_measures[0]);

static const struct ending *ending_of(const struct gate_measure *measure, unsigned ending)
{
	static const struct ending none = {"", "", 1};
	return measure->endings == GATE_SPREAD   ? &spread[ending]
	       : measure->endings == GATE_SHARES ? &shares[ending]
						 : &none;
}

unsigned gate_measure_names(const struct gate_measure *measure)
{
	return measure->endings == GATE_SPREAD   ? sizeof(spread) / sizeof(spread[0])
	       : measure->endings == GATE_SHARES ? sizeof(shares) / sizeof(shares[0])
						 : 1;
}

void gate_measure_name(
	const struct gate_measure *measure, unsigned ending, char out[GATE_MEASURE_NAME_MAX])
{
	snprintf(out, GATE_MEASURE_NAME_MAX, "%s%s", measure->name,
		ending_of(measure, ending)->name);
}

/* What stands at a dotted path; NULL: nothing. */
static const json_t *at(const json_t *object, const char *path, size_t length)
{
	char name[64];
	while (object != NULL) {
		size_t part = 0;
		while (part < length && path[part] != '.')
			part++;
		if (part >= sizeof(name))
			return NULL;
		memcpy(name, path, part);
		name[part] = '\0';
		object = json_object_get(object, name);
		if (part == length)
			return object;
		path += part + 1;
		length -= part + 1;
	}
	return NULL;
}

static double sum(const json_t *object, const char *path, size_t length)
{
	double total = 0;
	for (;;) {
		size_t part = 0;
		while (part < length && path[part] != '+')
			part++;
		const json_t *value = at(object, path, part);
		if (!json_is_number(value))
			return NAN;
		total += json_number_value(value);
		if (part == length)
			return total;
		path += part + 1;
		length -= part + 1;
	}
}

/* NAN where there is no such number; nothing over nothing is none. */
static double number(const json_t *object, const char *path)
{
	const char *over = strchr(path, '/');
	if (over == NULL)
		return sum(object, path, strlen(path));
	double below = sum(object, over + 1, strlen(over + 1));
	return below > 0 ? sum(object, path, (size_t)(over - path)) / below : NAN;
}

static double of_wave(
	const struct gate_measure *measure, const struct ending *ending, const json_t *wave)
{
	char path[PATH_MAX_TEXT];
	const char *kind = json_string_value(json_object_get(wave, "kind"));
	double phones = number(wave, "phones"), back = number(wave, "back");
	if (measure->endings == GATE_ONE)
		return number(wave, measure->wave);
	if (!(phones > 0))
		return NAN;
	/* Nobody need move: who did not has had no outage. */
	if (measure->moved && kind != NULL && strcmp(kind, "watch") == 0) {
		snprintf(path, sizeof(path), "%s.count", measure->wave);
		if (number(wave, path) == 0)
			return 0;
	} else if (measure->moved && back < ending->share * phones) {
		return INFINITY;
	}
	snprintf(path, sizeof(path), "%s.%s", measure->wave, ending->key);
	if (measure->endings == GATE_SHARES)
		return json_is_null(at(wave, path, strlen(path))) ? INFINITY : number(wave, path);
	double value = number(wave, path);
	snprintf(path, sizeof(path), "%s.count", measure->wave);
	return number(wave, path) > 0 ? value * (measure->finer ? 1e-3 : 1) : NAN;
}

static bool is_about(const struct gate_measure *measure, const char *named, const json_t *wave)
{
	const char *name = json_string_value(json_object_get(wave, "name"));
	const char *kind = json_string_value(json_object_get(wave, "kind"));
	if (name == NULL || kind == NULL)
		return false;
	if (named[0] != '\0')
		return strcmp(name, named) == 0;
	for (size_t i = 0; i < sizeof(kind_names) / sizeof(kind_names[0]); i++) {
		if (strcmp(kind, kind_names[i]) == 0)
			return (measure->kinds & 1u << i) != 0;
	}
	return false;
}

struct look {
	gate_value_seen *seen;
	void *context;
	unsigned found;
};

static void found(struct look *look, double value, const char *where)
{
	if (isnan(value))
		return;
	look->found++;
	look->seen(look->context, value, where);
}

static void look_at_waves(const struct gate_measure *measure, const struct ending *ending,
	const char *named, const json_t *drill, struct look *look)
{
	size_t index;
	json_t *wave;
	json_array_foreach (json_object_get(drill, "waves"), index, wave) {
		if (is_about(measure, named, wave))
			found(look, of_wave(measure, ending, wave),
				json_string_value(json_object_get(wave, "name")));
	}
}

static void look_at_proxies(const struct gate_measure *measure, const char *named,
	const json_t *drill, struct look *look)
{
	const char *name;
	json_t *proxy;
	json_object_foreach (json_object_get(drill, "proxies"), name, proxy) {
		if (named[0] == '\0' || strcmp(named, name) == 0)
			found(look, number(proxy, measure->proxy), name);
	}
}

static double of_run(
	const struct gate_measure *measure, const struct ending *ending, const json_t *run)
{
	char path[PATH_MAX_TEXT];
	if (measure->endings == GATE_ONE)
		return number(run, measure->run);
	snprintf(path, sizeof(path), "%s.count", measure->run);
	if (!(number(run, path) > 0))
		return NAN;
	bool mean = strcmp(ending->key, "mean") == 0;
	snprintf(path, sizeof(path), "%s.%s%s", measure->run, mean ? "" : "quantiles_us.",
		mean ? "mean_us" : ending->key);
	return number(run, path) / 1e3;
}

void gate_measure_look(const struct gate_measure *measure, unsigned index, const char *wave,
	const json_t *run, gate_value_seen *seen, void *context)
{
	struct look look = {.seen = seen, .context = context};
	const struct ending *ending = ending_of(measure, index);
	bool by_proxy = measure->proxy != NULL &&
			(measure->wave == NULL || strcmp(wave, "primary") == 0 ||
				strcmp(wave, "redundant") == 0);
	size_t i;
	json_t *drill;
	json_array_foreach (json_object_get(run, "drills"), i, drill) {
		if (measure->drill != NULL && wave[0] == '\0')
			found(&look, number(drill, measure->drill), "");
		else if (by_proxy)
			look_at_proxies(measure, wave, drill, &look);
		else if (measure->wave != NULL)
			look_at_waves(measure, ending, wave, drill, &look);
	}
	if (look.found == 0 && measure->run != NULL && wave[0] == '\0')
		found(&look, of_run(measure, ending, run), "");
}
