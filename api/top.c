/* SPDX-License-Identifier: BSD-3-Clause */
#include "top.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "terminal.h"

#define TURN_MS 100
#define STREAM_AGAIN_MS 1000
#define PHONE_MOST 9999999
#define RAMP_LEAST 1

#define ON(screen) (1u << (screen))
#define ON_ALL (ON(TOP_SCREENS) - 1)

/* Which screens need a page, and how often it is asked for. */
static const struct {
	const char *path;
	unsigned screens;
	uint32_t every_ms;
} pages[TOP_PAGES] = {
	[PAGE_FLEET] = {"/api/v1/fleet", ON_ALL, 1000},
	[PAGE_LOAD] = {"/api/v1/load", ON_ALL, 1000},
	[PAGE_DRILLS] = {"/api/v1/drills", ON_ALL, 1000},
	[PAGE_TIMELINE] = {"/api/v1/timeline", ON(TOP_OVERVIEW), 10000},
	[PAGE_PROXIES] = {"/api/v1/proxies", ON(TOP_PROXIES), 1000},
	[PAGE_GENERATOR] = {"/api/v1/generator", ON(TOP_GENERATOR), 1000},
	[PAGE_STORE] = {"/api/v1/store", ON(TOP_GENERATOR), 1000},
	[PAGE_PHONES] = {"/api/v1/phones", ON(TOP_PHONES), 1000},
	[PAGE_HISTOGRAM] = {"/api/v1/histograms/", ON(TOP_HISTOGRAMS), 1000},
};

static uint64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- Pages --- */

static const char *path_of(const struct top *top, enum top_page page, char out[160])
{
	if (page == PAGE_HISTOGRAM)
		snprintf(out, 160, "%s%s", pages[page].path, top_histograms[top->histogram]);
	else if (page == PAGE_PHONES)
		snprintf(out, 160, "%s?limit=%d&cursor=%u", pages[page].path, CANVAS_ROWS_MAX,
			top->first_phone);
	else
		snprintf(out, 160, "%s", pages[page].path);
	return out;
}

static void take_page(struct top *top, enum top_page page, const struct client_answer *answer)
{
	json_t *value = answer->text != NULL ? json_loadb(answer->text, answer->length, 0, NULL)
					     : NULL;
	if (value == NULL || answer->code < 200 || answer->code > 299) {
		/* A page that this server lacks is left out; that a token is needed is for all. */
		if (answer->code == 0 || answer->code == 401 || page == PAGE_FLEET) {
			top_note(top, "%s", answer->why[0] != '\0' ? answer->why : "no JSON");
			top->exit = answer->code == 401 ? EXIT_USAGE : EXIT_HOST;
		}
		json_decref(value);
		return;
	}
	json_decref(top->page[page]);
	top->page[page] = value;
	if (page == PAGE_TIMELINE)
		top_take_timeline(top, value);
	if (page == PAGE_FLEET)
		top->exit = EXIT_DONE;
	top->fresh_ms = top->now_ms;
}

static void on_page(void *context, const struct client_answer *answer)
{
	struct top_asking *asking = context;
	struct top *top = asking->top;
	asking->call = NULL;
	take_page(top, (enum top_page)(asking - top->asking), answer);
}

static void ask_pages(struct top *top)
{
	char path[160];
	for (int page = 0; page < TOP_PAGES; page++) {
		struct top_asking *asking = &top->asking[page];
		const bool due = asking->asked_ms == 0 ||
				 top->now_ms - asking->asked_ms >= pages[page].every_ms;
		if (!(pages[page].screens & ON(top->screen)) || asking->call != NULL || !due)
			continue;
		asking->top = top;
		asking->asked_ms = top->now_ms;
		asking->call = client_begin(top->client, "GET",
			path_of(top, (enum top_page)page, path), NULL, on_page, asking);
	}
}

/* What is shown is of another place now. */
static void ask_anew(struct top *top, enum top_page page)
{
	if (top->asking[page].call != NULL)
		client_cancel(top->client, top->asking[page].call);
	top->asking[page].call = NULL;
	top->asking[page].asked_ms = 0;
}

