/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "probe.h"

#define SCHEMA "sipherd.probe/1"

static const char *const status_names[PROBE_STATUSES] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

const char *probe_status_name(enum probe_status status)
{
	return status_names[status];
}

/* --- The verdict --- */

static double mean_ms(const struct probe_result *result)
{
	return result->answered > 0 ? (double)result->rtt_sum_us / result->answered / 1e3 : 0;
}

static bool is_over(double ms, uint64_t limit_ms)
{
	return limit_ms != OPTIONS_NOT_GIVEN && ms > (double)limit_ms;
}

static enum probe_status judge_silence(
	const struct probe *probe, const struct probe_result *result, char why[PROBE_WHY_MAX])
{
	const double timeout_s = (double)probe->options->timeout_ms / 1e3;
	if (result->refused[0] != '\0')
		snprintf(why, PROBE_WHY_MAX, "cannot be reached: %.120s", result->refused);
	else if (result->provisional != 0)
		snprintf(why, PROBE_WHY_MAX, "gave no final answer within %g s, only %u", timeout_s,
			result->provisional);
	else
		snprintf(why, PROBE_WHY_MAX, "did not answer within %g s, %u datagrams were sent",
			timeout_s, result->datagrams);
	return PROBE_CRITICAL;
}

/* "answered 200 OK in 0.8 ms", with the share that did where it was asked more than once. */
static size_t tell_answer(const struct probe_result *result, uint16_t code, char why[PROBE_WHY_MAX])
{
	char times[48] = "", again[48] = "";
	if (result->requests > 1)
		snprintf(times, sizeof(times), " to %u of %u requests", result->answered,
			result->requests);
	if (result->datagrams > result->requests)
		snprintf(again, sizeof(again), ", %u datagrams were sent again",
			result->datagrams - result->requests);
	return (size_t)snprintf(why, PROBE_WHY_MAX, "answered %u %s%s in %.1f ms%s", code,
		answer_reason(code), times, mean_ms(result), again);
}

enum probe_status probe_judge(
	const struct probe *probe, const struct probe_result *result, char why[PROBE_WHY_MAX])
{
	const struct options *options = probe->options;
	if (result->trouble[0] != '\0') {
		snprintf(why, PROBE_WHY_MAX, "was not asked: %.120s", result->trouble);
		return PROBE_UNKNOWN;
	}
	if (result->answered == 0)
		return judge_silence(probe, result, why);
	const bool bad = result->unexpected > 0;
	size_t n = tell_answer(result, bad ? result->bad_code : result->code, why);
	if (bad) {
		snprintf(why + n, PROBE_WHY_MAX - n, ", which is not expected");
		return PROBE_CRITICAL;
	}
	const double ms = mean_ms(result);
	if (is_over(ms, options->critical_ms) || is_over(ms, options->warning_ms)) {
		const bool critical = is_over(ms, options->critical_ms);
		snprintf(why + n, PROBE_WHY_MAX - n, ", more than %" PRIu64 " ms",
			critical ? options->critical_ms : options->warning_ms);
		return critical ? PROBE_CRITICAL : PROBE_WARNING;
	}
	return result->answered < result->requests ? PROBE_WARNING : PROBE_OK;
}

/* The order of Nagios' own plugins: what is not known is less bad than what is known to be bad. */
static enum probe_status worse(enum probe_status a, enum probe_status b)
{
	static const uint8_t rank[PROBE_STATUSES] = {0, 2, 3, 1};
	return rank[a] >= rank[b] ? a : b;
}

static void where(const struct probe_target *target, char out[PROBE_HOST_MAX + 8])
{
	snprintf(out, PROBE_HOST_MAX + 8, "%s:%u", target->request.host, target->request.port);
}

/* --- Nagios --- */

static void print_limit(uint64_t limit_ms)
{
	putchar(';');
	if (limit_ms != OPTIONS_NOT_GIVEN)
		printf("%g", (double)limit_ms / 1e3);
}

/* Labels of several proxies have the proxy in front; quoted, as they hold colons. */
static void print_figures(const struct probe *probe, const struct probe_target *target)
{
	const struct options *options = probe->options;
	const struct probe_result *result = &target->result;
	char place[PROBE_HOST_MAX + 8], label[PROBE_HOST_MAX + 16];
	where(target, place);
	const bool many = probe->targets > 1;
	snprintf(label, sizeof(label), "%s%s%srtt%s", many ? "'" : "", many ? place : "",
		many ? " " : "", many ? "'" : "");
	if (result->answered > 0)
		printf(" %s=%.6fs", label, mean_ms(result) / 1e3);
	else
		printf(" %s=U", label);
	print_limit(options->warning_ms);
	print_limit(options->critical_ms);
	printf(";0");
	snprintf(label, sizeof(label), "%s%s%sloss%s", many ? "'" : "", many ? place : "",
		many ? " " : "", many ? "'" : "");
	const uint32_t lost = result->requests - result->answered;
	if (result->requests > 0)
		printf(" %s=%.3g%%;;;0;100", label, 100.0 * lost / result->requests);
	else
		printf(" %s=U;;;0;100", label);
}

static void print_each(const struct probe *probe)
{
	char place[PROBE_HOST_MAX + 8], why[PROBE_WHY_MAX];
	for (uint32_t i = 0; i < probe->targets; i++) {
		const struct probe_target *target = &probe->target[i];
		enum probe_status status = probe_judge(probe, &target->result, why);
		where(target, place);
		printf("%s: %s %s\n", status_names[status], place, why);
	}
}

