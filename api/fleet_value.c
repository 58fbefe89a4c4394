/* SPDX-License-Identifier: BSD-3-Clause */
/* Values by kind: text into the struct, with every complaint, and the struct back into text. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fleet_table.h"

/* A message about one item: place, key, value (unless it is secret), what is wrong with it. */
static bool refuse(const struct fleet_setting *setting, const struct fleet_item *item,
	const char *text, const char *why)
{
	char quoted[FLEET_QUOTED_MAX];
	struct fleet_where where = {setting->path, item->line, item->column};
	bool secret = setting->key->flags & FLEET_SECRET || setting->key->kind == KIND_STORE;
	const char *shown = secret ? "the value" : fleet_quote(text, quoted);
	fleet_error(setting->messages, &where, "%s: %s %s", setting->name, shown, why);
	return false;
}

static bool is_from_phone(const struct fleet_setting *setting)
{
	return setting->origin == FLEET_FROM_PHONE;
}

static void *field_of(const struct fleet_setting *setting)
{
	return (char *)setting->fleet + setting->key->offset;
}

static void store_number(const struct fleet_setting *setting, uint64_t value)
{
	switch (setting->key->size) {
	case 1:
		*(uint8_t *)field_of(setting) = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)field_of(setting) = (uint16_t)value;
		break;
	default:
		*(uint32_t *)field_of(setting) = (uint32_t)value;
	}
}

uint64_t fleet_key_number(const struct fleet *fleet, const struct fleet_key *key)
{
	const void *field = (const char *)fleet + key->offset;
	switch (key->size) {
	case 1:
		return *(const uint8_t *)field;
	case 2:
		return *(const uint16_t *)field;
	default:
		return *(const uint32_t *)field;
	}
}

/* Milliseconds in what a number without unit counts in a phone file. */
static uint64_t phone_unit_ms(const struct fleet_key *key)
{
	return key->flags & FLEET_BARE_SECONDS ? 1000 : 1;
}

static uint64_t field_unit_ms(const struct fleet_key *key)
{
	return key->unit == UNIT_S ? 1000 : 1;
}

static void format_number(const struct fleet_key *key, uint64_t value, char *out, size_t size)
{
	switch (key->kind) {
	case KIND_DURATION:
		units_format_duration(value * field_unit_ms(key), out, size);
		break;
	case KIND_PERCENT:
		snprintf(out, size, "%" PRIu64 "%%", value);
		break;
	case KIND_FRACTION: {
		int length = snprintf(out, size, "0.%03" PRIu64, value);
		while (length > 3 && out[length - 1] == '0')
			out[--length] = '\0';
		break;
	}
	case KIND_RATE:
		snprintf(out, size, value == 0 ? "none" : "%" PRIu64 "/s", value);
		break;
	default:
		snprintf(out, size, "%" PRIu64, value);
	}
}

/* The n-th name of "name=number name=number" or "name name", without its number. */
static bool nth_word(const char *words, size_t n, char *out, size_t size, unsigned *number)
{
	for (; *words == ' ' || n > 0; n--) {
		words = strchr(words, ' ');
		if (words == NULL)
			return false;
		words++;
	}
	size_t length = strcspn(words, " =");
	snprintf(out, size, "%.*s", (int)length, words);
	*number = 0;
	if (words[length] == '=')
		*number = (unsigned)(words[length + 1] - '0');
	return true;
}

static void list_words(const struct fleet_key *key, char *out, size_t size)
{
	char word[32];
	unsigned number;
	size_t used = 0;
	out[0] = '\0';
	for (size_t i = 0; nth_word(key->words, i, word, sizeof(word), &number); i++) {
		/* Bare numbers are the phone files' words. */
		if (isdigit((unsigned char)word[0]) || used >= size)
			continue;
		used += (size_t)snprintf(
			out + used, size - used, "%s%s", used == 0 ? "" : ", ", word);
	}
}

static void range_of_numbers(const struct fleet_key *key, bool phone, char *out, size_t size)
{
	char low[32], high[32];
	if (phone && key->kind == KIND_DURATION) {
		uint64_t unit = phone_unit_ms(key), field = field_unit_ms(key);
		snprintf(out, size, "%" PRIu64 " to %" PRIu64 " %s", key->low * field / unit,
			key->high * field / unit, unit == 1000 ? "s" : "ms");
		return;
	}
	format_number(key, key->low, low, sizeof(low));
	format_number(key, key->high, high, sizeof(high));
	snprintf(out, size, "%s to %s", low, high);
}

