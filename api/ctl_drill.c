/* SPDX-License-Identifier: BSD-3-Clause */
/* Drills of a running sipherd: what one would do, begin it, end it, what came of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "guard.h"

#define DRILLS "/api/v1/drills"
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyz_"

/* "hold=90s", or primary and redundant alone. dry_run is ours. */
static bool take_word(json_t *body, const char *word)
{
	const size_t name = strspn(word, NAME_CHARACTERS);
	char field[32];
	if (strcmp(word, "primary") == 0 || strcmp(word, "redundant") == 0)
		return json_object_get(body, "proxy") == NULL &&
		       json_object_set_new(body, "proxy", json_string(word)) == 0;
	if (name == 0 || name >= sizeof(field) || word[name] != '=')
		return false;
	memcpy(field, word, name);
	field[name] = '\0';
	return strcmp(field, "drill") != 0 && strcmp(field, "dry_run") != 0 &&
	       json_object_get(body, field) == NULL &&
	       json_object_set_new(body, field, json_string(word + name + 1)) == 0;
}

/* NULL after a message. */
static json_t *take_words(const struct ctl *ctl)
{
	json_t *body = json_object();
	json_object_set_new(body, "drill", json_string(ctl->word[0]));
	for (size_t i = 1; i < ctl->words; i++) {
		if (take_word(body, ctl->word[i]))
			continue;
		ctl_bad_word(ctl->word[i],
			"Behind a drill's name stand its fields, each once: primary or redundant, "
			"hold=90s, share=50% and so on; 'sipherd ctl drills' lists them.");
		json_decref(body);
		return NULL;
	}
	return body;
}

static json_t *post(struct ctl *ctl, const json_t *body, int *status)
{
	char *text = json_dumps(body, JSON_COMPACT);
	json_t *value = ctl_ask(ctl, "POST", DRILLS, text, status);
	free(text);
	return value;
}

/* What it would do; NULL after a message with *status set. */
static json_t *ask_plan(struct ctl *ctl, json_t *body, int *status)
{
	json_object_set_new(body, "dry_run", json_true());
	json_t *plan = post(ctl, body, status);
	json_object_del(body, "dry_run");
	return plan;
}

int ctl_plan(struct ctl *ctl, const struct ctl_verb *verb)
{
	int status = EXIT_USAGE;
	json_t *body = take_words(ctl);
	(void)verb;
	if (body == NULL)
		return status;
	json_t *plan = ask_plan(ctl, body, &status);
	if (plan != NULL)
		ctl_show(ctl, plan, ctl_print_plan);
	json_decref(body);
	return status;
}

/* --- Begin --- */

/* The name of the fleet, typed by who sits there. */
static bool is_typed(const struct ctl *ctl, const char *fleet)
{
	char line[256];
	char *shown = strdup(fleet);
	if (shown == NULL)
		return false;
	fflush(stdout);
	fprintf(stderr, "This is for the fleet %s at %s. Type its name to begin: ",
		client_clean(shown, strlen(shown), false), client_url(ctl->client));
	free(shown);
	if (fgets(line, sizeof(line), stdin) == NULL)
		return false;
	line[strcspn(line, "\r\n")] = '\0';
	return strcmp(line, fleet) == 0;
}

/* Puts the confirmation into the body. EXIT_DONE, or an exit code after a message. */
static int confirm(struct ctl *ctl, json_t *body)
{
	int status;
	if (json_object_get(body, "confirm") != NULL)
		return EXIT_DONE;
	if (!ctl->options->yes && !isatty(STDIN_FILENO)) {
		fprintf(stderr,
			"sipherd: nothing was begun. Where there is no terminal to ask, give "
			"confirm=NAME with the name of the fleet, or --yes.\n");
		return EXIT_USAGE;
	}
	json_t *fleet = ctl_ask(ctl, "GET", "/api/v1/fleet", NULL, &status);
	if (fleet == NULL)
		return status;
	if (ctl->options->yes || is_typed(ctl, ctl_text(fleet, "name"))) {
		json_object_set(body, "confirm", json_object_get(fleet, "name"));
	} else {
		fprintf(stderr, "sipherd: that is not its name, nothing was begun.\n");
		status = EXIT_USAGE;
	}
	json_decref(fleet);
	return status;
}

