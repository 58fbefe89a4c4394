/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "drills_print.h"
#include "output.h"
#include "run_internal.h"

/* Phones that all lose their power fill a worker's ring of transitions in a tenth of a second. */
#define DRAIN_S 0.02
#define PATIENCE_US 30000000ull /* beyond what the fleet's own timers allow for */

/* --- What drills tell --- */

static void write_phone(FILE *out, const struct run *run, uint32_t phone,
	const struct drill_wave *wave, const struct wave_phone *p)
{
	const uint32_t moment[] = {p->detect_ms, p->register_ms, p->back_ms};
	char user[IDENTITY_TEXT_MAX + 1];
	user[identity_user(run->fleet.identities, phone, user)] = '\0';
	fprintf(out, "%u,", phone);
	output_csv_text(out, user);
	fputc(',', out);
	output_csv_text(out, wave->name);
	for (size_t i = 0; i < sizeof(moment) / sizeof(moment[0]); i++) {
		fputc(',', out);
		if (moment[i] != WAVE_NEVER)
			fprintf(out, "%u", moment[i]);
	}
	fprintf(out, ",%s\n", p->end == 0 ? "nowhere" : proxy_name((enum proxy)(p->end - 1)));
}

/* Of very many phones only the newest waves' moments are kept. */
static void warn_of_missing(const struct run *run, const struct drills_news *news, uint32_t wave)
{
	struct wave_progress progress;
	waves_progress(news->waves, wave, &progress);
	if (progress.concerned > 0)
		fprintf(stderr,
			"warning: %s has no lines of the wave %s: its phones' moments took too "
			"much memory to be kept\n",
			run->options->phones_csv, news->plan->wave[wave].name);
}

/* One line for each phone that a wave was about; moments that never came are empty. */
static void write_phones(FILE *out, const struct run *run, const struct drills_news *news)
{
	fputs("phone,user,wave,detect_ms,register_ms,back_ms,end\n", out);
	for (uint32_t w = 0; w < news->plan->waves; w++) {
		const struct wave_phone *phone = waves_phones(news->waves, w);
		if (phone == NULL)
			warn_of_missing(run, news, w);
		for (uint32_t i = 0; phone != NULL && i < run->fleet.phones; i++)
			if (phone[i].concerned)
				write_phone(out, run, i, &news->plan->wave[w], &phone[i]);
	}
}

static void take_outcome(struct drill_run *drill, const struct drills_news *news)
{
	drill->phase = DRILL_IS_OVER;
	drill->aborted = news->phase == DRILLS_ABORTED;
	if (drill->aborted)
		snprintf(drill->reason, sizeof(drill->reason), "%s", news->text);
}

static void on_drain(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	const struct run *run = timer->data;
	if (run->events != NULL)
		watch_take(events_watch(run->events));
}

static void on_news(void *context, const struct drills_news *news)
{
	static const char *const before[] = {[DRILLS_BEGAN] = "drill begins: ",
		[DRILLS_STEP] = "",
		[DRILLS_ENDED] = "drill is over: ",
		[DRILLS_ABORTED] = "drill is aborted, all is restored: "};
	struct run *run = context;
	char text[DRILL_TEXT_MAX + DRILL_REASON_MAX];
	snprintf(text, sizeof(text), "%s%s", before[news->phase], news->text);
	view_step(&run->view, run_elapsed_s(run), text);
	events_drill(run->events, news);
	if (news->phase == DRILLS_BEGAN)
		ev_timer_start(run->loop, &run->drain);
	else if (news->waves != NULL)
		ev_timer_stop(run->loop, &run->drain);
	if (news->waves == NULL || run->drill == NULL || run->drill->id != news->id)
		return;
	take_outcome(run->drill, news);
	if (run->drill->phones != NULL)
		write_phones(run->drill->phones, run, news);
}

static void on_faults(void *context, enum proxy proxy, const struct registrar_faults *faults)
{
	struct run *run = context;
	run->drill_faults[proxy] = *faults;
	run_set_faults(run, proxy);
}

int run_open_drills(struct run *run, const struct picture *picture)
{
	const struct drills_events events = {run, on_news, on_faults};
	ev_timer_init(&run->drain, on_drain, DRAIN_S, DRAIN_S);
	run->drain.data = run;
	return drills_open(&run->drills, picture, &events);
}