/* --- The stream --- */

static void on_bytes(void *context, const char *bytes, size_t length)
{
	struct top *top = context;
	sse_feed(&top->sse, bytes, length, top_take_event, top);
}

static void on_stream_end(void *context, const struct client_answer *answer)
{
	struct top *top = context;
	(void)answer;
	top->stream = NULL;
	top->streaming = false;
	top->stream_at_ms = top->now_ms + STREAM_AGAIN_MS;
}

static void keep_stream(struct top *top)
{
	if (top->stream != NULL || top->now_ms < top->stream_at_ms)
		return;
	sse_begin(&top->sse);
	top->stream = client_stream(
		top->client, "/api/v1/events", top->sse.id, on_bytes, on_stream_end, top);
	top->stream_at_ms = top->now_ms + STREAM_AGAIN_MS;
}

/* --- Keys --- */

static void on_changed(void *context, const struct client_answer *answer)
{
	struct top *top = context;
	json_t *load = answer->text != NULL ? json_loadb(answer->text, answer->length, 0, NULL)
					    : NULL;
	if (answer->code >= 200 && answer->code < 300 && load != NULL) {
		top_note(top, "ramp %.0f phones a second%s", top_number(load, "ramp_per_s", 0),
			top_is(load, "paused") ? ", paused" : "");
		json_decref(top->page[PAGE_LOAD]);
		top->page[PAGE_LOAD] = load;
		return;
	}
	top_note(top, "%s", answer->why);
	json_decref(load);
}

static void change(struct top *top, const char *body)
{
	client_begin(top->client, "PATCH", "/api/v1/load", body, on_changed, top);
}

static void change_ramp(struct top *top, int percent)
{
	char body[64];
	const double now = top_number(top->page[PAGE_LOAD], "ramp_per_s", 0);
	double ramp = now * (100 + percent) / 100;
	if (now <= 0) {
		top_note(top, "there is no ramp: all phones start at once");
		return;
	}
	/* A step of ten percent of a few is one. */
	if ((uint64_t)ramp == (uint64_t)now)
		ramp = percent > 0 ? now + 1 : now - 1;
	if (ramp < RAMP_LEAST)
		ramp = RAMP_LEAST;
	snprintf(body, sizeof(body), "{\"ramp_per_s\":%llu}", (unsigned long long)ramp);
	change(top, body);
}

static void scroll(struct top *top, int phones)
{
	const int64_t most = (int64_t)top_number(top->page[PAGE_FLEET], "phones_configured", 1) - 1;
	int64_t to = (int64_t)top->first_phone + phones;
	to = to > most ? most : to;
	top->first_phone = to < 0 ? 0 : (uint32_t)to;
	ask_anew(top, PAGE_PHONES);
}

static void turn_histograms(struct top *top, int by)
{
	top->histogram = (top->histogram + TOP_HISTOGRAMS_SHOWN + (unsigned)by) %
			 TOP_HISTOGRAMS_SHOWN;
	json_decref(top->page[PAGE_HISTOGRAM]);
	top->page[PAGE_HISTOGRAM] = NULL;
	ask_anew(top, PAGE_HISTOGRAM);
}

static void move(struct top *top, int key)
{
	const int page = top->canvas.rows / 2;
	if (top->screen == TOP_PHONES)
		scroll(top, key == KEY_UP          ? -1
			    : key == KEY_DOWN      ? 1
			    : key == KEY_PAGE_UP   ? -page
			    : key == KEY_PAGE_DOWN ? page
						   : 0);
	else if (top->screen == TOP_HISTOGRAMS)
		turn_histograms(top, key == KEY_LEFT || key == KEY_UP ? -1 : 1);
}

