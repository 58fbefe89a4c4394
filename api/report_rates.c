/* SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <string.h>

#include "report_internal.h"

#define COUNTER_NAME(name, description) #name,
static const char *const rate_names[RATES] = {PROXY_COUNTERS(COUNTER_NAME)};

const enum rate rates_offered[RATES_KINDS] = {
	RATE_offered_initial, RATE_offered_refresh, RATE_offered_failover, RATE_offered_failback};
const enum rate rates_accepted[RATES_KINDS] = {RATE_accepted_initial, RATE_accepted_refresh,
	RATE_accepted_failover, RATE_accepted_failback};
const enum rate rates_refused[RATES_REFUSALS] = {RATE_register_503, RATE_register_408,
	RATE_register_500, RATE_register_504, RATE_register_5xx, RATE_register_4xx,
	RATE_register_3xx, RATE_register_6xx};
const char *const rates_refused_names[RATES_REFUSALS] = {
	"503", "408", "500", "504", "another 5xx", "4xx", "3xx", "6xx"};

bool rates_open(struct rates *rates, const json_t *drill)
{
	const json_t *series = report_at(drill, "series"), *columns = report_at(series, "columns");
	*rates = (struct rates){.step_ms = report_number(series, "step_ms"),
		.begin_ms = report_number(series, "begin_ms"),
		.rows = {report_at(series, "primary"), report_at(series, "redundant")}};
	for (int r = 0; r < RATES; r++)
		rates->column[r] = SIZE_MAX;
	for (size_t i = 0; i < json_array_size(columns); i++) {
		const char *name = json_string_value(json_array_get(columns, i));
		for (int r = 0; r < RATES && name != NULL; r++)
			if (strcmp(name, rate_names[r]) == 0)
				rates->column[r] = i;
	}
	for (int p = 0; p < PROXIES; p++) {
		const size_t steps = json_array_size(rates->rows[p]);
		rates->steps = steps > rates->steps ? steps : rates->steps;
	}
	return rates->step_ms >= 1 && !isnan(rates->begin_ms) && rates->steps > 0;
}

double rates_count(const struct rates *rates, enum proxy proxy, size_t step, enum rate rate)
{
	const double count = report_item(
		json_array_get(rates->rows[proxy], step), rates->column[rate]);
	return count > 0 ? count : 0;
}

size_t rates_step_at(const struct rates *rates, double ms)
{
	const double step = ceil((ms - rates->begin_ms) / rates->step_ms - 1e-9);
	return isnan(step) || step < 0       ? 0
	       : step > (double)rates->steps ? rates->steps
					     : (size_t)step;
}

void rates_sum(
	const struct rates *rates, enum proxy proxy, size_t from, size_t until, double sum[RATES])
{
	for (int r = 0; r < RATES; r++)
		sum[r] = 0;
	for (size_t step = from; step < until; step++)
		for (int r = 0; r < RATES; r++)
			sum[r] += rates_count(rates, proxy, step, (enum rate)r);
}

double rates_busiest(const struct rates *rates, enum rate rate)
{
	const size_t second = rates->step_ms < 1000 ? (size_t)(1000 / rates->step_ms) : 1;
	double most = 0;
	for (size_t from = rates_step_at(rates, 0); from < rates->steps; from += second) {
		double sum = 0;
		for (size_t step = from; step < from + second && step < rates->steps; step++)
			sum += rates_count(rates, PROXY_PRIMARY, step, rate) +
			       rates_count(rates, PROXY_REDUNDANT, step, rate);
		most = fmax(most, sum);
	}
	return most * 1000 / (rates->step_ms * (double)second);
}

size_t rates_every(const struct rates *rates)
{
	return rates->steps / (POINTS_MAX - 1) + 1;
}

double rates_points(struct points *points, const struct rates *rates, enum proxy proxy,
	const enum rate *which, unsigned count, double unit_ms)
{
	const size_t every = rates_every(rates);
	double total = 0;
	points->count = 0;
	for (size_t step = 0; step < rates->steps && points->count < POINTS_MAX; step += every) {
		double most = 0;
		for (size_t i = step; i < step + every && i < rates->steps; i++) {
			double sum = 0;
			for (unsigned w = 0; w < count; w++)
				sum += rates_count(rates, proxy, i, which[w]);
			most = fmax(most, sum);
			total += sum;
		}
		const double at_ms = rates->begin_ms + (double)step * rates->step_ms;
		points->at[points->count++] = (struct point){
			at_ms / unit_ms, most * 1000 / rates->step_ms};
	}
	if (total <= 0)
		points->count = 0;
	return total;
}
