/* SPDX-License-Identifier: BSD-3-Clause */
#include "populate.h"

#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>

#include <rte_lcore.h>

#include "container.h"
#include "memory.h"

#define MILDNESS 10   /* nice: with one CPU, the worker goes first */
#define LOOK_EVERY 64 /* huge pages */

static bool is_affordable(uint64_t bytes)
{
	char line[128];
	uint64_t free_kib = 0;
	FILE *file = fopen("/proc/meminfo", "re");
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %" SCNu64 " kB", &free_kib) == 1)
			break;
	fclose(file);
	return (double)bytes < fmin((double)free_kib * 1024, container_memory_left("")) / 2;
}

static void *go_before(void *argument)
{
	struct populate *populate = argument;
	const struct sched_param usual = {0};
	/* A priority that the program was given is for its workers. */
	pthread_setschedparam(pthread_self(), SCHED_OTHER, &usual);
	/* On Linux: of this thread. The kernel keeps it to 19. */
	setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + MILDNESS);
	for (unsigned i = 0; !atomic_load_explicit(&populate->stop, memory_order_relaxed); i++) {
		/* Others may want memory as well, while this goes on. */
		if (i % LOOK_EVERY == 0 && !is_affordable(memory_unpopulated()))
			break;
		if (!memory_populate())
			break;
	}
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
