/* SPDX-License-Identifier: BSD-3-Clause */
#include "habit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int habits_open(struct habits *habits)
{
	*habits = (struct habits){0};
	habits->habit = calloc(SCAN_SKELETONS, sizeof(*habits->habit));
	if (habits->habit == NULL)
		return -ENOMEM;
	return scan_learned_open(&habits->learned);
}

void habits_close(struct habits *habits)
{
	scan_learned_close(&habits->learned);
	free(habits->habit);
	habits->habit = NULL;
}

struct habit *habit_of(struct habits *habits)
{
	const struct scan_skeleton *skeleton = habits->learned.match;
	if (skeleton == NULL)
		return NULL;
	struct habit *habit = &habits->habit[skeleton - habits->learned.skeleton];
	if (habit->number != skeleton->number)
		*habit = (struct habit){.number = skeleton->number};
	return habit;
}

struct span habit_guess_user(const struct habits *habits, size_t length)
{
	const size_t first = length % SCAN_LEARN_SETS * SCAN_LEARN_WAYS;
	if (!habits->learned.possible)
		return (struct span){0};
	for (size_t i = first; i < first + SCAN_LEARN_WAYS; i++) {
		const struct scan_skeleton *skeleton = &habits->learned.skeleton[i];
		const struct habit *habit = &habits->habit[i];
		if (skeleton->length == length && habit->number == skeleton->number &&
			habit->knows_aor)
			return habit->aor.user;
	}
	return (struct span){0};
}

bool habit_aor(struct habit *habit, const struct sip_message *request, struct sip_uri *out)
{
	if (habit != NULL && habit->knows_aor) {
		*out = habit->aor;
		return true;
	}
	if (!scan_uri(request, request->to_uri, out))
		return false;
	if (habit != NULL) {
		habit->aor = *out;
		habit->knows_aor = true;
	}
	return true;
}

/* The texts of credentials, in any order. */
static struct digest_text *text_of(struct digest_credentials *credentials, unsigned i)
{
	struct digest_text *const texts[HABIT_TEXTS] = {&credentials->username, &credentials->realm,
		&credentials->nonce, &credentials->uri, &credentials->response,
		&credentials->cnonce, &credentials->opaque, &credentials->qop,
		&credentials->nc_text};
	return texts[i];
}

static void keep_credentials(struct habit *habit, const struct sip_message *request,
	struct digest_credentials *credentials)
{
	for (unsigned i = 0; i < HABIT_TEXTS; i++) {
		const struct digest_text *text = text_of(credentials, i);
		habit->text[i] = (struct span){0};
		if (text->text != NULL)
			habit->text[i] = (struct span){
				(uint16_t)(text->text - request->base), (uint16_t)text->length};
	}
	habit->algorithm = credentials->algorithm;
	habit->knows_credentials = true;
}

int habit_credentials(struct habit *habit, const struct sip_message *request, unsigned number,
	struct digest_credentials *out)
{
	/* A message that was recognised has no more than one. */
	const struct span value = request->credential[number];
	if (habit == NULL || !habit->knows_credentials) {
		const int error = digest_parse_credentials(
			span_text(request, value), value.length, out);
		if (error == 0 && habit != NULL)
			keep_credentials(habit, request, out);
		return error;
	}
	for (unsigned i = 0; i < HABIT_TEXTS; i++)
		*text_of(out, i) = (struct digest_text){
			span_text(request, habit->text[i]), habit->text[i].length};
	out->algorithm = habit->algorithm;
	return digest_parse_count(out->nc_text, &out->nc);
}
