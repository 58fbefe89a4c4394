/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>

#include "container.h"
#include "eal.h"
#include "failure.h"

#define ARGUMENTS_MAX 64
#define LCORES_TEXT_MAX 4096
#define HUGE_PAGES_PATH "/sys/kernel/mm/hugepages"
#define TRANSPARENT_PATH "/sys/kernel/mm/transparent_hugepage/enabled"

/* What DPDK says while we keep it quiet. Written by whichever thread logs, under stdio's lock of
 * the stream; read by the control thread after a call has failed. */
static char complaint[256];

static ssize_t keep_complaint(void *cookie, const char *text, size_t length)
{
	(void)cookie;
	size_t n = length < sizeof(complaint) ? length : sizeof(complaint) - 1;
	while (n && (text[n - 1] == '\n' || text[n - 1] == '.'))
		n--;
	if (n && !*complaint) {
		memcpy(complaint, text, n);
		complaint[n] = '\0';
	}
	return (ssize_t)length;
}

const char *eal_complaint(void)
{
	return complaint;
}

void eal_forget_complaint(void)
{
	*complaint = '\0';
}

static void be_quiet(void)
{
	const cookie_io_functions_t functions = {.write = keep_complaint};
	FILE *stream = fopencookie(NULL, "w", functions);
	if (!stream)
		return;
	setvbuf(stream, NULL, _IOLBF, BUFSIZ);
	rte_openlog_stream(stream);
	rte_log_set_global_level(RTE_LOG_ERR);
}

/* Bytes of free huge pages of all sizes. */
static uint64_t free_huge_pages(void)
{
	uint64_t total = 0;
	DIR *folder = opendir(HUGE_PAGES_PATH);
	if (!folder)
		return 0;
	for (struct dirent *entry; (entry = readdir(folder));) {
		unsigned long size_kb, pages;
		char path[sizeof(HUGE_PAGES_PATH) + sizeof(entry->d_name) + 16];
		if (sscanf(entry->d_name, "hugepages-%lukB", &size_kb) != 1)
			continue;
		snprintf(path, sizeof(path), HUGE_PAGES_PATH "/%s/free_hugepages", entry->d_name);
		FILE *file = fopen(path, "r");
		if (!file)
			continue;
		if (fscanf(file, "%lu", &pages) == 1)
			total += (uint64_t)pages * size_kb * 1024;
		fclose(file);
	}
	closedir(folder);
	return total;
}

bool eal_has_transparent_pages(void)
{
	char line[80] = "";
	FILE *file = fopen(TRANSPARENT_PATH, "r");
	if (!file)
		return false;
	const bool read = fgets(line, sizeof(line), file) != NULL;
	fclose(file);
	return read && !strstr(line, "[never]");
}

struct arguments {
	int count;
	char *value[ARGUMENTS_MAX + 1];
};

static void add(struct arguments *arguments, const char *value)
{
	if (arguments->count < ARGUMENTS_MAX)
		arguments->value[arguments->count++] = (char *)(uintptr_t)value;
}

/* Did the user give one of these options? Long ones with or without =value, short ones with their
 * value attached or not. The list ends with NULL. */
static bool given(const struct eal_wish *wish, const char *const *names)
{
	for (; *names; names++)
		for (int i = 0; i < wish->argc; i++) {
			const char *argument = wish->argv[i];
			const size_t length = strlen(*names);
			if (strncmp(argument, *names, length))
				continue;
			if (length == 2 || argument[length] == '\0' || argument[length] == '=')
				return true;
		}
	return false;
}

/*
 * Lcore 0 is the control thread; worker i is lcore i + 1 on one CPU, taken from the top. While there are
 * enough, the control thread and what it starts (HTTP, an embedded redis-server) keep to the other CPUs: a
 * worker that is seldom busy looks like a free place to the scheduler, and its phones would wait for
 * whoever is put there.
 */
static void choose_lcores(const struct eal_wish *wish, char *text, size_t size, bool *crowded)
{
	cpu_set_t allowed;
	int cpu[CPU_SETSIZE], cpus = 0;
	CPU_ZERO(&allowed);
	if (!sched_getaffinity(0, sizeof(allowed), &allowed))
		for (int c = 0; c < CPU_SETSIZE; c++)
			if (CPU_ISSET(c, &allowed))
				cpu[cpus++] = c;
	if (!cpus)
		cpu[cpus++] = 0;
	*crowded = (unsigned)cpus < wish->workers + 1 ||
		   container_processors("") < wish->workers + 1;
	const int control = *crowded ? cpus : cpus - (int)wish->workers;
	size_t at = (size_t)snprintf(text, size, "0@(");
	for (int c = 0; c < control && at < size; c++)
		at += (size_t)snprintf(text + at, size - at, "%s%d", c ? "," : "", cpu[c]);
	if (at < size)
		at += (size_t)snprintf(text + at, size - at, ")");
	for (unsigned w = 0; w < wish->workers && at < size; w++)
		at += (size_t)snprintf(text + at, size - at, ",%u@%d", w + 1,
			cpu[cpus - 1 - (int)(w % (unsigned)cpus)]);
}

struct choice {
	char lcores[LCORES_TEXT_MAX], memory[16], prefix[64];
	struct arguments arguments;
};

