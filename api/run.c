/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "check.h"
#include "herds.h"
#include "run_internal.h"
#include "sizing_print.h"

#define TICK_S 0.1
#define RESOLVE_MS 5000
#define NEIGHBOURS_MS 3000
#define DRAIN_S 3.0    /* Expires 0 waits at most 1 s, plus the time to send them all */
#define LEAVE_S 3.0    /* for the last flushes, and to give the leases back */
#define SETTLE_TICKS 5 /* without news of shards, before they are told */

double run_elapsed_s(const struct run *run)
{
	return (double)(int64_t)(run->now.now_us - run->start_us) / 1e6;
}

/* --- Names --- */

static void on_resolved(void *context, unsigned which, const struct address *address,
	unsigned ttl_s, const char *reason)
{
	struct run *run = context;
	char text[ADDRESS_TEXT_MAX];
	const unsigned herd = which / PROXIES;
	const enum proxy role = (enum proxy)(which % PROXIES);
	const struct fleet *of = fleet_herd(&run->fleet, herd);
	const char *name = of->proxy[role].host;
	struct wire_proxy *proxy = run->herds != NULL ? &run->herds[herd].proxy[role]
						      : &run->config.proxy[role];
	if (address == NULL) {
		snprintf(run->unresolved_reason, sizeof(run->unresolved_reason), "%s: %s", name,
			reason);
		return;
	}
	if (proxy->known && address_equal(&proxy->address, address))
		return;
	if (!proxy->known)
		run->unresolved--;
	proxy->address = *address;
	proxy->known = true;
	if (run->herds != NULL)
		run->herds[herd].config.proxy[role].address = *address;
	if (of == fleet_largest(&run->fleet)) {
		run->config.proxy[role] = *proxy;
		run->config.herd.proxy[role].address = *address;
	}
	address_format(address, text);
	if (run->wire == NULL) {
		printf("%s proxy %s is %s (for %u s)\n", proxy_name(role), name, text, ttl_s);
		return;
	}
	wire_set_proxy(run->wire, herd, role, address, proxy->port);
	view_event(&run->view, run_elapsed_s(run), "%s proxy %s is now %s", proxy_name(role), name,
		text);
}

static void on_resolve_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer, (void)events;
	ev_break(loop, EVBREAK_ALL);
}

static bool is_named(const struct run *run, unsigned which)
{
	const struct fleet *herd = fleet_herd(&run->fleet, which / PROXIES);
	return fleet_proxy_family(herd, (enum proxy)(which % PROXIES)) == -EAGAIN;
}

static void watch_name(struct run *run, unsigned which)
{
	const struct fleet *herd = fleet_herd(&run->fleet, which / PROXIES);
	unsigned families = 0;
	for (int f = 0; f < ADDRESS_FAMILIES; f++)
		families |= herd->has_plan[f] ? 1u << f : 0;
	resolver_watch(run->resolver, which, herd->proxy[which % PROXIES].host, families);
}

int run_resolve_names(struct run *run)
{
	const struct resolver_events events = {run, on_resolved};
	const unsigned proxies = fleet_herds(&run->fleet) * PROXIES;
	char reason[160];
	for (unsigned p = 0; p < proxies; p++)
		run->unresolved += is_named(run, p);
	if (run->unresolved == 0)
		return EXIT_DONE;
	run->resolver = resolver_open(run->loop, run->options->dns, &events, reason);
	if (run->resolver == NULL) {
		fprintf(stderr,
			"sipherd: cannot resolve names: %s. Check /etc/resolv.conf or --dns.\n",
			reason);
		return EXIT_HOST;
	}
	for (unsigned p = 0; p < proxies; p++)
		if (is_named(run, p))
			watch_name(run, p);
	ev_timer timeout;
	ev_timer_init(&timeout, on_resolve_timeout, RESOLVE_MS / 1e3, 0);
	ev_timer_start(run->loop, &timeout);
	while (run->unresolved != 0 && ev_is_active(&timeout))
		ev_run(run->loop, EVRUN_ONCE);
	ev_timer_stop(run->loop, &timeout);
	if (run->unresolved == 0)
		return EXIT_DONE;
	fprintf(stderr,
		"sipherd: %s does not resolve. Write its address, or mend the name server.\n",
		run->unresolved_reason[0] ? run->unresolved_reason : "a proxy's name");
	return EXIT_HOST;
}

