/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fleet file: what a run is, as the user wrote it, checked against PHONE.md's ranges.
 *
 * One table (fleet.c) describes every key: name, kind, unit, range, default, help, vendors' words.
 * The YAML reader, the phone-file importer, the command line's --set, `check`, the man page and the
 * summary's "configuration in force" all walk that same table. Errors name file, line, column, key,
 * value and remedy.
 */
#ifndef SIPHERD_FLEET_H
#define SIPHERD_FLEET_H

#include <jansson.h>
#include <stdio.h>

#include "address.h"
#include "digest.h"
#include "drill_plan.h"
#include "gate.h"
#include "herd.h"
#include "hook.h"
#include "identity.h"
#include "target.h"

#define FLEET_TEXT_MAX 256
#define FLEET_KEYS_MAX 64
#define FLEET_HERDS_MAX 64
#define FLEET_STATE "/dev/shm/sipherd" /* where root's herds keep their state */

struct fleet_proxy {
	char host[FLEET_TEXT_MAX]; /* name or literal, no brackets; empty: none */
	uint16_t port;
};

enum fleet_profile { PROFILE_AUDIOCODES, PROFILE_SPIDER, PROFILE_WORST_CASE, PROFILE_RFC3263 };

/* Where a key was written, by its place in the table: explicit keys win over profiles and derived
 * defaults, and cross-checks can point at them. */
enum fleet_origin {
	FLEET_NOT_GIVEN,
	FLEET_FROM_FILE,
	FLEET_FROM_COMMAND,
	FLEET_FROM_ENVIRONMENT, /* which ps does not show: may hold secrets */
	FLEET_FROM_PHONE
};

struct fleet_place {
	uint32_t line, column; /* 1-based; 0: unknown */
	uint8_t origin;        /* enum fleet_origin */
};

#define FLEET_DRILLS_MAX 64

/* A plan of the file's own: drills one behind the other. */
struct fleet_drill {
	char name[DRILL_NAME_MAX];
	uint32_t requests;
	struct drill_request request[DRILL_REQUESTS_MAX];
	struct fleet_place place[DRILL_REQUESTS_MAX];
};

struct fleet {
	char path[4096];
	char name[64];
	uint32_t phones_wanted; /* as written; `phones` is what is in force */
	uint8_t profile;        /* enum fleet_profile */
	char user[FLEET_TEXT_MAX], auth[FLEET_TEXT_MAX], password[FLEET_TEXT_MAX]; /* patterns */
	char users[4096]; /* CSV path, relative to the fleet file's folder; empty: patterns */
	char domain[FLEET_TEXT_MAX];
	char user_agent[64];
	char link[FLEET_TEXT_MAX];
	char source[ADDRESS_FAMILIES]
		   [FLEET_TEXT_MAX]; /* as written; source may be a list, one per family */
	char gateway[ADDRESS_FAMILIES][ADDRESS_TEXT_MAX]; /* may be a list too */
	uint16_t vlan, mtu;
	unsigned workers;
	uint8_t steering; /* enum wire_steering, as asked for */
	char transport[8];
	struct fleet_proxy proxy[PROXIES];
	bool redundancy_wanted; /* redundancy.enabled as written; redundancy_enabled is what is in
				   force */
	uint8_t redundancy_mode;
	uint32_t switch_delay_ms;
	bool icmp_fails;
	uint32_t keepalive_period_ms;
	uint8_t keepalive_jitter_percent;
	uint8_t keepalive_first;
	uint8_t fail_threshold, success_threshold;
	uint8_t keepalive_codes;
	uint16_t keepalive_code[HERD_KEEPALIVE_CODES_MAX];
	uint32_t expires_s, retry_ms;
	uint16_t refresh_permille;
	bool unregister, backoff_rfc5626;
	uint8_t register_codes;
	uint16_t register_code[HERD_CODES_MAX];
	uint32_t t1_ms, t2_ms, t4_ms, no_response_ms;
	uint32_t ramp_per_s; /* 0: all at once */
	/* The store's password is in `target` alone: no text that is made from a fleet shows it. */
	struct target target;
	char state[FLEET_TEXT_MAX]; /* folder of the image file and the embedded store */
	bool fence_strict;
	uint32_t lease_ttl_ms;
	/* the built-in registrars of `demo`, `registrar` and the memory link */
	char realm[FLEET_TEXT_MAX]; /* empty: no digest */
	char digest[16];            /* md5, sha-256, both */
	uint32_t registrar_nonce_lifetime_s;
	uint32_t registrar_min_expires_s, registrar_max_expires_s;
	struct fleet_place place[FLEET_KEYS_MAX];
	struct fleet_drill *drill; /* `drills:`, freed by fleet_free */
	uint32_t drills, hooks, gates;
	struct hook hook[HOOKS_MAX]; /* never shown but by their names: they may hold secrets */
	struct gate gate[GATES_MAX];
	/* `herds:` as written: of each entry the keys that have a place; freed by fleet_free. 0: the
	 * fleet is one herd, and that is this struct. */
	uint32_t herds;
	struct fleet *entry;
	/* made from the above by fleet_finish */
	uint32_t phones;    /* of all herds together */
	uint32_t begin;     /* of a herd: the index of its first phone in the fleet */
	struct fleet *herd; /* [herds], complete; what the fleet gives is the same in all */
	bool redundancy_enabled;
	bool source_derived[ADDRESS_FAMILIES]; /* source[] was not written but chosen by
						  fleet_finish */
	struct address_plan plan[ADDRESS_FAMILIES];
	bool has_plan[ADDRESS_FAMILIES];
	struct identity_set *identities;
	bool imported_rows; /* identities are rows of several phone files: fleet_write_users saves
			       them */
	unsigned unknown_keys; /* of a phone file: counted, never an error */
};

