/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A million phones through the crash and the return of their primary, with 1 % of all datagrams
 * lost, every event judged. Prints what it took; asserts only memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <cmocka.h>

#include "sim.h"

#define BYTES_PER_PHONE_MAX 192

static uint32_t phones = 1000000;

static double cpu_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void report(const struct sim *sim, const char *what)
{
	struct herd_counters c = sim_counters(sim);
	uint64_t datagrams = c.register_sent + c.register_retransmitted + c.options_sent +
			     c.options_retransmitted + c.unregister_sent +
			     c.unregister_retransmitted;
	printf("%6.0f s virtual, %6.1f s CPU: %-40s %llu datagrams sent, %llu events judged\n",
		(double)sim_now_us(sim) / 1e6, cpu_s(), what, (unsigned long long)datagrams,
		(unsigned long long)model_judged(sim_model(sim)));
	fflush(stdout);
}

static void report_memory(const struct sim *sim)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	printf("herd %.1f bytes per phone; judge and network %.0f MB; process %.0f MB at most\n",
		(double)sim_herd_memory(sim) / phones, (double)sim_own_memory(sim) / 1e6,
		(double)usage.ru_maxrss / 1e3);
}

static void crash_and_return(void **state)
{
	(void)state;
	struct sim_config config;
	const struct sim_path lossy = {.delay_us = 2000, .jitter_us = 3000, .loss_ppm = 10000};
	sim_defaults(&config, phones, sim_seed(0x1000000));
	config.slices = 2;
	config.herd.keepalive_first = KEEPALIVE_FIRST_SPREAD;
	config.herd.ramp_per_s = phones / 20;
	config.herd.switch_delay_ms = 10000;
	struct sim *sim = sim_create(&config);
	printf("seed 0x%016llx\n", (unsigned long long)config.seed);
	sim_paths(sim, &lossy);
	sim_start(sim);
	sim_run(sim, 60 * SIM_SECOND);
	sim_check_registered(sim, PROXY_PRIMARY);
	report(sim, "all registered at the primary, it dies");
	sim_crash(sim, PROXY_PRIMARY, true);
	sim_run_for(sim, 120 * SIM_SECOND);
	sim_check_registered(sim, PROXY_REDUNDANT);
	assert_int_equal(sim_counters(sim).failover_keepalive_silence, phones);
	report(sim, "all registered at the redundant, it returns");
	sim_crash(sim, PROXY_PRIMARY, false);
	sim_run_for(sim, 60 * SIM_SECOND);
	sim_check_registered(sim, PROXY_PRIMARY);
	assert_int_equal(sim_counters(sim).failback_keepalive_answer, phones);
	report(sim, "all are back at the primary");
	report_memory(sim);
	assert_true(sim_herd_memory(sim) <= (uint64_t)BYTES_PER_PHONE_MAX * phones);
	sim_finish(sim);
	sim_free(sim);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(crash_and_return)};
	if (argc > 1)
		phones = (uint32_t)strtoul(argv[1], NULL, 0);
	return cmocka_run_group_tests_name("million", tests, NULL, NULL);
}
