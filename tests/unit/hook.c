/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hooks and their guardians, which are this very program: whatever happens, what was run is undone, once.
 * Commands write down what they do in a file of a folder of their own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "hook.h"

#define WAIT_MS 30000

static char folder[64];
static struct hook list[2];
static struct hooks *hooks;

static const char *in_folder(const char *name)
{
	static char path[2][128];
	static unsigned turn;
	snprintf(path[++turn % 2], sizeof(path[0]), "%s/%s", folder, name);
	return path[turn % 2];
}

static const char *contents(const char *name)
{
	static char text[8192];
	FILE *in = fopen(in_folder(name), "r");
	size_t used = in != NULL ? fread(text, 1, sizeof(text) - 1, in) : 0;
	text[used] = '\0';
	if (in != NULL)
		fclose(in);
	return text;
}

static void words(struct hook_command *command, const char *script)
{
	const char *const word[] = {"/bin/sh", "-c", script};
	size_t used = 0;
	*command = (struct hook_command){.words = 3};
	for (int i = 0; i < 3; i++) {
		assert_true(used + strlen(word[i]) < HOOK_BYTES_MAX);
		strcpy(command->bytes + used, word[i]);
		used += strlen(word[i]) + 1;
	}
}

/* Scripts run in the folder. */
static void define(struct hook *hook, const char *name, const char *run, const char *undo)
{
	char script[1000];
	*hook = (struct hook){.timeout_ms = 20000};
	strcpy(hook->name, name);
	snprintf(script, sizeof(script), "cd %s; %s", folder, run);
	words(&hook->run, script);
	snprintf(script, sizeof(script), "cd %s; %s", folder, undo);
	words(&hook->undo, script);
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void wait_state(const char *name, enum hook_state state)
{
	for (int ms = 0; ms < WAIT_MS; ms += 5) {
		hooks_update(hooks, 7);
		if (hooks_status(hooks, name)->state == state)
			return;
		pause_ms(5);
	}
	fail_msg("%s is in state %d, not %d", name, hooks_status(hooks, name)->state, state);
}

static void wait_contents(const char *name, const char *text)
{
	for (int ms = 0; ms < WAIT_MS; ms += 5) {
		if (strcmp(contents(name), text) == 0)
			return;
		pause_ms(5);
	}
	fail_msg("%s: '%s', not '%s'", name, contents(name), text);
}

static unsigned descriptors(void)
{
	DIR *all = opendir("/proc/self/fd");
	unsigned count = 0;
	while (readdir(all) != NULL)
		count++;
	closedir(all);
	return count;
}

static int remove_one(const char *path, const struct stat *what, int kind, struct FTW *at)
{
	(void)what, (void)kind, (void)at;
	return remove(path);
}

static int begin(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/sipherd-hook-XXXXXX");
	return mkdtemp(folder) != NULL ? 0 : -1;
}

static int finish(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void open_with(const char *run, const char *undo)
{
	define(&list[0], "stop", run, undo);
	define(&list[1], "other", "echo other >> log", "echo other undone >> log");
	assert_int_equal(hooks_open(&hooks, list, 2), 0);
}

/* No child is left, dead or alive. */
static void assert_childless(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void close_all(void)
{
	hooks_close(hooks);
	assert_childless();
}

/* ---- */

static void what_is_run_is_undone_when_told(void **state)
{
	(void)state;
	const unsigned before = descriptors();
	open_with("echo run >> log", "echo undo >> log");
	assert_int_equal(hooks_status(hooks, "stop")->state, HOOK_IDLE);
	assert_null(hooks_status(hooks, "nobody"));
	assert_int_equal(hooks_run(hooks, "nobody", 1), -ENOENT);
	assert_int_equal(hooks_undo(hooks, "nobody", 1), -ENOENT);
	assert_int_equal(hooks_undo(hooks, "stop", 1), 0);
	/* Time and again, as a proxy that flaps. */
	for (int i = 0; i < 3; i++) {
		unlink(in_folder("log"));
		assert_int_equal(hooks_run(hooks, "stop", 5), 0);
		assert_int_equal(hooks_status(hooks, "stop")->state, HOOK_RUNNING);
		wait_state("stop", HOOK_DONE);
		assert_int_equal(hooks_run(hooks, "stop", 6), -EBUSY);
		assert_string_equal(contents("log"), "run\n");
		assert_int_equal(hooks_undo(hooks, "stop", 6), 0);
		assert_int_equal(hooks_undo(hooks, "stop", 6), 0);
		wait_state("stop", HOOK_UNDONE);
		assert_string_equal(contents("log"), "run\nundo\n");
	}
	const struct hook_status *status = hooks_status(hooks, "stop");
	assert_int_equal(status->exit_code, 0);
	assert_int_equal(status->undo_code, 0);
	assert_int_equal(status->begun_us, 5);
	assert_int_equal(status->undone_us, 7);
	close_all();
	assert_int_equal(descriptors(), before);
}

static void what_fails_is_undone_at_once(void **state)
{
	(void)state;
	open_with("echo run >> log; exit 3", "echo undo >> log; exit 5");
	assert_int_equal(hooks_run(hooks, "stop", 1), 0);
	wait_state("stop", HOOK_FAILED);
	assert_string_equal(contents("log"), "run\nundo\n");
	assert_int_equal(hooks_status(hooks, "stop")->exit_code, 3);
	assert_int_equal(hooks_status(hooks, "stop")->undo_code, 5);
	assert_int_equal(hooks_undo(hooks, "stop", 2), 0);
	close_all();
	assert_string_equal(contents("log"), "run\nundo\n");
}

static void what_cannot_be_run_is_undone(void **state)
{
	(void)state;
	open_with("", "echo undo >> log");
	list[0].run = (struct hook_command){.words = 1, .bytes = "/nowhere/to/be/found"};
	assert_int_equal(hooks_run(hooks, "stop", 1), 0);
	wait_state("stop", HOOK_FAILED);
	assert_int_equal(hooks_status(hooks, "stop")->exit_code, 127);
	assert_string_equal(contents("log"), "undo\n");
	close_all();
}

static void a_signal_is_told(void **state)
{
	(void)state;
	open_with("kill -9 $$", "echo undo >> log");
	assert_int_equal(hooks_run(hooks, "stop", 1), 0);
	wait_state("stop", HOOK_FAILED);
	assert_int_equal(hooks_status(hooks, "stop")->exit_code, 128 + SIGKILL);
	assert_int_equal(hooks_status(hooks, "stop")->undo_code, 0);
	close_all();
}

/* With everything it has started, and though it does not listen to SIGTERM. */
static void what_takes_too_long_is_killed(void **state)
{
	(void)state;
	open_with("trap '' TERM; sleep 100 & echo $! > child; wait; sleep 100", "echo undo >> log");
	list[0].timeout_ms = 500;
	assert_int_equal(hooks_run(hooks, "stop", 1), 0);
	wait_state("stop", HOOK_FAILED);
	assert_int_equal(hooks_status(hooks, "stop")->exit_code, 124);
	assert_string_equal(contents("log"), "undo\n");
	const pid_t child = (pid_t)atoi(contents("child"));
	assert_true(child > 0);
	/* It is somebody else's to reap. */
	for (int ms = 0; kill(child, 0) == 0 && ms < WAIT_MS; ms += 5) {
		char name[64], line[512] = "";
		snprintf(name, sizeof(name), "/proc/%d/stat", child);
		FILE *in = fopen(name, "r");
		const bool dead = in == NULL || fgets(line, sizeof(line), in) == NULL ||
				  strstr(line, ") Z ") != NULL;
		if (in != NULL)
			fclose(in);
		if (dead)
			break;
		pause_ms(5);
		assert_true(ms + 5 < WAIT_MS);
	}
	close_all();
}

static void an_undo_takes_its_time_at_most(void **state)
{
	(void)state;
	open_with("echo run >> log", "echo undo >> log; exec sleep 100");
	list[0].timeout_ms = 300;
	assert_int_equal(hooks_run(hooks, "stop", 1), 0);
	wait_state("stop", HOOK_DONE);
	assert_int_equal(hooks_undo(hooks, "stop", 1), 0);
	wait_state("stop", HOOK_FAILED);
	assert_int_equal(hooks_status(hooks, "stop")->undo_code, 124);
	assert_string_equal(contents("log"), "run\nundo\n");
	close_all();
}

/* An abort does not wait for the end of what it undoes. */
static void an_undo_cuts_the_run_short(void **state)
{
	(void)state;
	open_with("echo run >> log; exec sleep 100", "echo undo >> log");
	assert_int_equal(hooks_run(hooks, "stop", 1), 0);
	wait_contents("log", "run\n");
	assert_int_equal(hooks_undo(hooks, "stop", 1), 0);
	assert_int_equal(hooks_status(hooks, "stop")->state, HOOK_UNDOING);
	wait_state("stop", HOOK_UNDONE);
	assert_int_equal(hooks_status(hooks, "stop")->exit_code, 128 + SIGTERM);
	assert_string_equal(contents("log"), "run\nundo\n");
	close_all();
}

static void closing_undoes_all(void **state)
{
	(void)state;
	const unsigned before = descriptors();
	open_with("echo run >> one", "sleep 0.2; echo undo >> one");
	assert_int_equal(hooks_run(hooks, "stop", 1), 0);
	assert_int_equal(hooks_run(hooks, "other", 1), 0);
	wait_state("stop", HOOK_DONE);
	wait_state("other", HOOK_DONE);
	close_all();
	assert_string_equal(contents("one"), "run\nundo\n");
	assert_string_equal(contents("log"), "other\nother undone\n");
	assert_int_equal(descriptors(), before);
	hooks_close(NULL);
}

static void a_guardian_does_not_listen_to_signals(void **state)
{
	(void)state;
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE};
	open_with("echo $PPID > guardian", "echo undo >> log");
	assert_int_equal(hooks_run(hooks, "stop", 1), 0);
	wait_state("stop", HOOK_DONE);
	const pid_t guardian = (pid_t)atoi(contents("guardian"));
	assert_int_equal(getsid(guardian), guardian);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		assert_int_equal(kill(guardian, signals[i]), 0);
	pause_ms(50);
	hooks_update(hooks, 2);
	assert_int_equal(hooks_status(hooks, "stop")->state, HOOK_DONE);
	assert_string_equal(contents("log"), "");
	close_all();
	assert_string_equal(contents("log"), "undo\n");
}

static void another_guardian_undoes_when_one_is_killed(void **state)
{
	(void)state;
	open_with("echo $PPID > guardian", "echo undo >> log");
	assert_int_equal(hooks_run(hooks, "stop", 1), 0);
	wait_state("stop", HOOK_DONE);
	assert_int_equal(kill((pid_t)atoi(contents("guardian")), SIGKILL), 0);
	wait_state("stop", HOOK_FAILED);
	assert_string_equal(contents("log"), "undo\n");
	assert_int_equal(hooks_status(hooks, "stop")->undo_code, 0);
	close_all();
	assert_string_equal(contents("log"), "undo\n");
}

/* ---- sipherd is gone ---- */

/* In a process of its own: run the hook, say so, and never undo it. */
static pid_t fork_sipherd(void)
{
	fflush(NULL);
	const pid_t pid = fork();
	if (pid != 0)
		return pid;
	if (hooks_run(hooks, "stop", 1) != 0)
		_exit(1);
	for (;;) {
		hooks_update(hooks, 1);
		pause_ms(5);
	}
}

static void killed_while(const char *run, const char *undo, const char *log)
{
	int status;
	open_with(run, undo);
	const pid_t sipherd = fork_sipherd();
	assert_true(sipherd > 0);
	wait_contents("log", "run\n");
	assert_int_equal(kill(sipherd, SIGKILL), 0);
	assert_int_equal(waitpid(sipherd, &status, 0), sipherd);
	wait_contents("log", log);
	/* Once. */
	pause_ms(100);
	assert_string_equal(contents("log"), log);
	close_all();
}

static void killed_it_is_undone(void **state)
{
	(void)state;
	killed_while("echo run >> log", "echo undo >> log", "run\nundo\n");
}

static void killed_in_the_middle_of_run_it_is_undone(void **state)
{
	(void)state;
	killed_while("echo run >> log; exec sleep 100", "echo undo >> log", "run\nundo\n");
}

/* ---- what it gets and what it says ---- */

static void nothing_of_ours_is_inherited(void **state)
{
	(void)state;
	char link[64], target[256];
	const int ours = open(in_folder("secret"), O_CREAT | O_RDWR, 0600); /* not close-on-exec */
	assert_true(ours > 2);
	setenv("SIPHERD_TOKEN", "wordthatissecret", 1);
	setenv("HOOK_TEST", "kept", 1);
	open_with("env | grep -E '^(SIPHERD|HOOK_TEST)' > mine; ls -l /proc/$$/fd > fds; "
		  "ls -l /proc/$PPID/fd > guardians; "
		  "tr '\\0' '\\n' < /proc/$PPID/environ | grep -c '^SIPHERD' > its; "
		  "tr '\\0' ' ' < /proc/$PPID/cmdline > argv; cat > input; "
		  "grep SigIgn /proc/$$/status | cut -f2 > signals",
		"true");
	assert_int_equal(hooks_run(hooks, "stop", 1), 0);
	wait_state("stop", HOOK_DONE);
	unsetenv("SIPHERD_TOKEN");
	assert_string_equal(contents("mine"), "HOOK_TEST=kept\n");
	assert_string_equal(contents("its"), "0\n");
	assert_null(strstr(contents("fds"), "secret"));
	assert_null(strstr(contents("fds"), "socket:"));
	assert_non_null(strstr(contents("fds"), "0 -> /dev/null"));
	assert_null(strstr(contents("guardians"), "secret"));
	assert_string_equal(contents("argv"), "sipherd guard-hook 3 ");
	assert_string_equal(contents("input"), "");
	/* glibc has two signals of its own above those that anybody sends. */
	assert_int_equal(strtoull(contents("signals"), NULL, 16) & 0x7fffffff, 0);
	close_all();
	snprintf(link, sizeof(link), "/proc/self/fd/%d", ours);
	assert_true(readlink(link, target, sizeof(target)) > 0);
	close(ours);
}

/* stderr goes to `out` while a hook is run and undone. */
static void run_with_stderr(int out)
{
	const int kept = dup(STDERR_FILENO);
	dup2(out, STDERR_FILENO);
	assert_int_equal(hooks_run(hooks, "stop", 1), 0);
	dup2(kept, STDERR_FILENO);
	close(kept);
	wait_state("stop", HOOK_DONE);
	assert_int_equal(hooks_undo(hooks, "stop", 1), 0);
	wait_state("stop", HOOK_UNDONE);
}

static void what_is_printed_is_bounded_and_printable(void **state)
{
	(void)state;
	static char text[200000];
	open_with(
		"i=0; while [ $i -lt 4000 ]; do echo abcdefghijklmnopqrstuvwxyz; i=$((i+1)); done",
		"printf 'a\\033[2Jb\\tc\\nno end' >&2");
	const int out = open(in_folder("stderr"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	run_with_stderr(out);
	const ssize_t length = pread(out, text, sizeof(text) - 1, 0);
	assert_in_range(length, 65536, 150000);
	text[length] = '\0';
	assert_memory_equal(text, "hook stop: abcdefghijklmnopqrstuvwxyz\nhook stop: abc", 52);
	assert_non_null(strstr(text, "hook stop: what it prints from here on is not shown\n"));
	assert_non_null(strstr(text, "hook stop: a?[2Jb c\nhook stop: no end\n"));
	for (ssize_t i = 0; i < length; i++)
		assert_true(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
	close(out);
	close_all();
}

static void nobody_reads_and_it_goes_on(void **state)
{
	(void)state;
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	while (write(ends[1], folder, sizeof(folder)) > 0)
		;
	/* As somebody else's stderr is. */
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	open_with(
		"i=0; while [ $i -lt 3000 ]; do echo abcdefghijklmnopqrstuvwxyz; i=$((i+1)); done",
		"echo undo | tee -a log");
	run_with_stderr(ends[1]);
	assert_string_equal(contents("log"), "undo\n");
	/* The reader is gone altogether. */
	close(ends[0]);
	run_with_stderr(ends[1]);
	assert_string_equal(contents("log"), "undo\nundo\n");
	close(ends[1]);
	close_all();
}

static void by_hand_it_says_what_it_is(void **state)
{
	(void)state;
	int status;
	fflush(NULL);
	const pid_t pid = fork();
	if (pid == 0) {
		const int null = open("/dev/null", O_RDWR);
		dup2(null, STDERR_FILENO);
		dup2(null, 3);
		execl("/proc/self/exe", "hook", "guard-hook", "3", (char *)NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "guard-hook") == 0)
		return hook_guard(argc, argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_run_is_undone_when_told, begin, finish),
		cmocka_unit_test_setup_teardown(what_fails_is_undone_at_once, begin, finish),
		cmocka_unit_test_setup_teardown(what_cannot_be_run_is_undone, begin, finish),
		cmocka_unit_test_setup_teardown(a_signal_is_told, begin, finish),
		cmocka_unit_test_setup_teardown(what_takes_too_long_is_killed, begin, finish),
		cmocka_unit_test_setup_teardown(an_undo_takes_its_time_at_most, begin, finish),
		cmocka_unit_test_setup_teardown(an_undo_cuts_the_run_short, begin, finish),
		cmocka_unit_test_setup_teardown(closing_undoes_all, begin, finish),
		cmocka_unit_test_setup_teardown(
			a_guardian_does_not_listen_to_signals, begin, finish),
		cmocka_unit_test_setup_teardown(
			another_guardian_undoes_when_one_is_killed, begin, finish),
		cmocka_unit_test_setup_teardown(killed_it_is_undone, begin, finish),
		cmocka_unit_test_setup_teardown(
			killed_in_the_middle_of_run_it_is_undone, begin, finish),
		cmocka_unit_test_setup_teardown(nothing_of_ours_is_inherited, begin, finish),
		cmocka_unit_test_setup_teardown(
			what_is_printed_is_bounded_and_printable, begin, finish),
		cmocka_unit_test_setup_teardown(nobody_reads_and_it_goes_on, begin, finish),
		cmocka_unit_test(by_hand_it_says_what_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
