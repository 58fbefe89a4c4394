/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How keys depend on each other: profiles, derived defaults, cross-checks, plans, identities.
 *
 * Everything is a function of what was given, so it can be done again after fleet_set. Steps report
 * all they find and go on as long as what follows still makes sense.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fleet_herds.h"

#define MEMORY_SOURCE_IPV4 "10.0.0.0/8"
#define MEMORY_SOURCE_IPV6 "fd00:5e1f::/64"
/* Documentation addresses (RFC 5737): nothing sent to them can leave the process. */
#define MEMORY_PRIMARY "192.0.2.1"
#define MEMORY_REDUNDANT "192.0.2.2"

static const char *const family_name[ADDRESS_FAMILIES] = {"IPv4", "IPv6"};
static const char *const proxy_path[PROXIES] = {"proxies.primary", "proxies.redundant"};
static const char *const host_path[PROXIES] = {"proxies.primary.host", "proxies.redundant.host"};

struct fleet_where fleet_where(const struct fleet *fleet, const char *path)
{
	const struct fleet_place *place = &fleet->place[fleet_key_find(path) - fleet_keys];
	if (place->origin == FLEET_FROM_COMMAND)
		return (struct fleet_where){"--set", 0, 0};
	if (place->origin == FLEET_FROM_ENVIRONMENT)
		return (struct fleet_where){"environment", 0, 0};
	const char *file = fleet->path[0] != '\0' ? fleet->path : NULL;
	return (struct fleet_where){file, place->line, place->column};
}

static bool is_memory(const struct fleet *fleet)
{
	return strcmp(fleet->link, "memory") == 0;
}

static void copy_text(char *out, size_t size, const char *text)
{
	size_t length = strlen(text);
	memset(out, 0, size);
	memcpy(out, text, length < size ? length : size - 1);
}

void fleet_apply_profile(struct fleet *fleet)
{
	static const uint16_t codes[] = {408, 503, 504};
	if (!fleet_given(fleet, "redundancy.switch_delay"))
		fleet->switch_delay_ms = fleet->profile == PROFILE_WORST_CASE ? 0 : 10000;
	if (fleet_given(fleet, "registration.fail_codes"))
		return;
	memset(fleet->register_code, 0, sizeof(fleet->register_code));
	fleet->register_codes = 0;
	if (fleet->profile != PROFILE_RFC3263)
		return;
	memcpy(fleet->register_code, codes, sizeof(codes));
	fleet->register_codes = sizeof(codes) / sizeof(codes[0]);
}

/* 0.0.0.0 and :: are how phones write "none". */
static bool is_zero_address(const char *host)
{
	struct address address, zero = {0};
	if (address_parse(host, &address) != 0)
		return false;
	zero.family = address.family;
	return address_equal(&address, &zero);
}

static void default_proxies(struct fleet *fleet)
{
	bool primary = fleet_given(fleet, host_path[0]),
	     redundant = fleet_given(fleet, host_path[1]);
	if (!primary)
		copy_text(fleet->proxy[0].host, sizeof(fleet->proxy[0].host),
			is_memory(fleet) ? MEMORY_PRIMARY : "");
	if (redundant)
		return;
	/* One proxy by name means one proxy, unless redundancy is asked for by name as well. */
	bool wanted = fleet_given(fleet, "redundancy.enabled") ? fleet->redundancy_wanted
							       : !primary;
	copy_text(fleet->proxy[1].host, sizeof(fleet->proxy[1].host),
		is_memory(fleet) && wanted ? MEMORY_REDUNDANT : "");
}

static void decide_redundancy(struct fleet *fleet, struct fleet_messages *messages)
{
	const char *host = fleet->proxy[PROXY_REDUNDANT].host;
	bool there = host[0] != '\0' && !is_zero_address(host);
	bool given = fleet_given(fleet, "redundancy.enabled");
	fleet->redundancy_enabled = there && (!given || fleet->redundancy_wanted);
	if (there || (given && !fleet->redundancy_wanted))
		return;
	bool written = fleet_given(fleet, host_path[PROXY_REDUNDANT]);
	if (!written && !given)
		return;
	struct fleet_where where = fleet_where(
		fleet, written ? host_path[PROXY_REDUNDANT] : "redundancy.enabled");
	fleet_warn(messages, &where, "redundancy counts as off: proxies.redundant is %s",
		host[0] == '\0' ? "empty" : host);
}