bool run_drills(const struct run *run)
{
	uint32_t id;
	return drills_current(run->drills, &id) != NULL;
}

void run_abort_drill(struct run *run)
{
	uint32_t id;
	struct drill_run *drill = run->drill;
	if (drills_current(run->drills, &id) != NULL)
		drills_abort(run->drills, id,
			run->signals > 0 ? "it was interrupted" : "the run is over");
	if (drill == NULL || drill->phase != DRILL_WAITS)
		return;
	drill->aborted = true;
	snprintf(drill->reason, sizeof(drill->reason), "it was interrupted before it began");
}

/* --- How far it is --- */

static void show_progress(struct run *run, const struct drill *drill)
{
	char out[32], back[32], text[DRILL_TEXT_MAX + 120];
	uint64_t at_ms = drills_at_ms(run->drills), returned = 0;
	for (uint32_t i = 0; i < drill->plan.waves; i++) {
		struct wave_progress progress;
		if (drill->waves_open & 1ull << i && drills_progress(run->drills, i, &progress))
			returned += progress.back;
	}
	snprintf(text, sizeof(text), "%s, %s phones out, %s back, %.0f s left",
		drill->state == DRILL_RUNNING ? drill->plan.title : "hooks are being undone",
		view_number(drills_phones_out(run->drills), out), view_number(returned, back),
		at_ms < drill->plan.end_ms ? (double)(drill->plan.end_ms - at_ms) / 1e3 : 0);
	view_drill(&run->view, text);
}

/* Asymmetric phones belong to the primary. */
static uint32_t phones_there(const struct run *run)
{
	uint32_t there = 0;
	for (uint32_t h = 0; h < fleet_herds(&run->fleet); h++) {
		const struct fleet *herd = fleet_herd(&run->fleet, h);
		const bool home = herd->redundancy_enabled &&
				  herd->redundancy_mode == MODE_ASYMMETRIC;
		struct herd_population now;
		wire_herd_population(run->wire, h, &now);
		const uint32_t *registered = now.phones[PHONE_REGISTERED];
		there += registered[PROXY_PRIMARY] + (home ? 0 : registered[PROXY_REDUNDANT]);
	}
	return there;
}

static void begin(struct run *run)
{
	struct drill_run *drill = run->drill;
	const struct picture picture = {.fleet = &run->fleet,
		.config = &run->config,
		.now = &run->now,
		.tally = &run->tally,
		.share = &run->share,
		.wire = run->wire,
		.start_us = run->start_us};
	const int status = drills_start(
		run->drills, &picture, &drill->order, &drill->id, drill->reason);
	/* Somebody else's drill, by HTTP: ours comes after it, and nothing was wrong then. */
	if (status == -EBUSY || status == -EAGAIN) {
		drill->reason[0] = '\0';
		return;
	}
	drill->phase = status == 0 ? DRILL_GOES_ON : DRILL_IS_OVER;
	drill->aborted = status != 0;
	if (status != 0)
		run_begin_stop(run);
}

/* The ramp, a walk to the wrong proxy and back, a refusal and its retry. */
static uint64_t give_up_us(const struct run *run)
{
	const struct fleet *f = fleet_largest(&run->fleet);
	const uint64_t ramp_ms = f->ramp_per_s > 0
					 ? (uint64_t)run->fleet.phones * 1000 / f->ramp_per_s
					 : 0;
	return run->start_us + PATIENCE_US +
	       1000 * (ramp_ms + 2ull * f->no_response_ms + 2ull * f->switch_delay_ms +
			      f->retry_ms +
			      (uint64_t)f->keepalive_period_ms * (f->success_threshold + 1u));
}

static void give_up(struct run *run, uint32_t there)
{
	struct drill_run *drill = run->drill;
	char a[32], b[32];
	snprintf(drill->reason, sizeof(drill->reason),
		"only %s of %s phones are registered where they belong after %.0f s",
		view_number(there, a), view_number(run->share.phones, b), run_elapsed_s(run));
	drill->phase = DRILL_NEVER_BEGAN;
	run_begin_stop(run);
}

