/* SPDX-License-Identifier: BSD-3-Clause */
#include "populate.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>

#include <rte_lcore.h>

#include "memory.h"

#define MILDNESS 10 /* nice: with one CPU, the worker goes first */

static bool read_number(const char *path, const char *format, uint64_t *number)
{
	char line[256];
	bool found = false;
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, format, number) == 1;
	fclose(file);
	return found;
}

/* What a container may still have; UINT64_MAX: it has no limit, or there is none around us. */
static uint64_t left_in_container(void)
{
	char group[256] = "", path[320];
	uint64_t most, used;
	FILE *file = fopen("/proc/self/cgroup", "re");
	if (!file)
		return UINT64_MAX;
	const int found = fscanf(file, "0::%255s", group);
	fclose(file);
	if (found != 1)
		return UINT64_MAX;
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
	if (!read_number(path, "%" SCNu64, &most))
		return UINT64_MAX;
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.current", group);
	if (!read_number(path, "%" SCNu64, &used))
		return UINT64_MAX;
	return most > used ? most - used : 0;
}

static bool is_affordable(uint64_t bytes)
{
	uint64_t free_kib, left = left_in_container();
	if (!read_number("/proc/meminfo", "MemAvailable: %" SCNu64 " kB", &free_kib))
		return false;
	left = free_kib << 10 < left ? free_kib << 10 : left;
	return bytes < left / 2;
}

static void *go_before(void *argument)
{
	struct populate *populate = argument;
	const struct sched_param usual = {0};
	/* A priority that the program was given is for its workers. */
	pthread_setschedparam(pthread_self(), SCHED_OTHER, &usual);
	setpriority(PRIO_PROCESS, 0, MILDNESS); /* on Linux: of this thread */
	if (is_affordable(memory_unpopulated()))
		while (!atomic_load_explicit(&populate->stop, memory_order_relaxed) &&
			memory_populate())
			;
	return NULL;
}

void populate_start(struct populate *populate)
{
	/* Without it everything works, a little less evenly. */
	populate->started = memory_unpopulated() > 0 &&
			    rte_ctrl_thread_create(
				    &populate->thread, "populate", NULL, go_before, populate) == 0;
}

void populate_stop(struct populate *populate)
{
	if (!populate->started)
		return;
	atomic_store_explicit(&populate->stop, true, memory_order_relaxed);
	pthread_join(populate->thread, NULL);
	populate->started = false;
}
