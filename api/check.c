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
	address_plan_at(&fleet->plan[family], fleet->begin, &first, &first_port);
	address_plan_at(&fleet->plan[family], fleet->begin + fleet->phones - 1, &last, &last_port);
	address_format(&first, a);
	address_format(&last, b);
	fprintf(out, "addresses   %s port %u to %s port %u\n", a, first_port, b, last_port);
}

static double steady_per_s(const struct fleet *herd)
{
	double period_s = herd->keepalive_period_ms / 1e3;
	double refresh_s = herd->expires_s * (herd->refresh_permille / 1e3);
	double steady = refresh_s > 0 ? herd->phones / refresh_s : 0;
	return period_s > 0 ? steady + herd->phones / period_s : steady;
}

static double outage_per_s(const struct fleet *herd)
{
	double period_s = herd->keepalive_period_ms / 1e3, probe_s = period_s;
	if (period_s <= 0)
		return 0;
	while (probe_s * 1e3 < herd->no_response_ms)
		probe_s += period_s; /* ticks that find one pending are skipped */
	return herd->phones * datagrams_until_silence(herd) / probe_s;
}

static void tell_load(FILE *out, const struct fleet *fleet)
{
	char number[32];
	double steady = 0, outage = 0;
	for (uint32_t h = 0; h < fleet_herds(fleet); h++) {
		steady += steady_per_s(fleet_herd(fleet, h));
		outage += outage_per_s(fleet_herd(fleet, h));
	}
	fprintf(out, "steady      %s requests/s\n", view_number((uint64_t)(steady + 0.5), number));
	if (outage <= 0)
		return;
	fprintf(out, "outage      %s OPTIONS datagrams/s while the primary is dead",
		view_number((uint64_t)(outage + 0.5), number));
	if (fleet->herds == 0)
		fprintf(out, " (%u per phone and probe)", datagrams_until_silence(fleet));
	fputc('\n', out);
}

static void tell_memory(FILE *out, const struct fleet *fleet, const struct wire_config *config)
{
	double bytes = 0;
	for (uint32_t h = 0; h < fleet_herds(fleet); h++) {
		struct herd_config herd;
		fleet_herd_config(fleet_herd(fleet, h), &herd);
		bytes += sizing_herd_bytes(&herd, config->workers);
	}
	fprintf(out, "memory      about %.1f MB for the phones", bytes / 1e6);
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

static void tell_herd(FILE *out, const struct fleet *herd)
{
	for (int family = 0; family < ADDRESS_FAMILIES; family++)
		if (herd->has_plan[family])
			tell_range(out, herd, family);
	for (int p = 0; p < PROXIES; p++)
		if (herd->proxy[p].host[0] != '\0')
			fprintf(out, "%-11s %s port %u%s\n", proxy_name((enum proxy)p),
				herd->proxy[p].host, herd->proxy[p].port,
				fleet_proxy_family(herd, (enum proxy)p) < 0
					? ", resolved when the run starts"
					: "");
	fprintf(out, "redundancy  %s\n",
		!herd->redundancy_enabled                 ? "off"
		: herd->redundancy_mode == MODE_SYMMETRIC ? "symmetric (parking)"
							  : "asymmetric (homing)");
	fprintf(out,
		"timers      keep-alive %g s, silence after %g s, switch delay 0-%g s, expires %u "
		"s\n",
		herd->keepalive_period_ms / 1e3, herd->no_response_ms / 1e3,
		herd->switch_delay_ms / 1e3, herd->expires_s);
}

static void tell_herds(FILE *out, const struct fleet *fleet)
{
	char number[32];
	for (uint32_t h = 0; h < fleet->herds; h++) {
		const struct fleet *herd = &fleet->herd[h];
		fprintf(out, "herd        %s: %s phone%s from number %u, domain %s\n", herd->name,
			view_number(herd->phones, number), herd->phones == 1 ? "" : "s",
			herd->begin, herd->domain);
		tell_herd(out, herd);
	}
	if (fleet->herds == 0)
		tell_herd(out, fleet);
}

int check_print(FILE *out, const struct fleet *fleet, const struct wire_config *config)
{
	char number[32];
	fprintf(out, "fleet       %s\n", fleet->name);
	fprintf(out, "phones      %s\n", view_number(fleet->phones, number));
	fprintf(out, "link        %s\n", fleet->link);
	if (fleet->workers > 1)
		fprintf(out, "steering    %s, %u workers\n",
			wire_steering_name((enum wire_steering)fleet->steering), fleet->workers);
	tell_herds(out, fleet);
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