static void check_proxies(struct fleet *fleet, struct fleet_messages *messages)
{
	const struct fleet_proxy *proxy = fleet->proxy;
	struct fleet_where where = fleet_where(fleet, host_path[PROXY_PRIMARY]);
	if (proxy[PROXY_PRIMARY].host[0] == '\0')
		fleet_error(messages, &where,
			"proxies.primary: is missing, write proxies: { primary: HOST:PORT }");
	else if (is_zero_address(proxy[PROXY_PRIMARY].host))
		fleet_error(messages, &where, "proxies.primary: '%s' is no address to send to",
			proxy[PROXY_PRIMARY].host);
	if (!fleet->redundancy_enabled || proxy[0].port != proxy[1].port ||
		strcasecmp(proxy[0].host, proxy[1].host) != 0)
		return;
	where = fleet_where(fleet, host_path[PROXY_REDUNDANT]);
	fleet_error(messages, &where,
		"proxies.redundant: is the same as proxies.primary, name another proxy or leave it "
		"out");
}

static void derive_names(struct fleet *fleet)
{
	const char *host = fleet->proxy[PROXY_PRIMARY].host;
	if (!fleet_given(fleet, "domain")) {
		bool brackets = strchr(host, ':') != NULL;
		char domain[FLEET_TEXT_MAX + 2];
		snprintf(domain, sizeof(domain), brackets ? "[%.255s]" : "%.255s", host);
		copy_text(fleet->domain, sizeof(fleet->domain), domain);
	}
	if (!fleet_given(fleet, "registrar.realm"))
		copy_text(fleet->realm, sizeof(fleet->realm),
			fleet_given(fleet, "registrar.digest") ? fleet->domain : "");
	if (!fleet_given(fleet, "timers.no_response"))
		fleet->no_response_ms = 64 * fleet->t1_ms;
}

/* Users */

static void check_patterns_alone(struct fleet *fleet, struct fleet_messages *messages)
{
	static const char *const beside[] = {"user", "auth", "password"};
	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		struct fleet_where where = fleet_where(fleet, beside[i]);
		if (fleet_given(fleet, beside[i]))
			fleet_error(messages, &where,
				"%s: has no meaning beside users, which brings its own; take one "
				"of "
				"them out",
				beside[i]);
	}
}

static void read_patterns(struct fleet *fleet, struct fleet_messages *messages)
{
	struct identity_error error = {0};
	struct fleet_where where = fleet_where(fleet, "user");
	if (!fleet_given(fleet, "user"))
		copy_text(fleet->user, sizeof(fleet->user), is_memory(fleet) ? "1{n:07}" : "");
	if (fleet->user[0] == '\0') {
		fleet_error(messages, &where,
			"user: is missing, write user: \"2{n:06}\" or users: phones.csv");
		return;
	}
	if (identity_patterns(&fleet->identities, fleet->user, fleet->auth, fleet->password,
		    fleet->phones, &error) == 0)
		return;
	/* The reason begins with what it is about. */
	where = fleet_where(fleet, error.reason[0] == 'a'   ? "auth"
				   : error.reason[0] == 'p' ? "password"
							    : "user");
	if (error.column != 0)
		fleet_error(messages, &where, "%s (at character %zu of the pattern)", error.reason,
			error.column);
	else
		fleet_error(messages, &where, "%s", error.reason);
}

/* `users` beside the fleet file, unless it is absolute. */
static void users_path(const struct fleet *fleet, char *out, size_t size)
{
	const char *slash = strrchr(fleet->path, '/');
	if (fleet->users[0] == '/' || slash == NULL)
		snprintf(out, size, "%s", fleet->users);
	else
		snprintf(out, size, "%.*s/%s", (int)(slash - fleet->path), fleet->path,
			fleet->users);
}

static void count_phones(struct fleet *fleet, struct fleet_messages *messages)
{
	uint32_t rows = identity_count(fleet->identities);
	bool given = fleet_given(fleet, "phones");
	struct fleet_where where = fleet_where(fleet, given ? "phones" : "users");
	if (!given)
		fleet->phones = rows < FLEET_PHONES_MAX ? rows : FLEET_PHONES_MAX;
	if (rows == 0)
		fleet_error(messages, &where, "users: the file has no rows");
	else if (fleet->phones > rows)
		fleet_error(messages, &where,
			"phones: %u phones, but users has only %u rows; add rows or ask for fewer",
			fleet->phones, rows);
}

