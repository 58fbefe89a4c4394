/* SPDX-License-Identifier: BSD-3-Clause */
#include "picture.h"

#include <stdio.h>

#include "steer.h"

double picture_at_s(const struct picture *picture)
{
	return (double)(int64_t)(picture->now->now_us - picture->start_us) / 1e6;
}

uint64_t picture_memory_bytes(const struct picture *picture)
{
	const struct mirror *mirror = picture->share->mirror;
	return picture->now->herd_memory - (mirror != NULL ? mirror_memory(mirror) : 0);
}

uint32_t picture_registered(const struct picture *picture)
{
	return tally_phones(&picture->now->population, PHONE_REGISTERED);
}

uint32_t picture_wanted(const struct picture *picture)
{
	const struct mirror *mirror = picture->share->mirror;
	const uint32_t limit = picture->steer != NULL ? picture->steer->phones : UINT32_MAX;
	uint32_t wanted = 0;
	if (limit >= picture->fleet->phones || mirror == NULL)
		return picture->share->phones;
	for (uint32_t shard = 0; shard * SHARD_PHONES < limit; shard++) {
		const uint32_t below = limit - shard * SHARD_PHONES;
		const uint32_t all = mirror_shard_phones(mirror, shard);
		if (atomic_load_explicit(&mirror->here[shard], memory_order_relaxed) != 0)
			wanted += below < all ? below : all;
	}
	return wanted;
}

uint32_t picture_ramp_per_s(const struct picture *picture)
{
	return picture->steer != NULL ? picture->steer->ramp_per_s : picture->fleet->ramp_per_s;
}

static double herd_per_s(const struct fleet *herd)
{
	double period_s = herd->keepalive_period_ms / 1e3;
	double refresh_s = herd->expires_s * (herd->refresh_permille / 1e3);
	double steady = refresh_s > 0 ? herd->phones / refresh_s : 0;
	return period_s > 0 ? steady + herd->phones / period_s : steady;
}

double picture_steady_per_s(const struct picture *picture)
{
	const struct fleet *fleet = picture->fleet;
	double all = 0;
	for (uint32_t h = 0; h < fleet_herds(fleet); h++)
		all += herd_per_s(fleet_herd(fleet, h));
	return fleet->phones > 0 ? all * picture_wanted(picture) / fleet->phones : 0;
}

bool picture_is_ready(const struct picture *picture, char *why, size_t size)
{
	const struct share *share = picture->share;
	const uint32_t wanted = picture_wanted(picture), registered = picture_registered(picture);
	why[0] = '\0';
	if (picture->stopping)
		snprintf(why, size, "the run is ending");
	else if (wanted == 0)
		snprintf(why, size, "no phones are driven here, or none is to be on");
	else if ((uint64_t)registered * 100 < (uint64_t)wanted * PICTURE_READY_PERCENT)
		snprintf(why, size,
			"%u of the %u phones driven here are registered, less than %d percent",
			registered, wanted, PICTURE_READY_PERCENT);
	else if (share->store != NULL && !share->status.connected)
		snprintf(why, size, "the store cannot be reached");
	return why[0] == '\0';
}

uint32_t picture_seconds(const struct picture *picture)
{
	const uint32_t all = picture->tally->count;
	return all < PICTURE_TIMELINE_S ? all : PICTURE_TIMELINE_S;
}

const struct tally_second *picture_second(const struct picture *picture, uint32_t index)
{
	static const struct tally_second none;
	const struct tally *tally = picture->tally;
	const uint32_t shown = picture_seconds(picture);
	return index < shown ? &tally->second[tally->count - shown + index] : &none;
}

bool picture_answered(const struct picture *picture, enum proxy proxy, double *ratio)
{
	const uint32_t all = picture_seconds(picture);
	uint64_t answered = 0, silent = 0;
	for (uint32_t i = all > PICTURE_ANSWERED_S ? all - PICTURE_ANSWERED_S : 0; i < all; i++) {
		const struct tally_second *s = picture_second(picture, i);
		answered += s->answered_by[proxy];
		silent += s->silent_by[proxy];
	}
	*ratio = answered > 0 ? (double)answered / (double)(answered + silent) : 0;
	return answered + silent > 0;
}