void fleet_key_range(const struct fleet_key *key, bool phone, char *out, size_t size)
{
	char words[128];
	switch (key->kind) {
	case KIND_WORD:
	case KIND_CHOICE:
		if (phone && key->kind == KIND_CHOICE) {
			snprintf(out, size, "0 or 1");
			return;
		}
		list_words(key, words, sizeof(words));
		snprintf(out, size, "one of %s", words);
		return;
	case KIND_SWITCH:
		snprintf(out, size, phone ? "0 or 1" : "yes or no");
		return;
	case KIND_CODES:
		snprintf(out, size, "up to %" PRIu64 " of 300 to 699, or none", key->high);
		return;
	case KIND_TEXT:
	case KIND_HOST:
		snprintf(out, size, "text of at most %u bytes", key->size - 1u);
		return;
	case KIND_PROXY:
		snprintf(out, size, "host, port 1024 to 65535");
		return;
	case KIND_STORE:
		snprintf(out, size, "a URL, embedded or none");
		return;
	case KIND_SOURCE:
	case KIND_GATEWAY:
		snprintf(out, size, "one per family");
		return;
	default:
		range_of_numbers(key, phone, out, size);
	}
}

static bool set_text(const struct fleet_setting *setting)
{
	const struct fleet_key *key = setting->key;
	const char *text = setting->item->text, *reason = NULL;
	char why[64], inner[FLEET_VALUE_MAX];
	size_t length = strlen(text);
	if (key->kind == KIND_HOST && length > 2 && text[0] == '[' && text[length - 1] == ']') {
		memcpy(inner, text + 1, length - 2);
		inner[length - 2] = '\0';
		if (strchr(inner, ':') == NULL)
			return refuse(
				setting, setting->item, text, "has brackets but no IPv6 address");
		text = inner;
		length -= 2;
	}
	if (!fleet_text_ok(text, length))
		return refuse(
			setting, setting->item, text, "holds control characters or is not UTF-8");
	if (length >= key->size) {
		snprintf(why, sizeof(why), "is longer than %u bytes", key->size - 1u);
		return refuse(setting, setting->item, text, why);
	}
	if (key->check != NULL)
		reason = key->check(text);
	if (reason != NULL)
		return refuse(setting, setting->item, text, reason);
	memset(field_of(setting), 0, key->size);
	memcpy(field_of(setting), text, length);
	return true;
}

static bool find_word(const struct fleet_setting *setting, char out[32], unsigned *number)
{
	for (size_t i = 0; nth_word(setting->key->words, i, out, 32, number); i++) {
		if (strcasecmp(out, setting->item->text) == 0)
			return true;
	}
	char range[160], why[192];
	fleet_key_range(setting->key, is_from_phone(setting), range, sizeof(range));
	snprintf(why, sizeof(why), "must be %s", range);
	return refuse(setting, setting->item, setting->item->text, why);
}

static bool set_word(const struct fleet_setting *setting)
{
	char word[32];
	unsigned number;
	if (!find_word(setting, word, &number))
		return false;
	if (strcmp(setting->key->path, "transport") == 0 && strcmp(word, "udp") != 0)
		return refuse(setting, setting->item, setting->item->text,
			"is not supported yet: use udp, and let the proxies listen on UDP as well");
	memset(field_of(setting), 0, setting->key->size);
	memcpy(field_of(setting), word, strlen(word));
	return true;
}

static bool set_choice(const struct fleet_setting *setting)
{
	char word[32];
	unsigned number;
	if (!find_word(setting, word, &number))
		return false;
	store_number(setting, number);
	return true;
}

static bool set_switch(const struct fleet_setting *setting)
{
	static const char *const words[] = {"0", "no", "off", "false", "1", "yes", "on", "true"};
	size_t count = is_from_phone(setting) ? 5 : 8, i = 0;
	const char *text = setting->item->text;
	/* A phone file knows only the bare numbers, the first of each half. */
	for (; i < count; i += is_from_phone(setting) ? 4 : 1) {
		if (strcasecmp(words[i], text) == 0)
			break;
	}
	if (i >= count)
		return refuse(setting, setting->item, text,
			is_from_phone(setting) ? "must be 0 or 1" : "must be yes or no");
	bool on = i >= 4;
	bool inverted = is_from_phone(setting) && (setting->key->flags & FLEET_PHONE_INVERTED) != 0;
	store_number(setting, on != inverted);
	return true;
}

