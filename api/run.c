/* SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include <errno.h>
#include <ev.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "arguments.h"
#include "check.h"
#include "events.h"
#include "http.h"
#include "peek.h"
#include "resolve.h"
#include "schedule.h"
#include "summary.h"
#include "view.h"

#define TICK_S 0.1
#define RESOLVE_MS 5000
#define NEIGHBOURS_MS 3000
#define DEMO_PHONE 417
#define DEMO_MS 24000  /* primary away from 6 to 14 s, everybody back well before the end */
#define DRAIN_S 3.0    /* Expires 0 waits at most 1 s, plus the time to send them all */
#define LEAVE_S 3.0    /* for the last flushes, and to give the leases back */
#define SETTLE_TICKS 5 /* without news of shards, before they are told */

/* The demo's story, told once or over and over. */
struct story {
	bool again;           /* false: once */
	uint64_t next_ms;     /* when the next round begins */
	bool over;            /* the first round is, and this is how it ended: */
	uint32_t home;        /* phones at the primary proxy */
	uint64_t failed_over; /* switches to the redundant one */
};

/* One run from start to summary. */
struct run {
	const struct options *options;
	struct fleet fleet;
	struct wire_config config;
	struct wire *wire;
	struct ev_loop *loop;
	struct resolver *resolver;
	struct schedule schedule;
	struct view view;
	struct share share;
	struct http *http;     /* NULL: nothing is served */
	struct events *events; /* of what is served */
	struct pulse pulse;
	struct tally tally;
	struct wire_snapshot now, at_stop;
	uint64_t start_us, stop_us;   /* of the ramp; of HERD_STOP, 0 while running */
	uint64_t leave_us;            /* of share_leave, 0 before */
	uint64_t end_us;              /* of --for; UINT64_MAX without */
	uint32_t here_now, here_told; /* phones driven here: at the last tick, in the last event */
	unsigned settled;             /* ticks since they changed */
	bool drained, live, demo;
	char shown[PEEK_MAX]; /* demo: one phone, as redis-cli saw it */
	struct story story;   /* demo */
	uint32_t next_second;
	unsigned signals;
	unsigned unresolved; /* bit per proxy whose name has no address yet */
	char unresolved_reason[160];
	bool began[SCHEDULE_FAULTS_MAX], ended[SCHEDULE_FAULTS_MAX], rebooted[SCHEDULE_REBOOTS_MAX];
	ev_timer tick;
	ev_signal interrupt, terminate;
};

static double elapsed_s(const struct run *run)
{
	return (double)(int64_t)(run->now.now_us - run->start_us) / 1e6;
}

static uint64_t random_word(void)
{
	uint64_t word = 0;
	if (getrandom(&word, sizeof(word), 0) != sizeof(word))
		abort();
	return word;
}

/* --- What is asked for, checked --- */

static int take_schedule(struct run *run, uint32_t phones)
{
	const struct options *options = run->options;
	char reason[SCHEDULE_REASON_MAX];
	for (size_t i = 0; i < options->fault.count; i++) {
		const char *text = options->fault.item[i];
		if (schedule_add_fault(&run->schedule, text, reason) == 0)
			continue;
		fprintf(stderr, "sipherd: --fault '%s' %s. See sipherd help %s.\n", text, reason,
			options_command_name(options->command));
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < options->reboot.count; i++) {
		const char *text = options->reboot.item[i];
		if (schedule_add_reboot(&run->schedule, text, phones, reason) == 0)
			continue;
		fprintf(stderr, "sipherd: --reboot '%s' %s. See sipherd help run.\n", text, reason);
		return EXIT_USAGE;
	}
	if (run->schedule.faults > 0 && !(run->config.roles & WIRE_REGISTRARS)) {
		fprintf(stderr, "sipherd: --fault works on the built-in registrars, and this link "
				"has none. "
				"Use link: memory, or break the real proxy.\n");
		return EXIT_USAGE;
	}
	return EXIT_DONE;
}

static enum digest_algorithm algorithm_of(const char *digest)
{
	return strcmp(digest, "sha-256") == 0 ? DIGEST_SHA256 : DIGEST_MD5;
}

