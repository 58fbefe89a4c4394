/* SPDX-License-Identifier: BSD-3-Clause */
#include "tally.h"

#include <stdlib.h>
#include <string.h>

uint64_t tally_switches(const struct herd_counters *c, enum proxy to)
{
	if (to == PROXY_REDUNDANT)
		return c->failover_keepalive_silence + c->failover_register_silence +
		       c->failover_refresh_silence + c->failover_code;
	return c->failback_keepalive_answer + c->failback_keepalive_silence +
	       c->failback_register_silence + c->failback_refresh_silence + c->failback_code;
}

uint64_t tally_retransmitted(const struct herd_counters *c)
{
	return c->register_retransmitted + c->options_retransmitted + c->unregister_retransmitted;
}

uint64_t tally_sent(const struct herd_counters *c)
{
	return c->register_sent + c->options_sent + c->unregister_sent + tally_retransmitted(c);
}

uint64_t tally_not_sent(const struct wire_snapshot *s)
{
	return s->herd.not_sent + s->wire.not_sent_full + s->wire.not_sent_no_neighbour +
	       s->wire.not_sent_unresolved;
}

uint64_t tally_planned(const struct wire_snapshot *s)
{
	return tally_sent(&s->herd) + s->herd.not_sent;
}

uint64_t tally_answered(const struct herd_counters *c)
{
	return c->responses_1xx + c->responses_2xx + c->responses_3xx + c->responses_4xx +
	       c->responses_5xx + c->responses_6xx;
}

uint64_t tally_silent(const struct herd_counters *c)
{
	return c->options_silent + c->register_silent + c->unregister_silent;
}

uint64_t tally_bad_answers(const struct herd_counters *c)
{
	return c->register_useless + c->register_auth_failed + c->register_rejected +
	       c->options_fail_code + c->challenge_unusable + c->message_malformed +
	       c->response_foreign + c->response_mismatch;
}

uint32_t tally_phones(const struct herd_population *p, enum phone_state state)
{
	return p->phones[state][PROXY_PRIMARY] + p->phones[state][PROXY_REDUNDANT];
}

/* Both proxies' histogram of what came since an earlier copy of them. */
static void since(struct histogram *out, const struct histogram now[PROXIES],
	const struct histogram then[PROXIES])
{
	histogram_sum(out, now, PROXIES);
	for (int p = 0; p < PROXIES; p++) {
		out->count -= then[p].count;
		for (uint32_t i = 0; i < HISTOGRAM_CELLS; i++)
			out->cell[i] -= then[p].cell[i];
	}
}

static uint32_t requests_since(
	const struct registrar_counters *now, const struct registrar_counters *then)
{
	return (uint32_t)(now->registrar_register + now->registrar_options -
			  then->registrar_register - then->registrar_options);
}

static void measure(
	struct tally_second *out, const struct wire_snapshot *now, const struct wire_snapshot *then)
{
	static struct histogram rtt;
	const struct herd_counters *a = &now->herd, *b = &then->herd;
	uint32_t off = tally_phones(&now->population, PHONE_OFF), all = 0;
	for (int s = 0; s < PHONE_STATES; s++)
		all += tally_phones(&now->population, (enum phone_state)s);
	for (int p = 0; p < PROXIES; p++)
		out->registered[p] = now->population.phones[PHONE_REGISTERED][p];
	out->elsewhere = all - off - out->registered[PROXY_PRIMARY] -
			 out->registered[PROXY_REDUNDANT];
	out->register_sent = (uint32_t)(a->register_sent - b->register_sent);
	out->options_sent = (uint32_t)(a->options_sent - b->options_sent);
	out->retransmitted = (uint32_t)(tally_retransmitted(a) - tally_retransmitted(b));
	out->answered = (uint32_t)(tally_answered(a) - tally_answered(b));
	out->silent = (uint32_t)(tally_silent(a) - tally_silent(b));
	out->failovers = (uint32_t)(tally_switches(a, PROXY_REDUNDANT) -
				    tally_switches(b, PROXY_REDUNDANT));
	out->failbacks = (uint32_t)(tally_switches(a, PROXY_PRIMARY) -
				    tally_switches(b, PROXY_PRIMARY));
	out->not_sent = (uint32_t)(tally_not_sent(now) - tally_not_sent(then));
	out->answered_by[PROXY_PRIMARY] = (uint32_t)(a->answered_primary - b->answered_primary);
	out->answered_by[PROXY_REDUNDANT] = (uint32_t)(a->answered_redundant -
						       b->answered_redundant);
	out->silent_by[PROXY_PRIMARY] = (uint32_t)(a->silent_primary - b->silent_primary);
	out->silent_by[PROXY_REDUNDANT] = (uint32_t)(a->silent_redundant - b->silent_redundant);
	since(&rtt, now->histograms.options_rtt_us, then->histograms.options_rtt_us);
	out->rtt_p50_us = histogram_quantile(&rtt, 0.5);
	out->rtt_p99_us = histogram_quantile(&rtt, 0.99);
	for (int p = 0; p < PROXIES; p++) {
		out->bound[p] = now->registered_at[p];
		out->requests[p] = requests_since(&now->registrar[p], &then->registrar[p]);
	}
}

bool tally_add(struct tally *tally, const struct wire_snapshot *now, uint64_t start_us)
{
	if (tally->count == TALLY_SECONDS_MAX) {
		memmove(tally->second, tally->second + 1, --tally->count * sizeof(*tally->second));
	} else if (tally->count == tally->room) {
		uint32_t room = tally->room ? tally->room * 2 : 256;
		struct tally_second *more = realloc(tally->second, room * sizeof(*more));
		if (more == NULL)
			return false;
		tally->second = more;
		tally->room = room;
	}
	struct tally_second *second = &tally->second[tally->count++];
	measure(second, now, &tally->last);
	second->at_s = (float)((double)(int64_t)(now->now_us - start_us) / 1e6);
	tally->last = *now;
	tally->passed++;
	return true;
}

const struct tally_second *tally_latest(const struct tally *tally)
{
	static const struct tally_second none;
	return tally->count > 0 ? &tally->second[tally->count - 1] : &none;
}

void tally_free(struct tally *tally)
{
	free(tally->second);
	tally->second = NULL;
}
