/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters: one X-macro list is the struct, the names and the help.
 *
 * A list is a macro taking X(name, help). COUNTERS_DECLARE makes `struct name` of uint64_t fields
 * in list order, so that a struct may also be walked as an array of NAME_COUNT cells. Each struct
 * has exactly one writer (its worker); readers get copies that the worker publishes.
 */
#ifndef SIPHERD_COUNTERS_H
#define SIPHERD_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

struct counter_description {
	const char *name, *help;
};

#define COUNTER_FIELD(name, help) uint64_t name;
#define COUNTER_ONE(name, help) +1
#define COUNTER_DESCRIPTION(name, help) {#name, help},

#define COUNTERS_DECLARE(type, LIST)                 \
	struct type {                                \
		LIST(COUNTER_FIELD)                  \
	};                                           \
	enum { type##_count = 0 LIST(COUNTER_ONE) }; \
	extern const struct counter_description type##_descriptions[]

/* Add all cells of one counter struct to another of the same type. */
static inline void counters_add(void *into, const void *from, size_t count)
{
	uint64_t *a = into;
	const uint64_t *b = from;
	for (size_t i = 0; i < count; i++)
		a[i] += b[i];
}

/* What a herd of phones counts. answered_* and silent_* are finished transactions by the proxy that
 * was asked, those with Expires 0 left out; what keepalive.fail_codes lists is silence. */
#define HERD_COUNTERS(X)                                                                          \
	X(register_sent, "REGISTER requests sent, each new transaction once")                     \
	X(register_retransmitted, "REGISTER datagrams sent again by timer E")                     \
	X(register_ok, "REGISTER answered 2xx with our Contact and an expiry")                    \
	X(register_useless, "REGISTER answered 2xx without our Contact or with expiry 0")         \
	X(register_challenged, "REGISTER answered 401 or 407")                                    \
	X(register_auth_failed, "registrations given up because credentials were refused")        \
	X(register_too_brief, "REGISTER answered 423")                                            \
	X(register_rejected, "REGISTER answered by another final code")                           \
	X(register_silent, "REGISTER transactions that timed out")                                \
	X(unregister_sent, "REGISTER with Expires 0 sent")                                        \
	X(unregister_retransmitted, "REGISTER with Expires 0 sent again by timer E")              \
	X(unregister_done, "REGISTER with Expires 0 answered finally")                            \
	X(unregister_silent, "REGISTER with Expires 0 never answered")                            \
	X(options_sent, "keep-alive OPTIONS sent, each new transaction once")                     \
	X(options_retransmitted, "OPTIONS datagrams sent again by timer E")                       \
	X(options_answered, "OPTIONS answered by any response that counts as an answer")          \
	X(options_fail_code, "OPTIONS answered by a code that counts as silence")                 \
	X(options_silent, "OPTIONS transactions that timed out")                                  \
	X(options_skipped, "keep-alive ticks that found one still pending")                       \
	X(options_abandoned, "OPTIONS in flight dropped by a switch, reboot or stop")             \
	X(register_abandoned, "REGISTER in flight dropped by a switch, reboot or stop")           \
	X(failover_keepalive_silence, "switches to the redundant proxy: keep-alive silence")      \
	X(failover_register_silence, "switches to the redundant proxy: REGISTER silence")         \
	X(failover_refresh_silence, "switches to the redundant proxy: refresh silence")           \
	X(failover_code, "switches to the redundant proxy: switching code")                       \
	X(failback_keepalive_answer, "switches to the primary proxy: keep-alive answer")          \
	X(failback_keepalive_silence, "switches to the primary proxy: keep-alive silence")        \
	X(failback_register_silence, "switches to the primary proxy: REGISTER silence")           \
	X(failback_refresh_silence, "switches to the primary proxy: refresh silence")             \
	X(failback_code, "switches to the primary proxy: switching code")                         \
	X(boots, "phones started or rebooted")                                                    \
	X(responses_1xx, "provisional responses taken")                                           \
	X(responses_2xx, "2xx responses taken")                                                   \
	X(responses_3xx, "3xx responses taken")                                                   \
	X(responses_4xx, "4xx responses taken")                                                   \
	X(responses_5xx, "5xx responses taken")                                                   \
	X(responses_6xx, "6xx responses taken")                                                   \
	X(response_late, "responses to no pending transaction: late or repeated")                 \
	X(response_old_epoch, "responses of an epoch before the last switch or boot")             \
	X(response_foreign, "responses whose branch is not ours or fails its check")              \
	X(response_mismatch, "responses with our branch but another method or CSeq")              \
	X(message_malformed, "datagrams that are not SIP or lack a mandatory header")             \
	X(message_keepalive, "empty or CRLF-only datagrams")                                      \
	X(request_options, "incoming OPTIONS answered 200")                                       \
	X(request_notify, "incoming NOTIFY answered 200")                                         \
	X(request_invite, "incoming INVITE answered 486")                                         \
	X(request_ack, "incoming ACK absorbed")                                                   \
	X(request_other, "other incoming requests answered 501")                                  \
	X(request_while_off, "incoming requests to a phone that is off or booting, not answered") \
	X(request_unanswerable, "incoming requests without what an answer needs")                 \
	X(icmp_unreachable, "ICMP unreachable for a datagram of ours")                            \
	X(challenge_unusable, "challenges with no algorithm, qop or size we support")             \
	X(answered_primary, "REGISTER and OPTIONS that the primary proxy answered")               \
	X(answered_redundant, "REGISTER and OPTIONS that the redundant proxy answered")           \
	X(silent_primary, "REGISTER and OPTIONS without an answer of the primary proxy")          \
	X(silent_redundant, "REGISTER and OPTIONS without an answer of the redundant proxy")      \
	X(not_sent, "datagrams that were due and found no buffer: the generator was late")        \
	X(timer_late, "timers that could not be moved forward and fired at their old time")       \
	X(muted, "datagrams not taken: no lease is sure, or their phone is being left")           \
	X(impaired_sent, "datagrams sent that an impairment of ours has lost")                    \
	X(impaired_received, "datagrams of a proxy that an impairment of ours has lost")          \
	X(impaired_delayed, "datagrams of a proxy that an impairment of ours has held back")      \
	X(impaired_overflow, "datagrams to be held back that found no room and were lost")

COUNTERS_DECLARE(herd_counters, HERD_COUNTERS);

/* What a built-in registrar counts. */
#define REGISTRAR_COUNTERS(X)                                                         \
	X(registrar_register, "REGISTER requests received")                           \
	X(registrar_register_ok, "REGISTER answered 200")                             \
	X(registrar_challenged, "REGISTER answered 401")                              \
	X(registrar_stale, "challenges with stale=true")                              \
	X(registrar_auth_failed, "credentials that did not verify, answered 403")     \
	X(registrar_too_brief, "REGISTER answered 423")                               \
	X(registrar_full, "REGISTER refused because the binding table is full")       \
	X(registrar_refused, "REGISTER answered 400, 403, 404, 420 or 513")           \
	X(registrar_out_of_order, "REGISTER refused because its CSeq went backwards") \
	X(registrar_options, "OPTIONS answered 200")                                  \
	X(registrar_other, "other requests answered by an error")                     \
	X(registrar_ack, "ACK absorbed")                                              \
	X(registrar_malformed, "datagrams that are not a SIP request we can answer")  \
	X(registrar_dropped_crash, "requests and answers lost to a crash fault")      \
	X(registrar_dropped_loss, "requests ignored by the loss fault")               \
	X(registrar_drained, "requests answered 503 while draining")                  \
	X(registrar_rejected, "requests answered by the reject fault")                \
	X(registrar_delayed, "answers held back by the delay fault")                  \
	X(registrar_delay_overflow, "answers lost because too many were held back")   \
	X(registrar_not_sent, "answers that found no buffer")                         \
	X(registrar_too_long, "answers too long for a datagram, replaced by 513")     \
	X(registrar_bindings_expired, "bindings that ran out")

COUNTERS_DECLARE(registrar_counters, REGISTRAR_COUNTERS);

#endif
