/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "run_internal.h"

static int parse_listener(const char *text, const char *option, struct wire_proxy *out)
{
	char host[ADDRESS_TEXT_MAX + 2];
	const char *colon = text == NULL ? NULL : strrchr(text, ':');
	size_t n = colon == NULL ? 0 : (size_t)(colon - text);
	char *end = NULL;
	unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);
	if (n > 1 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (n > 0 && n < sizeof(host) && *end == '\0' && port >= 1024 && port <= 65535) {
		memcpy(host, text, n);
		host[n] = '\0';
		out->port = (uint16_t)port;
		out->known = address_parse(host, &out->address) == 0;
	}
	if (out->known)
		return EXIT_DONE;
	fprintf(stderr,
		"sipherd: %s needs a numeric address and a port between 1024 and 65535, such as "
		"10.0.0.1:5060 or [2001:db8::1]:5060.\n",
		option);
	return EXIT_USAGE;
}

static int registrar_identities(const struct options *o, struct fleet *fleet)
{
	struct identity_error error = {0};
	char set[4200];
	if (o->users != NULL) {
		/* The fleet's own reader of users files. */
		fleet_defaults(fleet);
		snprintf(set, sizeof(set), "users=%s", o->users);
		return fleet_set(fleet, set, &arguments_report) == 0 &&
				       fleet_finish(fleet, &arguments_report) == 0
			       ? EXIT_DONE
			       : EXIT_USAGE;
	}
	if (identity_patterns(&fleet->identities, o->user, NULL, o->password, UINT32_MAX, &error) ==
		0)
		return EXIT_DONE;
	fprintf(stderr, "sipherd: --user or --password, column %zu: %s\n", error.column,
		error.reason);
	return EXIT_USAGE;
}

static int configure_registrars(struct run *run)
{
	const struct options *o = run->options;
	struct wire_config *c = &run->config;
	const char *realm = o->realm ? o->realm : "", *digest = o->digest ? o->digest : "md5";
	run_take_common(run);
	c->roles = WIRE_REGISTRARS;
	c->workers = 1;
	c->vlan = o->vlan == OPTIONS_NOT_GIVEN ? 0 : (uint16_t)o->vlan;
	if (o->link == NULL || wire_link_parse(o->link, &c->link) != 0 ||
		c->link.kind == WIRE_MEMORY) {
		fprintf(stderr, "sipherd: --link is needed: tap:NAME, af_packet:IF, af_xdp:IF or "
				"pci:ADDRESS.\n");
		return EXIT_USAGE;
	}
	if (parse_listener(o->primary, "--primary", &c->proxy[PROXY_PRIMARY]) != EXIT_DONE ||
		(o->redundant != NULL && parse_listener(o->redundant, "--redundant",
						 &c->proxy[PROXY_REDUNDANT]) != EXIT_DONE))
		return EXIT_USAGE;
	if (realm[0] != '\0' && o->user == NULL && o->users == NULL) {
		fprintf(stderr, "sipherd: --realm asks for credentials: give --user and "
				"--password, or --users.\n");
		return EXIT_USAGE;
	}
	if ((o->user != NULL || o->users != NULL) &&
		registrar_identities(o, &run->fleet) != EXIT_DONE)
		return EXIT_USAGE;
	uint32_t capacity = o->capacity == OPTIONS_NOT_GIVEN ? 100000 : (uint32_t)o->capacity;
	for (int p = 0; p < PROXIES; p++) {
		struct registrar_config *r = &c->registrar[p];
		run_configure_registrar(r, realm, digest, run->fleet.identities, capacity);
		if (o->min_expires_s != OPTIONS_NOT_GIVEN)
			r->expires_min_s = (uint32_t)o->min_expires_s;
		if (o->max_expires_s != OPTIONS_NOT_GIVEN)
			r->expires_max_s = (uint32_t)o->max_expires_s;
	}
	return run_take_schedule(run, 1);
}

int run_registrar(const struct options *options)
{
	struct run *run = run_new(options);
	if (run == NULL)
		return EXIT_HOST;
	time_t started = time(NULL);
	int status = configure_registrars(run);
	if (status == EXIT_DONE)
		status = run_live(run);
	if (status == EXIT_DONE)
		status = run_finish(run, "registrar", started);
	run_close(run);
	return status;
}