static void print_begun(const json_t *drill)
{
	const json_int_t id = json_integer_value(json_object_get(drill, "id"));
	printf("drill %" JSON_INTEGER_FORMAT
	       " has begun and ends by itself after %.1f s; sipherd ctl "
	       "abort %" JSON_INTEGER_FORMAT " ends it at once\n",
		id, json_number_value(json_object_get(drill, "end_ms")) / 1e3, id);
}

int ctl_drill(struct ctl *ctl, const struct ctl_verb *verb)
{
	int status = EXIT_USAGE;
	json_t *body = take_words(ctl);
	(void)verb;
	if (body == NULL)
		return status;
	json_t *plan = ask_plan(ctl, body, &status);
	if (plan != NULL && !ctl->options->json)
		ctl_print_plan(plan);
	if (plan != NULL)
		status = confirm(ctl, body);
	json_t *begun = plan != NULL && status == EXIT_DONE ? post(ctl, body, &status) : NULL;
	if (begun != NULL)
		ctl_show(ctl, begun, print_begun);
	json_decref(plan);
	json_decref(body);
	return status;
}

/* --- One that there is --- */

static int take_number(const char *word, uint32_t *id)
{
	if (guard_number(word, 1, UINT32_MAX, id))
		return EXIT_DONE;
	return ctl_bad_word(word, "A drill has a number from 1 on: see 'sipherd ctl drills'.");
}

/* The one that runs. */
static int find_running(struct ctl *ctl, uint32_t *id)
{
	int status;
	json_t *drills = ctl_ask(ctl, "GET", DRILLS, NULL, &status);
	const json_t *running = json_object_get(json_object_get(drills, "running"), "id");
	if (drills != NULL && !json_is_integer(running)) {
		fprintf(stderr, "sipherd: no drill runs.\n");
		status = EXIT_USAGE;
	}
	*id = (uint32_t)json_integer_value(running);
	json_decref(drills);
	return status;
}

static void print_aborted(const json_t *answer)
{
	printf("drill %" JSON_INTEGER_FORMAT
	       " is aborted, all that it had begun is being restored\n",
		json_integer_value(json_object_get(answer, "id")));
}

int ctl_abort(struct ctl *ctl, const struct ctl_verb *verb)
{
	char path[64];
	uint32_t id;
	(void)verb;
	int status = ctl->words > 0 ? take_number(ctl->word[0], &id) : find_running(ctl, &id);
	if (status != EXIT_DONE)
		return status;
	snprintf(path, sizeof(path), DRILLS "/%u/abort", id);
	json_t *answer = ctl_ask(ctl, "POST", path, "{}", &status);
	if (answer != NULL)
		ctl_show(ctl, answer, print_aborted);
	return status;
}

int ctl_result(struct ctl *ctl, const struct ctl_verb *verb)
{
	char path[64];
	uint32_t id;
	(void)verb;
	int status = take_number(ctl->word[0], &id);
	if (status != EXIT_DONE)
		return status;
	snprintf(path, sizeof(path), DRILLS "/%u", id);
	json_t *result = ctl_ask(ctl, "GET", path, NULL, &status);
	if (result != NULL)
		ctl_show(ctl, result, ctl_print_result);
	return status;
}

int ctl_report(struct ctl *ctl, const struct ctl_verb *verb)
{
	char path[64];
	uint32_t id;
	struct client_answer answer;
	(void)verb;
	int status = take_number(ctl->word[0], &id);
	if (status != EXIT_DONE)
		return status;
	if (ctl->options->output == NULL && isatty(STDOUT_FILENO)) {
		fprintf(stderr, "sipherd: a report is a page: give -o FILE.html.\n");
		return EXIT_USAGE;
	}
	snprintf(path, sizeof(path), DRILLS "/%u/report", id);
	client_ask(ctl->client, "GET", path, NULL, &answer);
	status = client_exit(&answer);
	if (status == EXIT_DONE)
		status = ctl_save(ctl, &answer);
	client_answer_free(&answer);
	return status;
}
