/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What PHONE.md section 5 predicts: when the phones of a herd whose keep-alives are spread evenly over
 * their period move. Pure; nothing is drawn at random. The page has the same model (page/predict.js).
 *
 * A curve is the share of the phones whose REGISTER to the other proxy has left, by the time since the
 * event; of a rescue: whose REGISTER has reached the proxy that serves again.
 */
#ifndef SIPHERD_PREDICT_H
#define SIPHERD_PREDICT_H

#include "drill_plan.h"

struct prediction {
	bool known; /* false: no model for this wave and these rules */
	/* The outage before it was long enough for what the model is of: probes, or REGISTERs to two
	 * silent proxies in turn, are spread evenly. */
	bool even;
	uint32_t step_ms;
	uint32_t steps; /* share[i]: at i * step_ms; the last is 1 */
	double *share;  /* freed by prediction_free */
	double first_ms, last_ms, mean_ms;
	double peak_second,
		peak_100ms; /* busiest window that begins at a whole multiple of itself */
};

/* -ENOMEM; 0, and `known` says whether there is a model. */
int predict_wave(
	struct prediction *out, const struct drill_wave *wave, const struct drill_fleet *fleet);
double prediction_at(const struct prediction *prediction, double ms);
void prediction_free(struct prediction *prediction);

#endif
