/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sipherd ctl: reads and steers a running sipherd through its HTTP API, for scripts and their authors.
 * Text for people, --json for programs; exit codes as everywhere.
 */
#ifndef SIPHERD_CTL_H
#define SIPHERD_CTL_H

#include <jansson.h>

#include "client.h"
#include "options.h"
#include "sse.h"

#define CTL_WORDS_MAX 20 /* of a drill and its fields */

int run_ctl(const struct options *options);

/* --- ctl.c: what the commands share --- */

struct ctl_verb;

struct ctl {
	const struct options *options;
	struct client *client;
	const char *const *word; /* behind the command's */
	size_t words;
	uint32_t phone;
};

/* What the server said, as JSON; NULL after a message with *status set. */
json_t *ctl_ask(
	struct ctl *ctl, const char *method, const char *path, const char *body, int *status);
/* The same as JSON or by `print`; takes the value. */
void ctl_show(const struct ctl *ctl, json_t *value, void (*print)(const json_t *value));
/* To -o or standard output. EXIT_DONE or EXIT_HOST after a message. */
int ctl_save(const struct ctl *ctl, const struct client_answer *answer);
/* EXIT_USAGE, after a message. */
int ctl_bad_word(const char *word, const char *remedy);

/* --- ctl_drill.c --- */

int ctl_plan(struct ctl *ctl, const struct ctl_verb *verb);
int ctl_drill(struct ctl *ctl, const struct ctl_verb *verb);
int ctl_abort(struct ctl *ctl, const struct ctl_verb *verb);
int ctl_result(struct ctl *ctl, const struct ctl_verb *verb);
int ctl_report(struct ctl *ctl, const struct ctl_verb *verb);

/* --- ctl_print.c: answers as text; strings of the server are cleaned on the way --- */

void ctl_print_clean(const char *text);
/* A text among an object's fields; "-" where there is none. */
const char *ctl_text(const json_t *object, const char *name);

/* Fields below each other, objects and lists indented. */
void ctl_print_tree(const json_t *value);
void ctl_print_phones(const json_t *page, bool heading);
void ctl_print_phone(const json_t *phone);
/* The last messages as a ladder. */
void ctl_print_trace(const json_t *trace);
/* One line. */
void ctl_print_event(const struct sse_event *event, const json_t *data);
/* --- ctl_print_drill.c: the same of drills --- */

void ctl_print_drills(const json_t *drills);
void ctl_print_plan(const json_t *plan);
void ctl_print_result(const json_t *result);

/* JSON, indented, in ASCII. */
void ctl_print_json(const json_t *value, size_t flags);

#endif
