/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one table of keys: names, kinds, ranges, defaults, help, vendors' words; and what walks it:
 * defaults, lookup, manual, JSON. How values are read is in fleet_value.c, how keys depend on each
 * other in fleet_finish.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fleet_herds.h"
#include "fleet_plan.h"

#define FIELD(field) offsetof(struct fleet, field), sizeof(((struct fleet *)0)->field)
#define CODES(count, field)                                                   \
	offsetof(struct fleet, field), sizeof(((struct fleet *)0)->field[0]), \
		offsetof(struct fleet, count)

static const char *check_name(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	if (text[0] == '\0')
		return "must not be empty";
	return text[strspn(text, allowed)] == '\0'
		       ? NULL
		       : "may hold only letters, digits, '.', '_' and '-'";
}

static bool is_label_text(const char *text)
{
	size_t label = 0;
	for (; *text != '\0'; text++) {
		if (*text == '.' && label == 0)
			return false;
		label = *text == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return true;
}

/* A host name, or an address that reads as one. IPv6 literals stand without brackets here. */
static const char *check_host(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789.-_";
	struct address address;
	if (text[0] == '\0')
		return NULL;
	if (address_parse(text, &address) == 0)
		return NULL;
	if (strchr(text, ':') != NULL)
		return "is not an IPv6 address";
	if (text[strspn(text, "0123456789.")] == '\0')
		return "is not an IPv4 address";
	if (text[strspn(text, allowed)] != '\0')
		return "is not a host name: only letters, digits, '.', '-' and '_' may stand in "
		       "one";
	if (strlen(text) > 253 || !is_label_text(text) || text[0] == '-')
		return "is not a host name";
	return NULL;
}

/* As it stands in a SIP URI: IPv6 literals in brackets. */
static const char *check_domain(const char *text)
{
	size_t length = strlen(text);
	if (text[0] != '[')
		return strchr(text, ':') == NULL ? check_host(text)
						 : "must be a host name or an address, IPv6 in "
						   "brackets, without a port";
	char inner[FLEET_TEXT_MAX];
	struct address address;
	if (length < 3 || text[length - 1] != ']')
		return "has no closing bracket at its end";
	memcpy(inner, text + 1, length - 2);
	inner[length - 2] = '\0';
	if (address_parse(inner, &address) != 0 || address.family != ADDRESS_IPV6)
		return "is not an IPv6 address";
	return NULL;
}

static const char *check_agent(const char *text)
{
	if (text[0] == '\0' || text[0] == ' ')
		return "must begin with a word";
	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c > 126)
			return "may hold only ASCII, as it goes into a SIP header";
	}
	return NULL;
}

static const char *check_realm(const char *text)
{
	return strpbrk(text, "\"\\") == NULL ? NULL : "may not hold quotes or backslashes";
}

static bool is_pci_address(const char *text)
{
	static const char shape[] = "xxxx:xx:xx.x";
	const char *hex = "0123456789abcdefABCDEF";
	/* The domain may be left out, as lspci does. */
	const char *expected = strlen(text) == 7 ? shape + 5 : shape;
	for (; *expected != '\0'; expected++, text++) {
		if (*text == '\0' ||
			(*expected == 'x' ? strchr(hex, *text) == NULL : *text != *expected))
			return false;
	}
	return *text == '\0';
}

static const char *check_link(const char *text)
{
	static const char *const kinds[] = {"tap:", "af_packet:", "af_xdp:"};
	if (strcmp(text, "memory") == 0)
		return NULL;
	if (strncmp(text, "pci:", 4) == 0)
		return is_pci_address(text + 4) ? NULL
						: "is not a PCI address like pci:0000:3b:00.0";
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strncmp(text, kinds[i], strlen(kinds[i])) != 0)
			continue;
		const char *name = text + strlen(kinds[i]);
		if (name[0] == '\0' || strlen(name) > 15 || strpbrk(name, "/ ,=:") != NULL)
			return "does not name an interface: 1 to 15 characters without '/', ',', "
			       "'=', ':' and blanks";
		return NULL;
	}
	return "is no link: one of memory, tap:NAME, af_packet:INTERFACE, af_xdp:INTERFACE, "
	       "pci:ADDRESS";
}

