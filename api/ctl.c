/* SPDX-License-Identifier: BSD-3-Clause */
#include "ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "guard.h"
#include "output.h"
#include "units.h"

#define PHONE_MOST 9999999
#define PAGE_MOST 1000
#define RAMP_MOST 10000000

struct ctl_verb {
	const char *name;
	const char *path;   /* with %u for the phone */
	const char *body;   /* of a change; NULL: it reads */
	size_t least, most; /* words behind it, the phone not counted */
	bool phone;         /* the first word is a phone */
	int (*run)(struct ctl *ctl, const struct ctl_verb *verb);
	void (*print)(const json_t *value); /* NULL: the tree */
};

/* --- Asking --- */

static const char *method_of(const struct ctl_verb *verb)
{
	if (verb->body == NULL)
		return "GET";
	return strcmp(verb->path, "/api/v1/load") == 0 ? "PATCH" : "POST";
}

json_t *ctl_ask(
	struct ctl *ctl, const char *method, const char *path, const char *body, int *status)
{
	struct client_answer answer;
	json_t *value = NULL;
	client_ask(ctl->client, method, path, body, &answer);
	*status = client_exit(&answer);
	if (*status == EXIT_DONE) {
		value = json_loadb(answer.text != NULL ? answer.text : "", answer.length,
			JSON_DECODE_ANY, NULL);
		if (value == NULL) {
			fprintf(stderr, "sipherd: %s%s: its answer is no JSON\n",
				client_url(ctl->client), path);
			*status = EXIT_HOST;
		}
	}
	client_answer_free(&answer);
	return value;
}

void ctl_show(const struct ctl *ctl, json_t *value, void (*print)(const json_t *value))
{
	if (ctl->options->json)
		ctl_print_json(value, JSON_INDENT(2));
	else
		print(value);
	json_decref(value);
}

static int show(struct ctl *ctl, const struct ctl_verb *verb, const char *path, const char *body)
{
	int status;
	json_t *value = ctl_ask(ctl, method_of(verb), path, body, &status);
	if (value == NULL)
		return status;
	ctl_show(ctl, value, verb->print != NULL ? verb->print : ctl_print_tree);
	return status;
}

static int run_simple(struct ctl *ctl, const struct ctl_verb *verb)
{
	char path[128];
	snprintf(path, sizeof(path), verb->path, ctl->phone);
	return show(ctl, verb, path, verb->body);
}

int ctl_bad_word(const char *word, const char *remedy)
{
	fprintf(stderr, "sipherd: ctl does not know '%s'. %s\n", word, remedy);
	return EXIT_USAGE;
}

/* --- Files --- */

int ctl_save(const struct ctl *ctl, const struct client_answer *answer)
{
	FILE *out = stdout;
	const char *path = ctl->options->output;
	if (path != NULL && output_open(path, &out) != EXIT_DONE)
		return EXIT_HOST;
	bool good = fwrite(answer->text, 1, answer->length, out) == answer->length;
	good = fflush(out) == 0 && good;
	if (path != NULL)
		good = fclose(out) == 0 && good;
	return good ? EXIT_DONE : output_failed(path != NULL ? path : "standard output", errno);
}

static int run_capture(struct ctl *ctl, const struct ctl_verb *verb)
{
	char path[128];
	struct client_answer answer;
	if (ctl->options->output == NULL && isatty(STDOUT_FILENO)) {
		fprintf(stderr, "sipherd: a capture is no text: give -o FILE.\n");
		return EXIT_USAGE;
	}
	snprintf(path, sizeof(path), verb->path, ctl->phone);
	client_ask(ctl->client, "GET", path, NULL, &answer);
	int status = client_exit(&answer);
	if (status == EXIT_DONE)
		status = ctl_save(ctl, &answer);
	client_answer_free(&answer);
	return status;
}