static void make_identities(struct fleet *fleet, struct fleet_messages *messages)
{
	char path[sizeof(fleet->path) + sizeof(fleet->users)];
	fleet->phones = fleet_given(fleet, "phones") ? fleet->phones_wanted : 1;
	if (fleet->imported_rows) {
		count_phones(fleet, messages);
		return;
	}
	identity_free(fleet->identities);
	fleet->identities = NULL;
	if (!fleet_given(fleet, "users")) {
		read_patterns(fleet, messages);
		return;
	}
	if (!fleet_given(fleet, "user"))
		copy_text(fleet->user, sizeof(fleet->user), "");
	check_patterns_alone(fleet, messages);
	users_path(fleet, path, sizeof(path));
	struct fleet_where where = fleet_where(fleet, "users");
	if (fleet_users_read(path, &where, &fleet->identities, messages) == 0)
		count_phones(fleet, messages);
}

/* Addresses */

/* Herds that take their addresses from this struct's source, one after the other; NULL: no more. That is
 * the struct itself, or of a fleet of several herds those that have none of their own. */
static const struct fleet *sharer(const struct fleet *fleet, uint32_t n)
{
	if (fleet->herds == 0)
		return n == 0 ? fleet : NULL;
	for (uint32_t h = 0; h < fleet->herds; h++) {
		if (!fleet_given(&fleet->entry[h], "source") && n-- == 0)
			return &fleet->herd[h];
	}
	return NULL;
}

static uint32_t sharing_phones(const struct fleet *fleet)
{
	const struct fleet *herd;
	uint32_t phones = 0;
	for (uint32_t n = 0; (herd = sharer(fleet, n)) != NULL; n++)
		phones += herd->phones;
	return phones;
}

/* True when some proxy is, or may turn out to be, of this family. */
static bool family_needed(const struct fleet *fleet, int family)
{
	const struct fleet *herd;
	for (uint32_t n = 0; (herd = sharer(fleet, n)) != NULL; n++) {
		for (int proxy = 0; proxy < PROXIES; proxy++) {
			if (fleet_proxy_family(herd, (enum proxy)proxy) == family)
				return true;
		}
	}
	return false;
}

/* A range in the /64 of an IPv6 proxy, far from what people number by hand. */
static void derive_ipv6_source(struct fleet *fleet, const struct fleet *herd, enum proxy proxy,
	struct fleet_messages *messages)
{
	static const uint8_t interface[8] = {0, 0, 0x5e, 0x1f, 0, 0, 0, 1};
	struct address first, last;
	char text[2][ADDRESS_TEXT_MAX];
	address_parse(herd->proxy[proxy].host, &first);
	memcpy(first.bytes + 8, interface, sizeof(interface));
	last = first;
	/* Room for the phones and for as many holes as a plan can have. */
	uint32_t span = fleet->phones + ADDRESS_HOLES;
	last.bytes[12] = (uint8_t)(span >> 24);
	last.bytes[13] = (uint8_t)(span >> 16);
	last.bytes[14] = (uint8_t)(span >> 8);
	last.bytes[15] = (uint8_t)span;
	address_format(&first, text[0]);
	address_format(&last, text[1]);
	snprintf(fleet->source[ADDRESS_IPV6], FLEET_TEXT_MAX, "%s-%s", text[0], text[1]);
	fleet->source_derived[ADDRESS_IPV6] = true;
	struct fleet_where where = fleet_where(herd, host_path[proxy]);
	fleet_warn(messages, &where,
		"%s: is IPv6, but source has no IPv6 range: taking %s from its own /64; write "
		"source: [\"%s\", \"PREFIX/64\"] to choose another",
		proxy_path[proxy], fleet->source[ADDRESS_IPV6], fleet->source[ADDRESS_IPV4]);
}

static void default_memory_source(struct fleet *fleet)
{
	static const char *const text[ADDRESS_FAMILIES] = {MEMORY_SOURCE_IPV4, MEMORY_SOURCE_IPV6};
	bool some = family_needed(fleet, ADDRESS_IPV4) || family_needed(fleet, ADDRESS_IPV6);
	for (int family = 0; family < ADDRESS_FAMILIES; family++) {
		/* A fleet whose proxies are all names starts with IPv4. */
		if (!family_needed(fleet, family) && (some || family == ADDRESS_IPV6))
			continue;
		copy_text(fleet->source[family], FLEET_TEXT_MAX, text[family]);
		fleet->source_derived[family] = true;
	}
}