static void press(struct top *top, int key)
{
	const bool was_help = top->help;
	top->help = false;
	if (key >= '1' && key < '1' + TOP_SCREENS)
		top->screen = (enum top_screen)(key - '1');
	else if (key == '?' || key == 'h')
		top->help = !was_help;
	else if (key == 'q' || key == 'Q' || key == KEY_END_OF_INPUT)
		top->quit = true;
	else if (key == 'p')
		change(top, top_is(top->page[PAGE_LOAD], "paused") ? "{\"paused\":false}"
								   : "{\"paused\":true}");
	else if (key == '+' || key == '=')
		change_ramp(top, 10);
	else if (key == '-')
		change_ramp(top, -10);
	else if (key >= KEY_UP && key <= KEY_PAGE_DOWN)
		move(top, key);
}

/* --- The command --- */

/* The size that COLUMNS or LINES tells, where there is no terminal. */
static int from_environment(const char *name, int standard)
{
	const char *text = getenv(name);
	const int value = text != NULL ? atoi(text) : 0;
	return value > 0 ? value : standard;
}

static void draw(struct top *top)
{
	int columns = from_environment("COLUMNS", TOP_COLUMNS_STANDARD);
	int rows = from_environment("LINES", TOP_ROWS_STANDARD);
	terminal_size(&columns, &rows);
	top_draw(top, columns, rows);
}

static int once(struct top *top)
{
	char path[160];
	for (int page = 0; page < TOP_PAGES; page++) {
		struct client_answer answer;
		if (!(pages[page].screens & ON(top->screen)))
			continue;
		client_ask(
			top->client, "GET", path_of(top, (enum top_page)page, path), NULL, &answer);
		if (page == PAGE_FLEET && client_exit(&answer) != EXIT_DONE) {
			const int status = answer.code >= 400 && answer.code < 500 ? EXIT_USAGE
										   : EXIT_HOST;
			client_answer_free(&answer);
			return status;
		}
		top->now_ms = clock_ms();
		take_page(top, (enum top_page)page, &answer);
		client_answer_free(&answer);
	}
	draw(top);
	canvas_print(&top->canvas, stdout);
	return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_DONE : EXIT_HOST;
}

static int follow(struct top *top)
{
	static char buffer[1 << 20];
	const uint64_t for_ms = top->options->for_ms, began = clock_ms();
	if (terminal_open() != 0) {
		fprintf(stderr, "sipherd: top needs a terminal; --once prints one screen.\n");
		return EXIT_USAGE;
	}
	/* A screen is written as a whole. */
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	while (!top->quit && !terminal_ended() && clock_ms() - began < for_ms) {
		struct curl_waitfd keys = {.fd = STDIN_FILENO, .events = CURL_WAIT_POLLIN};
		top->now_ms = clock_ms();
		keep_stream(top);
		ask_pages(top);
		client_turn(top->client, &keys, 1, TURN_MS);
		top->now_ms = clock_ms();
		for (int key; (key = terminal_key()) != KEY_NONE && !top->quit;)
			press(top, key);
		draw(top);
		canvas_paint(&top->canvas, stdout);
	}
	terminal_close();
	/* Without an answer ever, the reason is worth more than a blank screen that is gone. */
	if (top->page[PAGE_FLEET] == NULL && top->exit != EXIT_DONE)
		fprintf(stderr, "sipherd: %s\n", top->note);
	return top->page[PAGE_FLEET] == NULL ? top->exit : EXIT_DONE;
}

int run_top(const struct options *options)
{
	struct top *top = calloc(1, sizeof(*top));
	if (top == NULL) {
		fprintf(stderr, "sipherd: out of memory\n");
		return EXIT_HOST;
	}
	top->options = options;
	top->screen = (enum top_screen)(options->screen - 1);
	top->canvas.utf8 = terminal_utf8();
	top->canvas.colour = terminal_colour();
	int status = client_open(&top->client, options);
	if (status == EXIT_DONE)
		status = options->once ? once(top) : follow(top);
	client_close(top->client);
	for (int page = 0; page < TOP_PAGES; page++)
		json_decref(top->page[page]);
	json_decref(top->tick);
	free(top);
	return status;
}
