/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fleet files, phone files, users files: the good ones mean what they say, each bad one of
 * tests/bad/ gives exactly the messages beside it, and what is written reads back.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "fleet_same.h"

/* What was said, one message per line. */
struct said {
	char errors[65536], warnings[65536];
};

static struct said said;
static struct fleet fleet, other;

static void append(char out[65536], const char *message)
{
	size_t used = strlen(out);
	assert_true(used + strlen(message) + 2 < 65536);
	sprintf(out + used, "%s\n", message);
}

static void note_error(void *context, const char *message)
{
	append(((struct said *)context)->errors, message);
}

static void note_warning(void *context, const char *message)
{
	append(((struct said *)context)->warnings, message);
}

static const struct fleet_report report = {&said, note_error, note_warning};

static void silence(void)
{
	said.errors[0] = said.warnings[0] = '\0';
}

static int parse(const char *text)
{
	silence();
	fleet_free(&fleet);
	return fleet_parse(&fleet, "fleet.yaml", text, strlen(text), &report);
}

static int import_text(const char *text)
{
	silence();
	fleet_free(&fleet);
	return fleet_import_text(&fleet, "phone.cfg", text, strlen(text), &report);
}

static void read_sample(const char *name)
{
	silence();
	fleet_free(&fleet);
	int error = fleet_read(&fleet, name, &report);
	assert_string_equal(said.errors, "");
	assert_int_equal(error, 0);
}

/* Good files */

static void the_issues_example_is_accepted(void **state)
{
	(void)state;
	read_sample("samples/issue2.yaml");
	assert_string_equal(fleet.name, "hq-phones");
	assert_int_equal(fleet.phones, 100000);
	assert_string_equal(fleet.link, "af_packet:veth0");
	assert_string_equal(fleet.domain, "lab.example.net");
	assert_int_equal(fleet.proxy[0].port, 5060);
	assert_int_equal(fleet_proxy_family(&fleet, PROXY_PRIMARY), ADDRESS_IPV4);
	assert_int_equal(fleet_proxy_family(&fleet, PROXY_REDUNDANT), ADDRESS_IPV6);
	assert_true(fleet.redundancy_enabled);
	assert_int_equal(fleet.switch_delay_ms, 10000);
	assert_int_equal(fleet.no_response_ms, 32000);
	assert_int_equal(fleet.ramp_per_s, 2000);
	/* The IPv6 proxy needs IPv6 phones: a range that was not written, said aloud. */
	assert_true(fleet.source_derived[ADDRESS_IPV6]);
	assert_non_null(strstr(said.warnings,
		"samples/issue2.yaml:10:48: proxies.redundant: is IPv6, but source has no IPv6 "
		"range: "
		"taking 2001:db8::5e1f:0:1-2001:db8::5e1f:1:86a8 from its own /64"));
	assert_true(address_plan_capacity(&fleet.plan[ADDRESS_IPV6]) >= fleet.phones);
	/* The gateway is inside the range and belongs to nobody else. */
	struct address gateway;
	address_parse("10.20.0.1", &gateway);
	assert_false(address_plan_contains(&fleet.plan[ADDRESS_IPV4], &gateway));
	char user[IDENTITY_TEXT_MAX];
	assert_int_equal(identity_user(fleet.identities, 99999, user), 7);
	assert_memory_equal(user, "2099999", 7);
}

static void every_key_is_read(void **state)
{
	(void)state;
	struct herd_config herd;
	read_sample("samples/every-key.yaml");
	for (size_t i = 0; i < fleet_keys_count; i++) {
		const char *path = fleet_keys[i].path;
		/* Instead of a pattern; and one proxy of the sample is a map. */
		if (strcmp(path, "users") != 0 && strcmp(path, "proxies.primary") != 0 &&
			strcmp(path, "proxies.redundant") != 0 && !fleet_given(&fleet, path))
			fail_msg("%s is not in the sample", path);
	}
	fleet_herd_config(&fleet, &herd);
	assert_int_equal(herd.fleet_phones, 1500);
	assert_int_equal(herd.stride, 1);
	assert_string_equal(herd.proxy[0].host, "[2001:db8::1]");
	assert_int_equal(herd.proxy[0].port, 5070);
	assert_int_equal(herd.proxy[0].address.family, ADDRESS_IPV6);
	assert_string_equal(herd.proxy[1].host, "proxy2.example.net");
	assert_int_equal(herd.proxy[1].address.family, ADDRESS_IPV4);
	assert_ptr_equal(herd.plan[ADDRESS_IPV4], &fleet.plan[ADDRESS_IPV4]);
	assert_true(herd.redundancy.enabled);
	assert_int_equal(herd.redundancy.mode, MODE_SYMMETRIC);
	assert_int_equal(herd.redundancy.fail_threshold, 2);
	assert_int_equal(herd.redundancy.success_threshold, 3);
	assert_int_equal(herd.switch_delay_ms, 2000);
	assert_true(herd.icmp_fails);
	assert_int_equal(herd.keepalive_period_ms, 30000);
	assert_int_equal(herd.keepalive_jitter_percent, 10);
	assert_int_equal(herd.keepalive_first, KEEPALIVE_FIRST_SPREAD);
	assert_int_equal(herd.keepalive_codes, 2);
	assert_int_equal(herd.keepalive_code[0], 503);
	assert_int_equal(herd.keepalive_code[1], 480);
	assert_int_equal(herd.expires_s, 7200);
	assert_int_equal(herd.retry_ms, 90000);
	assert_int_equal(herd.refresh_permille, 750);
	assert_true(herd.unregister);
	assert_true(herd.backoff_rfc5626);
	/* Written as none, which wins over the profile's codes. */
	assert_int_equal(herd.register_codes, 0);
	assert_int_equal(herd.timers.t1_ms, 250);
	assert_int_equal(herd.timers.t2_ms, 5000);
	assert_int_equal(herd.timers.t4_ms, 6000);
	assert_int_equal(herd.timers.no_response_ms, 10000);
	assert_int_equal(herd.ramp_per_s, 2500);
	assert_string_equal(herd.domain, "voip.example.net");
	assert_string_equal(herd.user_agent, "AUDC-IPPhone/2.2 sipherd");
	assert_string_equal(fleet.realm, "voip");
	assert_string_equal(fleet.digest, "both");
	assert_int_equal(fleet.registrar_min_expires_s, 30);
	assert_int_equal(fleet.registrar_max_expires_s, 7200);
	assert_int_equal(fleet.registrar_nonce_lifetime_s, 900);
	assert_int_equal(fleet.vlan, 120);
	assert_int_equal(fleet.mtu, 1400);
	assert_int_equal(fleet.workers, 2);
	assert_int_equal(fleet.steering, 3 /* flow */);
	assert_string_equal(fleet.transport, "udp");
	assert_int_equal(fleet.target.kind, TARGET_SENTINEL);
	assert_int_equal(fleet.target.servers, 2);
	assert_string_equal(fleet.target.server[1].host, "2001:db8:30::1");
	assert_int_equal(fleet.target.server[1].port, 26380);
	assert_string_equal(fleet.target.master, "main");
	assert_int_equal(fleet.target.db, 2);
	assert_string_equal(fleet.target.user, "herd");
	assert_string_equal(fleet.target.password, "very-secret");
	assert_string_equal(fleet.state, "/var/tmp/sipherd");
	assert_true(fleet.fence_strict);
	assert_int_equal(fleet.lease_ttl_ms, 4000);
}