/* A proxy whose family the source has no range of. */
static void complete_source(struct fleet *fleet, const struct fleet *herd, enum proxy proxy,
	struct fleet_messages *messages)
{
	struct fleet_where where = fleet_where(herd, host_path[proxy]);
	int family = fleet_proxy_family(herd, proxy);
	if (family < 0 || fleet->source[family][0] != '\0')
		return;
	if (family == ADDRESS_IPV6) {
		derive_ipv6_source(fleet, herd, proxy, messages);
		return;
	}
	fleet_error(messages, &where,
		"%s: is IPv4, but source has only an IPv6 range; write source: [\"%s\", "
		"\"10.20.0.0/15\"]",
		proxy_path[proxy], fleet->source[ADDRESS_IPV6]);
}

static void complete_sources(struct fleet *fleet, struct fleet_messages *messages)
{
	struct fleet_where where = fleet_where(fleet, "source");
	const struct fleet *herd;
	for (int family = 0; family < ADDRESS_FAMILIES; family++) {
		if (fleet->source_derived[family])
			copy_text(fleet->source[family], FLEET_TEXT_MAX, "");
		fleet->source_derived[family] = false;
	}
	if (sharer(fleet, 0) == NULL)
		return;
	if (fleet->source[ADDRESS_IPV4][0] == '\0' && fleet->source[ADDRESS_IPV6][0] == '\0') {
		if (is_memory(fleet))
			default_memory_source(fleet);
		else
			fleet_error(messages, &where,
				"source: is missing, write the phones' addresses, like source: "
				"10.20.0.0/15");
		return;
	}
	for (uint32_t n = 0; (herd = sharer(fleet, n)) != NULL; n++) {
		for (int proxy = 0; proxy < PROXIES; proxy++)
			complete_source(fleet, herd, (enum proxy)proxy, messages);
	}
}

/* Parse a range and keep the gateway and the proxies of the whole fleet out of it. 0, -EINVAL; -ENOSPC:
 * they are too many. */
static int make_plan(const struct fleet *whole, const char *text, struct address_plan *plan)
{
	struct address address;
	int error = 0;
	if (address_plan_parse(text, plan) != 0)
		return -EINVAL;
	if (address_parse(whole->gateway[plan->family], &address) == 0)
		error = address_plan_exclude(plan, &address);
	for (uint32_t i = 0; i < fleet_herds(whole) * PROXIES && error == 0; i++) {
		if (address_parse(
			    fleet_herd(whole, i / PROXIES)->proxy[i % PROXIES].host, &address) == 0)
			error = address_plan_exclude(plan, &address);
	}
	return error;
}

__extension__ typedef unsigned __int128 uint128;

/* The longest prefix of the same network with room for all phones, by trying; 0: there is none. */
static unsigned wide_enough(
	const struct fleet *whole, const struct address_plan *plan, uint32_t phones)
{
	char text[FLEET_TEXT_MAX], base[ADDRESS_TEXT_MAX];
	struct address_plan wider;
	for (unsigned length = plan->prefix_length; length > 0; length--) {
		struct address address = {.family = plan->family};
		unsigned bits = plan->family == ADDRESS_IPV4 ? 32 : 128;
		uint128 first = (uint128)plan->first_high << 64 | plan->first_low;
		first = first >> (bits - length) << (bits - length);
		for (unsigned i = 0; i < bits / 8; i++)
			address.bytes[i] = (uint8_t)(first >> (bits - 8 - 8 * i));
		address_format(&address, base);
		snprintf(text, sizeof(text), "%s/%u ports %u-%u", base, length, plan->port_first,
			plan->port_last);
		if (make_plan(whole, text, &wider) == 0 && address_plan_capacity(&wider) >= phones)
			return length;
	}
	return 0;
}

static void report_too_small(const struct fleet *whole, const struct fleet *fleet, int family,
	struct fleet_messages *messages)
{
	const uint32_t phones = sharing_phones(fleet);
	const struct address_plan *plan = &fleet->plan[family];
	struct fleet_where where = fleet_where(fleet, "source");
	char prefix[32] = "a wider range", ports[64] = "";
	unsigned length = wide_enough(whole, plan, phones);
	if (length != 0)
		snprintf(prefix, sizeof(prefix), "a /%u", length);
	if (plan->port_first == plan->port_last)
		snprintf(ports, sizeof(ports), ", or pack them with ' ports 10000-59999'");
	fleet_error(messages, &where,
		"source: %s has room for %" PRIu64 " phones, not for %u; %s would do%s",
		fleet->source[family], address_plan_capacity(plan), phones, prefix, ports);
}