static void configure_registrar(struct registrar_config *config, const char *realm,
	const char *digest, const struct identity_set *identities, uint32_t capacity)
{
	*config = (struct registrar_config){.capacity = capacity,
		.expires_default_s = 3600,
		.expires_max_s = 86400,
		.realm = realm[0] != '\0' ? realm : NULL,
		.algorithm = algorithm_of(digest),
		.offer_both = strcmp(digest, "both") == 0,
		.nonce_lifetime_s = 300,
		.identities = identities,
		.seed = random_word()};
	snprintf(config->server, sizeof(config->server), "sipherd %s", SIPHERD_VERSION);
}

static int take_common(struct run *run)
{
	const struct options *o = run->options;
	struct wire_config *c = &run->config;
	c->capture = (struct wire_capture){.path = o->pcap,
		.phone = o->pcap_phone == OPTIONS_NOT_GIVEN ? -1 : (int64_t)o->pcap_phone,
		.credentials = o->pcap_credentials};
	c->eal_argc = o->eal_argc;
	c->eal_argv = o->eal_argv;
	c->verbose = o->verbose;
	c->herd.secret = random_word();
	c->herd.seed = o->seed != OPTIONS_NOT_GIVEN ? o->seed : random_word() >> 32;
	return EXIT_DONE;
}

static int configure_fleet(struct run *run)
{
	const struct fleet *f = &run->fleet;
	struct wire_config *c = &run->config;
	fleet_herd_config(f, &c->herd);
	take_common(run);
	if (wire_link_parse(f->link, &c->link) != 0) {
		fprintf(stderr, "sipherd: link '%s' is not understood. See man sipherd.\n",
			f->link);
		return EXIT_USAGE;
	}
	c->roles = WIRE_HERD | (c->link.kind == WIRE_MEMORY ? WIRE_REGISTRARS : 0);
	c->workers = run->options->workers != OPTIONS_NOT_GIVEN ? (unsigned)run->options->workers
		     : f->workers > 0                           ? f->workers
								: 1;
	if (c->capture.phone >= (int64_t)f->phones) {
		fprintf(stderr, "sipherd: --pcap-phone: the last phone is %u.\n", f->phones - 1);
		return EXIT_USAGE;
	}
	c->vlan = f->vlan;
	c->mtu = f->mtu;
	for (int i = 0; i < ADDRESS_FAMILIES; i++)
		c->has_gateway[i] = f->gateway[i][0] != '\0' &&
				    address_parse(f->gateway[i], &c->gateway[i]) == 0;
	for (int p = 0; p < PROXIES; p++) {
		c->proxy[p] = (struct wire_proxy){.address = c->herd.proxy[p].address,
			.port = f->proxy[p].port,
			.known = fleet_proxy_family(f, (enum proxy)p) >= 0};
		struct registrar_config *r = &c->registrar[p];
		configure_registrar(
			r, f->realm, f->digest, f->identities, f->phones + f->phones / 8 + 64);
		if (f->registrar_max_expires_s > 0)
			r->expires_max_s = f->registrar_max_expires_s;
		r->expires_min_s = f->registrar_min_expires_s;
	}
	return take_schedule(run, f->phones);
}

/* --- Names --- */

static void on_resolved(void *context, unsigned which, const struct address *address,
	unsigned ttl_s, const char *reason)
{
	struct run *run = context;
	char text[ADDRESS_TEXT_MAX];
	const char *name = run->fleet.proxy[which].host;
	struct wire_proxy *proxy = &run->config.proxy[which];
	if (address == NULL) {
		snprintf(run->unresolved_reason, sizeof(run->unresolved_reason), "%s: %s", name,
			reason);
		return;
	}
	run->unresolved &= ~(1u << which);
	if (proxy->known && address_equal(&proxy->address, address))
		return;
	proxy->address = *address;
	proxy->known = true;
	run->config.herd.proxy[which].address = *address;
	address_format(address, text);
	if (run->wire == NULL) {
		printf("%s proxy %s is %s (for %u s)\n", proxy_name((enum proxy)which), name, text,
			ttl_s);
		return;
	}
	wire_set_proxy(run->wire, (enum proxy)which, address, proxy->port);
	view_event(&run->view, elapsed_s(run), "%s proxy %s is now %s",
		proxy_name((enum proxy)which), name, text);
}

static void on_resolve_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)timer, (void)events;
	ev_break(loop, EVBREAK_ALL);
}

