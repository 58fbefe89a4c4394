/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bench_internal.h"
#include "units.h"
#include "view.h"

#define HOLD_REGISTER_MS 10000
#define HOLD_REFRESH_MS 30000 /* half of 60 s, which registrars usually grant at least */
#define GROWTH 2.0
#define RATE_MOST 1000000.0
#define PERIOD_MOST_MS 300000.0
#define PERIOD_LEAST_MS 100.0
#define DELAY_LEAST_MS 10.0

const char *const bench_kind_names[BENCH_KINDS] = {"failover", "register", "keepalive"};
const char *const bench_vary_names[VARY_KINDS] = {
	"phones", "period", "switch-delay", "registration", "re-registration"};

void bench_value_text(enum bench_vary vary, double value, char out[BENCH_TEXT_MAX])
{
	char number[32];
	if (vary == VARY_PERIOD || vary == VARY_SWITCH_DELAY)
		gate_value_text(GATE_MS, value, out);
	else
		snprintf(out, BENCH_TEXT_MAX, "%s%s", view_number((uint64_t)value, number),
			vary == VARY_PHONES ? " phones" : "/s");
}

/* --- The most phones that this fleet has names and addresses for --- */

static bool has_room(const struct bench *bench, uint32_t phones)
{
	struct fleet fleet;
	const struct fleet_report nobody = {0};
	char text[64];
	bool good = fleet_read(&fleet, bench->path, &nobody) == 0;
	for (size_t i = 0; good && i < bench->options->set.count; i++)
		good = fleet_set(&fleet, bench->options->set.item[i], &nobody) == 0;
	snprintf(text, sizeof(text), "phones=%" PRIu32, phones);
	good = good && fleet_set(&fleet, text, &nobody) == 0 && fleet_finish(&fleet, &nobody) == 0;
	fleet_free(&fleet);
	return good;
}

