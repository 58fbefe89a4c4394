/* SPDX-License-Identifier: BSD-3-Clause */
#include "fleet_herds.h"

#include <stdlib.h>
#include <string.h>

#include "fleet_yaml.h"

#define TAKES "takes a list of herds, each begun by '- name: NAME'"

/* Reading */

static struct fleet *new_entry(struct yaml_reader *reader, const struct fleet_where *where)
{
	struct fleet *fleet = reader->fleet;
	if (fleet->herds == FLEET_HERDS_MAX) {
		fleet_error(
			reader->messages, where, "herds: there may be %d at most", FLEET_HERDS_MAX);
		return NULL;
	}
	struct fleet *more = reallocarray(fleet->entry, fleet->herds + 1, sizeof(*fleet->entry));
	if (more == NULL) {
		fleet_error(reader->messages, where, "out of memory");
		return NULL;
	}
	fleet->entry = more;
	struct fleet *entry = &fleet->entry[fleet->herds++];
	fleet_defaults(entry);
	memcpy(entry->path, fleet->path, sizeof(entry->path));
	return entry;
}

/* Its name is how a herd is told from the others. */
static void check_name(struct yaml_reader *reader, const struct fleet_where *where)
{
	const struct fleet *fleet = reader->fleet;
	const struct fleet *entry = &fleet->entry[fleet->herds - 1];
	if (!fleet_given(entry, "fleet")) {
		fleet_error(reader->messages, where, "herds: a herd has no name, write name: NAME");
		return;
	}
	for (uint32_t h = 0; h + 1 < fleet->herds; h++) {
		const struct fleet_where at = fleet_where(entry, "fleet");
		if (strcmp(fleet->entry[h].name, entry->name) != 0)
			continue;
		fleet_error(reader->messages, &at, "herds: '%s' is there twice, first in line %u",
			entry->name, fleet_where(&fleet->entry[h], "fleet").line);
		return;
	}
}

/* Keys as at the top of the file, but into the entry, and seen once for each of them. */
static void read_entry(
	struct yaml_reader *reader, struct fleet *entry, const struct fleet_where *where)
{
	struct fleet *fleet = reader->fleet;
	uint32_t seen[sizeof(reader->seen) / sizeof(reader->seen[0])];
	memcpy(seen, reader->seen, sizeof(seen));
	memset(reader->seen, 0, sizeof(reader->seen));
	reader->fleet = entry;
	reader->in_herd = true;
	const unsigned errors = reader->messages->errors;
	fleet_yaml_keys(reader);
	reader->in_herd = false;
	reader->fleet = fleet;
	memcpy(reader->seen, seen, sizeof(seen));
	if (reader->messages->errors == errors)
		check_name(reader, where);
}

void fleet_herds_read(struct yaml_reader *reader, void *context)
{
	yaml_event_t *event = context;
	struct fleet_where where = fleet_yaml_where(reader, &event->start_mark);
	const bool list = event->type == YAML_SEQUENCE_START_EVENT;
	if (!list) {
		if (event->type != YAML_ALIAS_EVENT)
			fleet_error(reader->messages, &where, "herds: " TAKES);
		fleet_yaml_skip(reader, event);
		return;
	}
	yaml_event_delete(event);
	while (fleet_yaml_next(reader, event)) {
		where = fleet_yaml_where(reader, &event->start_mark);
		if (event->type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(event);
			return;
		}
		struct fleet *entry = NULL;
		if (event->type == YAML_MAPPING_START_EVENT)
			entry = new_entry(reader, &where);
		else if (event->type != YAML_ALIAS_EVENT)
			fleet_error(reader->messages, &where, "herds: " TAKES);
		if (entry == NULL) {
			fleet_yaml_skip(reader, event);
			continue;
		}
		yaml_event_delete(event);
		read_entry(reader, entry, &where);
	}
}

/* Making */

static void free_made(struct fleet *fleet)
{
	for (uint32_t h = 0; h < fleet->herds && fleet->herd != NULL; h++)
		identity_free(fleet->herd[h].identities);
	if (fleet->herd != NULL)
		explicit_bzero(fleet->herd, fleet->herds * sizeof(*fleet->herd));
	free(fleet->herd);
	fleet->herd = NULL;
}