static int read_number(
	const struct fleet_setting *setting, uint64_t *value, char reason[UNITS_REASON_MAX])
{
	const struct fleet_key *key = setting->key;
	const char *text = setting->item->text;
	if (is_from_phone(setting)) {
		if (text[0] != '\0' && text[strspn(text, "0123456789")] != '\0') {
			snprintf(reason, UNITS_REASON_MAX, "is not a whole number");
			return -EINVAL;
		}
		if (key->kind == KIND_DURATION)
			return units_duration(
				text, field_unit_ms(key), phone_unit_ms(key), value, reason);
		return units_count(text, value, reason);
	}
	switch (key->kind) {
	case KIND_DURATION:
		return units_duration(text, field_unit_ms(key),
			key->flags & FLEET_BARE_SECONDS ? 1000 : 0, value, reason);
	case KIND_FRACTION:
		return units_permille(text, false, value, reason);
	case KIND_RATE:
		return units_rate(text, value, reason);
	default:
		return units_count(text, value, reason);
	}
}

/* Percent is kept whole, and read in thousandths like a fraction. */
static int read_percent(const char *text, uint64_t *value, char reason[UNITS_REASON_MAX])
{
	int error = units_permille(text, true, value, reason);
	if (error != 0)
		return error;
	if (*value % 10 != 0) {
		snprintf(reason, UNITS_REASON_MAX, "is not a whole number of percent");
		return -EINVAL;
	}
	*value /= 10;
	return 0;
}

static bool set_number(const struct fleet_setting *setting)
{
	const struct fleet_key *key = setting->key;
	char reason[UNITS_REASON_MAX], range[96], why[128];
	uint64_t value;
	int error = key->kind == KIND_PERCENT ? read_percent(setting->item->text, &value, reason)
					      : read_number(setting, &value, reason);
	if (error != 0)
		return refuse(setting, setting->item, setting->item->text, reason);
	if (value < key->low || value > key->high) {
		fleet_key_range(key, is_from_phone(setting), range, sizeof(range));
		snprintf(why, sizeof(why), "is out of range, %s", range);
		return refuse(setting, setting->item, setting->item->text, why);
	}
	store_number(setting, value);
	return true;
}

/* The next piece of "a, b", trimmed. False at the end. */
static bool next_piece(const char **text, char out[FLEET_VALUE_MAX])
{
	if (*text == NULL)
		return false;
	const char *start = *text + strspn(*text, " \t");
	size_t length = strcspn(start, ",");
	*text = start[length] == ',' ? start + length + 1 : NULL;
	while (length > 0 && (start[length - 1] == ' ' || start[length - 1] == '\t'))
		length--;
	memcpy(out, start, length);
	out[length] = '\0';
	return true;
}

static const char *code_refusal(const struct fleet_key *key, const char *text, uint16_t *code)
{
	char reason[UNITS_REASON_MAX];
	uint64_t value;
	if (strlen(text) != 3 || units_count(text, &value, reason) != 0 || value < 300 ||
		value > 699)
		return "must be a SIP answer from 300 to 699";
	bool own_rule = value == 401 || value == 407 || value == 423;
	if (own_rule && strcmp(key->path, "registration.fail_codes") == 0)
		return "has its own rule: 401 and 407 are answered with credentials, 423 raises "
		       "Expires";
	*code = (uint16_t)value;
	return NULL;
}

static bool add_code(const struct fleet_setting *setting, const struct fleet_item *item,
	const char *text, uint16_t *codes, uint8_t *count)
{
	uint16_t code = 0;
	char why[64];
	const char *reason = code_refusal(setting->key, text, &code);
	if (reason != NULL)
		return refuse(setting, item, text, reason);
	for (uint8_t i = 0; i < *count; i++) {
		if (codes[i] == code)
			return refuse(setting, item, text, "is listed twice");
	}
	if (*count == setting->key->high) {
		snprintf(why, sizeof(why), "is one too many, at most %" PRIu64 " are possible",
			setting->key->high);
		return refuse(setting, item, text, why);
	}
	codes[(*count)++] = code;
	return true;
}

static bool set_codes(const struct fleet_setting *setting)
{
	uint16_t codes[HERD_CODES_MAX] = {0};
	uint8_t count = 0;
	bool good = true, none = setting->count == 1 && strcmp(setting->item->text, "none") == 0;
	for (size_t i = 0; i < setting->count && !none; i++) {
		const char *rest = setting->item[i].text;
		char piece[FLEET_VALUE_MAX];
		while (next_piece(&rest, piece))
			good &= add_code(setting, &setting->item[i], piece, codes, &count);
	}
	if (!good)
		return false;
	memcpy(field_of(setting), codes, setting->key->high * sizeof(codes[0]));
	*((uint8_t *)setting->fleet + setting->key->count_offset) = count;
	return true;
}