/* Any path. JSON is shown as it is asked for, all else as it is; a terminal gets no control codes. */
static int run_get(struct ctl *ctl, const struct ctl_verb *verb)
{
	struct client_answer answer;
	const char *path = ctl->word[0];
	(void)verb;
	if (path[0] != '/' || path[strcspn(path, " #\\")] != '\0' || strlen(path) > CLIENT_PATH_MAX)
		return ctl_bad_word(path,
			"A path begins with a slash, such as /api/v1/fleet, and is "
			"no longer than 2,000 "
			"characters.");
	client_ask(ctl->client, "GET", path, NULL, &answer);
	int status = client_exit(&answer);
	json_t *value = status == EXIT_DONE && answer.json && ctl->options->output == NULL
				? json_loadb(answer.text, answer.length, 0, NULL)
				: NULL;
	if (value != NULL && ctl->options->json)
		ctl_print_json(value, JSON_INDENT(2));
	else if (value != NULL)
		ctl_print_tree(value);
	else if (status == EXIT_DONE && answer.length > 0) {
		if (ctl->options->output == NULL && isatty(STDOUT_FILENO))
			client_clean(answer.text, answer.length, true);
		status = ctl_save(ctl, &answer);
	}
	json_decref(value);
	client_answer_free(&answer);
	return status;
}

/* --- Phones --- */

struct filter {
	char query[256]; /* without limit and cursor */
	uint32_t limit, cursor;
};

static bool take_filter(struct filter *filter, const char *word)
{
	const char *value = strchr(word, '=');
	const size_t name = value != NULL ? (size_t)(value - word) : 0,
		     used = strlen(filter->query);
	if (value == NULL)
		return false;
	if (name == 5 && strncmp(word, "limit", 5) == 0)
		return guard_number(value + 1, 1, PHONE_MOST + 1, &filter->limit);
	if (name == 6 && strncmp(word, "cursor", 6) == 0)
		return guard_number(value + 1, 0, PHONE_MOST, &filter->cursor);
	const bool known = (name == 5 &&
			    (strncmp(word, "state", 5) == 0 || strncmp(word, "proxy", 5) == 0));
	const bool clean = value[1 + strspn(value + 1, "abcdefghijklmnopqrstuvwxyz-")] == '\0';
	if (!known || !clean || used + strlen(word) + 2 > sizeof(filter->query))
		return false;
	snprintf(filter->query + used, sizeof(filter->query) - used, "&%s", word);
	return true;
}

/* NULL after a message with *status set. */
static json_t *ask_page(struct ctl *ctl, const char *path, int *status)
{
	json_t *page = ctl_ask(ctl, "GET", path, NULL, status);
	if (page == NULL || json_is_array(json_object_get(page, "phones")))
		return page;
	fprintf(stderr, "sipherd: %s%s: its answer has no phones\n", client_url(ctl->client), path);
	*status = EXIT_HOST;
	json_decref(page);
	return NULL;
}

/* Pages until there are as many as asked for, put together as one. */
static json_t *all_pages(struct ctl *ctl, struct filter *filter, int *status)
{
	json_t *all = NULL;
	for (uint32_t left = filter->limit; left > 0;) {
		char path[512];
		snprintf(path, sizeof(path), "/api/v1/phones?limit=%u&cursor=%u%s",
			left < PAGE_MOST ? left : PAGE_MOST, filter->cursor, filter->query);
		json_t *page = ask_page(ctl, path, status);
		json_t *list = json_object_get(page, "phones"),
		       *next = json_object_get(page, "next");
		const size_t got = json_array_size(list);
		if (page == NULL) {
			json_decref(all);
			return NULL;
		}
		const bool more = json_is_integer(next) &&
				  json_integer_value(next) > (json_int_t)filter->cursor &&
				  json_integer_value(next) <= PHONE_MOST;
		if (more)
			filter->cursor = (uint32_t)json_integer_value(next);
		left -= got < left ? (uint32_t)got : left;
		if (all == NULL) {
			all = json_incref(page);
		} else {
			json_array_extend(json_object_get(all, "phones"), list);
			json_object_set(all, "next", next);
		}
		json_decref(page);
		if (!more)
			break;
	}
	return all;
}