void fleet_herds_free(struct fleet *fleet)
{
	free_made(fleet);
	if (fleet->entry != NULL)
		explicit_bzero(fleet->entry, fleet->herds * sizeof(*fleet->entry));
	free(fleet->entry);
	fleet->entry = NULL;
	fleet->herds = 0;
}

/* The settings of the fleet that a herd may have as well, and nothing that the fleet owns. */
static void take_defaults(struct fleet *herd, const struct fleet *fleet)
{
	*herd = *fleet;
	herd->entry = NULL;
	herd->herd = NULL;
	herd->identities = NULL;
	herd->drill = NULL;
	herd->herds = herd->drills = herd->hooks = herd->gates = 0;
	explicit_bzero(herd->hook, sizeof(herd->hook));
	explicit_bzero(&herd->target.password, sizeof(herd->target.password));
}

static void take_key(struct fleet *herd, const struct fleet *entry, const struct fleet_key *key)
{
	const size_t place = (size_t)(key - fleet_keys);
	size_t size = key->size;
	if (entry->place[place].origin == FLEET_NOT_GIVEN || key->kind == KIND_PROXY)
		return;
	herd->place[place] = entry->place[place];
	if (key->kind == KIND_CODES) {
		size *= key->high;
		memcpy((char *)herd + key->count_offset, (const char *)entry + key->count_offset,
			1);
	}
	if (key->kind == KIND_SOURCE)
		memset(herd->source_derived, 0, sizeof(herd->source_derived));
	memcpy((char *)herd + key->offset, (const char *)entry + key->offset, size);
}

bool fleet_herds_make(struct fleet *fleet, struct fleet_messages *messages)
{
	free_made(fleet);
	fleet->herd = calloc(fleet->herds, sizeof(*fleet->herd));
	if (fleet->herd == NULL) {
		fleet_error(messages, &(struct fleet_where){fleet->path, 0, 0}, "out of memory");
		return false;
	}
	for (uint32_t h = 0; h < fleet->herds; h++) {
		take_defaults(&fleet->herd[h], fleet);
		for (size_t i = 0; i < fleet_keys_count; i++)
			take_key(&fleet->herd[h], &fleet->entry[h], &fleet_keys[i]);
	}
	return true;
}

/* Checking */

static void check_addresses(
	const struct fleet *a, const struct fleet *b, struct fleet_messages *messages)
{
	for (int family = 0; family < ADDRESS_FAMILIES; family++) {
		const struct fleet_where where = fleet_where(b, "source");
		if (!a->has_plan[family] || !b->has_plan[family] ||
			address_plan_same(&a->plan[family], &b->plan[family]) ||
			!address_plan_meets(&a->plan[family], &b->plan[family]))
			continue;
		fleet_error(messages, &where,
			"source: %s of herd %s and %s of herd %s overlap; give them ranges that do "
			"not, or the very same one with other ports",
			b->source[family], b->name, a->source[family], a->name);
	}
}

/* The same places of the same range, written twice. */
static void check_same_source(
	const struct fleet *fleet, uint32_t a, uint32_t b, struct fleet_messages *messages)
{
	const struct fleet *of = &fleet->herd[b];
	const struct fleet_where where = fleet_where(of, "source");
	if (!fleet_given(&fleet->entry[a], "source") && !fleet_given(&fleet->entry[b], "source"))
		return;
	for (int family = 0; family < ADDRESS_FAMILIES; family++) {
		if (!of->has_plan[family] || !fleet->herd[a].has_plan[family] ||
			!address_plan_same(&fleet->herd[a].plan[family], &of->plan[family]))
			continue;
		fleet_error(messages, &where,
			"source: %s is herd %s's as well; write it once at the top of the file, "
			"and "
			"the herds share it",
			of->source[family], fleet->herd[a].name);
	}
}

