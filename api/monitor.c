/* SPDX-License-Identifier: BSD-3-Clause */
#include "monitor.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arguments.h"
#include "image.h"
#include "view.h"

#define NODES_MAX 64
#define FEED_WAIT_MS 500
#define SCHEMA "sipherd.fleet/1"

/* Everything `sipherd fleet` shows at once. */
struct picture {
	struct reader_fleet fleet;
	struct reader_node node[NODES_MAX];
	size_t nodes;
	struct reader_lease *lease; /* [fleet.shards] */
	json_t *totals;
};

/* --- Words --- */

const char *monitor_proxy(unsigned value, const char *none)
{
	return value == 0 ? none : value <= PROXIES ? proxy_name((enum proxy)(value - 1)) : "?";
}

const char *monitor_phase(unsigned phase)
{
	return phase < PHONE_STATES ? phone_state_name((enum phone_state)phase) : "?";
}

static const char *cause_word(unsigned cause)
{
	return cause < RECORD_CAUSES ? record_cause_name((enum record_cause)cause) : "?";
}

const char *monitor_time(uint64_t unix_ms, char out[MONITOR_TIME_MAX])
{
	const time_t seconds = (time_t)(unix_ms / 1000);
	struct tm utc;
	char text[24];
	if (gmtime_r(&seconds, &utc) == NULL || utc.tm_year > 8000) {
		snprintf(out, MONITOR_TIME_MAX, "?");
		return out;
	}
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out, MONITOR_TIME_MAX, "%s.%03uZ", text, (unsigned)(unix_ms % 1000));
	return out;
}

static double ago_s(uint64_t unix_ms)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9 - (double)unix_ms / 1e3;
}

/* --- Where it is --- */