static void wait_for_phones(struct run *run)
{
	struct drill_run *drill = run->drill;
	const uint32_t phones = run->share.phones, there = phones_there(run);
	const uint64_t now_us = run->now.now_us, settle_us = run->options->settle_ms * 1000;
	char a[32], b[32], text[160];
	if (phones == 0 || there < phones) {
		drill->there_us = 0;
		snprintf(text, sizeof(text), "waits for phones, %s of %s registered",
			view_number(there, a), view_number(phones, b));
		view_drill(&run->view, text);
		if (now_us >= give_up_us(run))
			give_up(run, there);
		return;
	}
	/* People read that all are there, and then that it begins. */
	const bool seen = drill->there_us != 0;
	if (!seen)
		drill->there_us = now_us;
	if (seen && now_us - drill->there_us >= settle_us) {
		begin(run);
		return;
	}
	snprintf(text, sizeof(text), "begins in %.0f s",
		(double)(settle_us - (now_us - drill->there_us)) / 1e6);
	view_drill(&run->view, text);
}

void run_follow_drill(struct run *run)
{
	uint32_t id;
	const struct drill *current = drills_current(run->drills, &id);
	view_drill(&run->view, "");
	if (current == NULL && run->drill != NULL && run->drill->phase == DRILL_WAITS) {
		wait_for_phones(run);
		current = drills_current(run->drills, &id);
	}
	if (current != NULL)
		show_progress(run, current);
	if (current == NULL && run->drill != NULL && run->drill->phase == DRILL_IS_OVER)
		run_begin_stop(run);
}

/* --- The command --- */

static int bad_field(const char *text)
{
	fprintf(stderr,
		"sipherd: '%s' is not of the form FIELD=VALUE, such as hold=90s. See sipherd help "
		"drill.\n",
		text);
	return EXIT_USAGE;
}

/* "hold=90s"; primary and redundant alone are proxy=. The texts are cut in `room`. */
static int take_fields(const struct option_list *given, struct drills_field *field, size_t *fields,
	char *room, size_t size)
{
	for (size_t i = 2; i < given->count; i++) {
		const char *text = given->item[i], *equals = strchr(text, '=');
		struct drills_field *f = &field[(*fields)++];
		if (equals == NULL &&
			(strcmp(text, "primary") == 0 || strcmp(text, "redundant") == 0)) {
			*f = (struct drills_field){"proxy", text};
			continue;
		}
		const size_t length = strlen(text) + 1;
		if (equals == NULL || length > size)
			return bad_field(text);
		memcpy(room, text, length);
		room[equals - text] = '\0';
		*f = (struct drills_field){room, room + (equals - text) + 1};
		room += length;
		size -= length;
	}
	return EXIT_DONE;
}

/* Reasons about a plan name the drill in it, which need not be said twice. */
static int refused(const char *what, const char *reason)
{
	const size_t length = strlen(what);
	if (strncmp(reason, what, length) == 0 && strncmp(reason + length, ": ", 2) == 0)
		reason += length + 2;
	fprintf(stderr, "sipherd: drill %s: %s.\n", what, reason);
	return EXIT_USAGE;
}

/* Keep-alives that begin with the ramp are as dense as it was, and so is all that follows from them. */
static void warn_of_ramp(const struct fleet *fleet, FILE *out)
{
	const struct fleet *herd = fleet_largest(fleet);
	const double ramp_ms = fleet->ramp_per_s > 0 ? fleet->phones * 1e3 / fleet->ramp_per_s : 0;
	if (ramp_ms >= herd->keepalive_period_ms || herd->keepalive_first == KEEPALIVE_FIRST_SPREAD)
		return;
	fprintf(out,
		"note        the ramp is shorter than the keep-alive period, so that keep-alives "
		"come in bunches\n"
		"            and peaks may be higher; --set keepalive.first=spread prevents it\n");
}

/* Outages on our side of the link instead of the operator's. */
static void leave_hooks(struct drills_order *order)
{
	for (uint32_t i = 0; i < order->requests; i++) {
		order->request[i].given &= ~(1u << DRILL_HOOK);
		order->request[i].hook[0] = '\0';
	}
}

