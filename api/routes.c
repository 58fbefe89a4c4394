/* SPDX-License-Identifier: BSD-3-Clause */
#include "routes.h"

#include <stdlib.h>
#include <string.h>

#include "answers.h"

static const char *const proxies[PROXIES] = {"primary", "redundant"};

static const struct route_query newest = {
	"seconds", "so many of the newest seconds", 1, PICTURE_TIMELINE_S, PICTURE_TIMELINE_S};

const struct route routes[ROUTES] = {
	{"/healthz", "Health", "is the control loop alive", ROUTE_JSON, 1, NULL, NULL, NULL,
		answer_health},
	{"/readyz", "Ready",
		"are the phones registered and is the store reachable; a problem (503) until then",
		ROUTE_READY, 1, NULL, NULL, NULL, answer_ready},
	{"/metrics", NULL, "everything that is counted, for Prometheus", ROUTE_METRICS, 1, NULL,
		NULL, NULL, NULL},
	{"/api/v1/fleet", "Fleet",
		"configuration in force, phones by state, rates, losses, verdict", ROUTE_JSON, 1,
		NULL, NULL, NULL, answer_fleet},
	{"/api/v1/proxies", "Proxies", "both proxies", ROUTE_JSON, 1, NULL, NULL, NULL,
		answer_proxies},
	{"/api/v1/proxies/{id}", "Proxy", "one proxy's share of the phones, and who moved there",
		ROUTE_JSON, PROXIES, "id", proxies, NULL, answer_proxy},
	{"/api/v1/generator", "Generator", "workers, lateness, verdict with reasons, all counters",
		ROUTE_JSON, 1, NULL, NULL, NULL, answer_generator},
	{"/api/v1/store", "Store", "where the records are, lag, shards", ROUTE_JSON, 1, NULL, NULL,
		NULL, answer_store},
	{"/api/v1/timeline", "Timeline", "the run second by second, the last 15 minutes",
		ROUTE_TIMELINE, 1, NULL, NULL, &newest, answer_timeline},
	{"/api/v1/histograms/{name}", "Histogram", "a histogram with its raw cells", ROUTE_JSON,
		ANSWER_HISTOGRAMS, "name", answer_histograms, NULL, answer_histogram_cells},
	{"/api/v1/openapi.json", NULL, "this document", ROUTE_OPENAPI, 1, NULL, NULL, NULL, NULL},
};

const struct route *route_find(const char *path, unsigned *which)
{
	for (size_t i = 0; i < ROUTES; i++) {
		const struct route *route = &routes[i];
		const char *brace = strchr(route->path, '{');
		size_t fixed = brace == NULL ? strlen(route->path) : (size_t)(brace - route->path);
		*which = 0;
		if (strncmp(path, route->path, fixed) != 0)
			continue;
		if (brace == NULL && path[fixed] == '\0')
			return route;
		for (unsigned n = 0; brace != NULL && n < route->variants; n++) {
			*which = n;
			if (strcmp(path + fixed, route->names[n]) == 0)
				return route;
		}
	}
	return NULL;
}

static char *dump(json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(value);
	return text;
}

char *route_json(const struct route *route, unsigned which, const struct picture *picture)
{
	struct shape shape;
	shape_open(&shape, false);
	route->describe(&shape, picture, which);
	return dump(shape_close(&shape));
}

/* --- The time line --- */

static bool append(struct route_timeline *t, const char *text, size_t *room)
{
	size_t n = strlen(text);
	if (t->length + n + 1 > *room) {
		char *more = realloc(t->text, *room = (t->length + n) * 2 + 4096);
		if (more == NULL)
			return false;
		t->text = more;
	}
	memcpy(t->text + t->length, text, n);
	t->length += n;
	t->text[t->length++] = ',';
	return true;
}

static bool make_timeline(struct route_timeline *t, const struct picture *picture)
{
	size_t room = 0;
	route_timeline_free(t);
	for (uint32_t i = 0; i < picture_seconds(picture); i++) {
		struct shape shape;
		shape_open(&shape, false);
		answer_second(&shape, picture, i);
		char *text = dump(shape_close(&shape));
		t->offset[i] = t->length;
		bool good = text != NULL && append(t, text, &room);
		free(text);
		if (!good)
			return false;
		t->count = i + 1;
	}
	t->offset[t->count] = t->length;
	t->passed = picture->tally->passed;
	return true;
}

char *route_timeline_tail(
	struct route_timeline *t, const struct picture *picture, uint32_t seconds, size_t *length)
{
	static const char head[] = "{\"seconds\":[", tail[] = "]}";
	if (t->passed != picture->tally->passed && !make_timeline(t, picture))
		return NULL;
	const uint32_t first = t->count > seconds ? t->count - seconds : 0;
	const size_t from = t->offset[first];
	/* Without the comma behind the last one. */
	const size_t n = t->count > 0 ? t->length - 1 - from : 0;
	char *text = malloc(sizeof(head) + n + sizeof(tail));
	if (text == NULL)
		return NULL;
	memcpy(text, head, sizeof(head) - 1);
	if (n > 0)
		memcpy(text + sizeof(head) - 1, t->text + from, n);
	memcpy(text + sizeof(head) - 1 + n, tail, sizeof(tail));
	*length = sizeof(head) - 1 + n + sizeof(tail) - 1;
	return text;
}

void route_timeline_free(struct route_timeline *timeline)
{
	free(timeline->text);
	*timeline = (struct route_timeline){0};
}