/* --- While it runs --- */

static void look(struct run *run)
{
	wire_snapshot(run->wire, &run->now);
	if (run->config.roles & WIRE_HERD)
		share_only_ours(&run->share, &run->now.population);
}

/* What people at the terminal are told, those who listen elsewhere are told too. */
static void on_view_event(void *context, const char *text)
{
	static const char mark[] = "warning: ";
	const struct run *run = context;
	const bool warning = strncmp(text, mark, sizeof(mark) - 1) == 0;
	events_alert(run->events, warning, warning ? text + sizeof(mark) - 1 : text);
}

static void on_say(void *context, bool warning, const char *message)
{
	struct run *run = context;
	if (!run->live)
		fprintf(stderr, "%s%s\n", warning ? "warning: " : "", message);
	else
		view_event(&run->view, run_elapsed_s(run), "%s%s", warning ? "warning: " : "",
			message);
}

/* With several generators, figures are of the phones driven here. */
static void follow_share(struct run *run)
{
	char here[32], all[32], line[SHARE_WORDS_MAX + 300] = "";
	const uint32_t phones = run->share.phones;
	share_update(&run->share);
	share_line(&run->share, line, sizeof(line));
	view_share(&run->view, phones, line);
	run->settled = phones == run->here_now ? run->settled + 1 : 0;
	run->here_now = phones;
	if (run->settled < SETTLE_TICKS || phones == run->here_told || run->stop_us != 0)
		return;
	if (phones != run->fleet.phones || run->here_told != 0)
		view_event(&run->view, run_elapsed_s(run),
			"%s of the fleet's %s phones are driven here; the figures are of these",
			view_number(phones, here), view_number(run->fleet.phones, all));
	run->here_told = phones;
}

/* Phones of each herd as they are before they are stopped. */
static void keep_herds(struct run *run)
{
	for (uint32_t h = 0; h < run->fleet.herds; h++) {
		struct herd_population *phones = &run->herds_at_stop[h];
		wire_herd_population(run->wire, h, phones);
		herds_only_ours(&run->share, fleet_herd(&run->fleet, h), phones);
	}
}

void run_begin_stop(struct run *run)
{
	if (run->stop_us != 0)
		return;
	run_abort_drill(run);
	run->at_stop = run->now;
	keep_herds(run);
	run->stop_us = run->now.now_us;
	if (run->demo && share_socket(&run->share) != NULL)
		peek_phone(share_socket(&run->share), run->fleet.name, DEMO_PHONE, run->shown);
	share_stop(&run->share);
	wire_command(run->wire, &(struct herd_command){.kind = HERD_STOP});
}

static void on_signal(struct ev_loop *loop, ev_signal *signal, int events)
{
	(void)events;
	struct run *run = signal->data;
	if (++run->signals > 1)
		ev_break(loop, EVBREAK_ALL);
	view_event(&run->view, run_elapsed_s(run),
		run->signals > 1 ? "stopping at once" : "draining; once more to stop at once");
	run_begin_stop(run);
}

/* Phones off, then the store told and left, then the end. */
static void follow_stop(struct run *run)
{
	const uint64_t now_us = run->now.now_us;
	if (run->leave_us == 0 &&
		(run->now.quiet || now_us - run->stop_us > (uint64_t)(DRAIN_S * 1e6))) {
		run->drained = run->now.quiet;
		run->leave_us = now_us;
		share_leave(&run->share);
	}
	if (run->leave_us != 0 && !run_drills(run) &&
		(share_is_quiet(&run->share) || now_us - run->leave_us > (uint64_t)(LEAVE_S * 1e6)))
		ev_break(run->loop, EVBREAK_ALL);
}

