/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same drill of the same fleet in a process of its own, over the memory link and against the built-in
 * registrars: what this host can do when no proxy is the limit (RFC 7502, testbed baseline). Our own command
 * line may hold what its may not show: --set goes by the environment.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run_internal.h"

#define WORDS_MAX (OPTIONS_LIST_MAX + 64)
#define SET_MAX 16384

static volatile sig_atomic_t child, interrupted;

static void on_signal(int number)
{
	interrupted = 1;
	if (child > 0)
		kill((pid_t)child, number);
}

static int refuse_set(void)
{
	fprintf(stderr, "sipherd: --baseline cannot hand on --set with a semicolon, or so many of "
			"them: write them into the fleet file.\n");
	return EXIT_USAGE;
}

/* Later entries win: the link is ours to say. Where phones have passwords, they are to be asked for. */
static int write_set(const struct run *run, char *out, size_t size)
{
	const struct option_list *set = &run->options->set;
	int n = snprintf(out, size, "SIPHERD_SET=");
	for (size_t i = 0; i < set->count; i++) {
		if (strchr(set->item[i], ';') != NULL)
			return refuse_set();
		n += snprintf(out + n, size - (size_t)n, "%s;", set->item[i]);
		if (n >= (int)size)
			return refuse_set();
	}
	n += snprintf(out + n, size - (size_t)n, "link=memory;store=none%s",
		run->fleet.realm[0] == '\0' && identity_has_credentials(run->fleet.identities)
			? ";registrar.realm=baseline"
			: "");
	return n < (int)size ? EXIT_DONE : refuse_set();
}

static char **make_environment(char *set)
{
	extern char **environ;
	static char none[] = "SIPHERD_HTTP=none";
	static const char own[] = "SIPHERD_"; /* settings that are ours, not its */
	size_t n = 0, kept = 0;
	while (environ[n] != NULL)
		n++;
	char **out = calloc(n + 3, sizeof(*out));
	for (size_t i = 0; out != NULL && i < n; i++)
		if (strncmp(environ[i], own, sizeof(own) - 1) != 0)
			out[kept++] = environ[i];
	if (out != NULL) {
		out[kept++] = set;
		out[kept++] = none;
	}
	return out;
}

/* DPDK's arguments, then ours: what is done, how large, how long before. */
static void make_words(const struct run *run, const char *summary, const char *word[WORDS_MAX],
	char settle[32], char workers[32], char seed[32])
{
	const struct options *o = run->options;
	size_t n = 0;
	word[n++] = "sipherd";
	for (int i = 0; i < o->eal_argc && n < 32; i++)
		word[n++] = o->eal_argv[i];
	if (n > 1)
		word[n++] = "--";
	snprintf(settle, 32, "%llums", (unsigned long long)o->settle_ms);
	snprintf(workers, 32, "%u", run->config.workers);
	snprintf(seed, 32, "%llu", (unsigned long long)run->config.herd.seed);
	const char *const ours[] = {"drill", "--no-hooks", "--settle", settle, "--workers", workers,
		"--seed", seed, "--summary", summary, "--"};
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		word[n++] = ours[i];
	for (size_t i = 0; i < o->arguments.count; i++)
		word[n++] = o->arguments.item[i];
	word[n] = NULL;
}

/* Its exit code; EXIT_HOST where there is none. */
static int wait_for(pid_t pid)
{
	const struct sigaction forward = {.sa_handler = on_signal};
	struct sigaction interrupt, terminate;
	int status;
	child = pid;
	sigaction(SIGINT, &forward, &interrupt);
	sigaction(SIGTERM, &forward, &terminate);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR) {
			status = -1;
			break;
		}
	child = 0;
	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGTERM, &terminate, NULL);
	return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_HOST;
}

/* In a process group of its own: Ctrl-C reaches it once, from us. */
static int spawn(pid_t *pid, const char *const *word, char **environment)
{
	posix_spawnattr_t attributes;
	int error = posix_spawnattr_init(&attributes);
	if (error != 0)
		return error;
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	error = posix_spawn(
		pid, "/proc/self/exe", NULL, &attributes, (char *const *)word, environment);
	posix_spawnattr_destroy(&attributes);
	return error;
}

static int run_child(const struct run *run, const char *summary)
{
	static char set[SET_MAX];
	static const char *word[WORDS_MAX]; /* one thread */
	char settle[32], workers[32], seed[32];
	pid_t pid;
	if (write_set(run, set, sizeof(set)) != EXIT_DONE)
		return EXIT_USAGE;
	char **environment = make_environment(set);
	if (environment == NULL)
		return EXIT_HOST;
	make_words(run, summary, word, settle, workers, seed);
	fflush(NULL);
	int error = spawn(&pid, word, environment);
	explicit_bzero(set, sizeof(set));
	free(environment);
	if (error == 0)
		return wait_for(pid);
	fprintf(stderr, "sipherd: cannot start the baseline: %s\n", strerror(error));
	return EXIT_HOST;
}

/* What of its summary is told with ours. */
static int take_summary(struct run *run, const char *path)
{
	json_error_t error;
	json_t *root = json_load_file(path, 0, &error);
	json_t *drills = json_object_get(root, "drills"),
	       *verdict = json_object_get(root, "verdict");
	if (drills != NULL && verdict != NULL)
		run->drill->baseline = json_pack("{s:O, s:O, s:O}", "drills", drills, "verdict",
			verdict, "link", json_object_get(root, "link"));
	json_decref(root);
	if (run->drill->baseline != NULL)
		return EXIT_DONE;
	fprintf(stderr, "sipherd: the baseline left no summary that can be read\n");
	return EXIT_HOST;
}

static int measure(struct run *run, const char *summary)
{
	printf("--- baseline: first against the built-in registrars\n");
	const int code = run_child(run, summary);
	if (interrupted) {
		fprintf(stderr,
			"sipherd: interrupted during the baseline: the drill did not begin\n");
		return EXIT_MISSED;
	}
	/* A goal that is missed even here will be told of the run itself. */
	if (code != EXIT_DONE && code != EXIT_MISSED && code != EXIT_GENERATOR) {
		fprintf(stderr, "sipherd: the baseline did not come to its end (exit code %d)\n",
			code);
		return code;
	}
	run->drill->baseline_limited = code == EXIT_GENERATOR;
	printf("--- baseline: %s\n\n", code == EXIT_GENERATOR
					       ? "this host is the limit, whatever the proxies do"
					       : "this host can do it");
	return take_summary(run, summary);
}

int run_baseline(struct run *run)
{
	char folder[] = "/tmp/sipherd-baseline-XXXXXX", summary[sizeof(folder) + 16];
	if (run->config.link.kind == WIRE_MEMORY) {
		printf("baseline    not needed: this is the memory link with the built-in "
		       "registrars\n");
		return EXIT_DONE;
	}
	if (mkdtemp(folder) == NULL) {
		fprintf(stderr, "sipherd: cannot make a folder in /tmp: %s\n", strerror(errno));
		return EXIT_HOST;
	}
	snprintf(summary, sizeof(summary), "%s/run.json", folder);
	const int status = measure(run, summary);
	unlink(summary);
	rmdir(folder);
	return status;
}
