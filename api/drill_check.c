/* SPDX-License-Identifier: BSD-3-Clause */
/* What cannot be asked of a fleet, why, and what to do about it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "drill_internal.h"

int drill_refuse(char reason[DRILL_REASON_MAX], const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(reason, DRILL_REASON_MAX, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

static const char *name_of(const struct drill_request *request)
{
	return drill_catalogue[request->kind].name;
}

static bool has(const struct drill_request *request, enum drill_field field)
{
	return request->given & DRILL_BIT(field);
}

static void append(char reason[DRILL_REASON_MAX], const char *separator, const char *text)
{
	const size_t used = strlen(reason);
	snprintf(reason + used, DRILL_REASON_MAX - used, "%s%s", separator, text);
}

static int check_fields(const struct drill_request *request, char reason[DRILL_REASON_MAX])
{
	const uint32_t takes = drill_catalogue[request->kind].fields;
	const uint32_t surplus = request->given & ~takes;
	if (surplus == 0)
		return 0;
	drill_refuse(reason, "%s takes no %s, only ", name_of(request),
		drill_field_names[__builtin_ctz(surplus)]);
	const char *separator = "";
	for (int field = 0; field < DRILL_FIELDS; field++) {
		if (takes & DRILL_BIT(field)) {
			append(reason, separator, drill_field_names[field]);
			separator = ", ";
		}
	}
	return -EINVAL;
}

static int check_hook(const struct drill_request *request, const struct drill_fleet *fleet,
	char reason[DRILL_REASON_MAX])
{
	static const enum drill_field ours[] = {
		DRILL_SHARE, DRILL_LOSS, DRILL_DELAY, DRILL_JITTER, DRILL_RETRY_AFTER};
	if (!has(request, DRILL_HOOK))
		return 0;
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (has(request, ours[i]))
			return drill_refuse(reason,
				"%s: %s is for outages that sipherd makes itself, a hook concerns "
				"all phones and does what it does: leave one of the two out",
				name_of(request), drill_field_names[ours[i]]);
	}
	const char *const *hook = fleet->hook;
	if (hook == NULL || hook[0] == NULL)
		return drill_refuse(reason,
			"%s: the fleet file has no hooks, '%s' must stand "
			"under its hooks: with run and undo",
			name_of(request), request->hook);
	for (; *hook != NULL; hook++) {
		if (strcmp(*hook, request->hook) == 0)
			return 0;
	}
	drill_refuse(reason, "%s: '%s' is no hook of the fleet file, these are: ", name_of(request),
		request->hook);
	for (hook = fleet->hook; *hook != NULL; hook++)
		append(reason, hook == fleet->hook ? "" : ", ", *hook);
	return -EINVAL;
}

static bool needs_keepalives(const struct drill_request *request)
{
	switch (request->kind) {
	case DRILL_BOTH:
	case DRILL_DRAIN:
	case DRILL_BROWN_OUT:
		return false;
	case DRILL_POWER_CUT:
		return request->proxy == PROXY_REDUNDANT;
	default:
		return true;
	}
}

static int check_mode(const struct drill_request *request, const struct drill_fleet *fleet,
	char reason[DRILL_REASON_MAX])
{
	const bool symmetric = drill_is_symmetric(fleet);
	if (request->kind == DRILL_BLIND_SPOT && symmetric)
		return drill_refuse(reason, "blind-spot: symmetric phones send their keep-alives "
					    "to the proxy they are at and have no such spot; it "
					    "needs redundancy.mode: asymmetric");
	if (request->kind == DRILL_RETURN && symmetric)
		return drill_refuse(reason, "return: symmetric phones stay where they are when a "
					    "proxy returns, there is no fail-back wave; ask for "
					    "crash, or set redundancy.mode: asymmetric");
	if (request->kind == DRILL_RETURN && request->proxy == PROXY_REDUNDANT)
		return drill_refuse(reason, "return: asymmetric phones fail back to the primary "
					    "only, nobody goes to a redundant proxy that returns; "
					    "ask for return primary, or crash redundant");
	return 0;
}

static int check_amounts(const struct drill_request *request, char reason[DRILL_REASON_MAX])
{
	const uint32_t all = DRILL_BIT(DRILL_LOSS) | DRILL_BIT(DRILL_DELAY) |
			     DRILL_BIT(DRILL_JITTER);
	if (request->kind == DRILL_BROWN_OUT && request->given & all && request->loss_ppm == 0 &&
		request->delay_us == 0 && request->jitter_us == 0)
		return drill_refuse(reason, "brown-out: nothing is lost and nothing delayed; give "
					    "loss, delay or jitter more than 0");
	return 0;
}

int drill_check(const struct drill_request *request, const struct drill_fleet *fleet,
	char reason[DRILL_REASON_MAX])
{
	if (request->kind >= DRILL_KINDS)
		return drill_refuse(reason, "there is no such drill");
	if (!fleet->redundancy)
		return drill_refuse(reason,
			"%s: the phones have one proxy only, there is nothing "
			"they could switch to; a drill needs proxies.redundant "
			"and redundancy.enabled: true",
			name_of(request));
	if (fleet->phones == 0)
		return drill_refuse(reason,
			"%s: no phone is driven here; start some, or ask the "
			"sipherd that drives them",
			name_of(request));
	if (check_fields(request, reason) != 0 || check_hook(request, fleet, reason) != 0 ||
		check_amounts(request, reason) != 0 || check_mode(request, fleet, reason) != 0)
		return -EINVAL;
	if (fleet->herd->keepalive_period_ms == 0 && needs_keepalives(request))
		return drill_refuse(reason,
			"%s: keepalive.period is 0, phones notice a silent proxy "
			"only at their refresh and never fail back; set "
			"keepalive.period",
			name_of(request));
	if (request->kind == DRILL_DRAIN && !fleet->registrars && !has(request, DRILL_HOOK))
		return drill_refuse(reason, "drain: only the proxy itself can answer 503; name a "
					    "hook of the fleet file that drains it (hook), or use "
					    "the built-in registrars");
	if (request->kind == DRILL_ROLLING && !fleet->registrars)
		return drill_refuse(reason,
			"rolling: only the proxies themselves can answer 503; "
			"write it under drills: of the fleet file as drain with "
			"a hook, then crash, for each proxy, or use the built-in "
			"registrars");
	return 0;
}
