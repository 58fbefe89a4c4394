/* SPDX-License-Identifier: BSD-3-Clause */
/* Goals: what can be written, what each measure takes from a summary, and what counts as missed. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "gate_measures.h"

/* Two waves of one drill, as docs/measures.md has them: of 1000 phones that fail over 995 are back. */
static const char run_text[] =
	"{'fleet': {'phones': 1000}, 'duration_s': 50.0,"
	" 'phones': {'registered': {'primary': 990, 'redundant': 5}},"
	" 'datagrams': {'planned': 5000, 'sent': 5000},"
	" 'losses': {'not_sent': 0, 'no_answer': 12, 'bad_answer': 3},"
	" 'counters': {'register_sent': 2000, 'register_ok': 1990, 'register_silent': 6,"
	"  'register_rejected': 3, 'register_useless': 1, 'register_auth_failed': 0,"
	"  'register_retransmitted': 20, 'options_retransmitted': 30, 'options_answered': 9000,"
	"  'options_silent': 900, 'options_fail_code': 100},"
	" 'histograms': {"
	"  'options_rtt': {'count': 0, 'mean_us': 0, 'quantiles_us': {'p50': 0, 'max': 0}},"
	"  'registration': {'count': 9, 'mean_us': 1500, 'quantiles_us': {'p50': 900, 'p99': "
	"4000}},"
	"  'lateness': {'count': 9, 'mean_us': 5, 'quantiles_us': {'p99_9': 250}}},"
	" 'drills': [{'totals': {'stranded': 5, 'double_bound': 0, 'flaps': 2, 'late_answers': 7},"
	"  'bunching': {'herd_index': 0.25},"
	"  'proxies': {"
	"   'primary': {'ira': {'ratio': 0.0001}, 'retransmission_ratio': 0.02,"
	"     'peak_register_per_s': 300},"
	"   'redundant': {'ira': {'ratio': 0.002}, 'retransmission_ratio': null,"
	"     'peak_register_per_s': 170}},"
	"  'waves': ["
	"   {'name': 'fail-over', 'kind': 'fail-over', 'phones': 1000, 'back': 995, 'out': 5,"
	"    'detection_ms': {'count': 1000, 'mean': 60000, 'p50': 61000, 'p99': 91000},"
	"    'outage_ms': {'count': 995, 'mean': 62000.5, 'p50': 62000, 'p99': 94000,"
	"      'p99_9': 94500, 'max': 94600},"
	"    'rrd_us': {'count': 995, 'p50': 1200, 'p99': 90000},"
	"    'back_at_ms': {'p50': 62000, 'p99': 94000, 'p99_9': null, 'p100': null},"
	"    'peak': {'second': {'per_s': 17}, 'tenth': {'per_s': 30}},"
	"    'out_longer_than': {'60': 520, '120': 5, '300': 0},"
	"    'flaps': 2, 'stranded': 5, 'predicted': {'distance': 0.013}},"
	"   {'name': 'fail-back', 'kind': 'fail-back', 'phones': 995, 'back': 995, 'out': 0,"
	"    'detection_ms': {'count': 995, 'p50': 2000, 'p99': 28000},"
	"    'outage_ms': {'count': 995, 'p50': 4000, 'p99': 28100, 'p99_9': 28400, 'max': 28500},"
	"    'rrd_us': null, 'back_at_ms': {'p50': 4000, 'p99': 28100, 'p99_9': 28400, 'p100': "
	"28500},"
	"    'peak': {'second': {'per_s': 174}, 'tenth': {'per_s': 190}},"
	"    'out_longer_than': {'60': 0, '120': 0, '300': 0},"
	"    'flaps': 0, 'stranded': 0, 'predicted': null},"
	"   {'name': 'brown-out', 'kind': 'watch', 'phones': 1000, 'back': 1000, 'out': 0, 'left': "
	"0,"
	"    'outage_ms': {'count': 0, 'p50': 0, 'p99': 0}}]}]}";