/* Messages go to a callback so that `check` can show them all and tests can compare them. */
struct fleet_report {
	void *context;
	void (*error)(void *context, const char *message); /* "file:line:column: ..." */
	void (*warning)(void *context, const char *message);
};

/* fleet_read, fleet_parse and fleet_import begin with this themselves; only a fleet that is made
 * with fleet_set alone needs it. It overwrites everything and frees nothing. */
void fleet_defaults(struct fleet *fleet);

/* Read, check and finish a fleet file. Every error found is reported, not only the first; keys are
 * checked against each other once each is right by itself. At most 20 errors and 20 warnings are
 * reported one by one. 0, -EINVAL or -errno of reading (either way errors were reported). After an
 * error only fleet_free may be called. */
int fleet_read(struct fleet *fleet, const char *path, const struct fleet_report *report);
/* The same from memory; path is only for messages and for finding `users:`. */
int fleet_parse(struct fleet *fleet, const char *path, const char *text, size_t length,
	const struct fleet_report *report);

/* One key from the command line: "keepalive.period=2s". Call fleet_finish afterwards. */
int fleet_set(struct fleet *fleet, const char *assignment, const struct fleet_report *report);

/* The same for an option that stands for one key: "--store", or "SIPHERD_STORE" where it comes from
 * the environment. */
int fleet_set_option(struct fleet *fleet, const char *key, const char *value, const char *option,
	bool from_environment, const struct fleet_report *report);

/* Cross-checks, profile, plans, identities. fleet_read does it; needed again after fleet_set. Keys
 * that were not given get their derived defaults anew. A proxy may be a host name: its family is
 * unknown until it is resolved, and only then does it show whether a plan of that family is there.
 */
int fleet_finish(struct fleet *fleet, const struct fleet_report *report);

/* Family of a proxy's literal address (enum address_family); -EAGAIN: a name, not resolved yet;
 * -ENOENT: there is no such proxy. */
int fleet_proxy_family(const struct fleet *fleet, enum proxy proxy);

/* Phone configuration files of both vendors, one or more, later lines win. Fills the same struct
 * and finishes it. One file gives one phone, by user, auth and password; several files give one
 * phone each, as rows in `identities` (imported_rows), with the settings they share; where they
 * differ the last one wins, with a warning. `link` stays `memory` until somebody says otherwise. */
int fleet_import(struct fleet *fleet, const char *const *paths, size_t count,
	const struct fleet_report *report);
int fleet_import_text(struct fleet *fleet, const char *path, const char *text, size_t length,
	const struct fleet_report *report);

/* Write a fleet file that reads back to the same struct (with the users file beside it where there
 * is one; set `users` to its name before writing, when identities are rows of several phone files).
 * Only keys that differ from the defaults, with their vendors' names in comments. */
int fleet_write(const struct fleet *fleet, FILE *out);

/* Write the rows of `identities` as a users file: SIPp's injection format, see fleet_users.c. */
int fleet_write_users(const struct fleet *fleet, FILE *out);

/* Configuration in force without secrets, units in names, for the summary. */
json_t *fleet_json(const struct fleet *fleet);

/* The herds of a fleet, one at least, in the order of their phones. */
static inline uint32_t fleet_herds(const struct fleet *fleet)
{
	return fleet->herds > 0 ? fleet->herds : 1;
}

static inline const struct fleet *fleet_herd(const struct fleet *fleet, uint32_t herd)
{
	return fleet->herds > 0 ? &fleet->herd[herd] : fleet;
}

/* The herd of this phone of the fleet. */
const struct fleet *fleet_herd_of(const struct fleet *fleet, uint32_t phone);

/* The herd with the most phones: what is said of the fleet as a whole goes by it. */
const struct fleet *fleet_largest(const struct fleet *fleet);

/* Whether herds differ in when they keep alive, switch, register or give up. */
bool fleet_is_mixed(const struct fleet *fleet);

/* The herd's view: all of it but first, stride, seed and secret, which are the caller's (first 0,
 * stride 1 are filled in). A proxy that is a host name gets the family of the plan there is, IPv4
 * before IPv6, and no address: the caller fills that in when the name is resolved. Of a fleet of several
 * herds this is for each of them; for the fleet itself it is the largest one's, of all phones. */
void fleet_herd_config(const struct fleet *fleet, struct herd_config *out);

/* One line per key: name, range, default, help, vendors' words, as roff or plain text. */
void fleet_describe_keys(FILE *out, bool roff);

void fleet_free(struct fleet *fleet);

#endif