static int take_order(struct run *run)
{
	struct drill_run *drill = run->drill;
	const struct option_list *given = &run->options->arguments;
	const char *what = given->item[1];
	struct drills_field field[OPTIONS_LIST_MAX];
	char room[4096], reason[DRILL_REASON_MAX];
	size_t fields = 0;
	if (take_fields(given, field, &fields, room, sizeof(room)) != EXIT_DONE)
		return EXIT_USAGE;
	if (drills_order(&drill->order, &run->fleet, what, field, fields, reason) != 0)
		return refused(what, reason);
	if (run->options->no_hooks)
		leave_hooks(&drill->order);
	if (drills_plan(&drill->plan, &drill->order, &run->fleet, &run->config, run->fleet.phones,
		    reason) != 0)
		return refused(what, reason);
	return EXIT_DONE;
}

static bool plan_has_wave(const struct drill_plan *plan, const char *name)
{
	for (uint32_t i = 0; i < plan->waves; i++)
		if (strcmp(plan->wave[i].name, name) == 0)
			return true;
	return strcmp(name, "primary") == 0 || strcmp(name, "redundant") == 0;
}

/* The fleet file's goals may be about its other plans; one that is given with this drill is about it. */
static int check_goals(const struct run *run)
{
	const struct drill_plan *plan = &run->drill->plan;
	for (size_t i = 0; i < run->options->gate.count; i++) {
		const struct gate *gate = &run->fleet.gate[run->fleet.gates + i];
		if (gate->wave[0] == '\0' || plan_has_wave(plan, gate->wave))
			continue;
		fprintf(stderr, "sipherd: --gate '%s': this drill has no wave '%s'; it has",
			run->options->gate.item[i], gate->wave);
		for (uint32_t w = 0; w < plan->waves; w++)
			fprintf(stderr, "%s %s", w > 0 ? "," : "", plan->wave[w].name);
		fputs(".\n", stderr);
		return EXIT_USAGE;
	}
	return EXIT_DONE;
}

static int close_phones(struct run *run, int status)
{
	FILE *out = run->drill->phones;
	if (out == NULL)
		return status;
	const bool failed = ferror(out) != 0;
	if (fclose(out) == 0 && !failed)
		return status;
	return output_failed(run->options->phones_csv, errno != 0 ? errno : EIO);
}

static int carry_out(struct run *run)
{
	const time_t started = time(NULL);
	const char *path = run->options->phones_csv;
	int status = run->options->baseline ? run_baseline(run) : EXIT_DONE;
	if (status == EXIT_DONE)
		status = run_resolve_names(run);
	if (status == EXIT_DONE && path != NULL)
		status = output_open(path, &run->drill->phones);
	if (status == EXIT_DONE)
		status = run_live(run);
	if (status == EXIT_DONE)
		status = run_finish(run, "drill", started);
	status = close_phones(run, status);
	if (run->drill->reason[0] != '\0')
		fprintf(stderr, "sipherd: the drill %s: %s\n",
			run->drill->id == 0 ? "did not begin" : "was aborted", run->drill->reason);
	return status;
}

int run_drill(const struct options *options)
{
	struct drill_run *drill = calloc(1, sizeof(*drill));
	struct run *run = drill != NULL ? run_new(options) : NULL;
	if (run == NULL) {
		free(drill);
		fprintf(stderr, "sipherd: out of memory\n");
		return EXIT_HOST;
	}
	run->drill = drill;
	int status = arguments_read(options, &run->fleet);
	if (status == EXIT_DONE)
		status = run_configure_fleet(run);
	if (status == EXIT_DONE)
		status = run_take_gates(run);
	if (status == EXIT_DONE)
		status = take_order(run);
	if (status == EXIT_DONE)
		status = check_goals(run);
	if (status == EXIT_DONE) {
		drills_print_plan(&drill->plan, stdout);
		warn_of_ramp(&run->fleet, stdout);
	}
	if (status == EXIT_DONE && !options->plan)
		status = run_check_files(options);
	if (status == EXIT_DONE && !options->plan)
		status = carry_out(run);
	json_decref(drill->baseline);
	run_close(run);
	free(drill);
	return status;
}