static int run_phones(struct ctl *ctl, const struct ctl_verb *verb)
{
	struct filter filter = {.limit = 100};
	int status = EXIT_HOST;
	(void)verb;
	for (size_t i = 0; i < ctl->words; i++)
		if (!take_filter(&filter, ctl->word[i]))
			return ctl_bad_word(ctl->word[i], "Phones are chosen by state=STATE, "
							  "proxy=PROXY, limit=N, cursor=N.");
	json_t *all = all_pages(ctl, &filter, &status);
	if (all == NULL)
		return status;
	if (ctl->options->json)
		ctl_print_json(all, JSON_INDENT(2));
	else
		ctl_print_phones(all, true);
	json_decref(all);
	return status;
}

/* --- Load --- */

static bool take_load(json_t *load, const char *word)
{
	char reason[UNITS_REASON_MAX];
	uint64_t value;
	if (strncmp(word, "phones=", 7) == 0)
		return units_count(word + 7, &value, reason) == 0 && value <= PHONE_MOST + 1 &&
		       json_object_set_new(load, "phones", json_integer((json_int_t)value)) == 0;
	if (strncmp(word, "ramp=", 5) == 0)
		return units_rate(word + 5, &value, reason) == 0 && value <= RAMP_MOST &&
		       json_object_set_new(load, "ramp_per_s", json_integer((json_int_t)value)) ==
			       0;
	return false;
}

static int run_set(struct ctl *ctl, const struct ctl_verb *verb)
{
	json_t *load = json_object();
	for (size_t i = 0; i < ctl->words; i++) {
		if (take_load(load, ctl->word[i]))
			continue;
		json_decref(load);
		return ctl_bad_word(ctl->word[i], "What is set is phones=N and ramp=N/s.");
	}
	char *body = json_dumps(load, JSON_COMPACT);
	int status = show(ctl, verb, verb->path, body);
	free(body);
	json_decref(load);
	return status;
}

/* --- Events --- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

struct following {
	const struct ctl *ctl;
	struct sse sse;
	bool over;
	int status;
};

static void take_event(void *context, const struct sse_event *event)
{
	struct following *f = context;
	json_t *data = json_loadb(event->data, event->length, 0, NULL);
	if (f->ctl->options->json) {
		json_t *line = json_pack(
			"{s:s, s:s, s:O?}", "event", event->name, "id", event->id, "data", data);
		if (line != NULL)
			ctl_print_json(line, JSON_COMPACT);
		json_decref(line);
	} else {
		ctl_print_event(event, data);
	}
	json_decref(data);
	/* Whoever reads us may have seen enough. */
	if (fflush(stdout) != 0)
		f->over = true;
}

static void take_bytes(void *context, const char *bytes, size_t length)
{
	struct following *f = context;
	sse_feed(&f->sse, bytes, length, take_event, f);
}

static void take_end(void *context, const struct client_answer *answer)
{
	struct following *f = context;
	f->over = true;
	f->status = client_exit(answer);
}

static uint64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int run_events(struct ctl *ctl, const struct ctl_verb *verb)
{
	struct following *f = calloc(1, sizeof(*f));
	if (f == NULL)
		return EXIT_HOST;
	f->ctl = ctl;
	sse_begin(&f->sse);
	struct sigaction action = {.sa_handler = on_signal};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	const uint64_t for_ms = ctl->options->for_ms, began = clock_ms();
	struct client_call *call = client_stream(
		ctl->client, verb->path, "", take_bytes, take_end, f);
	while (call != NULL && !f->over && !interrupted && clock_ms() - began < for_ms)
		client_turn(ctl->client, NULL, 0, 100);
	int status = call != NULL ? f->status : EXIT_HOST;
	/* A call that is under way still holds f. */
	client_cancel(ctl->client, call);
	free(f);
	return status;
}

/* --- The command --- */

#define ACTION(word)                                                              \
	{                                                                         \
		.name = word, .path = "/api/v1/phones/%u/actions", .phone = true, \
		.body = "{\"action\":\"" word "\"}", .run = run_simple            \
	}
#define READ(word)                                                       \
	{                                                                \
		.name = word, .path = "/api/v1/" word, .run = run_simple \
	}

