/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything that is counted, as Prometheus' text format 0.0.4: base units, _total on what only grows,
 * never a phone as a label, under 1,000 series whatever the size of the fleet.
 */
#ifndef SIPHERD_METRICS_H
#define SIPHERD_METRICS_H

#include "picture.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* As text to be freed, its length in *length; NULL: out of memory. */
char *metrics_text(const struct picture *picture, size_t *length);

#endif
