/* SPDX-License-Identifier: BSD-3-Clause */
/* What the API answers, field by field: one function for each kind of answer (see shape.h). */
#ifndef SIPHERD_ANSWERS_H
#define SIPHERD_ANSWERS_H

#include "picture.h"
#include "shape.h"

#define ANSWER_HISTOGRAMS 14

/* Names of /api/v1/histograms/{name}, in the order of `which`. */
extern const char *const answer_histograms[ANSWER_HISTOGRAMS];

void answer_health(struct shape *shape, const struct picture *picture, unsigned which);
void answer_ready(struct shape *shape, const struct picture *picture, unsigned which);
void answer_fleet(struct shape *shape, const struct picture *picture, unsigned which);
void answer_proxies(struct shape *shape, const struct picture *picture, unsigned which);
/* which: enum proxy */
void answer_proxy(struct shape *shape, const struct picture *picture, unsigned which);
void answer_generator(struct shape *shape, const struct picture *picture, unsigned which);
void answer_store(struct shape *shape, const struct picture *picture, unsigned which);
void answer_timeline(struct shape *shape, const struct picture *picture, unsigned which);
void answer_histogram_cells(struct shape *shape, const struct picture *picture, unsigned which);

/* at_s: when the figures were taken. */
void answer_moment(struct shape *shape, const struct picture *picture);

/* Parts that herds have too. unit_us: of the histogram's values. */
void answer_phones(struct shape *shape, const struct herd_population *population);
void answer_histogram(struct shape *shape, const char *name, const char *help,
	const struct histogram *h, uint64_t unit_us);

/* Parts that events have too: the mode of redundancy, one second of the time line. */
void answer_mode(struct shape *shape, const struct fleet *fleet);
void answer_second(struct shape *shape, const void *picture, uint32_t index);

#endif
