/* SPDX-License-Identifier: BSD-3-Clause */
/* Drills as text for people. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ctl.h"
#include "view.h"

#define MOST 1e15 /* beyond every count, and small enough to be made whole */

static double number_of(const json_t *object, const char *name)
{
	return fmin(fmax(json_number_value(json_object_get(object, name)), -MOST), MOST);
}

static const char *count_of(const json_t *object, const char *name, char out[32])
{
	return view_number((uint64_t)(fmax(0, number_of(object, name)) + 0.5), out);
}

/* A text that fills so many columns, at least. */
static void print_padded(const char *text, int width)
{
	const int length = (int)strlen(text);
	ctl_print_clean(text);
	printf("%*s", length < width ? width - length : 1, "");
}

static void print_texts(const json_t *list)
{
	size_t index;
	json_t *item;
	json_array_foreach (list, index, item) {
		fputs(index > 0 ? ", " : "", stdout);
		ctl_print_clean(json_is_string(item) ? json_string_value(item) : "-");
	}
}

/* --- What there is --- */

static void print_running(const json_t *running)
{
	char out[32], concerned[32], back[32];
	const json_t *next = json_object_get(running, "next");
	size_t index;
	json_t *wave;
	printf("drill %.0f: ", number_of(running, "id"));
	ctl_print_clean(ctl_text(running, "title"));
	printf(", %.1f of %.1f s, step %.0f of %.0f, %s phones out\n",
		number_of(running, "at_ms") / 1e3, number_of(running, "end_ms") / 1e3,
		number_of(running, "step"), number_of(running, "steps"),
		count_of(running, "phones_out", out));
	json_array_foreach (json_object_get(running, "waves"), index, wave) {
		fputs("  ", stdout);
		print_padded(ctl_text(wave, "name"), 18);
		if (!json_is_true(json_object_get(wave, "begun")))
			puts("to come");
		else
			printf("%s of %s phones back%s\n", count_of(wave, "back", back),
				count_of(wave, "concerned", concerned),
				json_is_true(json_object_get(wave, "running")) ? "" : ", over");
	}
	if (json_is_object(next)) {
		printf("  at %.1f s ", number_of(next, "at_ms") / 1e3);
		ctl_print_clean(ctl_text(next, "text"));
		putchar('\n');
	}
}

static void print_finished(const json_t *drill)
{
	printf("drill %.0f: ", number_of(drill, "id"));
	ctl_print_clean(ctl_text(drill, "title"));
	printf(", %s after %.1f s\n",
		strcmp(ctl_text(drill, "outcome"), "aborted") == 0 ? "aborted" : "completed",
		number_of(drill, "duration_ms") / 1e3);
}

void ctl_print_drills(const json_t *drills)
{
	const json_t *running = json_object_get(drills, "running");
	const json_t *plans = json_object_get(drills, "plans"),
		     *hooks = json_object_get(drills, "hooks");
	size_t index;
	json_t *item;
	if (json_is_object(running))
		print_running(running);
	else
		puts("no drill runs");
	json_array_foreach (json_object_get(drills, "finished"), index, item) {
		print_finished(item);
	}
	putchar('\n');
	json_array_foreach (json_object_get(drills, "catalogue"), index, item) {
		print_padded(ctl_text(item, "name"), 12);
		ctl_print_clean(ctl_text(item, "question"));
		printf("\n%12s", "");
		print_texts(json_object_get(item, "fields"));
		putchar('\n');
	}
	if (json_array_size(plans) > 0) {
		fputs("\nplans of the fleet file: ", stdout);
		print_texts(plans);
		putchar('\n');
	}
	if (json_array_size(hooks) > 0) {
		fputs("\nhooks of the fleet file: ", stdout);
		print_texts(hooks);
		putchar('\n');
	}
}

/* --- Plans --- */

static void print_moment(const json_t *object, const char *name)
{
	printf("%9.1f s  ", number_of(object, name) / 1e3);
}