static const char *check_folder(const char *text)
{
	return text[0] == '\0' || text[0] == '/' ? NULL : "is no absolute path, begin it with /";
}

/* Keys of one section stand together; the manual and the writer keep this order. */
const struct fleet_key fleet_keys[] = {
	{"fleet", KIND_TEXT, UNIT_NONE, FLEET_WHOLE, FIELD(name), .value = "fleet",
		.check = check_name, .help = "name of the fleet in reports"},
	{"phones", KIND_COUNT, UNIT_NONE, FLEET_DERIVED, FIELD(phones_wanted), .low = 1,
		.high = FLEET_PHONES_MAX, .value = "1",
		.help = "how many phones, of each herd; not given: the rows of the users file, or "
			"1"},
	{"profile", KIND_CHOICE, UNIT_NONE, 0, FIELD(profile), .value = "audiocodes-400hd",
		.words = "audiocodes-400hd=0 spider-mt505=1 worst-case=2 rfc3263=3 vendor=0",
		.help = "preset for keys that are not given: worst-case has switch_delay 0s, "
			"rfc3263 "
			"switches on 408, 503 and 504"},
	{"user", KIND_TEXT, UNIT_NONE, FLEET_DERIVED | FLEET_EMPTY_UNSETS, FIELD(user), .value = "",
		.help = "pattern of user names: {n} is the phone's number, {n:06} padded to six "
			"digits",
		.hd400 = "voip/line/N/id", .mt505 = "voip/line/N/id"},
	{"auth", KIND_TEXT, UNIT_NONE, FLEET_DERIVED | FLEET_EMPTY_UNSETS, FIELD(auth), .value = "",
		.help = "pattern of authentication names; not given: the user",
		.hd400 = "voip/line/N/auth_name", .mt505 = "voip/line/N/auth_name"},
	{"password", KIND_TEXT, UNIT_NONE, FLEET_DERIVED | FLEET_EMPTY_UNSETS | FLEET_SECRET,
		FIELD(password), .value = "",
		.help = "pattern of passwords, {user} is the user of the same phone",
		.hd400 = "voip/line/N/auth_password", .mt505 = "voip/line/N/auth_password"},
	{"users", KIND_TEXT, UNIT_NONE, FLEET_DERIVED | FLEET_EMPTY_UNSETS, FIELD(users),
		.value = "",
		.help = "CSV file in SIPp's format instead of patterns: user;auth;password, "
			"relative "
			"to the fleet file"},
	{"domain", KIND_TEXT, UNIT_NONE, FLEET_DERIVED | FLEET_EMPTY_UNSETS, FIELD(domain),
		.value = "", .check = check_domain,
		.help = "domain of the addresses of record; not given: the primary proxy's host"},
	{"user_agent", KIND_TEXT, UNIT_NONE, 0, FIELD(user_agent), .value = "sipherd",
		.check = check_agent, .help = "User-Agent header"},
	{"link", KIND_TEXT, UNIT_NONE, FLEET_WHOLE, FIELD(link), .value = "memory",
		.check = check_link,
		.help = "memory, tap:NAME, af_packet:INTERFACE, af_xdp:INTERFACE or pci:ADDRESS"},
	{"workers", KIND_COUNT, UNIT_NONE, FLEET_WHOLE, FIELD(workers), .low = 1, .high = 16,
		.value = "1", .help = "packet threads"},
	{"steering", KIND_CHOICE, UNIT_NONE, FLEET_WHOLE, FIELD(steering), .value = "auto",
		.words = "auto=0 toeplitz=1 placement=2 flow=3 redirect=4",
		.help = "how a frame finds the worker of its phone: by a card's key, by the ports "
			"that "
			"phones have, by rules in the card or the kernel, or handed on by who gets "
			"it; "
			"auto takes the first that can be had"},
	{"source", KIND_SOURCE, UNIT_NONE, FLEET_DERIVED | FLEET_EMPTY_UNSETS, FIELD(source),
		.value = "",
		.help = "the phones' addresses: 10.20.0.0/15, or 10.20.0.1-10.20.0.4 ports "
			"10000-59999; a list has one per family"},
	{"gateway", KIND_GATEWAY, UNIT_NONE, FLEET_DERIVED | FLEET_EMPTY_UNSETS | FLEET_WHOLE,
		FIELD(gateway), .value = "",
		.help = "next hop to the proxies; not given: the proxies are on the link; a list "
			"has "
			"one per family"},
	{"vlan", KIND_COUNT, UNIT_NONE, FLEET_WHOLE, FIELD(vlan), .low = 0, .high = 4094,
		.value = "0", .help = "VLAN of the link, 0: untagged"},
	{"mtu", KIND_COUNT, UNIT_NONE, FLEET_WHOLE, FIELD(mtu), .low = 576, .high = 9216,
		.value = "1500", .help = "largest IP packet in bytes"},
	{"transport", KIND_WORD, UNIT_NONE, FLEET_WHOLE, FIELD(transport), .value = "udp",
		.words = "udp tcp tls", .help = "only udp for now", .hd400 = "transport_protocol",
		.mt505 = "transport_protocol"},

	{"proxies.primary", KIND_PROXY, UNIT_NONE, FLEET_DERIVED, FIELD(proxy[0]), .value = "",
		.help = "host, host:port, [IPv6]:port, or a map of host and port"},
	{"proxies.primary.host", KIND_HOST, UNIT_NONE, FLEET_DERIVED, FIELD(proxy[0].host),
		.value = "", .check = check_host, .help = "name or address",
		.hd400 = "proxy_address", .mt505 = "proxy_address"},
	{"proxies.primary.port", KIND_COUNT, UNIT_NONE, 0, FIELD(proxy[0].port), .low = 1024,
		.high = 65535, .value = "5060", .help = "UDP port", .hd400 = "proxy_port",
		.mt505 = "proxy_port"},
	{"proxies.redundant", KIND_PROXY, UNIT_NONE, FLEET_DERIVED, FIELD(proxy[1]), .value = "",
		.help = "the same; empty or 0.0.0.0: none"},
	{"proxies.redundant.host", KIND_HOST, UNIT_NONE, FLEET_DERIVED, FIELD(proxy[1].host),
		.value = "", .check = check_host, .help = "name or address",
		.hd400 = "redundant_proxy/address", .mt505 = "redundant_proxy_address"},
	{"proxies.redundant.port", KIND_COUNT, UNIT_NONE, 0, FIELD(proxy[1].port), .low = 1024,
		.high = 65535, .value = "5060", .help = "UDP port", .hd400 = "redundant_proxy/port",
		.mt505 = "redundant_proxy_port"},

	{"redundancy.enabled", KIND_SWITCH, UNIT_NONE, FLEET_DERIVED, FIELD(redundancy_wanted),
		.value = "0", .help = "not given: on when there are two proxies",
		.hd400 = "redundant_proxy/mode use_redundant_proxy",
		.mt505 = "use_redundant_proxy"},
	{"redundancy.mode", KIND_CHOICE, UNIT_NONE, 0, FIELD(redundancy_mode),
		.value = "asymmetric",
		.words = "asymmetric=0 symmetric=1 homing=0 parking=1 0=0 1=1",
		.help = "asymmetric (homing) returns to the primary, symmetric (parking) stays",
		.hd400 = "redundant_proxy/symmetric_mode", .mt505 = "redundant_proxy_is_symmetric"},
	{"redundancy.switch_delay", KIND_DURATION, UNIT_MS, 0, FIELD(switch_delay_ms), .low = 0,
		.high = 3600000, .value = "10s",
		.help = "a switch takes effect after a random pause up to this"},
	{"redundancy.icmp", KIND_CHOICE, UNIT_NONE, 0, FIELD(icmp_fails), .value = "ignore",
		.words = "ignore=0 fail=1",
		.help = "fail: ICMP unreachable is silence at once; ignore: it is only counted"},

	{"keepalive.period", KIND_DURATION, UNIT_MS, FLEET_BARE_SECONDS, FIELD(keepalive_period_ms),
		.low = 0, .high = 300000, .value = "60s", .help = "between two OPTIONS, 0: none",
		.hd400 = "redundant_proxy/keepalive_period", .mt505 = "redundant_proxy_ka_period"},
	{"keepalive.jitter", KIND_PERCENT, UNIT_NONE, 0, FIELD(keepalive_jitter_percent), .low = 0,
		.high = 50, .value = "0%", .help = "of period and refresh"},
	{"keepalive.first", KIND_CHOICE, UNIT_NONE, 0, FIELD(keepalive_first), .value = "period",
		.words = "period=0 immediate=1 spread=2",
		.help = "when the first one leaves after a registration"},
	{"keepalive.fail_threshold", KIND_COUNT, UNIT_NONE, 0, FIELD(fail_threshold), .low = 1,
		.high = 10, .value = "1", .help = "silent ones in a row that switch"},
	{"keepalive.success_threshold", KIND_COUNT, UNIT_NONE, 0, FIELD(success_threshold),
		.low = 1, .high = 100, .value = "1", .help = "answers in a row that fail back"},
	{"keepalive.fail_codes", KIND_CODES, UNIT_NONE, 0, CODES(keepalive_codes, keepalive_code),
		.low = 0, .high = HERD_KEEPALIVE_CODES_MAX, .value = "none",
		.help = "answers that count as silence"},

	{"registration.expires", KIND_DURATION, UNIT_S, FLEET_BARE_SECONDS, FIELD(expires_s),
		.low = 0, .high = 86400, .value = "3600s", .help = "asked for in each REGISTER",
		.hd400 = "proxy_timeout", .mt505 = "proxy_timeout"},
	{"registration.retry", KIND_DURATION, UNIT_MS, FLEET_BARE_SECONDS, FIELD(retry_ms),
		.low = 1000, .high = 86400000, .value = "60s",
		.help = "pause after a refused registration",
		.hd400 = "registration_failed_timeout", .mt505 = "registration_failed_timeout"},
	{"registration.refresh", KIND_FRACTION, UNIT_NONE, 0, FIELD(refresh_permille), .low = 50,
		.high = 950, .value = "0.5",
		.help = "when to refresh, as a fraction of the granted expiry"},
	{"registration.unregister", KIND_SWITCH, UNIT_NONE, FLEET_PHONE_INVERTED, FIELD(unregister),
		.value = "0", .help = "send Expires 0 at a planned reboot and at the end",
		.hd400 = "unregister_on_voip_reload"},
	{"registration.fail_codes", KIND_CODES, UNIT_NONE, 0, CODES(register_codes, register_code),
		.low = 0, .high = HERD_CODES_MAX, .value = "none",
		.help = "answers to REGISTER that switch"},
	{"registration.backoff", KIND_CHOICE, UNIT_NONE, 0, FIELD(backoff_rfc5626), .value = "none",
		.words = "none=0 rfc5626=1", .help = "while both proxies are dead"},

	{"timers.t1", KIND_DURATION, UNIT_MS, 0, FIELD(t1_ms), .low = 100, .high = 60000,
		.value = "500ms", .help = "RFC 3261: first retransmission interval",
		.hd400 = "sip_t1", .mt505 = "sip_t1"},
	{"timers.t2", KIND_DURATION, UNIT_MS, 0, FIELD(t2_ms), .low = 4000, .high = 60000,
		.value = "4s", .help = "RFC 3261: longest retransmission interval",
		.hd400 = "sip_t2", .mt505 = "sip_t2"},
	{"timers.t4", KIND_DURATION, UNIT_MS, 0, FIELD(t4_ms), .low = 5000, .high = 60000,
		.value = "5s", .help = "RFC 3261: how long a datagram may live in the network",
		.hd400 = "sip_t4", .mt505 = "sip_t4"},
	{"timers.no_response", KIND_DURATION, UNIT_MS, FLEET_DERIVED, FIELD(no_response_ms),
		.low = 100, .high = 64000, .value = "32s",
		.help = "when a request counts as not answered; not given: 64 times t1",
		.hd400 = "outgoing_request_no_response_timeout_ms",
		.mt505 = "outgoing_request_no_response_timeout_ms"},

	{"ramp", KIND_RATE, UNIT_NONE, FLEET_WHOLE, FIELD(ramp_per_s), .low = 0,
		.high = FLEET_PHONES_MAX, .value = "1000/s",
		.help = "phones switched on per second, none: all at once"},

	{"store", KIND_STORE, UNIT_NONE, FLEET_WHOLE, FIELD(target), .value = "embedded",
		.help = "Redis that holds the phones' states and lets generators share them: "
			"redis://HOST:PORT/DB, unix:PATH, redis+sentinel://HOST,HOST/MASTER, "
			"redis+cluster://HOST; embedded: a private redis-server; none: no store "
			"and "
			"no image file. USER:PASSWORD@ may stand before the host, or the password "
			"in "
			"the file that SIPHERD_STORE_PASSWORD_FILE names or in "
			"SIPHERD_STORE_PASSWORD"},
	{"state", KIND_TEXT, UNIT_NONE, FLEET_DERIVED | FLEET_EMPTY_UNSETS | FLEET_WHOLE,
		FIELD(state), .value = "", .check = check_folder,
		.help = "folder of the image file, from which a restarted herd goes on, and of the "
			"embedded store; not given: /dev/shm/sipherd, with -UID for others than "
			"root. A folder on a disk outlives the host's restart, but workers wait "
			"for the disk now and then"},
	{"fence", KIND_CHOICE, UNIT_NONE, FLEET_WHOLE, FIELD(fence_strict), .value = "run-on",
		.words = "run-on=0 strict=1",
		.help = "while the store cannot be reached: run-on drives the phones without a "
			"lease, strict lets them be silent rather than twice in the network"},
	{"lease.ttl", KIND_DURATION, UNIT_MS, FLEET_WHOLE, FIELD(lease_ttl_ms), .low = 1000,
		.high = 300000, .value = "10s",
		.help = "a generator that is silent for so long loses its phones to the others; "
			"the "
			"same for all generators of a fleet"},

	{"registrar.realm", KIND_TEXT, UNIT_NONE, FLEET_DERIVED, FIELD(realm), .value = "",
		.check = check_realm,
		.help = "of the built-in registrars' challenge, empty: no digest; not given: the "
			"domain if registrar.digest is given"},
	{"registrar.digest", KIND_WORD, UNIT_NONE, FLEET_DERIVED, FIELD(digest), .value = "md5",
		.words = "md5 sha-256 both", .help = "algorithm of the challenge"},
	{"registrar.nonce_lifetime", KIND_DURATION, UNIT_S, FLEET_BARE_SECONDS,
		FIELD(registrar_nonce_lifetime_s), .low = 1, .high = 86400, .value = "300s",
		.help = "after which the built-in registrars call a nonce stale"},
	{"registrar.min_expires", KIND_DURATION, UNIT_S, FLEET_BARE_SECONDS,
		FIELD(registrar_min_expires_s), .low = 0, .high = 86400, .value = "0s",
		.help = "the built-in registrars answer 423 to less"},
	{"registrar.max_expires", KIND_DURATION, UNIT_S, FLEET_BARE_SECONDS,
		FIELD(registrar_max_expires_s), .low = 1, .high = 86400, .value = "86400s",
		.help = "the built-in registrars grant no more"},
};
const size_t fleet_keys_count = sizeof(fleet_keys) / sizeof(fleet_keys[0]);
static_assert(sizeof(fleet_keys) / sizeof(fleet_keys[0]) <= FLEET_KEYS_MAX,
	"fleet.place has room for every key");

