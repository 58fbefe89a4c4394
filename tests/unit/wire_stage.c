/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "wire_stage.h"

void stage_check(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "%s\n", what);
	_exit(1);
}

static void set_up_phones(struct stage *stage, uint8_t family)
{
	struct identity_error error;
	struct herd_config *herd = &stage->config.herd;
	stage_check(!identity_patterns(
			    &stage->identities, "2{n:06}", NULL, "pw-{user}", STAGE_PHONES, &error),
		"identities");
	stage_check(!address_plan_parse(family == ADDRESS_IPV4 ? "10.20.0.0/16" : "fd00:20::/112",
			    &stage->plan),
		"plan");
	herd->fleet_phones = STAGE_PHONES;
	herd->identities = stage->identities;
	herd->plan[family] = &stage->plan;
	strcpy(herd->domain, "lab.example.net");
	strcpy(herd->user_agent, "sipherd test");
	herd->redundancy = (struct redundancy_rules){
		.enabled = true, .fail_threshold = 1, .success_threshold = 1};
	herd->timers = (struct transaction_timers){
		.t1_ms = 100, .t2_ms = 4000, .t4_ms = 5000, .no_response_ms = 200};
	herd->keepalive_period_ms = 500;
	herd->keepalive_first = KEEPALIVE_FIRST_SPREAD;
	herd->expires_s = 3600;
	herd->retry_ms = 1000;
	herd->refresh_permille = 500;
	herd->unregister = true;
	herd->seed = 1;
	herd->secret = 2;
}

static void set_up_proxies(struct stage *stage, uint8_t family)
{
	static const char *const address[ADDRESS_FAMILIES][PROXIES] = {
		{"10.20.0.1", "10.20.0.2"}, {"fd00:20::1", "fd00:20::2"}};
	struct wire_config *config = &stage->config;
	for (unsigned p = 0; p < PROXIES; p++) {
		struct wire_proxy *proxy = &config->proxy[p];
		struct herd_proxy *view = &config->herd.proxy[p];
		stage_check(!address_parse(address[family][p], &proxy->address), "proxy address");
		stage_check(!address_plan_exclude(&stage->plan, &proxy->address), "hole");
		proxy->port = view->port = 5060;
		proxy->known = true;
		view->address = proxy->address;
		snprintf(view->host, sizeof(view->host), family == ADDRESS_IPV4 ? "%s" : "[%s]",
			address[family][p]);
		config->registrar[p] = (struct registrar_config){.capacity = 2 * STAGE_PHONES,
			.expires_default_s = 3600,
			.expires_min_s = 60,
			.expires_max_s = 86400,
			.realm = "lab.example.net",
			.algorithm = DIGEST_MD5,
			.nonce_lifetime_s = 300,
			.identities = stage->identities,
			.seed = 3 + p,
			.server = "sipherd"};
	}
}

void stage_set_up(struct stage *stage, unsigned workers, uint8_t family)
{
	stage->config = (struct wire_config){
		.roles = WIRE_HERD | WIRE_REGISTRARS, .workers = workers};
	stage_check(!wire_link_parse("memory", &stage->config.link), "link");
	set_up_phones(stage, family);
	set_up_proxies(stage, family);
}

void stage_start(struct stage *stage)
{
	struct wire_error error;
	const struct herd_command command = {.kind = HERD_START};
	if (wire_open(&stage->wire, &stage->config, &error) || wire_start(stage->wire, &error) ||
		wire_wait_neighbours(stage->wire, STAGE_PATIENCE_S * 1000, &error))
		stage_check(false, error.message);
	wire_command(stage->wire, &command);
}

void stage_wait_registered(
	struct stage *stage, enum proxy proxy, uint32_t phones, bool by_registrar)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	const time_t end = time(NULL) + STAGE_PATIENCE_S;
	do {
		nanosleep(&pause, NULL);
		wire_snapshot(stage->wire, &stage->snapshot);
		if (stage->snapshot.population.phones[PHONE_REGISTERED][proxy] == phones &&
			(!by_registrar || stage->snapshot.registered_at[proxy] == phones))
			return;
	} while (time(NULL) < end);
	fprintf(stderr, "%u of %u registered at the %s proxy, %u by its own account\n",
		stage->snapshot.population.phones[PHONE_REGISTERED][proxy], phones,
		proxy_name(proxy), stage->snapshot.registered_at[proxy]);
	_exit(1);
}

void stage_wait_quiet(struct stage *stage)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	const time_t end = time(NULL) + STAGE_PATIENCE_S;
	do {
		nanosleep(&pause, NULL);
		wire_snapshot(stage->wire, &stage->snapshot);
	} while (!stage->snapshot.quiet && time(NULL) < end);
	stage_check(stage->snapshot.quiet, "the herd did not become quiet");
}

void stage_in_child(void (*run)(void))
{
	int status = -1;
	fflush(NULL);
	const pid_t child = fork();
	assert_true(child >= 0);
	if (!child) {
		run();
		exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}