static int resolve_names(struct run *run)
{
	const struct resolver_events events = {run, on_resolved};
	char reason[160];
	unsigned families = 0;
	for (int f = 0; f < ADDRESS_FAMILIES; f++)
		families |= run->fleet.has_plan[f] ? 1u << f : 0;
	for (int p = 0; p < PROXIES; p++)
		if (fleet_proxy_family(&run->fleet, (enum proxy)p) == -EAGAIN)
			run->unresolved |= 1u << p;
	if (run->unresolved == 0)
		return EXIT_DONE;
	run->resolver = resolver_open(run->loop, run->options->dns, &events, reason);
	if (run->resolver == NULL) {
		fprintf(stderr,
			"sipherd: cannot resolve names: %s. Check /etc/resolv.conf or --dns.\n",
			reason);
		return EXIT_HOST;
	}
	for (unsigned p = 0; p < PROXIES; p++)
		if (run->unresolved & 1u << p)
			resolver_watch(run->resolver, p, run->fleet.proxy[p].host, families);
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
		view_event(&run->view, elapsed_s(run), "%s%s", warning ? "warning: " : "", message);
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
		view_event(&run->view, elapsed_s(run),
			"%s of the fleet's %s phones are driven here; the figures are of these",
			view_number(phones, here), view_number(run->fleet.phones, all));
	run->here_told = phones;
}

static void begin_stop(struct run *run)
{
	if (run->stop_us != 0)
		return;
	run->at_stop = run->now;
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
	view_event(&run->view, elapsed_s(run),
		run->signals > 1 ? "stopping at once" : "draining; once more to stop at once");
	begin_stop(run);
}

/* Apply what the schedule says has begun or ended by now. */
static void follow_faults(struct run *run, uint64_t now_ms)
{
	bool changed[PROXIES] = {false};
	char what[160];
	for (size_t i = 0; i < run->schedule.faults; i++) {
		const struct schedule_fault *fault = &run->schedule.fault[i];
		bool begins = !run->began[i] && now_ms >= fault->start_ms;
		bool ends = !run->ended[i] && now_ms >= fault->end_ms;
		if (!begins && !ends)
			continue;
		run->began[i] |= begins;
		run->ended[i] |= ends;
		schedule_describe_fault(fault, what, sizeof(what));
		for (int p = 0; p < PROXIES; p++) {
			if (!(fault->proxies & 1u << p))
				continue;
			changed[p] = true;
			if (begins && fault->kind == FAULT_FORGET)
				wire_forget(run->wire, (enum proxy)p);
			view_event(&run->view, elapsed_s(run), "the %s proxy %s",
				proxy_name((enum proxy)p), ends ? "serves again" : what);
		}
	}
	for (int p = 0; p < PROXIES; p++) {
		struct registrar_faults faults;
		if (!changed[p])
			continue;
		schedule_faults_at(&run->schedule, (enum proxy)p, now_ms, &faults);
		wire_set_faults(run->wire, (enum proxy)p, &faults);
	}
}

static void follow_reboots(struct run *run, uint64_t now_ms)
{
	char what[160];
	for (size_t i = 0; i < run->schedule.reboots; i++) {
		const struct schedule_reboot *reboot = &run->schedule.reboot[i];
		if (run->rebooted[i] || now_ms < reboot->at_ms)
			continue;
		run->rebooted[i] = true;
		wire_command(run->wire, &reboot->command);
		schedule_describe_reboot(reboot, what, sizeof(what));
		view_event(&run->view, elapsed_s(run), "%s", what);
	}
}

static void end_first_round(struct run *run, const struct wire_snapshot *s)
{
	run->story.over = true;
	run->story.home = s->population.phones[PHONE_REGISTERED][PROXY_PRIMARY];
	run->story.failed_over = tally_switches(&s->herd, PROXY_REDUNDANT);
}

static bool ended_well(const struct run *run)
{
	return run->story.home == run->fleet.phones && run->story.failed_over >= run->fleet.phones;
}