void fleet_defaults(struct fleet *fleet)
{
	*fleet = (struct fleet){0};
	/* The table's own values are right: the unit test sets each of them and asks. */
	struct fleet_report nobody = {0};
	struct fleet_messages messages = {.report = &nobody};
	for (size_t i = 0; i < fleet_keys_count; i++) {
		const struct fleet_key *key = &fleet_keys[i];
		struct fleet_item item = {.text = key->value};
		if (key->kind == KIND_PROXY || key->value[0] == '\0')
			continue;
		fleet_key_set(&(struct fleet_setting){.fleet = fleet,
			.messages = &messages,
			.name = key->path,
			.key = key,
			.item = &item,
			.count = 1,
			.origin = FLEET_NOT_GIVEN});
	}
}

void fleet_free(struct fleet *fleet)
{
	fleet_herds_free(fleet);
	identity_free(fleet->identities);
	fleet->identities = NULL;
	free(fleet->drill);
	fleet->drill = NULL;
	fleet->drills = 0;
	explicit_bzero(fleet->hook, sizeof(fleet->hook));
	explicit_bzero(fleet->target.password, sizeof(fleet->target.password));
}

const struct fleet_key *fleet_key_find(const char *path)
{
	for (size_t i = 0; i < fleet_keys_count; i++) {
		if (strcmp(fleet_keys[i].path, path) == 0)
			return &fleet_keys[i];
	}
	return NULL;
}

