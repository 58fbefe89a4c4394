/* SPDX-License-Identifier: BSD-3-Clause */
/* What is asked for, as people spell it, and the plan that follows. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "drills_internal.h"

int drills_refuse(int status, char reason[DRILL_REASON_MAX], const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(reason, DRILL_REASON_MAX, format, arguments);
	va_end(arguments);
	return status;
}

static bool in_catalogue(const char *what)
{
	for (int kind = 0; kind < DRILL_KINDS; kind++)
		if (strcmp(drill_catalogue[kind].name, what) == 0)
			return true;
	return false;
}

static const struct fleet_drill *plan_of(const struct fleet *fleet, const char *what)
{
	for (uint32_t i = 0; i < fleet->drills; i++)
		if (strcmp(fleet->drill[i].name, what) == 0)
			return &fleet->drill[i];
	return NULL;
}

static int order_plan(struct drills_order *order, const struct fleet_drill *plan, size_t fields,
	char reason[DRILL_REASON_MAX])
{
	if (fields > 0)
		return drills_refuse(-EINVAL, reason,
			"%s is a plan of the fleet file, which says all there is to it: it takes "
			"no "
			"fields",
			plan->name);
	order->requests = plan->requests;
	memcpy(order->request, plan->request, plan->requests * sizeof(plan->request[0]));
	return 0;
}

static bool is_given(const struct drills_field *field, size_t fields, const char *name)
{
	for (size_t i = 0; i < fields; i++)
		if (strcmp(field[i].name, name) == 0)
			return true;
	return false;
}

static int order_drill(struct drills_order *order, const struct drills_field *field, size_t fields,
	char reason[DRILL_REASON_MAX])
{
	int status = drill_request_set(&order->request[0], "do", order->name, reason);
	for (size_t i = 0; i < fields && status == 0; i++) {
		const char *name = field[i].name;
		if (strcmp(name, "do") == 0)
			status = drills_refuse(
				-EINVAL, reason, "what is done is said already: %s", order->name);
		else if (is_given(field, i, name))
			status = drills_refuse(-EINVAL, reason, "%s is there twice", name);
		else
			status = drill_request_set(
				&order->request[0], name, field[i].value, reason);
	}
	order->requests = 1;
	return status;
}

/* What there is to choose from, for a message. */
static int unknown_drill(const struct fleet *fleet, char reason[DRILL_REASON_MAX])
{
	int n = snprintf(reason, DRILL_REASON_MAX, "there is no such drill; there are");
	for (int kind = 0; kind < DRILL_KINDS && n < DRILL_REASON_MAX; kind++)
		n += snprintf(reason + n, DRILL_REASON_MAX - (size_t)n, "%s %s",
			kind > 0 ? "," : "", drill_catalogue[kind].name);
	for (uint32_t i = 0; i < fleet->drills && n < DRILL_REASON_MAX; i++)
		n += snprintf(
			reason + n, DRILL_REASON_MAX - (size_t)n, ", %s", fleet->drill[i].name);
	return -ENOENT;
}

int drills_order(struct drills_order *order, const struct fleet *fleet, const char *what,
	const struct drills_field *field, size_t fields, char reason[DRILL_REASON_MAX])
{
	const struct fleet_drill *plan = plan_of(fleet, what);
	*order = (struct drills_order){0};
	if (plan == NULL && !in_catalogue(what))
		return unknown_drill(fleet, reason);
	snprintf(order->name, sizeof(order->name), "%s", what);
	return plan != NULL ? order_plan(order, plan, fields, reason)
			    : order_drill(order, field, fields, reason);
}

/* Of so many of its phones; 0: where one herd says it all. */
static double keepalives_per_s(const struct fleet *fleet, uint32_t phones)
{
	double all = 0;
	for (uint32_t h = 0; h < fleet->herds; h++)
		if (fleet->herd[h].keepalive_period_ms > 0)
			all += fleet->herd[h].phones * 1000.0 / fleet->herd[h].keepalive_period_ms;
	return fleet->phones > 0 ? all * phones / fleet->phones : 0;
}

void drills_describe(struct drill_fleet *out, const char *hook_name[HOOKS_MAX + 1],
	const struct fleet *fleet, const struct wire_config *config, uint32_t phones)
{
	for (uint32_t i = 0; i < fleet->hooks; i++)
		hook_name[i] = fleet->hook[i].name;
	hook_name[fleet->hooks] = NULL;
	*out = (struct drill_fleet){.herd = &config->herd,
		.phones = phones,
		.redundancy = fleet->redundancy_enabled,
		.mixed = fleet_is_mixed(fleet),
		.keepalives_per_s = keepalives_per_s(fleet, phones),
		.registrars = (config->roles & WIRE_REGISTRARS) != 0,
		.digest = config->roles & WIRE_REGISTRARS
				  ? fleet->realm[0] != '\0'
				  : identity_has_credentials(fleet->identities),
		.hook = hook_name};
}

int drills_plan(struct drill_plan *plan, const struct drills_order *order,
	const struct fleet *fleet, const struct wire_config *config, uint32_t phones,
	char reason[DRILL_REASON_MAX])
{
	struct drill_fleet described;
	const char *hook_name[HOOKS_MAX + 1];
	drills_describe(&described, hook_name, fleet, config, phones);
	return drill_plan_make(
		plan, order->name, order->request, order->requests, &described, reason);
}