/* Why a range is none; text is what stands before the ports. */
static const char *range_refusal(const char *text)
{
	struct address_plan plan;
	bool is_prefix = strchr(text, '/') != NULL;
	switch (address_plan_parse(text, &plan)) {
	case 0:
		return "has wrong ports, write ' ports 10000-59999', within 1024 to 65535 and the "
		       "smaller one first";
	case -ERANGE:
		return is_prefix ? "has a longer prefix than its address has bits"
				 : "ends before it begins";
	default:
		return is_prefix
			       ? "is no prefix, write it like 10.20.0.0/15, with zeros behind the "
				 "prefix's bits"
			       : "is no range of addresses, write 10.20.0.0/15 or "
				 "10.20.0.1-10.20.0.4, and perhaps ' ports 10000-59999' behind it";
	}
}

static bool is_plan(const struct fleet_setting *setting, const struct fleet_item *item,
	const char *text, uint8_t *family)
{
	struct address_plan plan;
	char range[FLEET_TEXT_MAX];
	if (strlen(text) >= FLEET_TEXT_MAX)
		return refuse(setting, item, text, "is longer than 255 bytes");
	if (address_plan_parse(text, &plan) == 0) {
		*family = plan.family;
		return true;
	}
	snprintf(range, sizeof(range), "%.*s", (int)strcspn(text, " \t"), text);
	return refuse(setting, item, text, range_refusal(range));
}

static bool add_range(const struct fleet_setting *setting, const struct fleet_item *item,
	const char *text, char out[ADDRESS_FAMILIES][FLEET_TEXT_MAX])
{
	struct address address;
	char canonical[ADDRESS_TEXT_MAX], why[96];
	uint8_t family = ADDRESS_IPV4;
	const char *keep = text;
	if (setting->key->kind == KIND_GATEWAY) {
		if (address_parse(text, &address) != 0)
			return refuse(setting, item, text, "is not an IPv4 or IPv6 address");
		family = address.family;
		address_format(&address, canonical);
		keep = canonical;
	} else if (!is_plan(setting, item, text, &family)) {
		return false;
	}
	if (out[family][0] != '\0') {
		snprintf(why, sizeof(why),
			"is a second one for %s, only one per family is possible",
			family == ADDRESS_IPV4 ? "IPv4" : "IPv6");
		return refuse(setting, item, text, why);
	}
	memcpy(out[family], keep, strlen(keep) + 1); /* shorter than FLEET_TEXT_MAX, as checked */
	return true;
}

static bool set_ranges(const struct fleet_setting *setting)
{
	char text[ADDRESS_FAMILIES][FLEET_TEXT_MAX] = {{0}};
	bool good = true, none = setting->count == 1 && setting->item->text[0] == '\0';
	for (size_t i = 0; i < setting->count && !none; i++) {
		const char *rest = setting->item[i].text;
		char piece[FLEET_VALUE_MAX];
		while (next_piece(&rest, piece))
			good &= add_range(setting, &setting->item[i], piece, text);
	}
	if (!good)
		return false;
	size_t size = setting->key->size / ADDRESS_FAMILIES;
	memset(field_of(setting), 0, setting->key->size);
	for (size_t family = 0; family < ADDRESS_FAMILIES; family++)
		memcpy((char *)field_of(setting) + family * size, text[family], size - 1);
	if (setting->key->kind == KIND_SOURCE)
		memset(setting->fleet->source_derived, 0, sizeof(setting->fleet->source_derived));
	return true;
}

/* Host and port of "host", "host:port", "[IPv6]" and "[IPv6]:port". NULL, or what is wrong. */
static const char *split_proxy(char *text, char **host, char **port)
{
	*host = text;
	*port = NULL;
	char *colon = strchr(text, ':');
	if (text[0] == '[') {
		char *end = strchr(text, ']');
		if (end == NULL)
			return "has no closing bracket";
		if (end[1] != ':' && end[1] != '\0')
			return "has something else than :port behind the bracket";
		colon = end[1] == ':' ? end + 1 : NULL;
	} else if (colon != NULL && strchr(colon + 1, ':') != NULL) {
		return "is IPv6 without brackets, write [2001:db8::2]:5060";
	}
	if (colon == NULL)
		return NULL;
	*colon = '\0';
	*port = colon + 1;
	if (**host == '\0')
		return "has a port but no host";
	return NULL;
}

