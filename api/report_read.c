/* SPDX-License-Identifier: BSD-3-Clause */
#define _DEFAULT_SOURCE /* timegm */
#include <math.h>
#include <string.h>
#include <time.h>

#include "report_internal.h"

#define NUMBER_MOST 1e15

const json_t *report_at(const json_t *object, const char *path)
{
	char key[64];
	while (object != NULL && *path != '\0') {
		const size_t length = strcspn(path, ".");
		if (length >= sizeof(key))
			return NULL;
		memcpy(key, path, length);
		key[length] = '\0';
		object = json_object_get(object, key);
		path += length + (path[length] == '.');
	}
	return object;
}

static double number_of(const json_t *value)
{
	if (!json_is_number(value))
		return NAN;
	const double number = json_number_value(value);
	return fabs(number) <= NUMBER_MOST ? number : NAN;
}

double report_number(const json_t *object, const char *path)
{
	return number_of(report_at(object, path));
}

double report_item(const json_t *array, size_t i)
{
	return number_of(json_array_get(array, i));
}

const char *report_text(const json_t *object, const char *path)
{
	const char *text = json_string_value(report_at(object, path));
	return text != NULL ? text : "";
}

bool report_true(const json_t *object, const char *path)
{
	return json_is_true(report_at(object, path));
}

enum proxy report_proxy(const json_t *object, const char *path)
{
	const char *name = report_text(object, path);
	if (strcmp(name, "primary") == 0)
		return PROXY_PRIMARY;
	return strcmp(name, "redundant") == 0 ? PROXY_REDUNDANT : PROXIES;
}

double report_time(const json_t *object, const char *path)
{
	struct tm utc = {0};
	const char *end = strptime(report_text(object, path), "%Y-%m-%dT%H:%M:%SZ", &utc);
	return end != NULL && *end == '\0' ? (double)timegm(&utc) : NAN;
}