/* At the end of a round all faults of the schedule lie before the next one once more. */
static void follow_story(struct run *run, uint64_t now_ms)
{
	struct story *story = &run->story;
	const char *page = http_page(run->http);
	if (!story->again || now_ms < story->next_ms)
		return;
	if (!story->over) {
		end_first_round(run, &run->now);
		view_event(&run->view, elapsed_s(run), "%s; the story begins anew%s%s",
			ended_well(run) ? "everybody came back" : "not everybody came back",
			page != NULL ? ", to be seen at " : "", page != NULL ? page : "");
	}
	schedule_delay(&run->schedule, DEMO_MS);
	memset(run->began, 0, sizeof(run->began));
	memset(run->ended, 0, sizeof(run->ended));
	story->next_ms += DEMO_MS;
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
	if (run->leave_us != 0 &&
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
	http_update(run->http, run->stop_us != 0);
	if (run->stop_us != 0) {
		follow_stop(run);
		return;
	}
	follow_story(run, run_us / 1000);
	follow_faults(run, run_us / 1000);
	follow_reboots(run, run_us / 1000);
	if (run->config.roles & WIRE_HERD)
		view_update(&run->view, &run->tally, &run->now, elapsed_s(run), second);
	else if (second)
		view_registrars(&run->view, &run->tally, run->config.proxy[PROXY_REDUNDANT].known);
	if (run->now.now_us >= run->end_us)
		begin_stop(run);
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
	follow_faults(run, 0); /* what is wrong from the start is wrong before the first phone */
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
		.wire = run->wire,
		.link = run->wire != NULL ? wire_description(run->wire) : "",
		.start_us = run->start_us,
		.started = time(NULL)};
}

/* Events are only made for those who are served. Without memory for them the rest is served. */
static void start_http(struct run *run)
{
	struct picture picture = picture_of(run);
	if (run->http != NULL && events_open(&run->events, &picture) != 0)
		fprintf(stderr, "warning: no memory for the HTTP API's events and its map\n");
	picture.events = run->events;
	picture.watch = events_watch(run->events);
	http_start(run->http, run->loop, &picture);
}

static void leave_http(struct run *run)
{
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
	int status = share_open(&run->share, &run->fleet, run->config.workers,
		http_is_wanted(run->options), run, on_say);
	return status == EXIT_DONE ? http_open(&run->http, run->options, &picture) : status;
}

/* From an opened wire to the end of the loop. */
static int live(struct run *run)
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
	start_http(run);
	watch(run);
	leave_http(run);
	share_end(&run->share);
	look(run);
	view_close(&run->view);
	return EXIT_DONE;
}

static int finish(struct run *run, const char *command, time_t started)
{
	struct summary_verdict verdict;
	struct summary summary = {.command = command,
		.fleet = run->config.roles & WIRE_HERD ? &run->fleet : NULL,
		.seed = run->config.herd.seed,
		.started = started,
		.ended = time(NULL),
		.drained = run->drained,
		.link = wire_description(run->wire),
		.proxy = run->config.proxy,
		.duration_s = (double)(run->stop_us - run->start_us) / 1e6,
		.roles = run->config.roles,
		.at_stop = &run->at_stop,
		.end = &run->now,
		.tally = &run->tally,
		.share = &run->share};
	summary_print(&summary, stdout);
	if (run->options->summary != NULL) {
		int status = summary_write(&summary, run->options->summary);
		if (status != 0) {
			fprintf(stderr, "sipherd: cannot write %s: %s\n", run->options->summary,
				strerror(-status));
			return EXIT_HOST;
		}
	}
	/* Who ends a run by hand has seen enough: the verdict is in the summary. */
	if (!(run->config.roles & WIRE_HERD) || run->signals > 0)
		return EXIT_DONE;
	summary_judge(&summary, &verdict);
	if (verdict.no_answer)
		return EXIT_NO_ANSWER;
	return verdict.generator_limited ? EXIT_GENERATOR : EXIT_DONE;
}

static void run_close(struct run *run)
{
	leave_http(run);
	share_end(&run->share);
	if (run->wire != NULL)
		wire_close(run->wire);
	share_close(&run->share);
	resolver_close(run->resolver);
	tally_free(&run->tally);
	fleet_free(&run->fleet);
	ev_loop_destroy(run->loop);
	free(run);
}

static struct run *run_new(const struct options *options)
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
		status = configure_fleet(run);
	if (status == EXIT_DONE)
		check_print(stdout, &run->fleet);
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
		status = configure_fleet(run);
	if (status == EXIT_DONE)
		status = resolve_names(run);
	if (status == EXIT_DONE)
		status = live(run);
	if (status == EXIT_DONE)
		status = finish(run, "run", started);
	run_close(run);
	return status;
}