static void plans_hooks_and_gates_are_read(void **state)
{
	(void)state;
	read_sample("samples/every-key.yaml");
	assert_int_equal(fleet.drills, 2);
	const struct fleet_drill *drill = &fleet.drill[0];
	assert_string_equal(drill->name, "friday");
	assert_int_equal(drill->requests, 3);
	assert_int_equal(drill->request[0].kind, DRILL_CRASH);
	assert_int_equal(
		drill->request[0].given, 1 << DRILL_PROXY | 1 << DRILL_HOLD | 1 << DRILL_SHARE);
	assert_int_equal(drill->request[0].hold_ms, 120000);
	assert_int_equal(drill->request[0].share_ppm, 125000);
	assert_int_equal(drill->request[0].wait_ms, 0);
	assert_int_equal(drill->request[1].kind, DRILL_BROWN_OUT);
	assert_int_equal(drill->request[1].proxy, PROXY_REDUNDANT);
	assert_int_equal(drill->request[1].wait_ms, 60000);
	assert_int_equal(drill->request[1].jitter_us, 20000);
	assert_int_equal(drill->request[2].wait_ms, 0);
	assert_string_equal(drill->request[2].hook, "stop-primary");
	assert_int_equal(fleet.drill[1].request[0].method, IMPAIRMENT_OPTIONS);
	assert_int_equal(fleet.hooks, 2);
	const struct hook *hook = &fleet.hook[0];
	static const char words[] =
		"/bin/sh\0/a path/with blanks\0\0\"quoted\" \\ and $HOME\0\xc3\xa9";
	assert_string_equal(hook->name, "stop-primary");
	assert_int_equal(hook->run.words, 5);
	assert_memory_equal(hook->run.bytes, words, sizeof(words));
	assert_int_equal(hook->undo.words, 1);
	assert_int_equal(hook->timeout_ms, 1500);
	assert_string_equal(fleet.hook[1].name, "null");
	assert_int_equal(fleet.hook[1].timeout_ms, HOOK_TIMEOUT_MS);
	assert_int_equal(fleet.gates, 4);
	assert_string_equal(fleet.gate[0].text, "outage_p99<=95s");
	assert_string_equal(fleet.gate[3].wave, "fail-back");
}

/* A command may hold a password: only its name may leave the program. */
static void a_hooks_words_are_not_in_the_json(void **state)
{
	(void)state;
	read_sample("samples/every-key.yaml");
	json_t *json = fleet_json(&fleet);
	char *text = json_dumps(json, JSON_COMPACT);
	assert_non_null(strstr(text, "\"hooks\":[\"stop-primary\",\"null\"]"));
	assert_non_null(
		strstr(text, "{\"wait\":\"60s\",\"do\":\"brown-out\",\"proxy\":\"redundant\","
			     "\"hold\":\"90s\",\"loss\":\"20%\",\"delay\":\"5ms\",\"jitter\":"
			     "\"20ms\"}"));
	assert_null(strstr(text, "/bin/sh"));
	assert_null(strstr(text, "blanks"));
	free(text);
	json_decref(json);
}

static void plans_have_their_limits(void **state)
{
	(void)state;
	static char text[65536];
	size_t used = 0;
	for (int i = 0; i <= FLEET_DRILLS_MAX; i++)
		used += (size_t)sprintf(
			text + used, "%s  d%d: [ { do: flap } ]\n", i == 0 ? "drills:\n" : "", i);
	assert_int_equal(parse(text), -EINVAL);
	assert_string_equal(said.errors, "fleet.yaml:66:3: drills: there may be 64 at most\n");
	used = 0;
	for (int i = 0; i <= HOOKS_MAX; i++)
		used += (size_t)sprintf(text + used,
			"%s  h%d: { run: [/bin/sh], undo: [/bin/sh] }\n", i == 0 ? "hooks:\n" : "",
			i);
	assert_int_equal(parse(text), -EINVAL);
	assert_string_equal(said.errors, "fleet.yaml:18:3: hooks: there may be 16 at most\n");
	used = 0;
	for (int i = 0; i <= GATES_MAX; i++)
		used += (size_t)sprintf(
			text + used, "%s  - flaps == 0\n", i == 0 ? "gates:\n" : "");
	assert_int_equal(parse(text), -EINVAL);
	assert_string_equal(said.errors, "fleet.yaml:66:5: gates: there may be 64 at most\n");
	used = 0;
	for (int i = 0; i <= DRILL_REQUESTS_MAX; i++)
		used += (size_t)sprintf(
			text + used, "%s  - { do: flap }\n", i == 0 ? "drills:\n  d:\n" : "");
	assert_int_equal(parse(text), -EINVAL);
	assert_string_equal(said.errors, "fleet.yaml:35:5: drills.d: has more than 32 drills\n");
	assert_int_equal(parse("drills:\nhooks:\ngates:\n"), 0);
	assert_int_equal(fleet.drills + fleet.hooks + fleet.gates, 0);
}