/* Bytes before the first placeholder of a pattern. */
static size_t literal_of(const struct fleet *herd)
{
	return strcspn(herd->user, "{");
}

/* Patterns that begin with different texts make no user twice. */
static bool begin_alike(const struct fleet *a, const struct fleet *b)
{
	if (a->user[0] == '\0' || b->user[0] == '\0')
		return true;
	const size_t in_a = literal_of(a), in_b = literal_of(b);
	return strncmp(a->user, b->user, in_a < in_b ? in_a : in_b) == 0;
}

/* A user that both have; empty: there is none. */
static void find_common(
	const struct fleet *few, const struct fleet *many, char out[IDENTITY_TEXT_MAX + 1])
{
	char user[IDENTITY_TEXT_MAX];
	for (uint32_t i = 0; i < few->phones; i++) {
		uint32_t other;
		const size_t length = identity_user(few->identities, few->begin + i, out);
		out[length] = '\0';
		if (identity_find_user(many->identities, out, length, &other) &&
			other - many->begin < many->phones &&
			identity_user(many->identities, other, user) == length &&
			memcmp(user, out, length) == 0)
			return;
	}
	out[0] = '\0';
}

static void check_users(
	const struct fleet *a, const struct fleet *b, struct fleet_messages *messages)
{
	char user[IDENTITY_TEXT_MAX + 1], quoted[FLEET_QUOTED_MAX];
	if (strcasecmp(a->domain, b->domain) != 0 || !begin_alike(a, b))
		return;
	if (a->phones < b->phones)
		find_common(a, b, user);
	else
		find_common(b, a, user);
	const struct fleet_where where = fleet_where(b, fleet_given(b, "users") ? "users" : "user");
	if (user[0] != '\0')
		fleet_error(messages, &where,
			"user: %s of %s is in herd %s and in herd %s; give one of them other "
			"users, "
			"or a domain of its own",
			fleet_quote(user, quoted), a->domain, a->name, b->name);
}

void fleet_herds_check(const struct fleet *fleet, struct fleet_messages *messages)
{
	for (uint32_t b = 1; b < fleet->herds; b++) {
		for (uint32_t a = 0; a < b; a++) {
			check_addresses(&fleet->herd[a], &fleet->herd[b], messages);
			check_same_source(fleet, a, b, messages);
			check_users(&fleet->herd[a], &fleet->herd[b], messages);
		}
	}
}

const struct fleet *fleet_herd_of(const struct fleet *fleet, uint32_t phone)
{
	uint32_t low = 0, high = fleet_herds(fleet) - 1;
	while (low < high) {
		const uint32_t middle = (low + high + 1) / 2;
		if (fleet->herd[middle].begin <= phone)
			low = middle;
		else
			high = middle - 1;
	}
	return fleet_herd(fleet, low);
}

const struct fleet *fleet_largest(const struct fleet *fleet)
{
	const struct fleet *largest = fleet_herd(fleet, 0);
	for (uint32_t h = 1; h < fleet->herds; h++)
		if (fleet->herd[h].phones > largest->phones)
			largest = &fleet->herd[h];
	return largest;
}

bool fleet_is_mixed(const struct fleet *fleet)
{
	static const char *const sections[] = {
		"redundancy.", "keepalive.", "registration.", "timers."};
	char one[FLEET_VALUE_MAX], other[FLEET_VALUE_MAX];
	for (uint32_t i = 0; i < (uint32_t)fleet_keys_count * 4; i++) {
		const struct fleet_key *key = &fleet_keys[i / 4];
		if (strncmp(key->path, sections[i % 4], strlen(sections[i % 4])) != 0)
			continue;
		fleet_key_text(fleet_herd(fleet, 0), key, one);
		for (uint32_t h = 1; h < fleet->herds; h++) {
			fleet_key_text(&fleet->herd[h], key, other);
			if (strcmp(one, other) != 0)
				return true;
		}
	}
	for (uint32_t h = 1; h < fleet->herds; h++)
		if (fleet->herd[h].redundancy_enabled != fleet->herd[0].redundancy_enabled)
			return true;
	return false;
}