/* --- The demo --- */

static const char demo_fleet[] =
	"fleet: demo\n"
	"phones: 1000\n"
	"user: \"2{n:06}\"\n"
	"password: \"pw-{user}\"\n"
	"domain: demo.example.net\n"
	"link: memory\n"
	"proxies: { primary: \"192.0.2.1:5060\", redundant: \"192.0.2.2:5060\" }\n"
	"redundancy: { mode: asymmetric, switch_delay: 1s }\n"
	"keepalive: { period: 2s }\n"
	"timers: { no_response: 1s }\n"
	"registrar: { realm: demo.example.net }\n"
	"ramp: 500/s\n";

static int judge_demo(struct run *run, int status)
{
	if (run->shown[0] != '\0')
		printf("\nWhat anybody could see of one phone a moment ago:\n%s", run->shown);
	/* Stopped before its story is over: nothing to judge. */
	if (!run->story.over && (run->signals > 0 || run->options->for_ms < DEMO_MS))
		return EXIT_DONE;
	if (!run->story.over)
		end_first_round(run, &run->at_stop);
	if (ended_well(run)) {
		printf("\nAll %u phones went to the redundant proxy and came back. "
		       "Next: sipherd help run\n",
			run->story.home);
		return status == EXIT_GENERATOR ? EXIT_DONE : status;
	}
	fprintf(stderr, "sipherd: demo: only %u of %u phones are back at the primary proxy\n",
		run->story.home, run->fleet.phones);
	return EXIT_DEMO_FAILED;
}

static int tell_demo(struct run *run, time_t started)
{
	printf("1,000 phones of the 400HD kind and two built-in registrars, all in this "
	       "process.\nShort timers for a short demo: keep-alive every 2 s (real: 60 s), "
	       "silence after 1 s (32 s),\nup to 1 s before a switch (10 s). The primary crashes "
	       "at 6 s and returns at 14 s%s.\n",
		run->story.again ? ", and again every 24 s until Ctrl-C" : "");
	int status = live(run);
	return status == EXIT_DONE ? judge_demo(run, finish(run, "demo", started)) : status;
}

static int demo_in(const struct options *options, bool again)
{
	struct run *run = run_new(options);
	if (run == NULL)
		return EXIT_HOST;
	time_t started = time(NULL);
	run->demo = true;
	run->story = (struct story){.again = again, .next_ms = DEMO_MS};
	int status = fleet_parse(
		&run->fleet, "demo", demo_fleet, strlen(demo_fleet), &arguments_report);
	status = status == 0 ? arguments_apply(options, &run->fleet, true) : EXIT_USAGE;
	if (status == EXIT_DONE)
		status = configure_fleet(run);
	if (status == EXIT_DONE)
		status = tell_demo(run, started);
	run_close(run);
	return status;
}

static int remove_one(const char *path, const struct stat *what, int kind, struct FTW *at)
{
	(void)what, (void)kind, (void)at;
	return remove(path);
}

/* A demo begins with nothing and leaves nothing, unless it is told where to keep it. Who sits before a
 * terminal may have opened the page, and ends it by hand. */