static void the_memory_link_needs_nothing(void **state)
{
	(void)state;
	read_sample("samples/memory.yaml");
	assert_string_equal(said.warnings, "");
	assert_string_equal(fleet.proxy[0].host, "192.0.2.1");
	assert_string_equal(fleet.proxy[1].host, "192.0.2.2");
	assert_true(fleet.redundancy_enabled);
	assert_string_equal(fleet.source[ADDRESS_IPV4], "10.0.0.0/8");
	assert_false(fleet.has_plan[ADDRESS_IPV6]);
	assert_string_equal(fleet.domain, "192.0.2.1");
	assert_int_equal(parse("proxies: { primary: '[2001:db8::1]' }\n"), 0);
	assert_true(fleet.has_plan[ADDRESS_IPV6]);
	assert_false(fleet.has_plan[ADDRESS_IPV4]);
	assert_false(fleet.redundancy_enabled);
	assert_string_equal(fleet.domain, "[2001:db8::1]");
}

static void users_bring_their_number(void **state)
{
	(void)state;
	char text[IDENTITY_TEXT_MAX];
	uint8_t ha1[32];
	read_sample("samples/users.yaml");
	assert_int_equal(fleet.phones, 6);
	assert_int_equal(fleet_proxy_family(&fleet, PROXY_PRIMARY), -EAGAIN);
	assert_int_equal(identity_password(fleet.identities, 0, text), 0);
	assert_int_equal(identity_password(fleet.identities, 1, text), 6);
	assert_memory_equal(text, "secret", 6);
	assert_int_equal(identity_ha1(fleet.identities, 2, ha1), 16);
	assert_int_equal(ha1[0], 0x93);
	assert_int_equal(identity_auth(fleet.identities, 3, text), 4);
	assert_memory_equal(text, "jack", 4);
	assert_int_equal(identity_ha1(fleet.identities, 4, ha1), 32);
	assert_int_equal(identity_password(fleet.identities, 5, text), 3);
	assert_memory_equal(text, "p=w", 3);
}

static void defaults_are_the_tables(void **state)
{
	(void)state;
	static struct fleet given;
	silence();
	fleet_free(&fleet);
	fleet_defaults(&fleet);
	fleet_defaults(&given);
	for (size_t i = 0; i < fleet_keys_count; i++) {
		const struct fleet_key *key = &fleet_keys[i];
		char assignment[256], text[FLEET_VALUE_MAX], range[256];
		if (key->value[0] == '\0')
			continue;
		snprintf(assignment, sizeof(assignment), "%s=%s", key->path, key->value);
		assert_int_equal(fleet_set(&given, assignment, &report), 0);
		fleet_key_text(&given, key, text);
		fleet_key_range(key, false, range, sizeof(range));
		assert_true(range[0] != '\0');
	}
	assert_string_equal(said.errors, "");
	for (size_t i = 0; i < fleet_keys_count; i++) {
		char text[2][FLEET_VALUE_MAX];
		fleet_key_text(&fleet, &fleet_keys[i], text[0]);
		fleet_key_text(&given, &fleet_keys[i], text[1]);
		assert_string_equal(text[0], text[1]);
	}
	/* PHONE.md section 1. */
	assert_int_equal(fleet.keepalive_period_ms, 60000);
	assert_int_equal(fleet.expires_s, 3600);
	assert_int_equal(fleet.retry_ms, 60000);
	assert_int_equal(fleet.t1_ms, 500);
	assert_int_equal(fleet.t2_ms, 4000);
	assert_int_equal(fleet.t4_ms, 5000);
	assert_false(fleet.unregister);
	assert_int_equal(fleet.redundancy_mode, MODE_ASYMMETRIC);
	assert_int_equal(fleet.fail_threshold, 1);
	assert_int_equal(fleet.success_threshold, 1);
	assert_int_equal(fleet.refresh_permille, 500);
	assert_false(fleet.icmp_fails);
	assert_false(fleet.backoff_rfc5626);
}

static void explicit_keys_win_over_the_profile(void **state)
{
	(void)state;
	assert_int_equal(parse("profile: worst-case\n"), 0);
	assert_int_equal(fleet.switch_delay_ms, 0);
	assert_int_equal(parse("profile: worst-case\nredundancy: { switch_delay: 3s }\n"), 0);
	assert_int_equal(fleet.switch_delay_ms, 3000);
	assert_int_equal(parse("redundancy: { switch_delay: 10s }\nprofile: worst-case\n"), 0);
	assert_int_equal(fleet.switch_delay_ms, 10000);
	assert_int_equal(parse("profile: rfc3263\n"), 0);
	assert_int_equal(fleet.register_codes, 3);
	assert_int_equal(fleet.register_code[0], 408);
	assert_int_equal(fleet.register_code[2], 504);
	assert_int_equal(fleet.switch_delay_ms, 10000);
	/* And from the command line, after the file. */
	assert_int_equal(fleet_set(&fleet, "profile=spider-mt505", &report), 0);
	assert_int_equal(fleet_finish(&fleet, &report), 0);
	assert_int_equal(fleet.register_codes, 0);
}

static void derived_defaults_follow(void **state)
{
	(void)state;
	assert_int_equal(
		parse("timers: { t1: 200ms }\nproxies: { primary: sip.example.net }\n"), 0);
	assert_int_equal(fleet.no_response_ms, 12800);
	assert_string_equal(fleet.domain, "sip.example.net");
	assert_int_equal(fleet_set(&fleet, "timers.t1=1s", &report), 0);
	assert_int_equal(fleet_set(&fleet, "proxies.primary=[2001:db8::1]:5070", &report), 0);
	assert_int_equal(fleet_finish(&fleet, &report), 0);
	assert_int_equal(fleet.no_response_ms, 64000);
	assert_string_equal(fleet.domain, "[2001:db8::1]");
	assert_int_equal(fleet.proxy[0].port, 5070);
	/* A proxy without a port has the usual one, not that of the proxy before it. */
	assert_int_equal(fleet_set(&fleet, "proxies.primary=10.0.0.1", &report), 0);
	assert_int_equal(fleet.proxy[0].port, 5060);
	assert_int_equal(parse("registrar: { digest: sha-256 }\ndomain: a.example\n"), 0);
	assert_string_equal(fleet.realm, "a.example");
}