static void choose_memory(const struct eal_wish *wish, struct choice *choice, struct eal *out)
{
	static const char *const none[] = {"--no-huge", NULL};
	static const char *const kind[] = {"--no-huge", "--in-memory", "--huge-dir", "--legacy-mem",
		"--single-file-segments", "--huge-unlink", "--socket-mem", NULL};
	static const char *const size[] = {"-m", NULL};
	out->huge_pages = free_huge_pages() >= (uint64_t)wish->memory_mb << 20;
	if (given(wish, kind))
		out->huge_pages = !given(wish, none);
	else
		add(&choice->arguments, out->huge_pages ? "--in-memory" : "--no-huge");
	if (out->huge_pages || given(wish, size))
		return;
	snprintf(choice->memory, sizeof(choice->memory), "%u", wish->memory_mb);
	add(&choice->arguments, "-m");
	add(&choice->arguments, choice->memory);
}

static void choose(const struct eal_wish *wish, struct choice *choice, struct eal *out)
{
	static const char *const cores[] = {"-l", "-c", "--lcores", "-s", "-S", NULL};
	static const char *const devices[] = {"-a", "-b", "--allow", "--block", "--no-pci", NULL};
	static const char *const silent[] = {"--no-telemetry", NULL};
	static const char *const telemetry[] = {"--telemetry", NULL};
	static const char *const prefix[] = {"--file-prefix", NULL};
	static const char *const sharing[] = {"--proc-type", "--no-shconf", NULL};
	struct arguments *arguments = &choice->arguments;
	add(arguments, "sipherd");
	choose_memory(wish, choice, out);
	if (!given(wish, cores)) {
		choose_lcores(wish, choice->lcores, sizeof(choice->lcores), &out->crowded);
		add(arguments, "--lcores");
		add(arguments, choice->lcores);
	}
	if (!given(wish, devices)) {
		add(arguments, wish->pci ? "-a" : "--no-pci");
		if (wish->pci)
			add(arguments, wish->pci);
	}
	out->telemetry = given(wish, telemetry) && !given(wish, silent);
	if (!out->telemetry)
		add(arguments, "--no-telemetry");
	if (!given(wish, sharing))
		add(arguments, "--no-shconf");
	if (!given(wish, prefix)) {
		snprintf(choice->prefix, sizeof(choice->prefix), "sipherd-%ld", (long)getpid());
		add(arguments, "--file-prefix");
		add(arguments, choice->prefix);
	}
	for (int i = 0; i < wish->argc; i++)
		add(arguments, wish->argv[i]);
	arguments->value[arguments->count] = NULL;
}

/* Has this worker no other CPU than one that is used already? */
static bool shares_its_cpu(unsigned lcore, rte_cpuset_t *used)
{
	rte_cpuset_t both, mine = rte_lcore_cpuset(lcore);
	CPU_AND(&both, used, &mine);
	CPU_OR(used, used, &mine);
	return CPU_COUNT(&mine) == 1 && CPU_COUNT(&both) == 1;
}

static int assign_lcores(struct eal *out, const struct eal_wish *wish, struct wire_error *error)
{
	unsigned lcore, w = 0;
	rte_cpuset_t used = rte_lcore_cpuset(rte_get_main_lcore());
	RTE_LCORE_FOREACH_WORKER(lcore)
	{
		if (w < wish->workers) {
			out->lcore[w] = lcore;
			out->crowded |= shares_its_cpu(lcore, &used);
		}
		w++;
	}
	if (w >= wish->workers)
		return 0;
	return failure(error, -EINVAL,
		"DPDK cores: %u workers need %u lcores, the EAL arguments give %u. Give more cores "
		"with -l, share one with --lcores '0@0,1@0', or leave the option out",
		wish->workers, wish->workers + 1, w + 1);
}

/* DPDK leaves its folder behind; another process that shares it keeps it from being removed. */
static void remove_folder(void)
{
	rmdir(rte_eal_get_runtime_dir());
}

static int explain(struct wire_error *error, int code, const struct eal *out)
{
	return failure(error, code, "DPDK does not start: %s. %s",
		*complaint ? complaint : rte_strerror(-code),
		code == -ENOMEM || !out->huge_pages
			? "Check free memory and the EAL arguments, if any were given"
			: "Try the EAL argument --no-huge, or check the ones that were given");
}

int eal_open(struct eal *out, const struct eal_wish *wish, struct wire_error *error)
{
	*out = (struct eal){0};
	if (wish->argc > ARGUMENTS_MAX - 16)
		return failure(error, -E2BIG, "EAL arguments: too many (%d). Give at most %d",
			wish->argc, ARGUMENTS_MAX - 16);
	struct choice *choice = calloc(1, sizeof(*choice));
	if (!choice)
		return failure(error, -ENOMEM, "DPDK does not start: out of memory");
	choose(wish, choice, out);
	if (!wish->verbose)
		be_quiet();
	/* DPDK takes its telemetry socket out of the folder at exit only, before what was registered
	 * earlier than its own handler. */
	if (out->telemetry)
		atexit(remove_folder);
	rte_errno = 0;
	const int started = rte_eal_init(choice->arguments.count, choice->arguments.value);
	const int code = rte_errno ? -rte_errno : -EIO;
	free(choice);
	if (started < 0) {
		remove_folder();
		return explain(error, code, out);
	}
	const int assigned = assign_lcores(out, wish, error);
	if (assigned)
		eal_close();
	return assigned;
}

void eal_close(void)
{
	rte_eal_cleanup();
	remove_folder();
}