bool fleet_is_section(const char *path)
{
	size_t length = strlen(path);
	for (size_t i = 0; i < fleet_keys_count; i++) {
		if (strncmp(fleet_keys[i].path, path, length) == 0 &&
			fleet_keys[i].path[length] == '.')
			return true;
	}
	return false;
}

int fleet_proxy_family(const struct fleet *fleet, enum proxy proxy)
{
	struct address address;
	const char *host = fleet->proxy[proxy].host;
	if (host[0] == '\0' || (proxy == PROXY_REDUNDANT && !fleet->redundancy_enabled))
		return -ENOENT;
	if (address_parse(host, &address) != 0)
		return -EAGAIN;
	return address.family;
}

/* JSON: the table's sections become objects, units become part of the names. */

static const char *json_unit(const struct fleet_key *key)
{
	switch (key->kind) {
	case KIND_DURATION:
		return key->unit == UNIT_MS ? "_ms" : "_s";
	case KIND_PERCENT:
		return "_percent";
	case KIND_FRACTION:
		return "_permille";
	case KIND_RATE:
		return "_per_s";
	default:
		return "";
	}
}

static json_t *json_codes(const struct fleet *fleet, const struct fleet_key *key)
{
	json_t *array = json_array();
	uint8_t count = *((const uint8_t *)fleet + key->count_offset);
	const uint16_t *code = (const uint16_t *)((const char *)fleet + key->offset);
	for (uint8_t i = 0; i < count; i++)
		json_array_append_new(array, json_integer(code[i]));
	return array;
}