static void redundancy_needs_an_address(void **state)
{
	(void)state;
	assert_int_equal(parse("proxies: { primary: 10.0.0.1, redundant: 10.0.0.2 }\n"), 0);
	assert_true(fleet.redundancy_enabled);
	assert_int_equal(parse("proxies: { primary: 10.0.0.1, redundant: 10.0.0.2 }\n"
			       "redundancy: { enabled: 0 }\n"),
		0);
	assert_false(fleet.redundancy_enabled);
	assert_int_equal(fleet_proxy_family(&fleet, PROXY_REDUNDANT), -ENOENT);
	assert_string_equal(said.warnings, "");
	assert_int_equal(parse("proxies: { primary: 10.0.0.1, redundant: 0.0.0.0 }\n"), 0);
	assert_false(fleet.redundancy_enabled);
	assert_string_equal(said.warnings,
		"fleet.yaml:1:42: redundancy counts as off: proxies.redundant is 0.0.0.0\n");
	assert_int_equal(parse("proxies: { primary: 10.0.0.1, redundant: '' }\n"), 0);
	assert_false(fleet.redundancy_enabled);
	assert_string_equal(said.warnings,
		"fleet.yaml:1:42: redundancy counts as off: proxies.redundant is empty\n");
	/* The wish is not forgotten when the address comes later. */
	assert_int_equal(parse("proxies: { primary: 10.0.0.1, redundant: '::' }\n"
			       "redundancy: { enabled: 1 }\n"),
		-EINVAL);
	assert_int_equal(parse("proxies: { primary: 10.0.0.1, redundant: '[::]' }\n"
			       "redundancy: { enabled: 1 }\n"),
		0);
	assert_false(fleet.redundancy_enabled);
	assert_int_equal(fleet_set(&fleet, "proxies.redundant=10.0.0.2", &report), 0);
	assert_int_equal(fleet_finish(&fleet, &report), 0);
	assert_true(fleet.redundancy_enabled);
}

static void command_line_errors_name_it(void **state)
{
	(void)state;
	static const struct {
		const char *assignment, *message;
	} rows[] = {
		{"keepalive.period",
			"--set: 'keepalive.period' is no assignment, write key=value\n"},
		{"keepalive.perod=2s",
			"--set: unknown key 'keepalive.perod'; did you mean 'keepalive.period'?\n"},
		{"keepalve.period=2s",
			"--set: unknown key 'keepalve.period'; did you mean 'keepalive.period'?\n"},
		{"period=2s", "--set: unknown key 'period'; did you mean 'keepalive.period'?\n"},
		{"hooks.stop.run=/bin/sh",
			"--set: 'hooks.stop.run' stands in the fleet file only\n"},
		{"keepalive=2s",
			"--set: 'keepalive' is a section, name a key in it, keepalive.KEY=VALUE\n"},
		{"keepalive.period=1h",
			"--set: keepalive.period: '1h' is out of range, 0s to 300s\n"},
		{"password=top\tsecret",
			"--set: password: the value holds control characters or is not UTF-8\n"},
		{"source=10.0.0.0/8, 11.0.0.0/8", "--set: source: '11.0.0.0/8' is a second one for "
						  "IPv4, only one per family is "
						  "possible\n"},
	};
	fleet_free(&fleet);
	fleet_defaults(&fleet);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		silence();
		assert_int_equal(fleet_set(&fleet, rows[i].assignment, &report), -EINVAL);
		assert_string_equal(said.errors, rows[i].message);
	}
	silence();
	assert_int_equal(fleet_set(&fleet, "phones=5000000000", &report), -EINVAL);
	assert_int_equal(fleet_set(&fleet, "user=2{n}x{m}", &report), 0);
	silence();
	assert_int_equal(fleet_finish(&fleet, &report), -EINVAL);
	assert_non_null(strstr(said.errors, "--set: user: unknown placeholder"));
}

/* Phones' own files */

static void the_400hd_sample_imports(void **state)
{
	(void)state;
	const char *path = "samples/audiocodes-400hd.cfg";
	char text[IDENTITY_TEXT_MAX];
	silence();
	fleet_free(&fleet);
	assert_int_equal(fleet_import(&fleet, &path, 1, &report), 0);
	assert_string_equal(said.errors, "");
	assert_string_equal(said.warnings, "");
	assert_int_equal(fleet.profile, PROFILE_AUDIOCODES);
	assert_int_equal(fleet.unknown_keys, 14);
	assert_int_equal(fleet.phones, 1);
	assert_string_equal(fleet.user, "2001001");
	assert_string_equal(fleet.auth, "recp#1");
	/* Braces of a password are no pattern. */
	assert_int_equal(identity_password(fleet.identities, 0, text), 8);
	assert_memory_equal(text, "s{3}cret", 8);
	assert_string_equal(fleet.proxy[0].host, "10.10.0.1");
	assert_string_equal(fleet.proxy[1].host, "10.10.0.2");
	assert_int_equal(fleet.proxy[1].port, 5070);
	assert_true(fleet.redundancy_enabled);
	assert_int_equal(fleet.redundancy_mode, MODE_SYMMETRIC);
	assert_int_equal(fleet.keepalive_period_ms, 45000);
	assert_int_equal(fleet.expires_s, 1800);
	assert_int_equal(fleet.retry_ms, 30000);
	assert_int_equal(fleet.no_response_ms, 16000);
	assert_true(fleet.unregister);
}

static void the_mt505_sample_imports(void **state)
{
	(void)state;
	const char *path = "samples/spider-mt505.cfg";
	silence();
	fleet_free(&fleet);
	assert_int_equal(fleet_import(&fleet, &path, 1, &report), 0);
	assert_string_equal(said.errors, "");
	assert_int_equal(fleet.profile, PROFILE_SPIDER);
	assert_int_equal(fleet.unknown_keys, 3);
	assert_string_equal(fleet.user, "2002001");
	assert_string_equal(fleet.proxy[1].host, "10.10.0.2");
	assert_true(fleet.redundancy_enabled);
	assert_int_equal(fleet.redundancy_mode, MODE_ASYMMETRIC);
	assert_int_equal(fleet.keepalive_period_ms, 60000);
}

