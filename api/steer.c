/* SPDX-License-Identifier: BSD-3-Clause */
#include "steer.h"

#include <stdio.h>

#include "answers.h"
#include "events.h"
#include "phones.h"

void steer_open(struct steer *steer, const struct fleet *fleet)
{
	*steer = (struct steer){.phones = fleet->phones, .ramp_per_s = fleet->ramp_per_s};
}

bool steer_count(const struct picture *picture, struct problem *problem)
{
	struct steer *steer = picture->steer;
	const uint64_t second = wire_now_us(picture->wire) / 1000000;
	if (second != steer->second)
		steer->changes = 0;
	steer->second = second;
	if (++steer->changes <= STEER_CHANGES_PER_S)
		return true;
	return problem_set(problem, PROBLEM_TOO_MANY, "at most %d changes a second are taken",
		STEER_CHANGES_PER_S);
}

static bool check_running(const struct picture *picture, struct problem *problem)
{
	return !picture->stopping || problem_set(problem, PROBLEM_NOT_READY, "the run is ending");
}

/* Without a lease the herd does nothing that it is told: orders would only wait, more and more of them,
 * and at last the control thread for room. */
static bool check_leases(const struct picture *picture, struct problem *problem)
{
	const uint64_t over_us = atomic_load_explicit(
		&picture->share->mirror->lease_over_us, memory_order_relaxed);
	return wire_now_us(picture->wire) < over_us ||
	       problem_set(problem, PROBLEM_NOT_READY,
		       "phones are silent until the store confirms whose they are: try again then");
}

/* --- Actions --- */

static const char *const actions[] = {"reregister", "unregister", "reboot", "power-cut", NULL};
static const uint8_t commands[] = {HERD_REREGISTER, HERD_UNREGISTER, HERD_REBOOT, HERD_POWER_CUT};

const struct ask_field steer_action_body[] = {
	{.name = "action",
		.help = "reregister: refresh now; unregister: Expires 0, then off until a reboot "
			"or "
			"power cut; reboot: planned, Expires 0 where the fleet file says so; "
			"power-cut: nothing is sent, then it starts again",
		.kind = ASK_WORD,
		.required = true,
		.words = actions},
	{0}};

bool steer_act(const struct picture *picture, const struct asked *asked, struct problem *problem)
{
	const uint32_t phone = asked->number;
	const unsigned action = asked->body[0].number;
	char text[80];
	if (!phones_exists(picture, phone, problem) || !check_running(picture, problem))
		return false;
	if (mirror_shard_stopped(picture->share->mirror, phone / SHARD_PHONES))
		return problem_set(problem, PROBLEM_NOT_HERE,
			"ask the generator that drives phone %u: GET /api/v1/phones/%u names it as "
			"owner",
			phone, phone);
	if (!check_leases(picture, problem))
		return false;
	wire_command(picture->wire,
		&(struct herd_command){.kind = commands[action], .first = phone, .count = 1});
	picture->steer->phone = phone;
	picture->steer->action = action;
	snprintf(text, sizeof(text), "phone %u: %s", phone, actions[action]);
	events_alert(picture->events, false, text);
	return true;
}

void steer_tell_action(struct shape *shape, const struct picture *picture, unsigned which)
{
	const struct steer *steer = picture->steer;
	(void)which;
	shape_count(shape, "phone", "its index in the fleet", steer->phone);
	shape_text(shape, "action", "that was asked for", actions[steer->action]);
	shape_switch(shape, "accepted", "its worker has been told", true);
}

/* --- Load --- */

enum { LOAD_PHONES, LOAD_RAMP, LOAD_PAUSED };

const struct ask_field steer_load_body[] = {
	[LOAD_PHONES] = {.name = "phones",
		.help = "of the fleet only phones below this index are on",
		.high = UINT32_MAX},
	[LOAD_RAMP] = {.name = "ramp_per_s",
		.help = "phones started a second over the whole fleet; 0: all at once",
		.high = STEER_RAMP_MAX},
	[LOAD_PAUSED] = {.name = "paused",
		.help = "true: no phone is started until it is false; running phones go on",
		.kind = ASK_SWITCH},
	{0}};

static void tell_workers(const struct picture *picture, enum herd_command_kind kind, uint32_t count)
{
	wire_command(picture->wire, &(struct herd_command){.kind = (uint8_t)kind, .count = count});
}

static void alert_load(const struct picture *picture)
{
	const struct steer *steer = picture->steer;
	char text[160];
	snprintf(text, sizeof(text), "load: phones below %u, ramp %u/s%s", steer->phones,
		steer->ramp_per_s, steer->paused ? ", paused" : "");
	events_alert(picture->events, false, text);
}

bool steer_look(const struct picture *picture, const struct asked *asked, struct problem *problem)
{
	(void)picture, (void)asked, (void)problem;
	return true;
}

bool steer_load(const struct picture *picture, const struct asked *asked, struct problem *problem)
{
	struct steer *steer = picture->steer;
	const struct ask_value *phones = &asked->body[LOAD_PHONES], *ramp = &asked->body[LOAD_RAMP],
			       *paused = &asked->body[LOAD_PAUSED];
	if (!phones->given && !ramp->given && !paused->given)
		return problem_set(problem, PROBLEM_BAD_REQUEST,
			"give at least one of phones, ramp_per_s, paused");
	if (phones->given && phones->number > picture->fleet->phones)
		return problem_set(problem, PROBLEM_BAD_REQUEST,
			"phones is a whole number from 0 to %u", picture->fleet->phones);
	if (!check_running(picture, problem))
		return false;
	/* The ramp and the pause first: phones that a higher limit starts are to follow them. */
	if (ramp->given)
		tell_workers(picture, HERD_RAMP, steer->ramp_per_s = ramp->number);
	if (paused->given)
		tell_workers(picture, HERD_PAUSE, steer->paused = paused->number != 0);
	if (phones->given)
		tell_workers(picture, HERD_LIMIT, steer->phones = phones->number);
	alert_load(picture);
	return true;
}

void steer_tell_load(struct shape *shape, const struct picture *picture, unsigned which)
{
	const struct steer *steer = picture->steer;
	(void)which;
	shape_count(
		shape, "phones", "of the fleet only phones below this index are on", steer->phones);
	shape_count(shape, "ramp_per_s",
		"phones started a second over the whole fleet; 0: all at once", steer->ramp_per_s);
	shape_switch(shape, "paused", "no phone is started", steer->paused);
	answer_moment(shape, picture);
}