static json_t *json_texts(const char *const *text, const bool *skip)
{
	json_t *array = json_array();
	for (int family = 0; family < ADDRESS_FAMILIES; family++) {
		if (text[family][0] != '\0' && (skip == NULL || !skip[family]))
			json_array_append_new(array, json_string(text[family]));
	}
	return array;
}

static json_t *json_value(const struct fleet *fleet, const struct fleet_key *key)
{
	char text[FLEET_VALUE_MAX];
	switch (key->kind) {
	case KIND_SWITCH:
		return json_boolean(fleet_key_number(fleet, key));
	case KIND_COUNT:
	case KIND_DURATION:
	case KIND_PERCENT:
	case KIND_FRACTION:
	case KIND_RATE:
		return json_integer((json_int_t)fleet_key_number(fleet, key));
	case KIND_CODES:
		return json_codes(fleet, key);
	case KIND_SOURCE:
		return json_texts((const char *const[]){fleet->source[0], fleet->source[1]}, NULL);
	case KIND_GATEWAY:
		return json_texts(
			(const char *const[]){fleet->gateway[0], fleet->gateway[1]}, NULL);
	default:
		fleet_key_text(fleet, key, text);
		return json_string(text);
	}
}

/* The object a dotted path ends in, made on the way; leaf points at the last name. */
static json_t *json_section(json_t *root, const char *path, const char **leaf)
{
	json_t *object = root;
	for (const char *dot; (dot = strchr(path, '.')) != NULL; path = dot + 1) {
		char name[32];
		snprintf(name, sizeof(name), "%.*s", (int)(dot - path), path);
		if (json_object_get(object, name) == NULL)
			json_object_set_new(object, name, json_object());
		object = json_object_get(object, name);
	}
	*leaf = path;
	return object;
}