static void every_spelling_is_known(void **state)
{
	(void)state;
	static const char *const on[] = {"redundant_proxy/mode", "use_redundant_proxy"};
	static const char *const address[] = {"redundant_proxy/address", "redundant_proxy_address",
		"redundant/redundant_proxy_address"};
	static const char *const symmetric[] = {"redundant_proxy/symmetric_mode",
		"redundant_proxy_is_symmetric", "redundant/redundant_proxy_is_symmetric"};
	static const char *const prefix[] = {"", "voip/signalling/sip/"};
	for (unsigned i = 0; i < 36; i++) {
		char text[512];
		const char *p = prefix[i % 2];
		snprintf(text, sizeof(text),
			"%sproxy_address=10.0.0.1\n%s%s=1\n%s%s=10.0.0.2\n%s%s=1\n", p, p,
			on[i / 2 % 2], p, address[i / 4 % 3], p, symmetric[i / 12]);
		assert_int_equal(import_text(text), 0);
		assert_int_equal(fleet.unknown_keys, 0);
		assert_true(fleet.redundancy_enabled);
		assert_string_equal(fleet.proxy[1].host, "10.0.0.2");
		assert_int_equal(fleet.redundancy_mode, MODE_SYMMETRIC);
	}
}

static void phone_files_are_read_as_phones_do(void **state)
{
	(void)state;
	char text[IDENTITY_TEXT_MAX];
	/* Byte order mark, carriage returns, blanks, comments, the last word counts. */
	assert_int_equal(import_text("\xef\xbb\xbfproxy_address=10.0.0.9 # old\r\n"
				     "  proxy_address\t=  10.0.0.1  \r\n#proxy_port=80\r\n"
				     "voip/line/0/id=a#b\r\nfoo/bar=1\nfoo\t=\n"),
		-EINVAL);
	assert_non_null(strstr(said.errors, "phone.cfg:4: user: this character is not allowed"));
	assert_int_equal(import_text("proxy_address=10.0.0.9 # old\r\n"
				     "  proxy_address\t=  10.0.0.1  \r\n#proxy_port=80\r\n"
				     "voip/line/0/id=ab # c\r\nvoip/line/0/auth_password=a#b\r\n"
				     "foo/bar=1\nfoo\t=\n"),
		0);
	assert_string_equal(fleet.proxy[0].host, "10.0.0.1");
	assert_string_equal(fleet.user, "ab");
	assert_int_equal(identity_password(fleet.identities, 0, text), 3);
	assert_int_equal(fleet.unknown_keys, 2);
	/* A redundant address that is none. */
	assert_int_equal(import_text("proxy_address=10.0.0.1\nvoip/line/0/id=1\n"
				     "use_redundant_proxy=1\nredundant_proxy_address=0.0.0.0\n"),
		0);
	assert_false(fleet.redundancy_enabled);
	assert_string_equal(said.warnings,
		"phone.cfg:4: redundancy counts as off: proxies.redundant is 0.0.0.0\n");
	/* Off by the phone's own word: nothing to say. */
	assert_int_equal(import_text("proxy_address=10.0.0.1\nvoip/line/0/id=1\n"
				     "use_redundant_proxy=0\nredundant_proxy_address=0.0.0.0\n"),
		0);
	assert_string_equal(said.warnings, "");
}

static void only_the_first_line_counts(void **state)
{
	(void)state;
	assert_int_equal(
		import_text("proxy_address=10.0.0.1\nvoip/line/2/id=30\n"
			    "voip/line/0/enabled=0\nvoip/line/0/id=10\nvoip/line/1/id=20\n"
			    "voip/line/1/auth_password={\"c2VjcmV0\"}\ninclude other.cfg\n"),
		0);
	assert_string_equal(fleet.user, "20");
	assert_false(identity_has_credentials(fleet.identities));
	assert_string_equal(said.warnings,
		"phone.cfg:6: voip/line/1/auth_password: looks encrypted and is left out, write "
		"the "
		"password into the fleet file\n"
		"phone.cfg:7: include lines are not followed, name 'other.cfg' on the command line "
		"before this file\n"
		"phone.cfg:2: voip/line/2 is left out: a phone of the herd has one line, and "
		"voip/line/1 comes first\n");
}

static void several_files_are_several_phones(void **state)
{
	(void)state;
	const char *const paths[] = {"samples/audiocodes-400hd.cfg", "samples/spider-mt505.cfg"};
	char *text = NULL;
	size_t length;
	silence();
	fleet_free(&fleet);
	assert_int_equal(fleet_import(&fleet, paths, 2, &report), 0);
	assert_string_equal(said.errors, "");
	assert_non_null(
		strstr(said.warnings, "samples/spider-mt505.cfg:15: "
				      "redundant/redundant_proxy_port: '5060' is not what an "
				      "earlier file says, '5070'; all phones get the last one\n"));
	assert_true(fleet.imported_rows);
	assert_int_equal(fleet.phones, 2);
	assert_int_equal(fleet.proxy[1].port, 5060);
	FILE *out = open_memstream(&text, &length);
	assert_int_equal(fleet_write_users(&fleet, out), 0);
	fclose(out);
	assert_string_equal(text, "SEQUENTIAL\n# user;auth name;password\n"
				  "2001001;recp#1;s{3}cret\n2002001;;spider\n");
	free(text);
	/* Finishing once more keeps the rows. */
	assert_int_equal(fleet_set(&fleet, "redundancy.mode=symmetric", &report), 0);
	assert_int_equal(fleet_finish(&fleet, &report), 0);
	assert_int_equal(identity_count(fleet.identities), 2);
}

/* Bad files */

static void load(const char *path, char out[65536])
{
	FILE *in = fopen(path, "r");
	if (in == NULL)
		fail_msg("%s is missing", path);
	out[fread(out, 1, 65535, in)] = '\0';
	fclose(in);
}