static void make_plans(
	const struct fleet *whole, struct fleet *fleet, struct fleet_messages *messages)
{
	for (int family = 0; family < ADDRESS_FAMILIES; family++) {
		struct fleet_where where = fleet_where(fleet, "gateway");
		struct fleet_where source = fleet_where(fleet, "source");
		const char *text = fleet->source[family];
		const int error = text[0] == '\0' || sharer(fleet, 0) == NULL
					  ? -EINVAL
					  : make_plan(whole, text, &fleet->plan[family]);
		fleet->has_plan[family] = error == 0;
		if (error == -ENOSPC)
			fleet_error(messages, &source,
				"source: more than %d addresses of proxies and gateways are in %s; "
				"keep them out of the phones' range",
				ADDRESS_HOLES, text);
		if (error != 0) {
			fleet->plan[family] = (struct address_plan){0};
			if (fleet->gateway[family][0] != '\0' && whole == fleet &&
				fleet->herds == 0)
				fleet_warn(messages, &where,
					"gateway: %s is not used, there is no %s source",
					fleet->gateway[family], family_name[family]);
		} else if (address_plan_capacity(&fleet->plan[family]) < sharing_phones(fleet)) {
			report_too_small(whole, fleet, family, messages);
		}
	}
}

/* The store */

/* In memory that survives processes: workers write to the image file, and on a disk's file system
 * each of its pages makes them wait again and again while it is written back. */
static void derive_state(struct fleet *fleet)
{
	if (fleet_given(fleet, "state"))
		return;
	if (geteuid() == 0)
		copy_text(fleet->state, sizeof(fleet->state), FLEET_STATE);
	else
		snprintf(
			fleet->state, sizeof(fleet->state), FLEET_STATE "-%u", (unsigned)geteuid());
}

/* Shards move between generators one by one, and take their addresses with them. */
static void check_shared(struct fleet *fleet, struct fleet_messages *messages)
{
	bool shared = fleet->target.kind != TARGET_EMBEDDED && fleet->target.kind != TARGET_NONE;
	if (!shared || is_memory(fleet) || fleet->phones <= SHARD_PHONES)
		return;
	for (int family = 0; family < ADDRESS_FAMILIES; family++) {
		struct fleet_where where = fleet_where(fleet, "source");
		if (!fleet->has_plan[family] || SHARD_PHONES % fleet->plan[family].ports == 0)
			continue;
		fleet_warn(messages, &where,
			"source: %s packs %u phones on one address, so that an address belongs to "
			"several shards of %d phones and cannot move to another generator with one "
			"of them; use a number of ports that divides %d, or one address per phone",
			fleet->source[family], fleet->plan[family].ports, SHARD_PHONES,
			SHARD_PHONES);
	}
}

static void check_workers(struct fleet *fleet, struct fleet_messages *messages)
{
	struct fleet_where where = fleet_where(fleet, "workers");
	if (fleet->workers > fleet->phones && fleet->phones > 0)
		fleet_error(messages, &where, "workers: %u are too many for %u phones",
			fleet->workers, fleet->phones);
}

static void check_rest(struct fleet *fleet, struct fleet_messages *messages)
{
	struct fleet_where where = fleet_where(fleet, "registrar.min_expires");
	if (fleet->registrar_min_expires_s > fleet->registrar_max_expires_s)
		fleet_error(messages, &where,
			"registrar.min_expires: %us is more than registrar.max_expires, %us",
			fleet->registrar_min_expires_s, fleet->registrar_max_expires_s);
	where = fleet_where(fleet, "registration.expires");
	if (fleet->expires_s == 0)
		fleet_warn(messages, &where,
			"registration.expires: with 0 no phone will ever be registered");
	where = fleet_where(fleet, "timers.t1");
	if (fleet->t1_ms > fleet->t2_ms)
		fleet_warn(messages, &where,
			"timers.t1: %ums is more than timers.t2, %ums, which then is the interval",
			fleet->t1_ms, fleet->t2_ms);
}

static void finish_phones(struct fleet *fleet, struct fleet_messages *messages)
{
	fleet_apply_profile(fleet);
	default_proxies(fleet);
	decide_redundancy(fleet, messages);
	check_proxies(fleet, messages);
	derive_names(fleet);
	make_identities(fleet, messages);
}

