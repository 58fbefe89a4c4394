/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hooks: commands of the operator's that make a real outage, each with its undo, as the fleet file lists
 * them. Run without a shell, by a guardian process of their own: when sipherd ends in whatever way while
 * a hook is not undone, SIGKILL included, the guardian runs the undo and ends. What they print goes to
 * stderr line by line, with the hook's name before it.
 *
 * Nothing of HTTP ever names a program: only names of hooks that are in the fleet file.
 */
#ifndef SIPHERD_HOOK_H
#define SIPHERD_HOOK_H

#include <stdbool.h>
#include <stdint.h>

#define HOOKS_MAX 16
#define HOOK_NAME_MAX 64
#define HOOK_WORDS_MAX 32
#define HOOK_BYTES_MAX 1024 /* of all words of one command, with NULs */
#define HOOK_TIMEOUT_MS 30000

/* One word after the other, each ended by NUL; words: how many. */
struct hook_command {
	uint8_t words;
	char bytes[HOOK_BYTES_MAX];
};

struct hook {
	char name[HOOK_NAME_MAX];
	struct hook_command run, undo; /* the first word is an absolute path */
	uint32_t timeout_ms;           /* killed after this */
};

enum hook_state {
	HOOK_IDLE,
	HOOK_RUNNING,
	HOOK_DONE, /* in force: to be undone */
	HOOK_UNDOING,
	HOOK_UNDONE,
	HOOK_FAILED, /* its undo has been run too */
};

struct hook_status {
	enum hook_state state;
	int exit_code; /* of `run`; 128 + signal, 124 timeout */
	int undo_code;
	uint64_t begun_us, ran_us, undone_us; /* monotonic clock of the caller */
};

struct hooks;

/* 0 or -errno. list must outlive it. */
int hooks_open(struct hooks **out, const struct hook *list, uint32_t count);
/* Undoes what is not undone, waits for it (a hook's timeout at most): what is UNDOING still goes on by itself.
 * Nothing can be asked of them any more but how they ended. */
void hooks_finish(struct hooks *hooks);
void hooks_close(struct hooks *hooks);
/* Both return at once. 0; -ENOENT; -EBUSY: it runs; -errno of making the guardian. */
int hooks_run(struct hooks *hooks, const char *name, uint64_t now_us);
int hooks_undo(struct hooks *hooks, const char *name, uint64_t now_us);
/* Take what guardians have said; cheap, ten times a second. */
void hooks_update(struct hooks *hooks, uint64_t now_us);
/* NULL: no such hook. */
const struct hook_status *hooks_status(const struct hooks *hooks, const char *name);

/* main() of the guardian: `sipherd guard-hook FD`, which no help names. */
int hook_guard(int argc, char **argv);

#endif