static int read_by_kind(const char *name, const char *extension)
{
	char text[512];
	silence();
	fleet_free(&fleet);
	if (strcmp(extension, ".cfg") == 0)
		return fleet_import(&fleet, &name, 1, &report);
	if (strcmp(extension, ".yaml") == 0)
		return fleet_read(&fleet, name, &report);
	snprintf(text, sizeof(text), "users: %s\n", name);
	return fleet_parse(&fleet, "fleet.yaml", text, strlen(text), &report);
}

static void each_bad_file_has_its_message(void **state)
{
	(void)state;
	static char expected[65536];
	unsigned files = 0;
	assert_int_equal(chdir("bad"), 0);
	DIR *folder = opendir(".");
	assert_non_null(folder);
	for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		char path[512];
		const char *dot = strrchr(entry->d_name, '.');
		if (dot == NULL || (strcmp(dot, ".yaml") != 0 && strcmp(dot, ".cfg") != 0 &&
					   strcmp(dot, ".csv") != 0))
			continue;
		snprintf(path, sizeof(path), "%.*s.expected", (int)(dot - entry->d_name),
			entry->d_name);
		load(path, expected);
		int error = read_by_kind(entry->d_name, dot);
		if (error != -EINVAL || strcmp(said.errors, expected) != 0)
			fail_msg("%s: %d, said\n%s, expected\n%s", entry->d_name, error,
				said.errors, expected);
		assert_true(expected[0] != '\0');
		/* No file may get a secret into a message. */
		assert_null(strstr(said.errors, "topsecret"));
		assert_null(strstr(said.warnings, "topsecret"));
		files++;
	}
	closedir(folder);
	assert_int_equal(chdir(".."), 0);
	assert_true(files >= 150);
}

static void unreadable_files_say_so(void **state)
{
	(void)state;
	const char *path = "samples/no-such-file";
	silence();
	fleet_free(&fleet);
	assert_int_equal(fleet_read(&fleet, path, &report), -ENOENT);
	assert_string_equal(
		said.errors, "samples/no-such-file: cannot be read: No such file or directory\n");
	fleet_free(&fleet);
	silence();
	assert_int_equal(fleet_import(&fleet, &path, 1, &report), -ENOENT);
	assert_string_equal(
		said.errors, "samples/no-such-file: cannot be read: No such file or directory\n");
	silence();
	fleet_free(&fleet);
	assert_int_equal(fleet_read(&fleet, "samples", &report), -EISDIR);
	assert_string_equal(said.errors, "samples: cannot be read: Is a directory\n");
}

static void warnings_are_warnings(void **state)
{
	(void)state;
	assert_int_equal(parse("timers: { t1: 10s }\nregistration: { expires: 0 }\n"
			       "gateway: '2001:db8::1'\n"),
		0);
	assert_string_equal(said.warnings,
		"fleet.yaml:3:10: gateway: 2001:db8::1 is not used, there is no IPv6 source\n"
		"fleet.yaml:2:26: registration.expires: with 0 no phone will ever be registered\n"
		"fleet.yaml:1:15: timers.t1: 10000ms is more than timers.t2, 4000ms, which then is "
		"the interval\n");
	/* An address whose phones are in several shards belongs to nobody alone. */
	static const char packed[] = "phones: 30k\nuser: '2{n:06}'\nlink: tap:x\n"
				     "source: 10.0.0.1-10.0.0.9 ports 10000-25999\n"
				     "proxies: { primary: 10.9.0.1 }\n";
	char text[512];
	snprintf(text, sizeof(text), "%sstore: redis://10.9.0.9\n", packed);
	assert_int_equal(parse(text), 0);
	assert_non_null(strstr(said.warnings, "fleet.yaml:4:9: source: 10.0.0.1-10.0.0.9 ports "
					      "10000-25999 packs 16000 phones on one address"));
	assert_int_equal(parse(packed), 0);
	assert_string_equal(said.warnings, "");
	assert_int_equal(parse("phones: 30k\nuser: '2{n:06}'\nlink: tap:x\n"
			       "source: 10.0.0.1-10.0.0.99 ports 10000-10999\n"
			       "proxies: { primary: 10.9.0.1 }\nstore: redis://10.9.0.9\n"),
		0);
	assert_string_equal(said.warnings, "");
}

/* Out again */

static void write_and_read_back(const char *what)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	assert_int_equal(fleet_write(&fleet, out), 0);
	fclose(out);
	silence();
	fleet_free(&other);
	if (fleet_parse(&other, fleet.path, text, length, &report) != 0)
		fail_msg("%s: written as\n%s\n%s", what, text, said.errors);
	const char *difference = fleet_difference(&fleet, &other);
	if (difference != NULL)
		fail_msg("%s: %s differs after\n%s", what, difference, text);
	free(text);
}

static const char three_herds[] =
	"phones: 100\nuser: \"2{n:04}\"\nkeepalive: { period: 2s }\n"
	"source: 10.1.0.0/24\n"
	"herds:\n"
	"  - { name: north, domain: n.example }\n"
	"  - name: south\n"
	"    phones: 50\n"
	"    profile: worst-case\n"
	"    domain: s.example\n"
	"    proxies: { primary: 192.0.2.7:5070 }\n"
	"    source: 10.2.0.0/16\n"
	"  - { name: west, domain: w.example, user: \"9{n}\", keepalive: { period: 1s } }\n"
	"workers: 2\n";