static void finish_alone(struct fleet *fleet, struct fleet_messages *messages)
{
	finish_phones(fleet, messages);
	complete_sources(fleet, messages);
	make_plans(fleet, fleet, messages);
	check_shared(fleet, messages);
	check_rest(fleet, messages);
}

/* Herds: numbers of phones, and what is the fleet's own of it. */

static void count_herds(struct fleet *fleet, struct fleet_messages *messages)
{
	struct fleet_where where = fleet_where(fleet, "phones");
	uint64_t phones = 0;
	for (uint32_t h = 0; h < fleet->herds; h++) {
		fleet->herd[h].begin = (uint32_t)phones;
		phones += fleet->herd[h].phones;
	}
	if (phones > FLEET_PHONES_MAX)
		fleet_error(messages, &where, "herds: %" PRIu64 " phones are too many, %u at most",
			phones, FLEET_PHONES_MAX);
	fleet->phones = (uint32_t)phones;
}

static void join_identities(struct fleet *fleet, struct fleet_messages *messages)
{
	struct identity_set *part[FLEET_HERDS_MAX];
	uint32_t phones[FLEET_HERDS_MAX];
	for (uint32_t h = 0; h < fleet->herds; h++) {
		part[h] = fleet->herd[h].identities;
		phones[h] = fleet->herd[h].phones;
	}
	identity_free(fleet->identities);
	fleet->identities = NULL;
	if (identity_join(&fleet->identities, part, phones, fleet->herds) != 0)
		fleet_error(messages, &(struct fleet_where){fleet->path, 0, 0}, "out of memory");
}

/* Who shares the fleet's source takes its addresses behind those before. */
static void share_source(struct fleet *fleet)
{
	const struct fleet *herd;
	uint32_t before = 0;
	for (uint32_t n = 0; (herd = sharer(fleet, n)) != NULL; n++) {
		struct fleet *out = &fleet->herd[herd - fleet->herd];
		memcpy(out->source, fleet->source, sizeof(out->source));
		memcpy(out->source_derived, fleet->source_derived, sizeof(out->source_derived));
		memcpy(out->has_plan, fleet->has_plan, sizeof(out->has_plan));
		memcpy(out->plan, fleet->plan, sizeof(out->plan));
		for (int family = 0; family < ADDRESS_FAMILIES; family++)
			out->plan[family].begin = out->begin - before;
		before += out->phones;
	}
}

static void finish_sources(struct fleet *fleet, struct fleet_messages *messages)
{
	complete_sources(fleet, messages);
	make_plans(fleet, fleet, messages);
	share_source(fleet);
	for (uint32_t h = 0; h < fleet->herds; h++) {
		struct fleet *herd = &fleet->herd[h];
		messages->herd = herd->name;
		if (fleet_given(&fleet->entry[h], "source")) {
			complete_sources(herd, messages);
			make_plans(fleet, herd, messages);
			for (int family = 0; family < ADDRESS_FAMILIES; family++)
				herd->plan[family].begin = herd->begin;
		}
		check_shared(herd, messages);
		check_rest(herd, messages);
	}
	messages->herd = NULL;
}

static void finish_herds(struct fleet *fleet, struct fleet_messages *messages)
{
	const unsigned before = messages->errors;
	if (!fleet_herds_make(fleet, messages))
		return;
	fleet_apply_profile(fleet);
	default_proxies(fleet);
	derive_names(fleet);
	fleet->redundancy_enabled = false;
	for (uint32_t h = 0; h < fleet->herds; h++) {
		struct fleet *herd = &fleet->herd[h];
		messages->herd = herd->name;
		finish_phones(herd, messages);
		fleet->redundancy_enabled |= herd->redundancy_enabled;
	}
	messages->herd = NULL;
	if (messages->errors != before)
		return;
	count_herds(fleet, messages);
	finish_sources(fleet, messages);
	if (messages->errors != before)
		return;
	join_identities(fleet, messages);
	fleet_herds_check(fleet, messages);
}

int fleet_finish_into(struct fleet *fleet, struct fleet_messages *messages)
{
	unsigned before = messages->errors;
	if (fleet->herds > 0)
		finish_herds(fleet, messages);
	else
		finish_alone(fleet, messages);
	derive_state(fleet);
	check_workers(fleet, messages);
	return messages->errors > before ? -EINVAL : 0;
}

int fleet_finish(struct fleet *fleet, const struct fleet_report *report)
{
	struct fleet_messages messages = {.report = report};
	fleet_finish_into(fleet, &messages);
	return fleet_messages_end(&messages);
}