static bool set_below(const struct fleet_setting *setting, const char *leaf, const char *text)
{
	char path[64];
	snprintf(path, sizeof(path), "%s.%s", setting->key->path, leaf);
	struct fleet_item item = *setting->item;
	item.text = text;
	struct fleet_setting below = *setting;
	below.key = fleet_key_find(path);
	below.item = &item;
	return fleet_key_set(&below);
}

static bool set_proxy(const struct fleet_setting *setting)
{
	char text[FLEET_VALUE_MAX], *host, *port;
	snprintf(text, sizeof(text), "%s", setting->item->text);
	const char *reason = split_proxy(text, &host, &port);
	if (reason != NULL)
		return refuse(setting, setting->item, setting->item->text, reason);
	bool good = set_below(setting, "host", host);
	return set_below(setting, "port", port != NULL ? port : "5060") && good;
}

/* A command line is for all users of the host to see, hence no password there. The URL itself is
 * never repeated: anything in it may be the password. */
static bool set_store(const struct fleet_setting *setting)
{
	struct fleet_where where = {setting->path, setting->item->line, setting->item->column};
	struct target target = {0};
	char reason[TARGET_REASON_MAX];
	const char *text = setting->item->text;
	bool good = false;
	if (!fleet_text_ok(text, strlen(text)))
		fleet_error(setting->messages, &where,
			"%s: holds control characters or is not UTF-8", setting->name);
	else if (target_parse(text, &target, reason) != 0)
		fleet_error(setting->messages, &where, "%s: %s", setting->name, reason);
	else if (setting->origin == FLEET_FROM_COMMAND && target.password[0] != '\0')
		fleet_error(setting->messages, &where,
			"%s: the URL holds a password, and ps shows command lines to everybody; "
			"leave it out and name a file with it in SIPHERD_STORE_PASSWORD_FILE, or "
			"give it in SIPHERD_STORE_PASSWORD, or the whole URL in SIPHERD_STORE or "
			"the fleet file",
			setting->name);
	else
		good = true;
	if (good)
		memcpy(field_of(setting), &target, sizeof(target));
	explicit_bzero(&target, sizeof(target));
	return good;
}

static bool set_by_kind(const struct fleet_setting *setting)
{
	switch (setting->key->kind) {
	case KIND_TEXT:
	case KIND_HOST:
		return set_text(setting);
	case KIND_WORD:
		return set_word(setting);
	case KIND_CHOICE:
		return set_choice(setting);
	case KIND_SWITCH:
		return set_switch(setting);
	case KIND_CODES:
		return set_codes(setting);
	case KIND_SOURCE:
	case KIND_GATEWAY:
		return set_ranges(setting);
	case KIND_PROXY:
		return set_proxy(setting);
	case KIND_STORE:
		return set_store(setting);
	default:
		return set_number(setting);
	}
}

bool fleet_key_set(const struct fleet_setting *setting)
{
	for (size_t i = 0; i < setting->count; i++) {
		if (strlen(setting->item[i].text) >= FLEET_VALUE_MAX)
			return refuse(setting, &setting->item[i], setting->item[i].text,
				"is longer than 4095 bytes");
	}
	if (!set_by_kind(setting))
		return false;
	struct fleet_place *place = fleet_place(setting->fleet, setting->key);
	*place = (struct fleet_place){0};
	bool empty = setting->count == 0 || setting->item->text[0] == '\0';
	if (empty && (setting->key->flags & FLEET_EMPTY_UNSETS) != 0)
		return true;
	place->origin = setting->origin;
	place->line = setting->count > 0 ? setting->item->line : 0;
	place->column = setting->count > 0 ? setting->item->column : 0;
	return true;
}

static void text_of_codes(const struct fleet *fleet, const struct fleet_key *key, char *out)
{
	uint8_t count = *((const uint8_t *)fleet + key->count_offset);
	const uint16_t *code = (const uint16_t *)((const char *)fleet + key->offset);
	size_t used = 0;
	if (count == 0)
		snprintf(out, FLEET_VALUE_MAX, "none");
	for (uint8_t i = 0; i < count; i++)
		used += (size_t)snprintf(
			out + used, FLEET_VALUE_MAX - used, "%s%u", i == 0 ? "" : ", ", code[i]);
}