int monitor_pointer(const struct fleet *fleet, unsigned slot, char *out, size_t size)
{
	int length = snprintf(out, size, "%s/%s.%u.store", fleet->state, fleet->name, slot);
	return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

/* The socket an embedded store said it is at; false: none did. */
static bool read_pointer(const struct fleet *fleet, unsigned slot, struct target *out)
{
	char path[FLEET_TEXT_MAX + 80], line[TARGET_PATH_MAX + 1];
	if (monitor_pointer(fleet, slot, path, sizeof(path)) != 0)
		return false;
	FILE *file = fopen(path, "re");
	if (file == NULL)
		return false;
	bool read = fgets(line, sizeof(line), file) != NULL;
	fclose(file);
	line[read ? strcspn(line, "\n") : 0] = '\0';
	*out = (struct target){.kind = TARGET_UNIX};
	snprintf(out->path, sizeof(out->path), "%.*s", TARGET_PATH_MAX - 1, line);
	return line[0] == '/';
}

static int open_embedded(const struct fleet *fleet, struct reader **out)
{
	char reason[READER_REASON_MAX] = "";
	struct target target;
	for (unsigned slot = 0; slot < IMAGE_SLOTS; slot++)
		if (read_pointer(fleet, slot, &target) &&
			reader_open(out, &target, fleet->name, reason) == 0)
			return EXIT_DONE;
	fprintf(stderr,
		"sipherd: no embedded store of fleet '%s' runs with its state in %s%s%s. It lives "
		"as "
		"long as its sipherd run; name a `store:` that others can see, or --state.\n",
		fleet->name, fleet->state, reason[0] != '\0' ? ": " : "", reason);
	return EXIT_HOST;
}

int monitor_open(const struct fleet *fleet, struct reader **out)
{
	char reason[READER_REASON_MAX] = "", trouble[TARGET_REASON_MAX];
	struct target target = fleet->target;
	if (target.kind == TARGET_NONE) {
		fprintf(stderr, "sipherd: this fleet keeps no store (store: none).\n");
		return EXIT_USAGE;
	}
	if (target.kind == TARGET_EMBEDDED)
		return open_embedded(fleet, out);
	if (target_password(&target, trouble) != 0) {
		fprintf(stderr, "sipherd: %s\n", trouble);
		return EXIT_USAGE;
	}
	int status = reader_open(out, &target, fleet->name, reason);
	explicit_bzero(&target, sizeof(target));
	if (status == 0)
		return EXIT_DONE;
	fprintf(stderr, "sipherd: %s\n", reason);
	return EXIT_HOST;
}

static int failed(struct reader *reader, int status)
{
	fprintf(stderr, "sipherd: %s\n", reader_reason(reader));
	return status == -ENOENT ? EXIT_USAGE : EXIT_HOST;
}

/* --- The whole picture --- */

static void add_total(void *context, const char *name, uint64_t value)
{
	json_object_set_new(context, name, json_integer((json_int_t)value));
}

static int take_picture(struct reader *reader, struct picture *p)
{
	int status = reader_fleet(reader, &p->fleet);
	if (status != 0)
		return status;
	p->totals = json_object();
	p->lease = calloc(p->fleet.shards + 1, sizeof(*p->lease));
	if (p->lease == NULL || p->totals == NULL)
		return -ENOMEM;
	status = reader_nodes(reader, p->node, NODES_MAX, &p->nodes);
	if (p->nodes > NODES_MAX)
		p->nodes = NODES_MAX;
	for (uint32_t shard = 0; status == 0 && shard < p->fleet.shards; shard++)
		status = reader_lease(reader, shard, &p->lease[shard]);
	return status != 0 ? status : reader_totals(reader, add_total, p->totals);
}

static void free_picture(struct picture *p)
{
	free(p->lease);
	json_decref(p->totals);
	free(p);
}

static void print_nodes(const struct picture *p)
{
	char text[MONITOR_TIME_MAX];
	if (p->nodes == 0)
		printf("\nno generator has this fleet now\n");
	else
		printf("\n%-20s %8s %7s  %-9s %-9s %s\n", "node", "pid", "shards", "state",
			"heard of", "since");
	for (size_t i = 0; i < p->nodes; i++) {
		const struct reader_node *n = &p->node[i];
		printf("%-20s %8u %7u  %-9s %5.1f s   %s\n", n->node, n->pid, n->shards,
			n->live ? n->state : "silent", ago_s(n->heartbeat_unix_ms),
			monitor_time(n->start_unix_ms, text));
	}
}

static const char *owner_of(const struct reader_lease *lease)
{
	return lease->owner[0] == '\0' ? "-" : lease->owner;
}

static bool same_row(const struct reader_lease *a, const struct reader_lease *b)
{
	return strcmp(a->owner, b->owner) == 0 && (a->left_ms > 0) == (b->left_ms > 0);
}

/* Shards with the same owner side by side share a line; the token is the largest of them. */
static void print_shards(const struct picture *p)
{
	printf("\n%-13s %-20s %17s  %s\n", "shards", "owner", "token", "lease");
	for (uint32_t first = 0, end; first < p->fleet.shards; first = end) {
		const struct reader_lease *lease = &p->lease[first];
		int64_t left_ms = lease->left_ms;
		uint64_t token = lease->token;
		char range[24], left[32] = "-";
		for (end = first + 1; end < p->fleet.shards && same_row(lease, &p->lease[end]);
			end++) {
			left_ms = p->lease[end].left_ms < left_ms ? p->lease[end].left_ms : left_ms;
			token = p->lease[end].token > token ? p->lease[end].token : token;
		}
		snprintf(range, sizeof(range), end - first > 1 ? "%u-%u" : "%u", first, end - 1);
		if (lease->owner[0] != '\0' && left_ms > 0)
			snprintf(left, sizeof(left), "%.1f s left", (double)left_ms / 1e3);
		else if (lease->owner[0] != '\0')
			snprintf(left, sizeof(left), "over");
		printf("%-13s %-20s %17" PRIu64 "  %s\n", range, owner_of(lease), token, left);
	}
}

static json_int_t total(const struct picture *p, const char *state, const char *proxy)
{
	char name[64];
	snprintf(name, sizeof(name), "phones_%s_%s", state, proxy);
	return json_integer_value(json_object_get(p->totals, name));
}

static void print_totals(const struct picture *p)
{
	const char *name;
	json_t *value;
	if (json_object_size(p->totals) == 0)
		return;
	printf("\n%-26s %12s %12s\n", "phones of live nodes", "primary", "redundant");
	for (int s = PHONE_STATES - 1; s >= 0; s--) {
		const char *state = phone_state_name((enum phone_state)s);
		printf("  %-24s %12" PRIu64 " %12" PRIu64 "\n", state,
			(uint64_t)total(p, state, "primary"),
			(uint64_t)total(p, state, "redundant"));
	}
	printf("counters of live nodes\n");
	json_object_foreach (p->totals, name, value) {
		if (strncmp(name, "phones_", 7) != 0 && json_integer_value(value) != 0)
			printf("  %-37s %12" PRIu64 "\n", name,
				(uint64_t)json_integer_value(value));
	}
}

static void print_picture(const struct picture *p)
{
	char number[32];
	printf("fleet %s: %s phones, %u shard%s of %d, %s\n", p->fleet.fleet,
		view_number(p->fleet.phones, number), p->fleet.shards,
		p->fleet.shards == 1 ? "" : "s", SHARD_PHONES,
		p->fleet.mode == MODE_SYMMETRIC ? "symmetric" : "asymmetric");
	print_nodes(p);
	print_shards(p);
	print_totals(p);
}

static json_t *json_picture(const struct picture *p)
{
	json_t *nodes = json_array(), *shards = json_array();
	for (size_t i = 0; i < p->nodes; i++) {
		const struct reader_node *n = &p->node[i];
		json_array_append_new(
			nodes, json_pack("{s:s, s:s, s:I, s:s, s:s, s:b, s:I, s:I, s:I}", "node",
				       n->node, "host", n->host, "pid", (json_int_t)n->pid, "state",
				       n->state, "version", n->version, "live", n->live, "shards",
				       (json_int_t)n->shards, "start_unix_ms",
				       (json_int_t)n->start_unix_ms, "heartbeat_unix_ms",
				       (json_int_t)n->heartbeat_unix_ms));
	}
	for (uint32_t i = 0; i < p->fleet.shards; i++) {
		const struct reader_lease *l = &p->lease[i];
		json_array_append_new(
			shards, json_pack("{s:I, s:s, s:I, s:I, s:I}", "shard", (json_int_t)i,
					"owner", l->owner, "token", (json_int_t)l->token, "left_ms",
					(json_int_t)l->left_ms, "since_unix_ms",
					(json_int_t)l->since_unix_ms));
	}
	return json_pack("{s:s, s:{s:s, s:I, s:I, s:I, s:s}, s:o, s:o, s:O}", "schema", SCHEMA,
		"fleet", "name", p->fleet.fleet, "phones", (json_int_t)p->fleet.phones, "shards",
		(json_int_t)p->fleet.shards, "groups", (json_int_t)p->fleet.groups, "mode",
		p->fleet.mode == MODE_SYMMETRIC ? "symmetric" : "asymmetric", "nodes", nodes,
		"shards", shards, "totals", p->totals);
}

static int print_json(json_t *root, size_t flags)
{
	int status = root != NULL &&
				     json_dumpf(root, stdout, flags | JSON_REAL_PRECISION(6)) ==
					     0 &&
				     putchar('\n') != EOF
			     ? EXIT_DONE
			     : EXIT_HOST;
	json_decref(root);
	return status;
}

static int show_fleet(struct reader *reader, bool json)
{
	struct picture *p = calloc(1, sizeof(*p));
	if (p == NULL)
		return EXIT_HOST;
	int status = take_picture(reader, p);
	if (status != 0)
		status = failed(reader, status);
	else if (json)
		status = print_json(json_picture(p), JSON_INDENT(1));
	else
		print_picture(p);
	free_picture(p);
	return status;
}

/* --- One phone --- */

static json_t *json_phone(uint32_t phone, const struct record_view *v)
{
	return json_pack(
		"{s:s, s:{s:I, s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:o, s:I, s:i, s:i, s:i, "
		"s:I, s:I, s:I}}",
		"schema", SCHEMA, "phone", "phone", (json_int_t)phone, "registered",
		monitor_proxy(v->registered, "none"), "last_tried",
		monitor_proxy(v->last_tried, "never"), "mode",
		v->mode == MODE_SYMMETRIC ? "symmetric" : "asymmetric", "phase",
		monitor_phase(v->phase), "misses", (int)v->misses, "cause", cause_word(v->cause),
		"transition", (int)v->transition, "rtt_ms",
		v->rtt_100us == RECORD_RTT_NONE ? json_null() : json_real(v->rtt_100us / 10.0),
		"since_unix_ms", (json_int_t)v->since_unix_ms, "registrations_failed",
		(int)v->registrations_failed, "failovers", (int)v->failovers, "failbacks",
		(int)v->failbacks, "registrations_ok", (json_int_t)v->registrations_ok,
		"keepalives_sent", (json_int_t)v->keepalives_sent, "keepalives_missed",
		(json_int_t)v->keepalives_missed);
}

static void print_phone(uint32_t phone, const struct record_view *v, const struct reader_lease *l)
{
	char when[MONITOR_TIME_MAX];
	if (v->registered != 0)
		printf("phone %u is registered at the %s proxy", phone,
			monitor_proxy(v->registered, ""));
	else
		printf("phone %u is %s, its proxy %s", phone, monitor_phase(v->phase),
			monitor_proxy(v->last_tried, "none yet"));
	printf(" (%s)\n", v->mode == MODE_SYMMETRIC ? "symmetric" : "asymmetric");
	printf("  since           %s, %.1f s ago, by %s (transition %u)\n",
		monitor_time(v->since_unix_ms, when), ago_s(v->since_unix_ms), cause_word(v->cause),
		v->transition);
	printf("  registrations   %u succeeded, %u failed\n", v->registrations_ok,
		v->registrations_failed);
	printf("  switches        %u fail-overs, %u fail-backs\n", v->failovers, v->failbacks);
	printf("  keep-alives     %u sent, %u without answer, %u of these in a row now\n",
		v->keepalives_sent, v->keepalives_missed, v->misses);
	if (v->rtt_100us != RECORD_RTT_NONE)
		printf("  round trip      %s%.1f ms\n",
			v->rtt_100us == RECORD_RTT_NONE - 1 ? ">" : "", v->rtt_100us / 10.0);
	if (l->owner[0] != '\0' && l->left_ms > 0)
		printf("  driven by       %s (shard %u, its lease has %.1f s left)\n", l->owner,
			phone / SHARD_PHONES, (double)l->left_ms / 1e3);
	else
		printf("  driven by       nobody now (shard %u)\n", phone / SHARD_PHONES);
}

static int show_phone(struct reader *reader, uint32_t phone, bool json)
{
	uint8_t bytes[RECORD_SIZE];
	struct record_view view;
	struct reader_lease lease;
	int status = reader_phone(reader, phone, bytes);
	if (status == 0)
		status = reader_lease(reader, phone / SHARD_PHONES, &lease);
	if (status != 0)
		return failed(reader, status);
	record_parse(bytes, &view);
	if (view.version != RECORD_VERSION) {
		fprintf(stderr, "sipherd: phone %u %s\n", phone,
			view.version == 0 ? "has never been switched on"
					  : "has a record of another version of sipherd");
		return EXIT_USAGE;
	}
	if (json)
		return print_json(json_phone(phone, &view), JSON_INDENT(1));
	print_phone(phone, &view, &lease);
	return EXIT_DONE;
}

/* --- The feed --- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

/* A line of the feed, taken apart; docs/redis.md has it. */
struct feed_line {
	unsigned phone, transition;
	char from, to, phase[24], cause[32];
	uint64_t unix_ms;
};

static bool parse_line(const char *text, struct feed_line *out)
{
	return sscanf(text, "%u %c>%c %23s %31s %u %" SCNu64, &out->phone, &out->from, &out->to,
		       out->phase, out->cause, &out->transition, &out->unix_ms) == 7;
}

static const char *place_word(char letter)
{
	return letter == 'p' || letter == 'P'   ? "primary"
	       : letter == 'r' || letter == 'R' ? "redundant"
						: "never";
}

static json_t *json_line(uint32_t shard, const char *text)
{
	struct feed_line l;
	if (!parse_line(text, &l))
		return json_pack("{s:s, s:I, s:b}", "schema", SCHEMA, "shard", (json_int_t)shard,
			"resync", 1);
	return json_pack("{s:s, s:I, s:I, s:s, s:b, s:s, s:b, s:s, s:s, s:I, s:I}", "schema",
		SCHEMA, "shard", (json_int_t)shard, "phone", (json_int_t)l.phone, "from",
		place_word(l.from), "from_registered", l.from == 'P' || l.from == 'R', "to",
		place_word(l.to), "to_registered", l.to == 'P' || l.to == 'R', "phase", l.phase,
		"cause", l.cause, "transition", (json_int_t)l.transition, "unix_ms",
		(json_int_t)l.unix_ms);
}

static void print_line(uint32_t shard, const char *text)
{
	struct feed_line l;
	char when[MONITOR_TIME_MAX];
	if (!parse_line(text, &l)) {
		printf("shard %u was rewritten or lines were left out: look at its phones anew\n",
			shard);
		return;
	}
	printf("%s phone %-8u %9s%s > %9s%s  %-11s by %s (%u)\n", monitor_time(l.unix_ms, when),
		l.phone, place_word(l.from), l.from == 'P' || l.from == 'R' ? "*" : " ",
		place_word(l.to), l.to == 'P' || l.to == 'R' ? "*" : " ", l.phase, l.cause,
		l.transition);
}

struct follower {
	bool json, one;
	uint32_t phone;
};

static void on_line(void *context, uint32_t shard, const char *text)
{
	const struct follower *follower = context;
	struct feed_line line;
	if (follower->one && (!parse_line(text, &line) || line.phone != follower->phone))
		return;
	if (follower->json)
		print_json(json_line(shard, text), JSON_COMPACT);
	else
		print_line(shard, text);
}

static uint64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Redis may go and come back while we watch: said once each time. */
static int follow(struct reader *reader, const struct options *options)
{
	struct follower follower = {.json = options->json,
		.one = options->phone != OPTIONS_NOT_GIVEN,
		.phone = (uint32_t)options->phone};
	struct reader_fleet fleet;
	const struct sigaction action = {.sa_handler = on_signal};
	bool lost = false;
	uint64_t now_ms = clock_ms(), end_ms = options->for_ms == OPTIONS_NOT_GIVEN
						       ? UINT64_MAX
						       : now_ms + options->for_ms;
	int status = reader_fleet(reader, &fleet);
	if (status != 0)
		return failed(reader, status);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* Whoever read our output may have seen enough. */
	for (; !interrupted && !ferror(stdout) && now_ms < end_ms; now_ms = clock_ms()) {
		uint64_t wait_ms = end_ms - now_ms < FEED_WAIT_MS ? end_ms - now_ms : FEED_WAIT_MS;
		status = reader_feed(reader, (uint32_t)wait_ms, on_line, &follower);
		fflush(stdout);
		if (status != 0 && !lost && !interrupted)
			fprintf(stderr, "sipherd: %s. Trying again.\n", reader_reason(reader));
		if (status != 0)
			nanosleep(&(struct timespec){.tv_nsec = FEED_WAIT_MS * 1000000l}, NULL);
		else if (lost)
			fprintf(stderr, "sipherd: the store is there again\n");
		lost = status != 0;
	}
	return EXIT_DONE;
}

/* --- The command --- */

static int read_arguments(const struct options *options, struct fleet *fleet)
{
	bool file = options->arguments.count > 0;
	fleet_defaults(fleet);
	if (file == (options->fleet != NULL) || (!file && options->store == NULL)) {
		fprintf(stderr, "sipherd: fleet takes a fleet file, or --store URL and --fleet "
				"NAME. See sipherd help fleet.\n");
		return EXIT_USAGE;
	}
	if (options->for_ms != OPTIONS_NOT_GIVEN && !options->feed) {
		fprintf(stderr, "sipherd: --for goes with --feed.\n");
		return EXIT_USAGE;
	}
	if (file)
		return arguments_read(options, fleet);
	if (fleet_set_option(fleet, "fleet", options->fleet, "--fleet", false, &arguments_report) !=
		0)
		return EXIT_USAGE;
	return arguments_apply(options, fleet, false);
}

int run_monitor(const struct options *options)
{
	static struct fleet fleet;
	struct reader *reader = NULL;
	int status = read_arguments(options, &fleet);
	if (status == EXIT_DONE)
		status = monitor_open(&fleet, &reader);
	if (status == EXIT_DONE && options->feed)
		status = follow(reader, options);
	else if (status == EXIT_DONE && options->phone != OPTIONS_NOT_GIVEN)
		status = show_phone(reader, (uint32_t)options->phone, options->json);
	else if (status == EXIT_DONE)
		status = show_fleet(reader, options->json);
	reader_close(reader);
	fleet_free(&fleet);
	return status;
}
