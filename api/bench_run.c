/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One point of a search: a sipherd of its own in a child process. Settings go by its environment, since our
 * own --set may hold what its command line may not show; what it says goes to a log.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench_internal.h"
#include "output.h"
#include "report.h"

#define WORDS_MAX (OPTIONS_LIST_MAX + 64)
#define TOLD_MAX 2000 /* bytes of the log that are shown when a child fails */
#define LOOK_NS 100000000
#define LOOKS_PER_PROGRESS 5

/* Signals that came, and how many of them the child has been told of. */
static volatile sig_atomic_t signals;
static sig_atomic_t told;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

void bench_catch_signals(void)
{
	const struct sigaction action = {.sa_handler = on_signal};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

bool bench_interrupted(void)
{
	return signals > 0;
}

double bench_now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int bench_open_folder(struct bench *bench)
{
	const char *state = bench->options->state;
	snprintf(bench->folder, sizeof(bench->folder), "/tmp/sipherd-bench-XXXXXX");
	if (mkdtemp(bench->folder) == NULL) {
		fprintf(stderr, "sipherd: cannot make a folder in /tmp: %s\n", strerror(errno));
		bench->folder[0] = '\0';
		return EXIT_HOST;
	}
	if (state != NULL)
		snprintf(bench->log, sizeof(bench->log), "%s.log", state);
	else
		snprintf(bench->log, sizeof(bench->log), "%s/log", bench->folder);
	return EXIT_DONE;
}

static void summary_path(const struct bench *bench, char out[96])
{
	snprintf(out, 96, "%s/run.json", bench->folder);
}

void bench_close_folder(struct bench *bench)
{
	char path[96];
	if (bench->folder[0] == '\0')
		return;
	summary_path(bench, path);
	unlink(path);
	snprintf(path, sizeof(path), "%s/log", bench->folder);
	unlink(path);
	rmdir(bench->folder);
}

/* --- What the child is told --- */

struct words {
	char set[BENCH_SET_MAX], fault[BENCH_SET_MAX];
	char settle[64], workers[64], dns[512], for_ms[32], summary[96];
	const char *word[WORDS_MAX];
	char **environment;
};

/* "NAME=a;b"; false: an item cannot be told so. */
static bool join(char *out, size_t size, const char *name, const struct option_list *list)
{
	int used = snprintf(out, size, "%s=", name);
	for (size_t i = 0; i < list->count; i++) {
		if (strchr(list->item[i], ';') != NULL)
			return false;
		used += snprintf(out + used, size - (size_t)used, "%s;", list->item[i]);
		if (used >= (int)size)
			return false;
	}
	return true;
}

/* Later entries win: the point's own, then the link. Where phones have passwords, they are asked for. */
static bool make_set(const struct bench *bench, double value, bool baseline, struct words *words)
{
	char *set = words->set;
	if (!join(set, sizeof(words->set), "SIPHERD_SET", &bench->options->set))
		return false;
	size_t used = strlen(set);
	bench_settings(bench, value, set + used, sizeof(words->set) - used);
	used = strlen(set);
	bool digest = bench->fleet.realm[0] == '\0' &&
		      identity_has_credentials(bench->fleet.identities);
	used += (size_t)snprintf(set + used, sizeof(words->set) - used, ";store=none%s%s",
		baseline ? ";link=memory" : "",
		baseline && digest ? ";registrar.realm=baseline" : "");
	return used < sizeof(words->set) - 1;
}

/* Nothing of our own settings reaches it by itself. */
static bool make_environment(const struct bench *bench, bool baseline, struct words *words)
{
	extern char **environ;
	static char none[] = "SIPHERD_HTTP=none";
	const struct options *o = bench->options;
	size_t count = 0, kept = 0;
	while (environ[count] != NULL)
		count++;
	char **out = calloc(count + 8, sizeof(*out));
	for (size_t i = 0; out != NULL && i < count; i++) {
		if (strncmp(environ[i], "SIPHERD_", 8) != 0)
			out[kept++] = environ[i];
	}
	words->environment = out;
	if (out == NULL || !join(words->fault, sizeof(words->fault), "SIPHERD_FAULT", &o->fault))
		return false;
	out[kept++] = none;
	out[kept++] = words->set;
	if (o->fault.count > 0 && !baseline)
		out[kept++] = words->fault;
	snprintf(words->settle, sizeof(words->settle), "SIPHERD_SETTLE=%llums",
		(unsigned long long)o->settle_ms);
	out[kept++] = words->settle;
	snprintf(words->workers, sizeof(words->workers), "SIPHERD_WORKERS=%llu",
		(unsigned long long)o->workers);
	if (o->workers != OPTIONS_NOT_GIVEN)
		out[kept++] = words->workers;
	snprintf(words->dns, sizeof(words->dns), "SIPHERD_DNS=%s", o->dns != NULL ? o->dns : "");
	if (o->dns != NULL)
		out[kept++] = words->dns;
	return true;
}

/* DPDK's arguments, then ours. */
static void make_words(const struct bench *bench, double value, bool baseline, struct words *words)
{
	static const char *const crash[] = {"crash", "primary"};
	const struct options *o = bench->options;
	const char **word = words->word;
	bool drill = bench->kind == BENCH_FAILOVER;
	size_t n = 0;
	word[n++] = "sipherd";
	for (int i = 0; i < o->eal_argc && n < 32; i++)
		word[n++] = o->eal_argv[i];
	if (n > 1)
		word[n++] = "--";
	summary_path(bench, words->summary);
	snprintf(words->for_ms, sizeof(words->for_ms), "%llums",
		(unsigned long long)bench_run_ms(bench, value));
	word[n++] = drill ? "drill" : "run";
	word[n++] = "--summary";
	word[n++] = words->summary;
	if (!drill) {
		word[n++] = "--for";
		word[n++] = words->for_ms;
	} else if (baseline) {
		word[n++] = "--no-hooks";
	}
	word[n++] = "--";
	word[n++] = bench->path;
	for (size_t i = 2; drill && i < o->arguments.count; i++)
		word[n++] = o->arguments.item[i];
	for (size_t i = 0; drill && o->arguments.count <= 2 && i < 2; i++)
		word[n++] = crash[i];
}

/* --- The child --- */

/* In a process group of its own: Ctrl-C reaches it once, from us. */
static int spawn(const struct bench *bench, const struct words *words, pid_t *pid)
{
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_t files;
	sigset_t none;
	int error = posix_spawnattr_init(&attributes);
	if (error != 0)
		return error;
	error = posix_spawn_file_actions_init(&files);
	if (error != 0) {
		posix_spawnattr_destroy(&attributes);
		return error;
	}
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	error = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	if (error == 0)
		error = posix_spawn_file_actions_addopen(
			&files, 1, bench->log, O_WRONLY | O_CREAT | O_APPEND, S_IRUSR | S_IWUSR);
	if (error == 0)
		error = posix_spawn_file_actions_adddup2(&files, 1, 2);
	if (error == 0)
		error = posix_spawn(pid, "/proc/self/exe", &files, &attributes,
			(char *const *)words->word, words->environment);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return error;
}

/* Its exit code; -1: a signal ended it. */
static int wait_for(const struct bench *bench, pid_t pid, double value, bool baseline)
{
	const struct timespec look = {.tv_nsec = LOOK_NS};
	int status;
	for (unsigned looks = 0;; looks++) {
		pid_t ended = waitpid(pid, &status, WNOHANG);
		if (ended == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		if (ended < 0 && errno != EINTR)
			return -1;
		/* It restores what a drill has broken, and ends. */
		if (told < signals) {
			told = signals;
			kill(pid, SIGINT);
		}
		if (looks % LOOKS_PER_PROGRESS == 0)
			bench_print_progress(bench, value, baseline);
		nanosleep(&look, NULL);
	}
}

static off_t log_size(const struct bench *bench)
{
	struct stat status;
	return stat(bench->log, &status) == 0 ? status.st_size : 0;
}

static void show_log(const struct bench *bench, off_t from)
{
	char text[TOLD_MAX + 1];
	int fd = open(bench->log, O_RDONLY | O_CLOEXEC);
	off_t size = log_size(bench);
	if (size - from > TOLD_MAX)
		from = size - TOLD_MAX;
	ssize_t length = fd >= 0 ? pread(fd, text, TOLD_MAX, from) : 0;
	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = '\0';
	fprintf(stderr, "%s", text);
}

/* --- What it has found --- */

static bool was_aborted(const json_t *run)
{
	size_t i;
	json_t *drill;
	json_array_foreach (json_object_get(run, "drills"), i, drill) {
		const char *outcome = json_string_value(json_object_get(drill, "outcome"));
		if (outcome != NULL && strcmp(outcome, "completed") != 0)
			return true;
	}
	return false;
}

static bool all_met(const json_t *goals)
{
	size_t i;
	json_t *goal;
	json_array_foreach (goals, i, goal) {
		if (!json_is_true(json_object_get(goal, "met")))
			return false;
	}
	return true;
}

static bool said_no_answer(const json_t *run)
{
	return json_is_true(json_object_get(json_object_get(run, "verdict"), "no_answer"));
}

/* Whatever a proxy does to phones is the proxy's; a child that could not run at all is not. */
static void judge(
	const struct bench *bench, int code, json_t *run, double value, struct bench_point *out)
{
	out->outcome = SEARCH_FAILED;
	if (code == EXIT_USAGE || code == EXIT_HOST) {
		out->stop = code;
		return;
	}
	if (code < 0 || run == NULL || was_aborted(run))
		return;
	if (code == EXIT_NO_ANSWER && said_no_answer(run))
		out->stop = EXIT_NO_ANSWER;
	out->goals = gates_json(bench->goal, bench->goals, run);
	out->rate = bench_rate(bench, value, run);
	out->outcome = code == EXIT_GENERATOR                          ? SEARCH_GENERATOR
		       : code != EXIT_NO_ANSWER && all_met(out->goals) ? SEARCH_MET
								       : SEARCH_MISSED;
}

/* Nothing harder has been met before. */
static bool is_hardest(const struct bench *bench, double value)
{
	const struct search *search = &bench->search[bench->now].search;
	for (uint32_t i = 0; i < search->trials; i++) {
		double other = search->trial[i].value;
		bool harder = search->rules.falling ? other < value : other > value;
		if (harder && search->trial[i].outcome == SEARCH_MET)
			return false;
	}
	return true;
}

static int write_report(const char *path, const json_t *run)
{
	char reason[REPORT_REASON_MAX] = "", *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	int error = out != NULL ? report_write(out, run, reason) : -errno;
	if (out != NULL && fclose(out) != 0 && error == 0)
		error = -errno;
	if (error == 0)
		error = output_whole(path, text);
	free(text);
	if (error == 0)
		return EXIT_DONE;
	if (reason[0] == '\0')
		return output_failed(path, -error);
	fprintf(stderr, "sipherd: cannot write %s: %s\n", path, reason);
	return EXIT_HOST;
}

static void carry_out(struct bench *bench, struct words *words, double value, bool baseline,
	struct bench_point *out)
{
	pid_t pid;
	off_t from = log_size(bench);
	unlink(words->summary);
	fflush(NULL);
	bench->begun_s = bench_now_s();
	int error = spawn(bench, words, &pid);
	if (error != 0) {
		fprintf(stderr, "sipherd: cannot start a run of this point: %s\n", strerror(error));
		out->stop = EXIT_HOST;
		return;
	}
	int code = wait_for(bench, pid, value, baseline);
	out->seconds = bench_now_s() - bench->begun_s;
	if (bench_interrupted())
		return;
	json_t *run = json_load_file(words->summary, 0, NULL);
	judge(bench, code, run, value, out);
	if (bench->options->report != NULL && !baseline && out->outcome == SEARCH_MET &&
		is_hardest(bench, value))
		out->stop = write_report(bench->options->report, run);
	json_decref(run);
	if (out->outcome == SEARCH_FAILED) {
		fprintf(stderr,
			"sipherd: a run of this point failed (exit code %d), its last words:\n",
			code);
		show_log(bench, from);
	}
}

void bench_try(struct bench *bench, double value, bool baseline, struct bench_point *out)
{
	static struct words words; /* one thread */
	*out = (struct bench_point){.outcome = SEARCH_FAILED, .rate = NAN};
	if (!make_set(bench, value, baseline, &words) ||
		!make_environment(bench, baseline, &words)) {
		fprintf(stderr, "sipherd: bench cannot hand on --set or --fault with a semicolon, "
				"or so many: write them into the fleet file.\n");
		out->stop = EXIT_USAGE;
	} else {
		memset(words.word, 0, sizeof(words.word));
		make_words(bench, value, baseline, &words);
		carry_out(bench, &words, value, baseline, out);
	}
	explicit_bzero(words.set, sizeof(words.set));
	free(words.environment);
	words.environment = NULL;
}
