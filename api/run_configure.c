/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "run_internal.h"

static uint64_t random_word(void)
{
	uint64_t word = 0;
	if (getrandom(&word, sizeof(word), 0) != sizeof(word))
		abort();
	return word;
}

int run_take_schedule(struct run *run, uint32_t phones)
{
	const struct options *options = run->options;
	char reason[SCHEDULE_REASON_MAX];
	for (size_t i = 0; i < options->fault.count; i++) {
		const char *text = options->fault.item[i];
		if (schedule_add_fault(&run->schedule, text, reason) == 0)
			continue;
		fprintf(stderr, "sipherd: --fault '%s' %s. See sipherd help %s.\n", text, reason,
			options_command_name(options->command));
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < options->reboot.count; i++) {
		const char *text = options->reboot.item[i];
		if (schedule_add_reboot(&run->schedule, text, phones, reason) == 0)
			continue;
		fprintf(stderr, "sipherd: --reboot '%s' %s. See sipherd help run.\n", text, reason);
		return EXIT_USAGE;
	}
	if (run->schedule.faults > 0 && !(run->config.roles & WIRE_REGISTRARS)) {
		fprintf(stderr, "sipherd: --fault works on the built-in registrars, and this link "
				"has none. "
				"Use link: memory, or break the real proxy.\n");
		return EXIT_USAGE;
	}
	return EXIT_DONE;
}

static enum digest_algorithm algorithm_of(const char *digest)
{
	return strcmp(digest, "sha-256") == 0 ? DIGEST_SHA256 : DIGEST_MD5;
}

void run_configure_registrar(struct registrar_config *config, const char *realm, const char *digest,
	const struct identity_set *identities, uint32_t capacity)
{
	*config = (struct registrar_config){.capacity = capacity,
		.expires_default_s = 3600,
		.expires_max_s = 86400,
		.realm = realm[0] != '\0' ? realm : NULL,
		.algorithm = algorithm_of(digest),
		.offer_both = strcmp(digest, "both") == 0,
		.nonce_lifetime_s = 300,
		.identities = identities,
		.seed = random_word()};
	snprintf(config->server, sizeof(config->server), "sipherd %s", SIPHERD_VERSION);
}

void run_take_common(struct run *run)
{
	const struct options *o = run->options;
	struct wire_config *c = &run->config;
	c->capture = (struct wire_capture){.path = o->pcap,
		.phone = o->pcap_phone == OPTIONS_NOT_GIVEN ? -1 : (int64_t)o->pcap_phone,
		.credentials = o->pcap_credentials};
	c->eal_argc = o->eal_argc;
	c->eal_argv = o->eal_argv;
	c->verbose = o->verbose;
	c->herd.secret = random_word();
	c->herd.seed = o->seed != OPTIONS_NOT_GIVEN ? o->seed : random_word() >> 32;
}

static void configure_proxies(const struct fleet *f, const struct herd_config *herd,
	struct wire_proxy proxy[PROXIES], struct registrar_config registrar[PROXIES])
{
	for (int p = 0; p < PROXIES; p++) {
		proxy[p] = (struct wire_proxy){.address = herd->proxy[p].address,
			.port = f->proxy[p].port,
			.known = fleet_proxy_family(f, (enum proxy)p) >= 0};
		struct registrar_config *r = &registrar[p];
		run_configure_registrar(
			r, f->realm, f->digest, f->identities, f->phones + f->phones / 8 + 64);
		if (f->registrar_max_expires_s > 0)
			r->expires_max_s = f->registrar_max_expires_s;
		r->expires_min_s = f->registrar_min_expires_s;
		r->nonce_lifetime_s = f->registrar_nonce_lifetime_s;
	}
}

static uint32_t later(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Drills last as long as the slowest phones need, and bring back whoever may come back. */
static void take_slower(struct herd_config *all, const struct herd_config *herd)
{
	if (herd->timers.no_response_ms > all->timers.no_response_ms)
		all->timers = herd->timers;
	if (herd->redundancy.enabled && herd->redundancy.mode == MODE_ASYMMETRIC)
		all->redundancy.mode = MODE_ASYMMETRIC;
	all->redundancy.fail_threshold = (uint8_t)later(
		all->redundancy.fail_threshold, herd->redundancy.fail_threshold);
	all->redundancy.success_threshold = (uint8_t)later(
		all->redundancy.success_threshold, herd->redundancy.success_threshold);
	all->switch_delay_ms = later(all->switch_delay_ms, herd->switch_delay_ms);
	all->keepalive_period_ms = later(all->keepalive_period_ms, herd->keepalive_period_ms);
	all->keepalive_jitter_percent = (uint8_t)later(
		all->keepalive_jitter_percent, herd->keepalive_jitter_percent);
	all->expires_s = later(all->expires_s, herd->expires_s);
	all->retry_ms = later(all->retry_ms, herd->retry_ms);
}

/* Nothing where the fleet is one herd. */
static int configure_herds(struct run *run)
{
	const struct fleet *f = &run->fleet;
	if (f->herds == 0)
		return 0;
	run->herds = calloc(f->herds, sizeof(*run->herds));
	if (run->herds == NULL)
		return -ENOMEM;
	for (uint32_t h = 0; h < f->herds; h++) {
		struct wire_herd *herd = &run->herds[h];
		fleet_herd_config(&f->herd[h], &herd->config);
		configure_proxies(&f->herd[h], &herd->config, herd->proxy, herd->registrar);
		take_slower(&run->config.herd, &herd->config);
	}
	run->config.herds = run->herds;
	run->config.herd_count = f->herds;
	return 0;
}

int run_configure_fleet(struct run *run)
{
	const struct fleet *f = &run->fleet;
	struct wire_config *c = &run->config;
	fleet_herd_config(f, &c->herd);
	run_take_common(run);
	if (wire_link_parse(f->link, &c->link) != 0) {
		fprintf(stderr, "sipherd: link '%s' is not understood. See man sipherd.\n",
			f->link);
		return EXIT_USAGE;
	}
	c->roles = WIRE_HERD | (c->link.kind == WIRE_MEMORY ? WIRE_REGISTRARS : 0);
	c->workers = run->options->workers != OPTIONS_NOT_GIVEN ? (unsigned)run->options->workers
		     : f->workers > 0                           ? f->workers
								: 1;
	if (c->capture.phone >= (int64_t)f->phones) {
		fprintf(stderr, "sipherd: --pcap-phone: the last phone is %u.\n", f->phones - 1);
		return EXIT_USAGE;
	}
	c->steering = f->steering;
	c->keeps_ports = f->target.kind != TARGET_NONE && f->target.kind != TARGET_EMBEDDED;
	c->vlan = f->vlan;
	c->mtu = f->mtu;
	for (int i = 0; i < ADDRESS_FAMILIES; i++)
		c->has_gateway[i] = f->gateway[i][0] != '\0' &&
				    address_parse(f->gateway[i], &c->gateway[i]) == 0;
	configure_proxies(fleet_largest(f), &c->herd, c->proxy, c->registrar);
	if (configure_herds(run) != 0) {
		fprintf(stderr, "sipherd: out of memory\n");
		return EXIT_HOST;
	}
	return run_take_schedule(run, f->phones);
}