static void herds_have_what_the_fleet_says_and_their_own(void **state)
{
	char user[IDENTITY_TEXT_MAX], text[ADDRESS_TEXT_MAX];
	struct address address;
	uint16_t port;
	(void)state;
	assert_int_equal(parse(three_herds), 0);
	const struct fleet *north = fleet_herd(&fleet, 0), *south = fleet_herd(&fleet, 1),
			   *west = fleet_herd(&fleet, 2);
	assert_int_equal(fleet_herds(&fleet), 3);
	assert_int_equal(fleet.phones, 250);
	assert_int_equal(south->begin, 100);
	assert_int_equal(west->begin, 150);
	assert_int_equal(north->keepalive_period_ms, 2000);
	assert_int_equal(west->keepalive_period_ms, 1000);
	assert_int_equal(north->switch_delay_ms, 10000);
	assert_int_equal(south->switch_delay_ms, 0);
	assert_int_equal(south->proxy[PROXY_PRIMARY].port, 5070);
	assert_true(north->redundancy_enabled && !south->redundancy_enabled);
	assert_ptr_equal(fleet_herd_of(&fleet, 99), north);
	assert_ptr_equal(fleet_herd_of(&fleet, 100), south);
	assert_ptr_equal(fleet_herd_of(&fleet, 249), west);
	/* Users are counted in each herd; of the shared source the second herd takes what follows. */
	assert_int_equal(identity_user(fleet.identities, 149, user), 5);
	assert_memory_equal(user, "20049", 5);
	assert_int_equal(identity_user(fleet.identities, 249, user), 3);
	assert_memory_equal(user, "999", 3);
	address_plan_at(&west->plan[ADDRESS_IPV4], 150, &address, &port);
	address_format(&address, text);
	assert_string_equal(text, "10.1.0.101");
	address_plan_at(&south->plan[ADDRESS_IPV4], 100, &address, &port);
	address_format(&address, text);
	assert_string_equal(text, "10.2.0.1");
	write_and_read_back("three herds");
}

/* What the fleet says of all herds may be said again, and reaches those that say nothing themselves. */
static void herds_follow_the_command_line(void **state)
{
	(void)state;
	assert_int_equal(parse(three_herds), 0);
	assert_int_equal(fleet_set(&fleet, "phones=7", &report), 0);
	assert_int_equal(fleet_set(&fleet, "keepalive.period=5s", &report), 0);
	assert_int_equal(fleet_finish(&fleet, &report), 0);
	assert_int_equal(fleet.phones, 7 + 50 + 7);
	assert_int_equal(fleet.herd[0].keepalive_period_ms, 5000);
	assert_int_equal(fleet.herd[2].keepalive_period_ms, 1000);
	assert_int_equal(fleet_set(&fleet, "herds=2", &report), -EINVAL);
	/* Twice: what was derived for the fleet must not hide what a herd has of its own. */
	assert_int_equal(parse("herds:\n  - { name: a, domain: a.example }\n"
			       "  - { name: b, domain: b.example, source: 10.2.0.0/16 }\n"
			       "  - { name: c, domain: c.example, source: 172.16.0.0/24 }\n"),
		-EINVAL);
	assert_non_null(
		strstr(said.errors, "source: 10.2.0.0/16 of herd b and 10.0.0.0/8 of herd a"));
	assert_int_equal(parse("herds:\n  - { name: a, domain: a.example }\n"
			       "  - { name: c, domain: c.example, source: 172.16.0.0/24 }\n"),
		0);
	assert_int_equal(fleet_finish(&fleet, &report), 0);
	assert_string_equal(fleet.herd[1].source[ADDRESS_IPV4], "172.16.0.0/24");
}

static void samples_read_back(void **state)
{
	(void)state;
	static const char *const names[] = {"samples/issue2.yaml", "samples/every-key.yaml",
		"samples/memory.yaml", "samples/users.yaml"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		read_sample(names[i]);
		write_and_read_back(names[i]);
	}
}

static uint64_t random_state;

static uint64_t random_below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % limit;
}