static void end_second(struct run *run, uint64_t run_us)
{
	const uint64_t unix_ms = events_unix_ms();
	const unsigned changed = pulse_take(&run->pulse, &run->now.herd, unix_ms);
	tally_add(&run->tally, &run->now, run->start_us);
	run->next_second = (uint32_t)(run_us / 1000000) + 1;
	share_publish(&run->share, &run->now);
	for (int p = 0; p < PROXIES; p++)
		if (changed & 1u << p)
			events_proxy(
				run->events, (enum proxy)p, run->pulse.proxy[p].dead_since_ms == 0);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	struct run *run = timer->data;
	look(run);
	uint64_t run_us = run->now.now_us - run->start_us;
	bool second = run_us >= (uint64_t)run->next_second * 1000000;
	follow_share(run);
	if (second)
		end_second(run, run_us);
	events_update(run->events, run->stop_us != 0, second);
	drills_update(run->drills);
	http_update(run->http, run->stop_us != 0);
	if (run->stop_us != 0) {
		follow_stop(run);
		return;
	}
	run_follow_story(run, run_us / 1000);
	run_follow_drill(run);
	run_follow_faults(run, run_us / 1000);
	run_follow_reboots(run, run_us / 1000);
	if (run->config.roles & WIRE_HERD)
		view_update(&run->view, &run->tally, &run->now, run_elapsed_s(run), second);
	else if (second)
		view_registrars(&run->view, &run->tally, run->config.proxy[PROXY_REDUNDANT].known);
	if (run->now.now_us >= run->end_us)
		run_begin_stop(run);
}

static void watch(struct run *run)
{
	ev_timer_init(&run->tick, on_tick, TICK_S, TICK_S);
	run->tick.data = run;
	ev_timer_start(run->loop, &run->tick);
	ev_signal_init(&run->interrupt, on_signal, SIGINT);
	ev_signal_init(&run->terminate, on_signal, SIGTERM);
	run->interrupt.data = run->terminate.data = run;
	ev_signal_start(run->loop, &run->interrupt);
	ev_signal_start(run->loop, &run->terminate);
	ev_run(run->loop, 0);
	ev_timer_stop(run->loop, &run->tick);
	ev_signal_stop(run->loop, &run->interrupt);
	ev_signal_stop(run->loop, &run->terminate);
}

static int host_error(const struct wire_error *error)
{
	fprintf(stderr, "sipherd: %s\n", error->message);
	return EXIT_HOST;
}

/* The herd begins: on its own, or with what the store gives it. */
static int begin(struct run *run)
{
	run_follow_faults(
		run, 0); /* what is wrong from the start is wrong before the first phone */
	if (!(run->config.roles & WIRE_HERD))
		return EXIT_DONE;
	return share_start(&run->share, run->wire, run->loop, run->config.link.kind != WIRE_MEMORY);
}

static struct picture picture_of(struct run *run)
{
	return (struct picture){.fleet = &run->fleet,
		.config = &run->config,
		.now = &run->now,
		.tally = &run->tally,
		.share = &run->share,
		.pulse = &run->pulse,
		.drills = run->drills,
		.wire = run->wire,
		.link = run->wire != NULL ? wire_description(run->wire) : "",
		.start_us = run->start_us,
		.started = time(NULL)};
}

/* Somebody may want to know what phones do: who is served, and drills. */
static bool is_watched(const struct run *run)
{
	return http_is_wanted(run->options) || run->drill != NULL;
}

/* Drills are measured by the transitions that the events take, and told by them: without memory for them
 * the rest is served. */
static int open_events(struct run *run)
{
	struct picture picture = picture_of(run);
	if (run->share.mirror == NULL || !is_watched(run))
		return 0;
	int status = run_open_drills(run, &picture);
	picture.drills = run->drills;
	if (status == 0)
		status = events_open(&run->events, &picture);
	if (status == 0)
		return 0;
	drills_close(run->drills);
	run->drills = NULL;
	return status;
}

static int start_http(struct run *run)
{
	const int status = open_events(run);
	if (status != 0)
		fprintf(stderr,
			"%s: no memory for drills, and for the HTTP API's events and map: %s\n",
			run->drill != NULL ? "sipherd" : "warning", strerror(-status));
	if (status != 0 && run->drill != NULL)
		return EXIT_HOST;
	struct picture picture = picture_of(run);
	picture.events = run->events;
	picture.watch = events_watch(run->events);
	http_start(run->http, run->loop, &picture);
	return EXIT_DONE;
}

