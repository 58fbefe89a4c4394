/* SPDX-License-Identifier: BSD-3-Clause */
#include "check.h"

#include "drills_print.h"
#include "options.h"
#include "sizing.h"
#include "view.h"

/* Datagrams of one silent OPTIONS, by the fleet's own timers. */
static unsigned datagrams_until_silence(const struct fleet *fleet)
{
	const struct transaction_timers timers = {
		fleet->t1_ms, fleet->t2_ms, fleet->t4_ms, fleet->no_response_ms};
	unsigned n = 1;
	for (uint32_t at = transaction_interval_ms(&timers, 1, false); at < timers.no_response_ms;
		at += transaction_interval_ms(&timers, n, false))
		n++;
	return n;
}

static void tell_range(FILE *out, const struct fleet *fleet, int family)
{
	struct address first, last;
	char a[ADDRESS_TEXT_MAX], b[ADDRESS_TEXT_MAX];
	uint16_t first_port, last_port;
	address_plan_at(&fleet->plan[family], 0, &first, &first_port);
	address_plan_at(&fleet->plan[family], fleet->phones - 1, &last, &last_port);
	address_format(&first, a);
	address_format(&last, b);
	fprintf(out, "addresses   %s port %u to %s port %u\n", a, first_port, b, last_port);
}

static void tell_load(FILE *out, const struct fleet *fleet)
{
	char number[32];
	double period_s = fleet->keepalive_period_ms / 1e3;
	double refresh_s = fleet->expires_s * (fleet->refresh_permille / 1e3);
	double steady = refresh_s > 0 ? fleet->phones / refresh_s : 0;
	if (period_s > 0)
		steady += fleet->phones / period_s;
	fprintf(out, "steady      %s requests/s\n", view_number((uint64_t)(steady + 0.5), number));
	if (period_s <= 0)
		return;
	double probe_s = period_s;
	while (probe_s * 1e3 < fleet->no_response_ms)
		probe_s += period_s; /* ticks that find one pending are skipped */
	fprintf(out,
		"outage      %s OPTIONS datagrams/s while the primary is dead (%u per phone and "
		"probe)\n",
		view_number(
			(uint64_t)(fleet->phones * datagrams_until_silence(fleet) / probe_s + 0.5),
			number),
		datagrams_until_silence(fleet));
}

static void tell_memory(FILE *out, const struct fleet *fleet, const struct wire_config *config)
{
	fprintf(out, "memory      about %.1f MB for the phones",
		sizing_herd_bytes(&config->herd, config->workers) / 1e6);
	struct mirror *mirror = NULL;
	if (mirror_create(&mirror, fleet->phones, config->workers, NULL, true) == 0)
		fprintf(out, ", %.1f MB for what store and HTTP API are told",
			(double)mirror_memory(mirror) / 1e6);
	mirror_free(mirror);
	fputc('\n', out);
}

static void tell_store(FILE *out, const struct fleet *fleet)
{
	char text[FLEET_TEXT_MAX];
	if (fleet->target.kind == TARGET_NONE) {
		fprintf(out, "store       none, no image file\n");
		return;
	}
	target_describe(&fleet->target, text, sizeof(text));
	fprintf(out, "store       %s, image file in %s%s\n", text, fleet->state,
		fleet->fence_strict ? ", strict" : "");
}

int check_print(FILE *out, const struct fleet *fleet, const struct wire_config *config)
{
	char number[32];
	fprintf(out, "fleet       %s\n", fleet->name);
	fprintf(out, "phones      %s\n", view_number(fleet->phones, number));
	fprintf(out, "link        %s\n", fleet->link);
	for (int family = 0; family < ADDRESS_FAMILIES; family++)
		if (fleet->has_plan[family])
			tell_range(out, fleet, family);
	for (int p = 0; p < PROXIES; p++)
		if (fleet->proxy[p].host[0] != '\0')
			fprintf(out, "%-11s %s port %u%s\n", proxy_name((enum proxy)p),
				fleet->proxy[p].host, fleet->proxy[p].port,
				fleet_proxy_family(fleet, (enum proxy)p) < 0
					? ", resolved when the run starts"
					: "");
	fprintf(out, "redundancy  %s\n",
		!fleet->redundancy_enabled                 ? "off"
		: fleet->redundancy_mode == MODE_SYMMETRIC ? "symmetric (parking)"
							   : "asymmetric (homing)");
	fprintf(out,
		"timers      keep-alive %g s, silence after %g s, switch delay 0-%g s, expires %u "
		"s\n",
		fleet->keepalive_period_ms / 1e3, fleet->no_response_ms / 1e3,
		fleet->switch_delay_ms / 1e3, fleet->expires_s);
	if (fleet->ramp_per_s > 0)
		fprintf(out, "ramp        %s phones/s, %.1f s\n",
			view_number(fleet->ramp_per_s, number),
			(double)fleet->phones / fleet->ramp_per_s);
	else
		fprintf(out, "ramp        all at once\n");
	tell_store(out, fleet);
	tell_load(out, fleet);
	tell_memory(out, fleet, config);
	return drills_check(fleet, config, out) == 0 ? EXIT_DONE : EXIT_USAGE;
}