static const char *pick(const char *const *words, size_t count)
{
	return words[random_below(count)];
}
#define PICK(...)                                \
	pick((const char *const[]){__VA_ARGS__}, \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static const char *random_text(const struct fleet_key *key)
{
	if (strcmp(key->path, "user") == 0)
		return PICK("2{n}", "{n:06}", "a.b+{n}");
	if (strcmp(key->path, "auth") == 0)
		return PICK("", "x y \\'{user}", "{n:03}@home");
	if (strcmp(key->path, "password") == 0)
		return PICK("", "\"quo\\ted\"", "# no: comment",
			"p\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\x91", "\xc2\x85\xe2\x80\xa8\xef\xbb\xbf",
			"{{{n}}}", "~", "yes");
	if (strcmp(key->path, "users") == 0)
		return "";
	if (strcmp(key->path, "domain") == 0)
		return PICK("", "a.example", "10.1.2.3", "[2001:db8::1]");
	if (strcmp(key->path, "link") == 0)
		return PICK("memory", "tap:x0", "pci:3b:00.0", "af_xdp:eth1");
	if (strcmp(key->path, "state") == 0)
		return PICK("", "/var/tmp/a b", "/");
	if (strcmp(key->path, "registrar.realm") == 0)
		return PICK("", "a realm",
			"r\xc3\xa9"
			"alm");
	if (strcmp(key->path, "proxies.primary.host") == 0)
		return PICK("10.9.9.1", "2001:db8:9::1", "a.example");
	if (key->kind == KIND_HOST)
		return PICK("", "0.0.0.0", "10.9.9.2", "2001:db8:9::2", "b.example");
	return PICK("a", "null", "0x1", "1.0");
}

static void random_number(const struct fleet_key *key, char *out, size_t size)
{
	uint64_t high = strcmp(key->path, "phones") == 0 ? 3000 : key->high;
	uint64_t value = key->low + random_below(high - key->low + 1);
	if (strcmp(key->path, "workers") == 0)
		value = 1;
	if (key->kind == KIND_DURATION)
		snprintf(out, size, "%" PRIu64 "%s", value, key->unit == UNIT_MS ? "ms" : "s");
	else if (key->kind == KIND_FRACTION)
		snprintf(out, size, "0.%03" PRIu64, value);
	else if (key->kind == KIND_RATE)
		snprintf(out, size, "%" PRIu64 "%s", value, value == 0 ? "" : "/s");
	else
		snprintf(out, size, "%" PRIu64, value);
}

static void random_value(const struct fleet_key *key, char *out, size_t size)
{
	switch (key->kind) {
	case KIND_TEXT:
	case KIND_HOST:
		snprintf(out, size, "%s", random_text(key));
		return;
	case KIND_WORD:
		snprintf(out, size, "%s",
			strcmp(key->path, "transport") == 0 ? "udp"
							    : PICK("md5", "sha-256", "both"));
		return;
	case KIND_CHOICE: {
		const char *word = key->words;
		for (uint64_t skip = random_below(2); skip > 0; skip--)
			word = strchr(word, ' ') + 1;
		snprintf(out, size, "%.*s", (int)strcspn(word, "="), word);
		return;
	}
	case KIND_SWITCH:
		snprintf(out, size, "%s", PICK("0", "1", "yes", "off"));
		return;
	case KIND_CODES:
		snprintf(out, size, "%s", PICK("none", "503", "408, 503, 504"));
		return;
	case KIND_SOURCE:
		snprintf(out, size, "%s",
			PICK("10.0.0.0/16", "10.0.0.0/16, 2001:db8:5::/64",
				"2001:db8:5::/64,10.0.0.1 ports 2000-9999"));
		return;
	case KIND_STORE:
		snprintf(out, size, "%s",
			PICK("none", "embedded", "redis://a.example", "redis://[::1]:7000/3",
				"unix:/tmp/a%20b%3Fc", "unix:/x?db=4",
				"redis+sentinel://a:1,b.example/main/2",
				"redis+cluster://10.0.0.1:7001"));
		return;
	case KIND_GATEWAY:
		snprintf(out, size, "%s", PICK("", "10.0.0.1", "fe80::1, 10.0.0.1"));
		return;
	default:
		random_number(key, out, size);
	}
}

/* A fleet of random values for a random choice of keys; false when they do not go together. */
static bool random_fleet(void)
{
	char value[256], assignment[512];
	fleet_free(&fleet);
	fleet_defaults(&fleet);
	strcpy(fleet.path, "fleet.yaml");
	silence();
	for (size_t i = 0; i < fleet_keys_count; i++) {
		const struct fleet_key *key = &fleet_keys[i];
		if (key->kind == KIND_PROXY || random_below(2) == 0)
			continue;
		random_value(key, value, sizeof(value));
		snprintf(assignment, sizeof(assignment), "%s=%s", key->path, value);
		if (fleet_set(&fleet, assignment, &report) != 0)
			fail_msg("%s: %s", assignment, said.errors);
	}
	return fleet_finish(&fleet, &report) == 0;
}

static void random_fleets_read_back(void **state)
{
	(void)state;
	unsigned good = 0;
	uint64_t seed = (uint64_t)time(NULL) << 20 | (uint64_t)getpid();
	for (unsigned i = 0; i < 3000; i++) {
		char what[64];
		random_state = seed + i;
		random_below(1);
		if (!random_fleet())
			continue;
		good++;
		snprintf(what, sizeof(what), "seed %" PRIu64, seed + i);
		write_and_read_back(what);
	}
	/* Random keys clash often enough, but most of the time they go together. */
	if (good < 300)
		fail_msg("seed %" PRIu64 ": only %u fleets were good", seed, good);
}

static void json_has_units_and_no_secrets(void **state)
{
	(void)state;
	read_sample("samples/every-key.yaml");
	json_t *json = fleet_json(&fleet);
	assert_non_null(json);
	const char *keepalive[] = {"period_ms", "jitter_percent", "first", "fail_threshold",
		"success_threshold", "fail_codes"};
	for (size_t i = 0; i < sizeof(keepalive) / sizeof(keepalive[0]); i++)
		assert_non_null(json_object_get(json_object_get(json, "keepalive"), keepalive[i]));
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(json, "keepalive"), "period_ms")),
		30000);
	assert_int_equal(json_integer_value(json_object_get(json, "ramp_per_s")), 2500);
	assert_true(json_is_true(json_object_get(json, "has_password")));
	assert_null(json_object_get(json, "password"));
	assert_true(json_is_true(json_object_get(json_object_get(json, "redundancy"), "enabled")));
	char *dump = json_dumps(json, 0);
	assert_null(strstr(dump, "pw-"));
	assert_null(strstr(dump, "very-secret"));
	assert_string_equal(json_string_value(json_object_get(json, "store")),
		"redis+sentinel://10.30.0.1:26379,[2001:db8:30::1]:26380/main/2");
	free(dump);
	json_decref(json);
}

static void the_manual_names_every_key(void **state)
{
	(void)state;
	for (int roff = 0; roff < 2; roff++) {
		char *text = NULL;
		size_t length;
		FILE *out = open_memstream(&text, &length);
		fleet_describe_keys(out, roff == 1);
		fclose(out);
		for (size_t i = 0; i < fleet_keys_count; i++)
			assert_non_null(strstr(text, fleet_keys[i].path));
		assert_non_null(strstr(text, "redundant_proxy_ka_period"));
		free(text);
	}
}

static int free_fleets(void **state)
{
	(void)state;
	fleet_free(&fleet);
	fleet_free(&other);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_issues_example_is_accepted),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(plans_hooks_and_gates_are_read),
		cmocka_unit_test(a_hooks_words_are_not_in_the_json),
		cmocka_unit_test(plans_have_their_limits),
		cmocka_unit_test(the_memory_link_needs_nothing),
		cmocka_unit_test(users_bring_their_number),
		cmocka_unit_test(defaults_are_the_tables),
		cmocka_unit_test(explicit_keys_win_over_the_profile),
		cmocka_unit_test(derived_defaults_follow),
		cmocka_unit_test(redundancy_needs_an_address),
		cmocka_unit_test(command_line_errors_name_it),
		cmocka_unit_test(the_400hd_sample_imports),
		cmocka_unit_test(the_mt505_sample_imports),
		cmocka_unit_test(every_spelling_is_known),
		cmocka_unit_test(phone_files_are_read_as_phones_do),
		cmocka_unit_test(only_the_first_line_counts),
		cmocka_unit_test(several_files_are_several_phones),
		cmocka_unit_test(each_bad_file_has_its_message),
		cmocka_unit_test(unreadable_files_say_so),
		cmocka_unit_test(warnings_are_warnings),
		cmocka_unit_test(herds_have_what_the_fleet_says_and_their_own),
		cmocka_unit_test(herds_follow_the_command_line),
		cmocka_unit_test(samples_read_back),
		cmocka_unit_test(random_fleets_read_back),
		cmocka_unit_test(json_has_units_and_no_secrets),
		cmocka_unit_test(the_manual_names_every_key),
	};
	if (chdir(TESTS_DIR) != 0)
		return 1;
	return cmocka_run_group_tests_name("fleet", tests, NULL, free_fleets);
}