int run_demo(const struct options *given)
{
	struct options options = *given;
	char memory[] = "/dev/shm/sipherd-demo-XXXXXX", disk[] = "/tmp/sipherd-demo-XXXXXX";
	const bool keep = options.keep || isatty(STDOUT_FILENO);
	const bool ours = options.fault.count == 0; /* the story, not somebody's faults */
	if (options.for_ms == OPTIONS_NOT_GIVEN && !keep)
		options.for_ms = DEMO_MS;
	if (ours)
		options.fault.item[options.fault.count++] = "primary:crash@6s-14s";
	if (options.state != NULL)
		return demo_in(&options, keep && ours);
	options.state = mkdtemp(memory);
	if (options.state == NULL)
		options.state = mkdtemp(disk);
	if (options.state == NULL) {
		fprintf(stderr, "sipherd: cannot make a folder in /tmp: %s. Name one by --state.\n",
			strerror(errno));
		return EXIT_HOST;
	}
	int status = demo_in(&options, keep && ours);
	nftw(options.state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return status;
}

/* --- The registrars alone --- */

static int parse_listener(const char *text, const char *option, struct wire_proxy *out)
{
	char host[ADDRESS_TEXT_MAX + 2];
	const char *colon = text == NULL ? NULL : strrchr(text, ':');
	size_t n = colon == NULL ? 0 : (size_t)(colon - text);
	char *end = NULL;
	unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);
	if (n > 1 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (n > 0 && n < sizeof(host) && *end == '\0' && port >= 1024 && port <= 65535) {
		memcpy(host, text, n);
		host[n] = '\0';
		out->port = (uint16_t)port;
		out->known = address_parse(host, &out->address) == 0;
	}
	if (out->known)
		return EXIT_DONE;
	fprintf(stderr,
		"sipherd: %s needs a numeric address and a port between 1024 and 65535, such as "
		"10.0.0.1:5060 or [2001:db8::1]:5060.\n",
		option);
	return EXIT_USAGE;
}

static int registrar_identities(const struct options *o, struct fleet *fleet)
{
	struct identity_error error = {0};
	char set[4200];
	if (o->users != NULL) {
		/* The fleet's own reader of users files. */
		fleet_defaults(fleet);
		snprintf(set, sizeof(set), "users=%s", o->users);
		return fleet_set(fleet, set, &arguments_report) == 0 &&
				       fleet_finish(fleet, &arguments_report) == 0
			       ? EXIT_DONE
			       : EXIT_USAGE;
	}
	if (identity_patterns(&fleet->identities, o->user, NULL, o->password, UINT32_MAX, &error) ==
		0)
		return EXIT_DONE;
	fprintf(stderr, "sipherd: --user or --password, column %zu: %s\n", error.column,
		error.reason);
	return EXIT_USAGE;
}

static int configure_registrars(struct run *run)
{
	const struct options *o = run->options;
	struct wire_config *c = &run->config;
	const char *realm = o->realm ? o->realm : "", *digest = o->digest ? o->digest : "md5";
	take_common(run);
	c->roles = WIRE_REGISTRARS;
	c->workers = 1;
	c->vlan = o->vlan == OPTIONS_NOT_GIVEN ? 0 : (uint16_t)o->vlan;
	if (o->link == NULL || wire_link_parse(o->link, &c->link) != 0 ||
		c->link.kind == WIRE_MEMORY) {
		fprintf(stderr, "sipherd: --link is needed: tap:NAME, af_packet:IF, af_xdp:IF or "
				"pci:ADDRESS.\n");
		return EXIT_USAGE;
	}
	if (parse_listener(o->primary, "--primary", &c->proxy[PROXY_PRIMARY]) != EXIT_DONE ||
		(o->redundant != NULL && parse_listener(o->redundant, "--redundant",
						 &c->proxy[PROXY_REDUNDANT]) != EXIT_DONE))
		return EXIT_USAGE;
	if (realm[0] != '\0' && o->user == NULL && o->users == NULL) {
		fprintf(stderr, "sipherd: --realm asks for credentials: give --user and "
				"--password, or --users.\n");
		return EXIT_USAGE;
	}
	if ((o->user != NULL || o->users != NULL) &&
		registrar_identities(o, &run->fleet) != EXIT_DONE)
		return EXIT_USAGE;
	uint32_t capacity = o->capacity == OPTIONS_NOT_GIVEN ? 100000 : (uint32_t)o->capacity;
	for (int p = 0; p < PROXIES; p++) {
		struct registrar_config *r = &c->registrar[p];
		configure_registrar(r, realm, digest, run->fleet.identities, capacity);
		if (o->min_expires_s != OPTIONS_NOT_GIVEN)
			r->expires_min_s = (uint32_t)o->min_expires_s;
		if (o->max_expires_s != OPTIONS_NOT_GIVEN)
			r->expires_max_s = (uint32_t)o->max_expires_s;
	}
	return take_schedule(run, 1);
}

int run_registrar(const struct options *options)
{
	struct run *run = run_new(options);
	if (run == NULL)
		return EXIT_HOST;
	time_t started = time(NULL);
	int status = configure_registrars(run);
	if (status == EXIT_DONE)
		status = live(run);
	if (status == EXIT_DONE)
		status = finish(run, "registrar", started);
	run_close(run);
	return status;
}
