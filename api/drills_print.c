/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans for people, before anything is sent. */
#include "drills_print.h"

#include <math.h>

#include "drills.h"
#include "view.h"

static const char *rate(double per_s, char out[32])
{
	return view_number((uint64_t)ceil(per_s), out);
}

static void print_forecast(const struct drill_forecast *forecast, FILE *out)
{
	char a[32], b[32], c[32];
	fprintf(out, "sends       %s %s REGISTER/s, %s in 100 ms, challenged ones counted once",
		forecast->known ? "about" : "up to about", rate(forecast->register_per_s, a),
		rate(forecast->register_per_100ms, b));
	if (forecast->options_datagrams_per_s > 0)
		fprintf(out, "; up to %s OPTIONS datagrams/s",
			rate(forecast->options_datagrams_per_s, c));
	fprintf(out, "; %s requests/s before\n", rate(forecast->steady_per_s, a));
}

void drills_print_plan(const struct drill_plan *plan, FILE *out)
{
	fprintf(out, "drill       %s\n", plan->title);
	if (plan->question[0] != '\0')
		fprintf(out, "asks        %s\n", plan->question);
	for (uint32_t i = 0; i < plan->steps; i++)
		fprintf(out, "%-11s %8.1f s  %s\n", i == 0 ? "steps" : "",
			(double)plan->step[i].at_ms / 1e3, plan->step[i].text);
	for (uint32_t i = 0; i < plan->waves; i++)
		fprintf(out, "%-11s %8.1f s  %s: %s\n", i == 0 ? "measures" : "",
			(double)plan->step[plan->wave[i].step].at_ms / 1e3, plan->wave[i].name,
			plan->wave[i].text);
	print_forecast(&plan->forecast, out);
	fprintf(out, "lasts       %.1f s once all phones are registered\n",
		(double)plan->end_ms / 1e3);
}

void drills_print_line(const struct drill_plan *plan, FILE *out)
{
	char a[32], b[32];
	fprintf(out, "drill       %s: %u drill%s, %.1f s, %s %s REGISTER/s, %s in 100 ms\n",
		plan->name, plan->requests, plan->requests == 1 ? "" : "s",
		(double)plan->end_ms / 1e3, plan->forecast.known ? "about" : "up to about",
		rate(plan->forecast.register_per_s, a), rate(plan->forecast.register_per_100ms, b));
}

int drills_check(const struct fleet *fleet, const struct wire_config *config, FILE *out)
{
	static struct drill_plan plan; /* one thread */
	char reason[DRILL_REASON_MAX];
	int status = 0;
	for (uint32_t i = 0; i < fleet->drills; i++) {
		struct drills_order order;
		const char *name = fleet->drill[i].name;
		if (drills_order(&order, fleet, name, NULL, 0, reason) == 0 &&
			drills_plan(&plan, &order, fleet, config, fleet->phones, reason) == 0) {
			drills_print_line(&plan, out);
			continue;
		}
		fprintf(stderr, "error: drills: %s: %s\n", name, reason);
		status = -1;
	}
	return status;
}