static const struct ctl_verb verbs[] = {
	READ("fleet"),
	READ("proxies"),
	READ("generator"),
	READ("store"),
	READ("load"),
	{.name = "ready", .path = "/readyz", .run = run_simple},
	{.name = "phone",
		.path = "/api/v1/phones/%u",
		.phone = true,
		.run = run_simple,
		.print = ctl_print_phone},
	{.name = "phones", .most = 4, .run = run_phones},
	{.name = "trace",
		.path = "/api/v1/phones/%u/trace",
		.phone = true,
		.run = run_simple,
		.print = ctl_print_trace},
	{.name = "pcap",
		.path = "/api/v1/phones/%u/capture.pcapng",
		.phone = true,
		.run = run_capture},
	ACTION("reregister"),
	ACTION("unregister"),
	ACTION("reboot"),
	ACTION("power-cut"),
	{.name = "pause", .path = "/api/v1/load", .body = "{\"paused\":true}", .run = run_simple},
	{.name = "resume", .path = "/api/v1/load", .body = "{\"paused\":false}", .run = run_simple},
	{.name = "set", .path = "/api/v1/load", .body = "", .least = 1, .most = 2, .run = run_set},
	{.name = "events", .path = "/api/v1/events", .run = run_events},
	{.name = "drills", .path = "/api/v1/drills", .run = run_simple, .print = ctl_print_drills},
	{.name = "plan", .least = 1, .most = CTL_WORDS_MAX, .run = ctl_plan},
	{.name = "drill", .least = 1, .most = CTL_WORDS_MAX, .run = ctl_drill},
	{.name = "abort", .most = 1, .run = ctl_abort},
	{.name = "result", .least = 1, .most = 1, .run = ctl_result},
	{.name = "report", .least = 1, .most = 1, .run = ctl_report},
	{.name = "get", .least = 1, .most = 1, .run = run_get},
};

static const struct ctl_verb *verb_find(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int take_words(struct ctl *ctl, const struct ctl_verb *verb)
{
	const struct option_list *list = &ctl->options->arguments;
	size_t used = 1;
	if (verb->phone &&
		(list->count < 2 || !guard_number(list->item[1], 0, PHONE_MOST, &ctl->phone))) {
		fprintf(stderr,
			"sipherd: ctl %s needs the number of a phone, from 0, such as 'ctl %s "
			"17'.\n",
			verb->name, verb->name);
		return EXIT_USAGE;
	}
	used += verb->phone;
	ctl->word = list->item + used;
	ctl->words = list->count - used;
	if (ctl->words >= verb->least && ctl->words <= verb->most)
		return EXIT_DONE;
	if (ctl->words > verb->most)
		return ctl_bad_word(ctl->word[verb->most],
			"See 'sipherd help ctl' for what goes behind the command.");
	fprintf(stderr, "sipherd: something is missing behind 'ctl %s'. See 'sipherd help ctl'.\n",
		verb->name);
	return EXIT_USAGE;
}

int run_ctl(const struct options *options)
{
	struct ctl ctl = {.options = options};
	const char *name = options->arguments.item[0];
	const struct ctl_verb *verb = verb_find(name);
	if (verb == NULL)
		return ctl_bad_word(name, "See 'sipherd help ctl'.");
	if (options->output != NULL && verb->run != run_capture && verb->run != run_get &&
		verb->run != ctl_report) {
		fprintf(stderr, "sipherd: -o goes with ctl pcap, ctl report and ctl get.\n");
		return EXIT_USAGE;
	}
	if (options->yes && verb->run != ctl_drill) {
		fprintf(stderr, "sipherd: --yes goes with ctl drill.\n");
		return EXIT_USAGE;
	}
	int status = take_words(&ctl, verb);
	if (status == EXIT_DONE)
		status = client_open(&ctl.client, options);
	if (status == EXIT_DONE)
		status = verb->run(&ctl, verb);
	client_close(ctl.client);
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_DONE)
		status = EXIT_HOST;
	return status;
}
