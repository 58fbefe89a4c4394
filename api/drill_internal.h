/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files that make a drill's plan share among themselves, and nobody else includes. */
#ifndef SIPHERD_DRILL_INTERNAL_H
#define SIPHERD_DRILL_INTERNAL_H

#include "drill_plan.h"

#define DRILL_BIT(field) (1u << (field))

/* How long a herd with these timers takes at most, by PHONE.md section 5. */
struct drill_times {
	uint64_t period_ms;  /* of keep-alives, with jitter; 0: none */
	uint64_t cycle_ms;   /* from one probe of a silent proxy to the next */
	uint64_t over_ms;    /* a proxy falls silent: until the last phone asks the other one */
	uint64_t back_ms;    /* the primary serves again: until the last phone asks it */
	uint64_t soon_ms;    /* likewise, where the last one has only just moved */
	uint64_t rescue_ms;  /* one of two silent proxies serves again: likewise */
	uint64_t seek_ms;    /* a REGISTER that nobody answers, and the pause before the next */
	uint64_t refresh_ms; /* until every phone's refresh has been due */
	uint64_t leave_ms; /* a proxy answers 503: until the last phone asks the other one; 0: they
			      * do not leave for it */
};

void drill_times(struct drill_times *times, const struct drill_fleet *fleet);

/* A tenth and five seconds more, for what comes after the last moment: registering takes its time. */
static inline uint64_t drill_margin_ms(uint64_t ms)
{
	return ms + ms / 10 + 5000;
}

static inline bool drill_is_symmetric(const struct drill_fleet *fleet)
{
	return fleet->herd->redundancy.mode == MODE_SYMMETRIC;
}

static inline enum proxy drill_other(enum proxy proxy)
{
	return proxy == PROXY_PRIMARY ? PROXY_REDUNDANT : PROXY_PRIMARY;
}

/* Do phones leave this proxy when it fails? Asymmetric ones are at the redundant one only while the
 * primary is down. */
static inline bool drill_is_used(const struct drill_fleet *fleet, enum proxy proxy)
{
	return drill_is_symmetric(fleet) || proxy == PROXY_PRIMARY;
}

/* Do phones that have left it come back to it? */
static inline bool drill_fails_back(const struct drill_fleet *fleet, enum proxy proxy)
{
	return !drill_is_symmetric(fleet) && proxy == PROXY_PRIMARY;
}

/* reason filled, -EINVAL */
int drill_refuse(char reason[DRILL_REASON_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* 0, or -EINVAL: this cannot be asked of this fleet. */
int drill_check(const struct drill_request *request, const struct drill_fleet *fleet,
	char reason[DRILL_REASON_MAX]);
/* Fields that were not given take what suits kind and fleet. */
void drill_fill(struct drill_request *request, const struct drill_fleet *fleet,
	const struct drill_times *times);
void drill_foresee(
	struct drill_plan *plan, const struct drill_fleet *fleet, const struct drill_times *times);

#endif
