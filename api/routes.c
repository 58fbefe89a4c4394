/* SPDX-License-Identifier: BSD-3-Clause */
#include "routes.h"

#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "drilling.h"
#include "herds.h"
#include "page.h"
#include "phones.h"
#include "steer.h"

static const char *const proxies[PROXIES] = {"primary", "redundant"};

static const struct ask_field newest[] = {{.name = "seconds",
						  .help = "so many of the newest seconds",
						  .low = 1,
						  .high = PICTURE_TIMELINE_S,
						  .standard = PICTURE_TIMELINE_S},
	{0}};

static const struct ask_field last_event[] = {
	{.name = "last_event_id",
		.help = "the id of the last event that was received, for those who cannot send the "
			"header Last-Event-ID: what came since then is told first, up to 60 s of "
			"it",
		.kind = ASK_TEXT,
		.high = 64},
	{0}};

const struct route routes[ROUTES] = {
	{.path = "/", .kind = ROUTE_PAGE, .help = "the web page"},
	{.path = "/page/{file}",
		.kind = ROUTE_PAGE,
		.parameter = "file",
		.help = "files of the page"},
	{.path = "/healthz",
		.schema = "Health",
		.describe = answer_health,
		.help = "is the control loop alive"},
	{.path = "/readyz",
		.schema = "Ready",
		.kind = ROUTE_READY,
		.describe = answer_ready,
		.help = "are the phones registered and is the store reachable; a problem (503) "
			"until then"},
	{.path = "/metrics",
		.kind = ROUTE_METRICS,
		.help = "everything that is counted, for Prometheus"},
	{.path = "/api/v1/fleet",
		.schema = "Fleet",
		.describe = answer_fleet,
		.help = "configuration in force, phones by state, rates, losses, verdict"},
	{.path = "/api/v1/proxies",
		.schema = "Proxies",
		.describe = answer_proxies,
		.help = "both proxies"},
	{.path = "/api/v1/proxies/{id}",
		.schema = "Proxy",
		.describe = answer_proxy,
		.parameter = "id",
		.names = proxies,
		.variants = PROXIES,
		.help = "one proxy's share of the phones, and who moved there"},
	{.path = "/api/v1/herds",
		.schema = "Herds",
		.describe = answer_herds,
		.help = "the fleet's herds, each with its own totals"},
	{.path = "/api/v1/phones",
		.schema = "Phones",
		.kind = ROUTE_ASKED,
		.query = phones_query,
		.act = phones_list,
		.describe = phones_tell_list,
		.help = "phones in the order of their indices, page by page"},
	{.path = "/api/v1/phones/{phone}",
		.schema = "Phone",
		.kind = ROUTE_ASKED,
		.parameter = "phone",
		.act = phones_one,
		.describe = phones_tell_one,
		.help = "one phone: state, timers, binding, last transitions, owner"},
	{.path = "/api/v1/phones/{phone}/trace",
		.schema = "Trace",
		.kind = ROUTE_ASKED,
		.parameter = "phone",
		.act = phones_trace,
		.describe = phones_tell_trace,
		.help = "its last messages; they are kept from the first time this is asked on"},
	{.path = "/api/v1/phones/{phone}/capture.pcapng",
		.kind = ROUTE_BYTES,
		.type = "application/vnd.tcpdump.pcap",
		.parameter = "phone",
		.act = phones_trace,
		.bytes = phones_capture,
		.help = "the same for Wireshark"},
	{.path = "/api/v1/phones/{phone}/actions",
		.schema = "Action",
		.method = ROUTE_POST,
		.kind = ROUTE_ASKED,
		.status = 202,
		.parameter = "phone",
		.body = steer_action_body,
		.body_schema = "ActionWanted",
		.act = steer_act,
		.describe = steer_tell_action,
		.help = "have one phone do something"},
	{.path = "/api/v1/map",
		.kind = ROUTE_MAP,
		.help = "every phone's state, 4 bits each: \"SHM1\", phones (32 bits), sequence "
			"(64 bits, both big-endian), then two phones a byte, the lower one in the "
			"low bits; always in gzip"},
	{.path = "/api/v1/events",
		.kind = ROUTE_STREAM,
		.query = last_event,
		.help = "what happens, as server-sent events; their data is described by the "
			"schemas Event*"},
	{.path = "/api/v1/load",
		.schema = "Load",
		.kind = ROUTE_ASKED,
		.act = steer_look,
		.describe = steer_tell_load,
		.help = "what the fleet is asked to do"},
	{.path = "/api/v1/load",
		.schema = "Load",
		.method = ROUTE_PATCH,
		.kind = ROUTE_ASKED,
		.body = steer_load_body,
		.body_schema = "LoadWanted",
		.act = steer_load,
		.describe = steer_tell_load,
		.help = "change it: what is not given stays"},
	{.path = "/api/v1/drills",
		.schema = "Drills",
		.describe = drilling_tell_all,
		.help = "outages on purpose: the one that runs, those there are, those that were"},
	{.path = "/api/v1/drills",
		.schema = "Drill",
		.method = ROUTE_POST,
		.kind = ROUTE_ASKED,
		.status = 202,
		.body = drilling_body,
		.body_schema = "DrillWanted",
		.act = drilling_begin,
		.is_dry = drilling_is_dry,
		.describe = drilling_tell_plan,
		.help = "begin a drill, or only see its plan (dry_run)"},
	{.path = "/api/v1/drills/{id}",
		.schema = "DrillResult",
		.kind = ROUTE_LASTING,
		.type = "application/json",
		.parameter = "id",
		.act = drilling_look,
		.bytes = drilling_result,
		.help = "what was measured of a drill that is over"},
	{.path = "/api/v1/drills/{id}/report",
		.kind = ROUTE_LASTING,
		.type = "text/html; charset=utf-8",
		.security = DRILLING_REPORT_SECURITY,
		.parameter = "id",
		.act = drilling_look,
		.bytes = drilling_report,
		.help = "the same as a page to look at, to print and to keep"},
	{.path = "/api/v1/drills/{id}/abort",
		.schema = "DrillAborted",
		.method = ROUTE_POST,
		.kind = ROUTE_ASKED,
		.status = 202,
		.parameter = "id",
		.body = drilling_abort_body,
		.body_schema = "DrillAbortWanted",
		.act = drilling_abort,
		.describe = drilling_tell_abort,
		.help = "end a drill now and restore everything at once; its body is {}"},
	{.path = "/api/v1/generator",
		.schema = "Generator",
		.describe = answer_generator,
		.help = "workers, lateness, verdict with reasons, all counters"},
	{.path = "/api/v1/store",
		.schema = "Store",
		.describe = answer_store,
		.help = "where the records are, lag, shards"},
	{.path = "/api/v1/timeline",
		.schema = "Timeline",
		.kind = ROUTE_TIMELINE,
		.query = newest,
		.describe = answer_timeline,
		.help = "the run second by second, the last 15 minutes"},
	{.path = "/api/v1/histograms/{name}",
		.schema = "Histogram",
		.describe = answer_histogram_cells,
		.parameter = "name",
		.names = answer_histograms,
		.variants = ANSWER_HISTOGRAMS,
		.help = "a histogram with its raw cells"},
	{.path = "/api/v1/openapi.json", .kind = ROUTE_OPENAPI, .help = "this document"},
};

const char *route_method_name(enum route_method method)
{
	static const char *const names[ROUTE_METHODS] = {"GET", "POST", "PATCH"};
	return names[method];
}

/* The first row of a page stands for itself, the other for all its files. */
static bool fits(const struct route *route, const char *path, struct asked *asked)
{
	if (route->kind == ROUTE_PAGE && route->parameter != NULL)
		return strcmp(path, "/") != 0 && page_find(path) != NULL;
	return ask_path(route->path, route->names, route->variants, path, asked);
}

const struct route *route_find(
	const char *path, const char *method, struct asked *asked, unsigned *methods)
{
	const struct route *found = NULL;
	const char *name = strcmp(method, "HEAD") == 0 ? "GET" : method;
	*methods = 0;
	for (size_t i = 0; i < ROUTES && found == NULL; i++) {
		if (!fits(&routes[i], path, asked))
			continue;
		*methods |= 1u << routes[i].method;
		if (strcmp(name, route_method_name((enum route_method)routes[i].method)) == 0)
			found = &routes[i];
	}
	return found;
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
