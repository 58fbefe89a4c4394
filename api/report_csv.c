/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "report_internal.h"

#define COLUMNS_MAX 256

static const char *const proxies[PROXIES] = {
	[PROXY_PRIMARY] = "primary", [PROXY_REDUNDANT] = "redundant"};

/* Names of counters, which need no quotes and which no spreadsheet takes for a formula. */
static bool is_name(const char *name)
{
	return name[0] >= 'a' && name[0] <= 'z' &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static int refuse(char reason[REPORT_REASON_MAX], const char *what)
{
	snprintf(reason, REPORT_REASON_MAX, "%s", what);
	return -EINVAL;
}

static int check(const json_t *drills, char reason[REPORT_REASON_MAX])
{
	const json_t *columns = report_at(json_array_get(drills, 0), "series.columns");
	if (json_array_size(columns) == 0)
		return refuse(reason, "it has no drill with a time line");
	if (json_array_size(columns) > COLUMNS_MAX)
		return refuse(reason, "its time line has too many columns");
	for (size_t i = 0; i < json_array_size(columns); i++) {
		const char *name = json_string_value(json_array_get(columns, i));
		if (name == NULL || !is_name(name))
			return refuse(reason, "a column of its time line has no proper name");
	}
	for (size_t i = 1; i < json_array_size(drills); i++)
		if (!json_equal(report_at(json_array_get(drills, i), "series.columns"), columns))
			return refuse(reason, "its drills count different things");
	return 0;
}

static void write_row(FILE *out, const json_t *row, size_t columns)
{
	for (size_t i = 0; i < columns; i++) {
		const double value = report_item(row, i);
		if (isnan(value))
			fputc(',', out);
		else
			fprintf(out, ",%.0f", value);
	}
	fputc('\n', out);
}

static void write_drill(FILE *out, const json_t *drill, size_t columns)
{
	const double begin_unix_ms = report_number(drill, "begin_unix_ms");
	const double step_ms = report_number(drill, "series.step_ms");
	const double begin_ms = report_number(drill, "series.begin_ms");
	const json_t *rows[PROXIES];
	for (int p = 0; p < PROXIES; p++)
		rows[p] = report_at(report_at(drill, "series"), proxies[p]);
	for (size_t i = 0; i < json_array_size(rows[0]) || i < json_array_size(rows[1]); i++) {
		const double at_ms = begin_ms + (double)i * step_ms;
		for (int p = 0; p < PROXIES; p++) {
			if (i >= json_array_size(rows[p]))
				continue;
			fprintf(out, "%.0f,%.0f,%s", begin_unix_ms + at_ms, at_ms, proxies[p]);
			write_row(out, json_array_get(rows[p], i), columns);
		}
	}
}

int report_timeline_csv(FILE *out, const json_t *run, char reason[REPORT_REASON_MAX])
{
	const json_t *drills = report_at(run, "drills");
	int status = report_check(run, reason);
	if (status == 0)
		status = check(drills, reason);
	if (status != 0)
		return status;
	const json_t *columns = report_at(json_array_get(drills, 0), "series.columns");
	fputs("unix_ms,at_ms,proxy", out);
	for (size_t i = 0; i < json_array_size(columns); i++)
		fprintf(out, ",%s", json_string_value(json_array_get(columns, i)));
	fputc('\n', out);
	for (size_t i = 0; i < json_array_size(drills); i++)
		write_drill(out, json_array_get(drills, i), json_array_size(columns));
	return ferror(out) ? -EIO : 0;
}