static void print_nagios(const struct probe *probe, enum probe_status worst)
{
	char place[PROBE_HOST_MAX + 8], why[PROBE_WHY_MAX];
	uint32_t good = 0;
	for (uint32_t i = 0; i < probe->targets; i++)
		good += probe_judge(probe, &probe->target[i].result, why) == PROBE_OK;
	where(&probe->target[0], place);
	if (probe->targets == 1)
		printf("SIP %s - %s %s |", status_names[worst], place, why);
	else
		printf("SIP %s - %u of %u proxies are well |", status_names[worst], good,
			probe->targets);
	for (uint32_t i = 0; i < probe->targets; i++)
		print_figures(probe, &probe->target[i]);
	putchar('\n');
	if (probe->targets > 1)
		print_each(probe);
}

/* --- Prometheus --- */

static double figure_up(const struct probe *probe, const struct probe_result *result)
{
	char why[PROBE_WHY_MAX];
	enum probe_status status = probe_judge(probe, result, why);
	return status == PROBE_OK || status == PROBE_WARNING;
}

static double figure_rtt(const struct probe *probe, const struct probe_result *result)
{
	(void)probe;
	return mean_ms(result) / 1e3;
}

static double figure_rtt_max(const struct probe *probe, const struct probe_result *result)
{
	(void)probe;
	return result->rtt_max_us / 1e6;
}

static double figure_requests(const struct probe *probe, const struct probe_result *result)
{
	(void)probe;
	return result->requests;
}

static double figure_answers(const struct probe *probe, const struct probe_result *result)
{
	(void)probe;
	return result->answered;
}

static double figure_datagrams(const struct probe *probe, const struct probe_result *result)
{
	(void)probe;
	return result->datagrams;
}

static double figure_code(const struct probe *probe, const struct probe_result *result)
{
	(void)probe;
	return result->code;
}

static const struct {
	const char *name, *help;
	double (*value)(const struct probe *probe, const struct probe_result *result);
	bool answered; /* only of those who answered */
} figures[] = {
	{"sipherd_probe_up", "1: the proxy answers, and with an expected code.", figure_up, false},
	{"sipherd_probe_rtt_seconds", "Mean time to the final answer.", figure_rtt, true},
	{"sipherd_probe_rtt_max_seconds", "Longest time to the final answer.", figure_rtt_max,
		true},
	{"sipherd_probe_requests", "OPTIONS transactions of this probe.", figure_requests, false},
	{"sipherd_probe_answers", "Final answers to them.", figure_answers, false},
	{"sipherd_probe_datagrams", "Datagrams sent, repetitions included.", figure_datagrams,
		false},
	{"sipherd_probe_code", "Code of the last final answer.", figure_code, true},
};

static void print_prometheus(const struct probe *probe)
{
	char place[PROBE_HOST_MAX + 8];
	for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++) {
		printf("# HELP %s %s\n# TYPE %s gauge\n", figures[f].name, figures[f].help,
			figures[f].name);
		for (uint32_t i = 0; i < probe->targets; i++) {
			const struct probe_target *target = &probe->target[i];
			if (figures[f].answered && target->result.answered == 0)
				continue;
			where(target, place);
			printf("%s{proxy=\"%s\"} %.9g\n", figures[f].name, place,
				figures[f].value(probe, &target->result));
		}
	}
}

/* --- JSON --- */

static json_t *rtt_of(const struct probe_result *result)
{
	if (result->answered == 0)
		return json_null();
	return json_pack("{s:f, s:f, s:f}", "mean", mean_ms(result), "min",
		result->rtt_min_us / 1e3, "max", result->rtt_max_us / 1e3);
}

static json_t *json_of(const struct probe *probe, const struct probe_target *target)
{
	const struct probe_result *r = &target->result;
	char address[ADDRESS_TEXT_MAX], why[PROBE_WHY_MAX];
	const enum probe_status status = probe_judge(probe, r, why);
	if (r->known)
		address_format(&r->address, address);
	return json_pack("{s:s, s:s?, s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:I, s:I}",
		"host", target->request.host, "address", r->known ? address : NULL, "port",
		target->request.port, "status", status_names[status], "why", why, "requests",
		(json_int_t)r->requests, "answered", (json_int_t)r->answered, "unexpected",
		(json_int_t)r->unexpected, "datagrams", (json_int_t)r->datagrams, "code",
		r->answered > 0 ? json_integer(r->code) : json_null(), "rtt_ms", rtt_of(r), "late",
		(json_int_t)r->late, "strange", (json_int_t)r->strange);
}

static void print_json(const struct probe *probe, enum probe_status worst)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < probe->targets; i++)
		json_array_append_new(list, json_of(probe, &probe->target[i]));
	json_t *all = json_pack("{s:s, s:s, s:o}", "schema", SCHEMA, "status", status_names[worst],
		"proxies", list);
	json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	putchar('\n');
	json_decref(all);
}

enum probe_status probe_print(const struct probe *probe)
{
	char why[PROBE_WHY_MAX];
	enum probe_status worst = PROBE_OK;
	for (uint32_t i = 0; i < probe->targets; i++)
		worst = worse(worst, probe_judge(probe, &probe->target[i].result, why));
	if (probe->options->json)
		print_json(probe, worst);
	else if (probe->options->prometheus)
		print_prometheus(probe);
	else
		print_nagios(probe, worst);
	/* What nobody could read is no verdict. */
	return fflush(stdout) == 0 && !ferror(stdout) ? worst : PROBE_UNKNOWN;
}