static json_t *run;

static json_t *load(const char *single_quoted)
{
	char *text = strdup(single_quoted);
	for (char *c = text; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	json_t *json = json_loads(text, 0, NULL);
	free(text);
	assert_non_null(json);
	return json;
}

static int open_run(void **state)
{
	(void)state;
	run = load(run_text);
	return 0;
}

static int close_run(void **state)
{
	(void)state;
	json_decref(run);
	return 0;
}

static struct gate_result check(const json_t *json, const char *goal)
{
	struct gate gate;
	struct gate_result result;
	char reason[GATE_REASON_MAX];
	if (gate_parse(&gate, goal, reason) != 0)
		fail_msg("%s: %s", goal, reason);
	gate_check(&gate, json, &result);
	return result;
}

static void each_measure_is_found(void **state)
{
	(void)state;
	static const struct {
		const char *goal;
		enum gate_verdict verdict;
		double value;
		const char *wave;
	} rows[] = {
		{"outage_p50 <= 62s", GATE_MET, 62000, "fail-over"},
		{"outage_p50 < 62s", GATE_MISSED, 62000, "fail-over"},
		{"outage_p99 <= 94s", GATE_MET, 94000, "fail-over"},
		{"outage_p50@fail-back <= 4s", GATE_MET, 4000, "fail-back"},
		{"return_p99 <= 28.1s", GATE_MET, 28100, "fail-back"},
		{"return_p999 <= 28399ms", GATE_MISSED, 28400, "fail-back"},
		{"outage_p50@brown-out == 0s", GATE_MET, 0, "brown-out"},
		/* Five phones never came back: no quantile may look as if they had. */
		{"outage_p999 <= 24h", GATE_MISSED, INFINITY, "fail-over"},
		{"outage_max <= 24h", GATE_MISSED, INFINITY, "fail-over"},
		{"outage_mean <= 24h", GATE_MISSED, INFINITY, "fail-over"},
		{"back_99 <= 94s", GATE_MET, 94000, "fail-over"},
		{"back_100 <= 24h", GATE_MISSED, INFINITY, "fail-over"},
		{"back_100@fail-back <= 28.5s", GATE_MET, 28500, "fail-back"},
		{"detection_p99 <= 91s", GATE_MET, 91000, "fail-over"},
		{"detection_p50 >= 2s", GATE_MET, 2000, "fail-back"},
		{"rrd_p99 <= 90ms", GATE_MET, 90, "fail-over"},
		{"out_60 <= 520", GATE_MET, 520, "fail-over"},
		{"out_120 <= 4", GATE_MISSED, 5, "fail-over"},
		{"out == 0", GATE_MISSED, 5, "fail-over"},
		{"left == 0", GATE_MET, 0, "brown-out"},
		{"stranded == 0", GATE_MISSED, 5, ""},
		{"stranded@fail-back == 0", GATE_MET, 0, "fail-back"},
		{"double_bound == 0", GATE_MET, 0, ""},
		{"flaps <= 2", GATE_MET, 2, ""},
		{"late_answers < 8", GATE_MET, 7, ""},
		{"distance <= 2%", GATE_MET, 0.013, "fail-over"},
		{"peak_register_1s <= 174/s", GATE_MET, 174, "fail-back"},
		{"peak_register_1s@redundant <= 170/s", GATE_MET, 170, "redundant"},
		{"peak_register_100ms@fail-over <= 30/s", GATE_MET, 30, "fail-over"},
		{"ira <= 0.1%", GATE_MISSED, 0.002, "redundant"},
		{"ira@primary <= 0.01%", GATE_MET, 0.0001, "primary"},
		{"retransmission_ratio < 0.05", GATE_MET, 0.02, "primary"},
		{"herd_index <= 0.25", GATE_MET, 0.25, ""},
		{"registered_ratio >= 99.5%", GATE_MET, 0.995, ""},
		{"registered_ratio > 99.5%", GATE_MISSED, 0.995, ""},
		{"register_failed == 0", GATE_MISSED, 10, ""},
		{"register_failed_ratio <= 0.5%", GATE_MET, 0.005, ""},
		{"register_accepted_per_s >= 39.8/s", GATE_MET, 39.8, ""},
		{"options_answered_per_s >= 0.18k/s", GATE_MET, 180, ""},
		{"options_loss <= 10%", GATE_MET, 0.1, ""},
		{"lateness_p999 <= 250us", GATE_MET, 0.25, ""},
		{"not_sent == 0", GATE_MET, 0, ""},
		{"no_answer <= 12", GATE_MET, 12, ""},
		{"bad_answer <= 2", GATE_MISSED, 3, ""},
		/* There is no such thing in this run. */
		{"options_rtt_p50 <= 1h", GATE_UNKNOWN, NAN, ""},
		{"outage_p50@flap-9-down <= 1h", GATE_UNKNOWN, NAN, ""},
		{"rrd_p50@fail-back <= 1h", GATE_UNKNOWN, NAN, ""},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gate_result result = check(run, rows[i].goal);
		bool same = isfinite(rows[i].value) ? fabs(result.value - rows[i].value) < 1e-6
			    : isnan(rows[i].value)  ? isnan(result.value)
						    : isinf(result.value);
		if (result.verdict != rows[i].verdict || !same ||
			strcmp(result.wave, rows[i].wave) != 0)
			fail_msg("%s: %d, %g, '%s'", rows[i].goal, result.verdict, result.value,
				result.wave);
	}
}

static void without_drills_it_is_of_the_run(void **state)
{
	(void)state;
	json_object_del(run, "drills");
	assert_true(fabs(check(run, "rrd_p99 <= 4ms").value - 4) < 1e-9);
	assert_true(fabs(check(run, "rrd_mean <= 4ms").value - 1.5) < 1e-9);
	assert_true(fabs(check(run, "retransmission_ratio <= 1%").value - 0.01) < 1e-9);
	assert_int_equal(check(run, "rrd_p99@fail-over <= 4ms").verdict, GATE_UNKNOWN);
	assert_int_equal(check(run, "outage_p99 <= 24h").verdict, GATE_UNKNOWN);
}

/* Whatever stands in a file that calls itself a summary. */
static void nonsense_is_unknown(void **state)
{
	(void)state;
	static const char *const summaries[] = {"{}", "[]", "{'drills': 5}", "{'drills': [5, {}]}",
		"{'drills': [{'waves': [null, {'name': 5}, {'name': 'a', 'kind': 'b'}]}]}",
		"{'drills': [{'waves': {'a': 1}, 'proxies': [1], 'totals': null}]}",
		"{'counters': {'register_ok': '5'}, 'duration_s': 0, 'losses': {'not_sent': {}}}"};
	char name[GATE_MEASURE_NAME_MAX], goal[128];
	static const char *const limits[] = {"1s", "1%", "1/s", "1"};
	for (size_t s = 0; s < sizeof(summaries) / sizeof(summaries[0]); s++) {
		json_t *json = load(summaries[s]);
		for (size_t i = 0; i < gate_measures_count; i++) {
			const struct gate_measure *measure = &gate_measures[i];
			for (unsigned e = 0; e < gate_measure_names(measure); e++) {
				gate_measure_name(measure, e, name);
				snprintf(goal, sizeof(goal), "%s <= %s", name,
					limits[measure->unit]);
				if (check(json, goal).verdict != GATE_UNKNOWN)
					fail_msg("%s of %s", goal, summaries[s]);
			}
		}
		json_decref(json);
	}
}

static void the_json_names_what_was_missed(void **state)
{
	(void)state;
	struct gate gates[3];
	char reason[GATE_REASON_MAX];
	assert_int_equal(gate_parse(&gates[0], " outage_p99  <= 95 s", reason), 0);
	assert_int_equal(gate_parse(&gates[1], "back_100<=95s", reason), 0);
	assert_int_equal(gate_parse(&gates[2], "options_rtt_p50<=5ms", reason), 0);
	json_t *json = gates_json(gates, 3, run);
	char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(6));
	assert_string_equal(text,
		"[{\"goal\":\"outage_p99<=95s\",\"value\":94000.0,\"unit\":\"ms\","
		"\"wave\":\"fail-over\",\"met\":true},"
		"{\"goal\":\"back_100<=95s\",\"value\":null,\"unit\":\"ms\","
		"\"wave\":\"fail-over\",\"met\":false},"
		"{\"goal\":\"options_rtt_p50<=5ms\",\"value\":null,\"unit\":\"ms\",\"wave\":null,"
		"\"met\":false}]");
	free(text);
	json_decref(json);
}

