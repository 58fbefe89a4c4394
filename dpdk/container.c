/* SPDX-License-Identifier: BSD-3-Clause */
#include "container.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MOUNT "/sys/fs/cgroup"
#define LINE_MAX_BYTES 512
#define ROOT_MAX 128
#define MOUNT_MAX (ROOT_MAX + sizeof(MOUNT) + 32)
#define FOLDER_MAX (MOUNT_MAX + LINE_MAX_BYTES)

/* A limit of one folder. */
typedef double (*look)(const char *folder);

/* What a file there begins with; false: no such file, or "max". */
static bool read_number(const char *folder, const char *name, double *number)
{
	char path[FOLDER_MAX + 32];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	const bool read = fscanf(file, "%lf", number) == 1;
	fclose(file);
	return read;
}

static double memory_left(const char *folder)
{
	double most, used;
	if (!read_number(folder, "memory.max", &most) &&
		!read_number(folder, "memory.limit_in_bytes", &most))
		return INFINITY;
	if (!read_number(folder, "memory.current", &used) &&
		!read_number(folder, "memory.usage_in_bytes", &used))
		return INFINITY;
	return fmax(most - used, 0);
}

static double processors(const char *folder)
{
	char path[FOLDER_MAX + 32];
	double quota = -1, period = 0;
	snprintf(path, sizeof(path), "%s/cpu.max", folder);
	FILE *file = fopen(path, "re");
	if (file) {
		const bool limited = fscanf(file, "%lf %lf", &quota, &period) == 2;
		fclose(file);
		return limited && period > 0 ? quota / period : INFINITY;
	}
	if (!read_number(folder, "cpu.cfs_quota_us", &quota) ||
		!read_number(folder, "cpu.cfs_period_us", &period))
		return INFINITY;
	return quota > 0 && period > 0 ? quota / period : INFINITY;
}

/* The group's folder and all above it: in a container the upper end of the path may not be there. */
static double least_above(const char *mount, const char *group, look at)
{
	char folder[FOLDER_MAX];
	double least = INFINITY;
	snprintf(folder, sizeof(folder), "%s%s", mount, group);
	while (strlen(folder) >= strlen(mount)) {
		least = fmin(least, at(folder));
		*strrchr(folder, '/') = '\0';
	}
	return least;
}

/* Is this one of the controllers of "cpu,cpuacct"? */
static bool names(const char *list, const char *controller)
{
	const size_t length = strlen(controller);
	for (;;) {
		const size_t next = strcspn(list, ",");
		if (next == length && strncmp(list, controller, length) == 0)
			return true;
		if (list[next] == '\0')
			return false;
		list += next + 1;
	}
}

static double least_of(const char *root, const char *controller, look at)
{
	char line[LINE_MAX_BYTES], mount[MOUNT_MAX];
	double least = INFINITY;
	snprintf(mount, sizeof(mount), "%.*s/proc/self/cgroup", ROOT_MAX, root);
	FILE *file = fopen(mount, "re");
	if (!file)
		return least;
	while (fgets(line, sizeof(line), file)) {
		/* 4:memory:/some/group, and 0::/some/group of version 2 */
		line[strcspn(line, "\n")] = '\0';
		char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
		if (!group)
			continue;
		*group++ = '\0';
		list++;
		if (*list && !names(list, controller))
			continue;
		snprintf(mount, sizeof(mount), "%.*s" MOUNT "%s%s", ROOT_MAX, root,
			*list ? "/" : "", *list ? controller : "");
		least = fmin(least, least_above(mount, group, at));
	}
	fclose(file);
	return least;
}

double container_memory_left(const char *root)
{
	return least_of(root, "memory", memory_left);
}

double container_processors(const char *root)
{
	return least_of(root, "cpu", processors);
}
