/* SPDX-License-Identifier: BSD-3-Clause */
/* What control groups leave a process: a tree of files as the kernel shows them, of either version. */
#include <ftw.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "container.h"

static char root[64];

static int begin(void **state)
{
	(void)state;
	strcpy(root, "/tmp/sipherd-container-XXXXXX");
	return mkdtemp(root) == NULL;
}

static int remove_one(const char *path, const struct stat *what, int kind, struct FTW *where)
{
	(void)what, (void)kind, (void)where;
	return remove(path);
}

static int finish(void **state)
{
	(void)state;
	return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* With all folders on the way. */
static void put(const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof(path), "%s%s", root, name);
	for (char *end = strchr(path + 1, '/'); end; end = strchr(end + 1, '/')) {
		*end = '\0';
		mkdir(path, 0700);
		*end = '/';
	}
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void assert_left(double bytes, double processors)
{
	assert_true(container_memory_left(root) == bytes);
	assert_true(container_processors(root) == processors);
}

static void nothing_to_read_is_no_limit(void **state)
{
	(void)state;
	assert_left(INFINITY, INFINITY);
	put("/proc/self/cgroup", "");
	assert_left(INFINITY, INFINITY);
	put("/proc/self/cgroup", "nonsense\n0:\n:\n::\n0::\n");
	assert_left(INFINITY, INFINITY);
}

static void version_2_is_the_least_of_all_levels(void **state)
{
	(void)state;
	put("/proc/self/cgroup", "0::/slice/service\n");
	put("/sys/fs/cgroup/slice/service/memory.max", "max\n");
	put("/sys/fs/cgroup/slice/service/memory.current", "100\n");
	put("/sys/fs/cgroup/slice/service/cpu.max", "max 100000\n");
	assert_left(INFINITY, INFINITY);
	put("/sys/fs/cgroup/slice/memory.max", "5000\n");
	put("/sys/fs/cgroup/slice/memory.current", "1000\n");
	put("/sys/fs/cgroup/slice/cpu.max", "150000 100000\n");
	assert_left(4000, 1.5);
	put("/sys/fs/cgroup/slice/service/memory.max", "300\n");
	put("/sys/fs/cgroup/slice/service/cpu.max", "200000 100000\n");
	assert_left(200, 1.5);
	put("/sys/fs/cgroup/slice/service/memory.current", "301\n");
	put("/sys/fs/cgroup/cpu.max", "50000 100000\n");
	assert_left(0, 0.5);
}

/* In a container the group's path is the host's, while its limits lie at the root of what is mounted. */
static void version_1_has_a_folder_of_each_controller(void **state)
{
	(void)state;
	put("/proc/self/cgroup",
		"12:cpuset:/other\n4:memory:/host/path\n2:cpuacct,cpu:/host/path\n0::/\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "7000\n");
	put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "2000\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	put("/sys/fs/cgroup/cpu/other/cpu.cfs_quota_us", "1\n");
	put("/sys/fs/cgroup/cpu/other/cpu.cfs_period_us", "100000\n");
	assert_left(5000, INFINITY);
	put("/sys/fs/cgroup/cpu/host/path/cpu.cfs_quota_us", "75000\n");
	put("/sys/fs/cgroup/cpu/host/path/cpu.cfs_period_us", "50000\n");
	assert_left(5000, 1.5);
	put("/sys/fs/cgroup/cpu/host/path/cpu.cfs_period_us", "0\n");
	assert_left(5000, INFINITY);
}

/* A path longer than the line that is read: no end is passed, and what lies above it counts. */
static void a_long_path_is_cut(void **state)
{
	char line[4096];
	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	memcpy(line, "0::/", 4);
	line[sizeof(line) - 1] = '\0';
	put("/proc/self/cgroup", line);
	put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
	assert_left(INFINITY, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_to_read_is_no_limit, begin, finish),
		cmocka_unit_test_setup_teardown(
			version_2_is_the_least_of_all_levels, begin, finish),
		cmocka_unit_test_setup_teardown(
			version_1_has_a_folder_of_each_controller, begin, finish),
		cmocka_unit_test_setup_teardown(a_long_path_is_cut, begin, finish),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
