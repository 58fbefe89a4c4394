/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an operator may change while the herd runs: actions on one phone, and the load of the fleet.
 * Everything becomes a command to the workers; how far they are shows in the figures. Control thread
 * only.
 */
#ifndef SIPHERD_STEER_H
#define SIPHERD_STEER_H

#include "ask.h"
#include "picture.h"
#include "shape.h"

#define STEER_CHANGES_PER_S 100
#define STEER_RAMP_MAX 10000000u /* as in a fleet file */

struct steer {
	uint32_t phones, ramp_per_s; /* the load as it was last asked for */
	bool paused;
	uint64_t second;  /* of the herd's clock ... */
	unsigned changes; /* ... and how many were asked for in it */
	uint32_t phone;   /* of the last action, and which it was */
	unsigned action;
};

extern const struct ask_field steer_action_body[], steer_load_body[];

void steer_open(struct steer *steer, const struct fleet *fleet);

/* One more change is asked for: too many in this second are a problem. */
bool steer_count(const struct picture *picture, struct problem *problem);

bool steer_act(const struct picture *picture, const struct asked *asked, struct problem *problem);
void steer_tell_action(struct shape *shape, const struct picture *picture, unsigned which);

/* Nothing is looked up: a change shows at once. */
bool steer_look(const struct picture *picture, const struct asked *asked, struct problem *problem);
bool steer_load(const struct picture *picture, const struct asked *asked, struct problem *problem);
void steer_tell_load(struct shape *shape, const struct picture *picture, unsigned which);

#endif
