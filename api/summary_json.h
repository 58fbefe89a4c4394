/* SPDX-License-Identifier: BSD-3-Clause */
/* Parts of a summary that its herds have too. Only for summary.c and herds.c. */
#ifndef SIPHERD_SUMMARY_JSON_H
#define SIPHERD_SUMMARY_JSON_H

#include <jansson.h>

#include "counters.h"
#include "herd.h"

json_t *summary_json_counters(const void *values, const struct counter_description *names, int n);
json_t *summary_json_histogram(const struct histogram *h);
/* Of whichever proxy was asked. */
json_t *summary_json_histograms(const struct histogram by_proxy[PROXIES]);
json_t *summary_json_phones(const struct herd_population *p);
json_t *summary_json_switches(const struct herd_counters *c);
/* What the herd itself knows of them: datagrams that the wire lost are the fleet's. */
json_t *summary_json_losses(const struct herd_counters *c);

#endif