static uint32_t most_phones(const struct bench *bench)
{
	uint32_t low = bench->fleet.phones, high = 10000000;
	/* Rows of a file need not be read time and again. */
	if (bench->fleet.users[0] != '\0')
		high = identity_count(bench->fleet.identities);
	if (has_room(bench, high))
		return high;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (has_room(bench, middle))
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* --- What is searched --- */

static struct search_rules rules_of(const struct bench *bench, enum bench_vary vary)
{
	const struct fleet *f = &bench->fleet;
	struct search_rules rules = {.growth = GROWTH,
		.precision = (double)bench->precision_permille / 1000,
		.repeats = (unsigned)bench->options->repeats,
		.whole = true};
	switch (vary) {
	case VARY_PERIOD:
		rules.falling = true;
		rules.first = f->keepalive_period_ms > 0 ? f->keepalive_period_ms : PERIOD_MOST_MS;
		rules.least = PERIOD_LEAST_MS;
		rules.most = PERIOD_MOST_MS;
		break;
	case VARY_SWITCH_DELAY:
		rules.falling = true;
		rules.first = f->switch_delay_ms > 0 ? f->switch_delay_ms : PERIOD_MOST_MS;
		rules.least = DELAY_LEAST_MS;
		rules.most = PERIOD_MOST_MS;
		break;
	case VARY_PHONES:
		rules.first = f->phones;
		rules.least = 1;
		rules.most = most_phones(bench);
		break;
	default:
		rules.first = f->ramp_per_s > 0 ? f->ramp_per_s : 1000;
		rules.least = 1;
		rules.most = fmin(
			RATE_MOST, floor(most_phones(bench) * 1000.0 / (double)bench->hold_ms));
		break;
	}
	return rules;
}

static int refuse(const char *option, const char *text, const char *why)
{
	fprintf(stderr, "sipherd: --%s '%s' %s. See sipherd help bench.\n", option, text, why);
	return EXIT_USAGE;
}

static int take_value(enum bench_vary vary, const struct search_rules *rules, const char *option,
	const char *text, double *out)
{
	char reason[UNITS_REASON_MAX], least[BENCH_TEXT_MAX], most[BENCH_TEXT_MAX], why[256];
	uint64_t value = 0;
	if (text == NULL)
		return EXIT_DONE;
	int error = vary == VARY_PERIOD || vary == VARY_SWITCH_DELAY
			    ? units_duration(text, 1, 0, &value, reason)
		    : vary == VARY_PHONES ? units_count(text, &value, reason)
					  : units_rate(text, &value, reason);
	if (error != 0)
		return refuse(option, text, reason);
	*out = (double)value;
	if (*out >= rules->least && *out <= rules->most)
		return EXIT_DONE;
	bench_value_text(vary, rules->least, least);
	bench_value_text(vary, rules->most, most);
	snprintf(why, sizeof(why), "is not possible with this fleet, %s to %s are", least, most);
	return refuse(option, text, why);
}

/* --from is tried first, --to is the hardest value that is tried. */
static int add_search(struct bench *bench, enum bench_vary vary)
{
	struct bench_search *search = &bench->search[bench->searches++];
	struct search_rules rules = rules_of(bench, vary);
	double to = rules.falling ? rules.least : rules.most;
	search->vary = (uint8_t)vary;
	if (take_value(vary, &rules, "from", bench->options->from, &rules.first) != EXIT_DONE ||
		take_value(vary, &rules, "to", bench->options->to, &to) != EXIT_DONE)
		return EXIT_USAGE;
	if (rules.falling)
		rules.least = to;
	else
		rules.most = to;
	rules.first = fmin(fmax(rules.first, rules.least), rules.most);
	search->search.rules = rules;
	return EXIT_DONE;
}

static int vary_by_name(const struct bench *bench, enum bench_vary *out)
{
	const char *text = bench->options->vary;
	bool failover = bench->kind == BENCH_FAILOVER;
	*out = VARY_PHONES;
	if (text == NULL || strcmp(text, "phones") == 0)
		return EXIT_DONE;
	*out = VARY_PERIOD;
	if (strcmp(text, "period") == 0)
		return EXIT_DONE;
	*out = VARY_SWITCH_DELAY;
	if (failover && strcmp(text, "switch-delay") == 0)
		return EXIT_DONE;
	return refuse("vary", text,
		failover ? "is none of phones, period and switch-delay"
			 : "is neither phones nor period");
}

int bench_prepare(struct bench *bench)
{
	enum bench_vary vary;
	uint64_t hold_ms = bench->options->hold_ms;
	if (bench->kind == BENCH_REGISTER) {
		if (bench->options->vary != NULL)
			return refuse("vary", bench->options->vary,
				"has no meaning, it is the rate that is searched");
		bench->hold_ms = hold_ms != OPTIONS_NOT_GIVEN ? hold_ms : HOLD_REGISTER_MS;
		if (add_search(bench, VARY_REGISTER) != EXIT_DONE)
			return EXIT_USAGE;
		bench->hold_ms = hold_ms != OPTIONS_NOT_GIVEN ? hold_ms : HOLD_REFRESH_MS;
		return add_search(bench, VARY_REFRESH);
	}
	bench->hold_ms = hold_ms != OPTIONS_NOT_GIVEN ? hold_ms : HOLD_REGISTER_MS;
	return vary_by_name(bench, &vary) == EXIT_DONE ? add_search(bench, vary) : EXIT_USAGE;
}

/* --- Goals --- */

static int add_goal(struct bench *bench, const char *text)
{
	char reason[GATE_REASON_MAX];
	if (bench->goals == GATES_MAX) {
		fprintf(stderr, "sipherd: there may be %d goals at most.\n", GATES_MAX);
		return EXIT_USAGE;
	}
	if (gate_parse(&bench->goal[bench->goals++], text, reason) == 0)
		return EXIT_DONE;
	fprintf(stderr, "sipherd: --goal: %s.\n", reason);
	return EXIT_USAGE;
}

/* By PHONE.md the last phone notices a crash after so many periods and a time-out and then waits for the
 * switch delay; one part in twenty is for the proxies. */
static int add_outage_goal(struct bench *bench)
{
	const struct fleet *f = &bench->fleet;
	uint64_t ms = (uint64_t)f->fail_threshold * f->keepalive_period_ms + f->no_response_ms +
		      f->switch_delay_ms;
	char text[64];
	snprintf(text, sizeof(text), "outage_p99<=%" PRIu64 "ms", ms + ms / 20);
	return add_goal(bench, text);
}

static int add_default_goals(struct bench *bench)
{
	static const char *const goals[BENCH_KINDS][4] = {
		[BENCH_FAILOVER] = {"ira<=0.1%", "stranded==0"},
		[BENCH_REGISTER] = {"registered_ratio>=100%", "register_failed==0",
			"retransmission_ratio<=0.1%"},
		[BENCH_KEEPALIVE] = {"registered_ratio>=100%", "options_loss<=0.1%",
			"retransmission_ratio<=0.1%"},
	};
	bench->goals_from = "by default, --goal names others";
	if (bench->kind == BENCH_FAILOVER && add_outage_goal(bench) != EXIT_DONE)
		return EXIT_USAGE;
	for (size_t i = 0; i < 4 && goals[bench->kind][i] != NULL; i++) {
		if (add_goal(bench, goals[bench->kind][i]) != EXIT_DONE)
			return EXIT_USAGE;
	}
	return EXIT_DONE;
}

int bench_take_goals(struct bench *bench)
{
	const struct option_list *given = &bench->options->goal;
	if (given->count > 0) {
		bench->goals_from = "by --goal";
		for (size_t i = 0; i < given->count; i++) {
			if (add_goal(bench, given->item[i]) != EXIT_DONE)
				return EXIT_USAGE;
		}
		return EXIT_DONE;
	}
	/* They are about drills. */
	if (bench->kind != BENCH_FAILOVER || bench->fleet.gates == 0)
		return add_default_goals(bench);
	bench->goals_from = "the fleet file's gates";
	bench->goals = bench->fleet.gates;
	memcpy(bench->goal, bench->fleet.gate, sizeof(bench->goal));
	return EXIT_DONE;
}

/* --- A point --- */

static uint64_t hold_ms_of(const struct bench *bench)
{
	if (bench->options->hold_ms != OPTIONS_NOT_GIVEN)
		return bench->options->hold_ms;
	return bench->search[bench->now].vary == VARY_REFRESH ? HOLD_REFRESH_MS : HOLD_REGISTER_MS;
}

static double phones_at(const struct bench *bench, double rate)
{
	return fmax(1, ceil(rate * (double)hold_ms_of(bench) / 1000));
}

/* Whole seconds: bindings last for two holds and are refreshed after one. */
static uint64_t expires_s_of(const struct bench *bench)
{
	return (2 * hold_ms_of(bench) + 999) / 1000;
}

void bench_settings(const struct bench *bench, double value, char *out, size_t size)
{
	const char *spread = bench->kind == BENCH_KEEPALIVE ? ";keepalive.first=spread" : "";
	switch (bench->search[bench->now].vary) {
	case VARY_PHONES:
		snprintf(out, size, "phones=%.0f%s", value, spread);
		return;
	case VARY_PERIOD:
		snprintf(out, size, "keepalive.period=%.0fms%s", value, spread);
		return;
	case VARY_SWITCH_DELAY:
		snprintf(out, size, "redundancy.switch_delay=%.0fms", value);
		return;
	case VARY_REGISTER:
		snprintf(out, size, "phones=%.0f;ramp=%.0f/s;keepalive.period=0s",
			phones_at(bench, value), value);
		return;
	default:
		snprintf(out, size,
			"phones=%.0f;ramp=%.0f/s;keepalive.period=0s;registration.expires=%" PRIu64
			"s;registration.refresh=0.5",
			phones_at(bench, value), value, expires_s_of(bench));
	}
}

uint64_t bench_run_ms(const struct bench *bench, double value)
{
	const struct fleet *f = &bench->fleet;
	uint64_t hold_ms = hold_ms_of(bench);
	enum bench_vary vary = bench->search[bench->now].vary;
	/* A registration that takes longer has been sent twice or more. */
	uint64_t last_ms = 4ull * f->t1_ms;
	if (vary == VARY_REGISTER)
		return hold_ms + last_ms;
	if (vary == VARY_REFRESH)
		return hold_ms + 1000 * expires_s_of(bench) + last_ms;
	double phones = vary == VARY_PHONES ? value : f->phones;
	double period_ms = vary == VARY_PERIOD ? value : f->keepalive_period_ms;
	double ramp_ms = f->ramp_per_s > 0 ? phones * 1000 / f->ramp_per_s : 0;
	return (uint64_t)(ramp_ms + period_ms + fmax(period_ms, (double)hold_ms)) + last_ms;
}

/* Mean of the newest whole seconds of the time line. */
static double newest(const json_t *run, const char *key, double seconds)
{
	const json_t *line = json_object_get(run, "timeline");
	size_t count = json_array_size(line), wanted = (size_t)fmax(1, floor(seconds));
	double sum = 0;
	if (count == 0)
		return NAN;
	size_t from = count > wanted ? count - wanted : 0;
	for (size_t i = from; i < count; i++)
		sum += json_number_value(json_object_get(json_array_get(line, i), key));
	return sum / (double)(count - from);
}

double bench_rate(const struct bench *bench, double value, const json_t *run)
{
	double hold_s = (double)hold_ms_of(bench) / 1000;
	const json_t *counters = json_object_get(run, "counters");
	switch (bench->search[bench->now].vary) {
	case VARY_REGISTER:
		return json_number_value(json_object_get(counters, "register_ok")) / hold_s;
	case VARY_REFRESH:
		return newest(run, "register_sent", hold_s);
	case VARY_PERIOD:
		return bench->kind == BENCH_KEEPALIVE ? newest(run, "options_sent", value / 1000)
						      : NAN;
	default:
		return bench->kind == BENCH_KEEPALIVE
			       ? newest(run, "options_sent",
					 bench->fleet.keepalive_period_ms / 1000.0)
			       : NAN;
	}
}