static void json_keys(const struct fleet *fleet, uint16_t without, json_t *root)
{
	for (size_t i = 0; i < fleet_keys_count; i++) {
		const struct fleet_key *key = &fleet_keys[i];
		const char *leaf;
		char name[64];
		if (key->kind == KIND_PROXY || (key->flags & without) != 0)
			continue;
		json_t *object = json_section(root, key->path, &leaf);
		if (key->flags & FLEET_SECRET) {
			bool has = fleet->identities != NULL
					   ? identity_has_credentials(fleet->identities)
					   : fleet->password[0] != '\0';
			json_object_set_new(object, "has_password", json_boolean(has));
			continue;
		}
		snprintf(name, sizeof(name), "%s%s", leaf, json_unit(key));
		json_object_set_new(object, name, json_value(fleet, key));
	}
	/* In force, not as written. */
	json_object_set_new(root, "phones", json_integer(fleet->phones));
	json_object_set_new(json_object_get(root, "redundancy"), "enabled",
		json_boolean(fleet->redundancy_enabled));
}

json_t *fleet_json(const struct fleet *fleet)
{
	json_t *root = json_object(), *herds = json_array();
	json_keys(fleet, 0, root);
	for (uint32_t h = 0; h < fleet->herds; h++) {
		json_t *herd = json_pack(
			"{s: s, s: i}", "name", fleet->herd[h].name, "first", fleet->herd[h].begin);
		json_keys(&fleet->herd[h], FLEET_WHOLE, herd);
		json_array_append_new(herds, herd);
	}
	if (fleet->herds > 0)
		json_object_set_new(root, "herds", herds);
	else
		json_decref(herds);
	fleet_plan_json(fleet, root);
	return root;
}

