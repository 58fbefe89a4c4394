/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <rte_telemetry.h>

#include "telemetry.h"

#define NAME_MAX_BYTES 64

/* Under the lock: control thread writes, DPDK's telemetry thread reads. Static, because nobody can
 * take a command back from DPDK. */
static struct {
	pthread_mutex_t lock;
	bool known;
	struct wire_snapshot snapshot;
} published = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_open; /* control thread's */

static void tell_phones(struct rte_tel_data *out, const struct wire_snapshot *snapshot)
{
	uint64_t total = 0;
	for (unsigned s = 0; s < PHONE_STATES; s++)
		for (unsigned p = 0; p < PROXIES; p++) {
			char name[NAME_MAX_BYTES];
			const uint32_t phones = snapshot->population.phones[s][p];
			snprintf(name, sizeof(name), "%s_%s", phone_state_name((enum phone_state)s),
				proxy_name((enum proxy)p));
			rte_tel_data_add_dict_u64(out, name, phones);
			total += phones;
		}
	rte_tel_data_add_dict_u64(out, "total", total);
}

static void tell_list(struct rte_tel_data *out, const char *room,
	const struct counter_description *description, const uint64_t *counter, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char name[NAME_MAX_BYTES];
		snprintf(name, sizeof(name), "%s_%s", room, description[i].name);
		rte_tel_data_add_dict_u64(out, name, counter[i]);
	}
}

static void tell_counters(struct rte_tel_data *out, const struct wire_snapshot *snapshot)
{
	tell_list(out, "herd", herd_counters_descriptions, (const uint64_t *)&snapshot->herd,
		herd_counters_count);
	tell_list(out, "wire", wire_counters_descriptions, (const uint64_t *)&snapshot->wire,
		wire_counters_count);
}

static void tell_workers(struct rte_tel_data *out, const struct wire_snapshot *snapshot)
{
	rte_tel_data_add_dict_u64(out, "workers", snapshot->workers);
	for (unsigned w = 0; w < snapshot->workers; w++) {
		const struct wire_worker_state *state = &snapshot->worker[w];
		char name[NAME_MAX_BYTES];
		snprintf(name, sizeof(name), "%u_cpu", w);
		rte_tel_data_add_dict_u64(out, name, state->cpu);
		/* DPDK's telemetry knows no fractions. */
		snprintf(name, sizeof(name), "%u_busy_permille", w);
		rte_tel_data_add_dict_u64(
			out, name, (uint64_t)(state->busy_ratio * 1000.0f + 0.5f));
		snprintf(name, sizeof(name), "%u_rounds", w);
		rte_tel_data_add_dict_u64(out, name, state->rounds);
	}
}

static void tell_histogram(
	struct rte_tel_data *out, const char *name, const struct histogram *histogram)
{
	static const struct {
		const char *name;
		double share;
	} quantiles[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99_9", 0.999}};
	char text[NAME_MAX_BYTES];
	snprintf(text, sizeof(text), "%s_count", name);
	rte_tel_data_add_dict_u64(out, text, histogram->count);
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
		snprintf(text, sizeof(text), "%s_%s_us", name, quantiles[i].name);
		rte_tel_data_add_dict_u64(
			out, text, histogram_quantile(histogram, quantiles[i].share));
	}
	snprintf(text, sizeof(text), "%s_max_us", name);
	rte_tel_data_add_dict_u64(out, text, histogram->max);
}

static void tell_latency(struct rte_tel_data *out, const struct wire_snapshot *snapshot)
{
	const struct herd_histograms *histograms = &snapshot->histograms;
	for (unsigned p = 0; p < PROXIES; p++) {
		char name[NAME_MAX_BYTES];
		snprintf(name, sizeof(name), "options_rtt_%s", proxy_name((enum proxy)p));
		tell_histogram(out, name, &histograms->options_rtt_us[p]);
		snprintf(name, sizeof(name), "register_rtt_%s", proxy_name((enum proxy)p));
		tell_histogram(out, name, &histograms->register_rtt_us[p]);
	}
	tell_histogram(out, "registration", &histograms->registration_us);
	tell_histogram(out, "lateness", &histograms->lateness_us);
}

static const struct {
	const char *command;
	void (*tell)(struct rte_tel_data *out, const struct wire_snapshot *snapshot);
	const char *help;
} commands[] = {
	{"/sipherd/phones", tell_phones, "Phones by state and by the proxy last tried"},
	{"/sipherd/counters", tell_counters,
		"What the herd and the wire have counted since the start"},
	{"/sipherd/workers", tell_workers, "Workers: CPU, busy share of the last second, rounds"},
	{"/sipherd/latency", tell_latency, "Round trips, registrations and lateness in us"},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* In DPDK's telemetry thread. An error is answered by null. */
static int answer(const char *command, const char *parameters, struct rte_tel_data *out)
{
	int result = -ENODATA;
	(void)parameters;
	pthread_mutex_lock(&published.lock);
	for (size_t i = 0; i < COMMANDS && published.known; i++)
		if (!strcmp(command, commands[i].command)) {
			rte_tel_data_start_dict(out);
			commands[i].tell(out, &published.snapshot);
			result = 0;
		}
	pthread_mutex_unlock(&published.lock);
	return result;
}

int telemetry_open(void)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		const int result = rte_telemetry_register_cmd(
			commands[i].command, answer, commands[i].help);
		if (result)
			return result;
	}
	is_open = true;
	return 0;
}

void telemetry_publish(const struct wire_snapshot *snapshot)
{
	if (!is_open)
		return;
	pthread_mutex_lock(&published.lock);
	published.snapshot = *snapshot;
	published.known = true;
	pthread_mutex_unlock(&published.lock);
}

void telemetry_close(void)
{
	pthread_mutex_lock(&published.lock);
	published.known = false;
	pthread_mutex_unlock(&published.lock);
}