static void text_of_ranges(const struct fleet *fleet, const struct fleet_key *key, char *out)
{
	size_t used = 0, size = key->size / ADDRESS_FAMILIES;
	const char *text = (const char *)fleet + key->offset;
	out[0] = '\0';
	for (size_t family = 0; family < ADDRESS_FAMILIES; family++, text += size) {
		bool derived = key->kind == KIND_SOURCE && fleet->source_derived[family];
		if (text[0] != '\0' && !derived)
			used += (size_t)snprintf(out + used, FLEET_VALUE_MAX - used, "%s%s",
				used == 0 ? "" : ", ", text);
	}
}

static void text_of_proxy(const struct fleet *fleet, const struct fleet_key *key, char *out)
{
	const struct fleet_proxy *proxy = (const struct fleet_proxy *)((const char *)fleet +
								       key->offset);
	bool brackets = strchr(proxy->host, ':') != NULL;
	if (proxy->host[0] == '\0') {
		out[0] = '\0';
		return;
	}
	snprintf(out, FLEET_VALUE_MAX, "%s%s%s:%u", brackets ? "[" : "", proxy->host,
		brackets ? "]" : "", proxy->port);
}

static void append_encoded(char *out, size_t *used, const char *text)
{
	for (; *text != '\0' && *used + 4 < FLEET_VALUE_MAX; text++) {
		unsigned char c = (unsigned char)*text;
		if (isalnum(c) || strchr("/._-", c) != NULL)
			out[(*used)++] = (char)c;
		else
			*used += (size_t)snprintf(out + *used, 4, "%%%02X", c);
	}
	out[*used] = '\0';
}

static void append_servers(char *out, size_t *used, const struct target *target)
{
	for (unsigned i = 0; i < target->servers && *used < FLEET_VALUE_MAX - 300; i++) {
		const struct target_server *server = &target->server[i];
		bool brackets = strchr(server->host, ':') != NULL;
		*used += (size_t)snprintf(out + *used, FLEET_VALUE_MAX - *used, "%s%s%s%s:%u",
			i == 0 ? "" : ",", brackets ? "[" : "", server->host, brackets ? "]" : "",
			server->port);
	}
}

/* A URL that reads back to the same, but for user and password. */
static void text_of_store(const struct target *target, char *out)
{
	static const char *const begin[] = {
		"embedded", "none", "redis://", "unix:", "redis+sentinel://", "redis+cluster://"};
	bool is_unix = target->kind == TARGET_UNIX;
	const char *db = is_unix ? "?db=" : "/", *path = is_unix ? target->path : "";
	size_t used = (size_t)snprintf(
		out, FLEET_VALUE_MAX, "%s%s", begin[target->kind], path[0] == '/' ? "//" : "");
	append_encoded(out, &used, path);
	append_servers(out, &used, target);
	if (target->kind == TARGET_SENTINEL) {
		out[used++] = '/';
		append_encoded(out, &used, target->master);
	}
	if (target->db != 0)
		snprintf(out + used, FLEET_VALUE_MAX - used, "%s%u", db, target->db);
}

static void text_of_choice(const struct fleet *fleet, const struct fleet_key *key, char *out)
{
	unsigned number;
	uint64_t value = fleet_key_number(fleet, key);
	/* The first name of a number is the one to show. */
	for (size_t i = 0; nth_word(key->words, i, out, FLEET_VALUE_MAX, &number); i++) {
		if (number == value)
			return;
	}
}

void fleet_key_text(
	const struct fleet *fleet, const struct fleet_key *key, char out[FLEET_VALUE_MAX])
{
	switch (key->kind) {
	case KIND_TEXT:
	case KIND_HOST:
	case KIND_WORD:
		snprintf(out, FLEET_VALUE_MAX, "%s", (const char *)fleet + key->offset);
		return;
	case KIND_CHOICE:
		text_of_choice(fleet, key, out);
		return;
	case KIND_SWITCH:
		snprintf(out, FLEET_VALUE_MAX, fleet_key_number(fleet, key) != 0 ? "yes" : "no");
		return;
	case KIND_CODES:
		text_of_codes(fleet, key, out);
		return;
	case KIND_SOURCE:
	case KIND_GATEWAY:
		text_of_ranges(fleet, key, out);
		return;
	case KIND_PROXY:
		text_of_proxy(fleet, key, out);
		return;
	case KIND_STORE:
		text_of_store(&fleet->target, out);
		return;
	default:
		format_number(key, fleet_key_number(fleet, key), out, FLEET_VALUE_MAX);
	}
}