static void herd_proxy_fill(const struct fleet *fleet, enum proxy proxy, struct herd_proxy *out)
{
	int family = fleet_proxy_family(fleet, proxy);
	if (family == -ENOENT)
		return;
	const char *host = fleet->proxy[proxy].host;
	bool brackets = family == ADDRESS_IPV6;
	snprintf(out->host, sizeof(out->host), "%s%.*s%s", brackets ? "[" : "", HERD_HOST_MAX - 3,
		host, brackets ? "]" : "");
	out->port = fleet->proxy[proxy].port;
	if (family < 0)
		family = fleet->has_plan[ADDRESS_IPV4] ? ADDRESS_IPV4 : ADDRESS_IPV6;
	/* A name has no address yet: only its family is known, by what the phones have. */
	if (address_parse(host, &out->address) != 0)
		out->address.family = (uint8_t)family;
}

void fleet_herd_config(const struct fleet *of, struct herd_config *out)
{
	const struct fleet *fleet = fleet_largest(of);
	*out = (struct herd_config){
		.fleet_phones = of->begin + of->phones,
		.begin = of->begin,
		.end = of->begin + of->phones,
		.first = of->begin,
		.stride = 1,
		.identities = of->identities,
		.redundancy = {.enabled = fleet->redundancy_enabled,
			.mode = fleet->redundancy_mode,
			.fail_threshold = fleet->fail_threshold,
			.success_threshold = fleet->success_threshold},
		.timers = {.t1_ms = fleet->t1_ms,
			.t2_ms = fleet->t2_ms,
			.t4_ms = fleet->t4_ms,
			.no_response_ms = fleet->no_response_ms},
		.switch_delay_ms = fleet->switch_delay_ms,
		.icmp_fails = fleet->icmp_fails,
		.keepalive_period_ms = fleet->keepalive_period_ms,
		.keepalive_jitter_percent = fleet->keepalive_jitter_percent,
		.keepalive_first = fleet->keepalive_first,
		.keepalive_codes = fleet->keepalive_codes,
		.expires_s = fleet->expires_s,
		.retry_ms = fleet->retry_ms,
		.refresh_permille = fleet->refresh_permille,
		.unregister = fleet->unregister,
		.backoff_rfc5626 = fleet->backoff_rfc5626,
		.register_codes = fleet->register_codes,
		.ramp_per_s = fleet->ramp_per_s,
	};
	memcpy(out->keepalive_code, fleet->keepalive_code, sizeof(out->keepalive_code));
	memcpy(out->register_code, fleet->register_code, sizeof(out->register_code));
	memcpy(out->domain, fleet->domain, sizeof(out->domain));
	memcpy(out->user_agent, fleet->user_agent, sizeof(out->user_agent));
	for (int family = 0; family < ADDRESS_FAMILIES; family++)
		out->plan[family] = fleet->has_plan[family] ? &fleet->plan[family] : NULL;
	herd_proxy_fill(fleet, PROXY_PRIMARY, &out->proxy[PROXY_PRIMARY]);
	herd_proxy_fill(fleet, PROXY_REDUNDANT, &out->proxy[PROXY_REDUNDANT]);
}