/* Few are told with a decimal. */
static const char *rate_of(const json_t *object, const char *name, char out[32])
{
	const double value = number_of(object, name);
	if (value >= 10)
		return count_of(object, name, out);
	snprintf(out, 32, "%.1f", value);
	return out;
}

static void print_forecast(const json_t *forecast)
{
	char second[32], tenth[32], options[32], steady[32];
	printf("%s %s REGISTER/s, %s in 100 ms\n",
		json_is_true(json_object_get(forecast, "known")) ? "at its busiest" : "up to about",
		rate_of(forecast, "register_per_s", second),
		rate_of(forecast, "register_per_100ms", tenth));
	printf("up to %s OPTIONS datagrams/s; before it %s requests/s\n",
		rate_of(forecast, "options_datagrams_per_s", options),
		rate_of(forecast, "steady_per_s", steady));
}

void ctl_print_plan(const json_t *plan)
{
	size_t index;
	json_t *item;
	ctl_print_clean(ctl_text(plan, "title"));
	putchar('\n');
	ctl_print_clean(ctl_text(plan, "question"));
	fputs("\n\n", stdout);
	json_array_foreach (json_object_get(plan, "steps"), index, item) {
		print_moment(item, "at_ms");
		ctl_print_clean(ctl_text(item, "text"));
		putchar('\n');
	}
	fputs("\nmeasured\n", stdout);
	json_array_foreach (json_object_get(plan, "waves"), index, item) {
		print_moment(item, "at_ms");
		print_padded(ctl_text(item, "name"), 18);
		ctl_print_clean(ctl_text(item, "text"));
		putchar('\n');
	}
	putchar('\n');
	print_forecast(json_object_get(plan, "forecast"));
}

/* --- Results --- */

/* Seconds of a distribution; "-" where nothing is in it. */
static void print_seconds(const json_t *distribution, const char *name)
{
	if (number_of(distribution, "count") > 0)
		printf(" %9.2f", number_of(distribution, name) / 1e3);
	else
		printf(" %9s", "-");
}

static void print_wave(const json_t *wave)
{
	char phones[32], out[32];
	const json_t *outage = json_object_get(wave, "outage_ms"),
		     *second = json_object_get(json_object_get(wave, "peak"), "second");
	print_padded(ctl_text(wave, "name"), 18);
	printf("%11s %9s", count_of(wave, "phones", phones), count_of(wave, "out", out));
	print_seconds(outage, "p50");
	print_seconds(outage, "p99");
	print_seconds(outage, "max");
	if (json_is_number(json_object_get(second, "per_s")))
		printf(" %9.0f", number_of(second, "per_s"));
	else
		printf(" %9s", "-");
	putchar('\n');
}

void ctl_print_result(const json_t *result)
{
	char phones[32];
	size_t index;
	json_t *wave;
	const json_t *reason = json_object_get(result, "reason");
	const bool aborted = strcmp(ctl_text(result, "outcome"), "aborted") == 0;
	ctl_print_clean(ctl_text(result, "title"));
	printf(": %s after %.1f s, %s phones", aborted ? "aborted" : "completed",
		number_of(result, "duration_ms") / 1e3, count_of(result, "phones", phones));
	if (json_is_string(reason)) {
		fputs(", ", stdout);
		ctl_print_clean(json_string_value(reason));
	}
	putchar('\n');
	if (json_is_true(json_object_get(result, "incomplete")))
		puts("some transitions were lost: the figures are incomplete");
	printf("\n%-18s%11s %9s %9s %9s %9s %9s\n", "wave", "phones", "still out", "p50 s", "p99 s",
		"longest s", "peak/s");
	json_array_foreach (json_object_get(result, "waves"), index, wave) {
		print_wave(wave);
	}
	puts("\np50, p99, longest: of the outage, from the event to the 200 OK. peak: REGISTERs a "
	     "second to the other proxy.");
}
