/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "run_internal.h"

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

void run_follow_story(struct run *run, uint64_t now_ms)
{
	struct story *story = &run->story;
	const char *page = http_page(run->http);
	if (!story->again || now_ms < story->next_ms)
		return;
	if (!story->over) {
		end_first_round(run, &run->now);
		view_event(&run->view, run_elapsed_s(run), "%s; the story begins anew%s%s",
			ended_well(run) ? "everybody came back" : "not everybody came back",
			page != NULL ? ", to be seen at " : "", page != NULL ? page : "");
	}
	schedule_delay(&run->schedule, DEMO_MS);
	memset(run->began, 0, sizeof(run->began));
	memset(run->ended, 0, sizeof(run->ended));
	story->next_ms += DEMO_MS;
}

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
	return EXIT_MISSED;
}

static int tell_demo(struct run *run, time_t started)
{
	printf("1,000 phones of the 400HD kind and two built-in registrars, all in this "
	       "process.\nShort timers for a short demo: keep-alive every 2 s (real: 60 s), "
	       "silence after 1 s (32 s),\nup to 1 s before a switch (10 s). The primary crashes "
	       "at 6 s and returns at 14 s%s.\n",
		run->story.again ? ", and again every 24 s until Ctrl-C" : "");
	int status = run_live(run);
	return status == EXIT_DONE ? judge_demo(run, run_finish(run, "demo", started)) : status;
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
		status = run_configure_fleet(run);
	if (status == EXIT_DONE)
		status = run_check_files(options);
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