static void leave_http(struct run *run)
{
	drills_end(run->drills);
	events_bye(run->events, run->signals > 0 ? "stopped" : "the run is over");
	http_close(run->http);
	events_close(run->events);
	run->http = NULL;
	run->events = NULL;
}

/* What has to be there before the wire: places to keep records in, and to be asked at. */
static int open_rooms(struct run *run)
{
	const struct picture picture = picture_of(run);
	if (!(run->config.roles & WIRE_HERD))
		return EXIT_DONE;
	int status = share_open(
		&run->share, &run->fleet, run->config.workers, is_watched(run), run, on_say);
	return status == EXIT_DONE ? http_open(&run->http, run->options, &picture) : status;
}

/* From an opened wire to the end of the loop. */
int run_live(struct run *run)
{
	struct wire_error error = {""};
	int status = open_rooms(run);
	if (status != EXIT_DONE)
		return status;
	run->config.herd.mirror = run->share.mirror;
	status = wire_open(&run->wire, &run->config, &error);
	if (status != 0)
		return status == -EINVAL ? (host_error(&error), EXIT_USAGE) : host_error(&error);
	if (wire_start(run->wire, &error) != 0)
		return host_error(&error);
	printf("link %s\n", wire_description(run->wire));
	if (wire_pages(run->wire) != NULL)
		printf("memory %s\n", wire_pages(run->wire));
	fflush(stdout);
	/* A proxy that is down may have no neighbour: phones will find the other one. */
	if ((run->config.roles & WIRE_HERD) &&
		wire_wait_neighbours(run->wire, NEIGHBOURS_MS, &error) != 0)
		fprintf(stderr, "warning: %s\n", error.message);
	view_open(&run->view, stdout, 0, run, on_view_event);
	run->live = true;
	look(run);
	run->tally.last = run->now;
	run->start_us = run->now.now_us;
	run->next_second = 1;
	run->end_us = run->options->for_ms == OPTIONS_NOT_GIVEN
			      ? UINT64_MAX
			      : run->start_us + run->options->for_ms * 1000;
	status = begin(run);
	if (status != EXIT_DONE)
		return status;
	status = start_http(run);
	if (status != EXIT_DONE)
		return status;
	watch(run);
	leave_http(run);
	share_end(&run->share);
	look(run);
	view_close(&run->view);
	return EXIT_DONE;
}

void run_close(struct run *run)
{
	leave_http(run);
	share_end(&run->share);
	drills_close(run->drills);
	if (run->wire != NULL)
		wire_close(run->wire);
	share_close(&run->share);
	resolver_close(run->resolver);
	tally_free(&run->tally);
	free(run->herds);
	fleet_free(&run->fleet);
	ev_loop_destroy(run->loop);
	free(run);
}

struct run *run_new(const struct options *options)
{
	struct run *run = calloc(1, sizeof(*run));
	if (run == NULL)
		return NULL;
	run->options = options;
	run->loop = ev_loop_new(EVFLAG_AUTO);
	return run;
}

int run_check(const struct options *options)
{
	struct run *run = run_new(options);
	if (run == NULL)
		return EXIT_HOST;
	int status = arguments_read(options, &run->fleet);
	if (status == EXIT_DONE)
		status = run_configure_fleet(run);
	if (status == EXIT_DONE)
		status = options->sizing ? sizing_print(stdout, options, &run->fleet, &run->config)
					 : check_print(stdout, &run->fleet, &run->config);
	run_close(run);
	return status;
}

int run_fleet(const struct options *options)
{
	struct run *run = run_new(options);
	if (run == NULL)
		return EXIT_HOST;
	time_t started = time(NULL);
	int status = arguments_read(options, &run->fleet);
	if (status == EXIT_DONE)
		status = run_configure_fleet(run);
	if (status == EXIT_DONE)
		status = run_take_gates(run);
	if (status == EXIT_DONE)
		status = run_check_files(options);
	if (status == EXIT_DONE)
		status = run_resolve_names(run);
	if (status == EXIT_DONE)
		status = run_live(run);
	if (status == EXIT_DONE)
		status = run_finish(run, "run", started);
	run_close(run);
	return status;
}