static void values_are_readable(void **state)
{
	(void)state;
	static const struct {
		enum gate_unit unit;
		double value;
		const char *text;
	} rows[] = {
		{GATE_MS, 12400, "12.4 s"},
		{GATE_MS, 94321, "94.32 s"},
		{GATE_MS, 3600000, "3600 s"},
		{GATE_MS, 412, "412 ms"},
		{GATE_MS, 0.25, "0.25 ms"},
		{GATE_MS, 0, "0 ms"},
		{GATE_MS, INFINITY, "never"},
		{GATE_RATIO, 0.0002, "0.02 %"},
		{GATE_RATIO, 1, "100 %"},
		{GATE_PER_S, 5120, "5,120/s"},
		{GATE_PER_S, 39.8, "39.8/s"},
		{GATE_COUNT, 1234567, "1,234,567"},
		{GATE_COUNT, 0, "0"},
		{GATE_COUNT, NAN, "unknown"},
	};
	char text[48];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		gate_value_text(rows[i].unit, rows[i].value, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void what_is_no_goal_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "<=5", "flaps", "flaps<=", "flaps=5", "flaps<=5s",
		"flaps=<5", "flaps<=+5", "flaps<=5.", "flaps<=.5", "flaps<=0x5", "flaps<=nan",
		"flaps<=1234567890123", "flaps@<=5", "flaps@a@b<=5", "outage_p99<=5",
		"outage_p99<=5d", "ira<=5/s", "outage<=5s", "outage_p99@a,b<=5s", "ira@x<=5%",
		"not_sent@primary<=5"};
	struct gate gate;
	char reason[GATE_REASON_MAX], text[512];
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (gate_parse(&gate, texts[i], reason) != -EINVAL || reason[0] == '\0')
			fail_msg("'%s' was taken", texts[i]);
	}
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(gate_parse(&gate, text, reason), -EINVAL);
	memcpy(text + 150, "<=5", 4);
	assert_int_equal(gate_parse(&gate, text, reason), -EINVAL);
}

/* The table of docs/measures.md is this one. */
static void the_document_has_every_measure(void **state)
{
	(void)state;
	static char document[1 << 17];
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	gate_describe(out, false);
	fclose(out);
	FILE *in = fopen(TESTS_DIR "/../docs/measures.md", "r");
	assert_non_null(in);
	document[fread(document, 1, sizeof(document) - 1, in)] = '\0';
	fclose(in);
	char *rest = text, *line;
	while ((line = strsep(&rest, "\n")) != NULL && line[0] != '\0') {
		if (strstr(document, line) == NULL)
			fail_msg("docs/measures.md lacks: %s", line);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_measure_is_found, open_run, close_run),
		cmocka_unit_test_setup_teardown(
			without_drills_it_is_of_the_run, open_run, close_run),
		cmocka_unit_test(nonsense_is_unknown),
		cmocka_unit_test_setup_teardown(
			the_json_names_what_was_missed, open_run, close_run),
		cmocka_unit_test(values_are_readable),
		cmocka_unit_test(what_is_no_goal_is_refused),
		cmocka_unit_test(the_document_has_every_measure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
