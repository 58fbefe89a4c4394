/* SPDX-License-Identifier: BSD-3-Clause */
/* What a REGISTER does to the bindings of its address-of-record (RFC 3261 section 10.3), and its answer. */
#include "registrar_internal.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* A binding as it will be once the request is carried out. */
struct planned {
	struct location_contact contact;
	uint32_t slot; /* LOCATION_NONE: new */
	uint32_t expires_s;
	bool removed, changed, settled; /* settled: this very request has been carried out before */
};

/* All of a REGISTER is planned before any of it is done, since it succeeds or fails as a whole. */
struct plan {
	struct location_key key;
	struct location_found found;
	uint32_t call_id, now_ms;
	uint32_t count;
	struct planned binding[LOCATION_AOR_MAX + SCAN_CONTACT_MAX];
};

/* Why a REGISTER is refused; code 0: it is not. */
struct refusal {
	uint16_t code;
	const char *reason;
	uint64_t *counter;
};

static const struct refusal accepted = {0, NULL, NULL};

static struct refusal refuse(struct registrar *registrar, uint16_t code, const char *reason)
{
	return (struct refusal){code, reason, &registrar->counters.registrar_refused};
}

static struct refusal out_of_order(struct registrar *registrar)
{
	return (struct refusal){
		500, "CSeq Out of Order", &registrar->counters.registrar_out_of_order};
}

static void plan_begin(struct registrar *registrar, const struct exchange *exchange,
	const struct sip_uri *aor, struct plan *plan)
{
	const struct sip_message *request = exchange->request;
	plan->key = location_key(registrar->hash_seed, span_text(request, aor->user),
		aor->user.length, span_text(request, aor->host), aor->host.length);
	plan->call_id = (uint32_t)XXH3_64bits_withSeed(span_text(request, request->call_id),
		request->call_id.length, registrar->hash_seed);
	plan->now_ms = (uint32_t)(registrar->now_us / 1000);
	location_find(&registrar->location, plan->key, plan->now_ms, &plan->found);
	registrar->counters.registrar_bindings_expired += plan->found.expired;
	plan->count = plan->found.count;
	for (uint32_t i = 0; i < plan->count; i++) {
		uint32_t slot = plan->found.slot[i];
		plan->binding[i] = (struct planned){
			.contact = location_contact(&registrar->location, slot),
			.slot = slot,
			.expires_s = location_remaining_s(&registrar->location, slot, plan->now_ms),
		};
	}
}

/* What RFC 3261 section 10.3 step 7 asks about the order of requests. An equal CSeq is a
 * retransmission, which gets its answer again and changes nothing. */
static bool settle_order(const struct registrar *registrar, const struct plan *plan, uint32_t cseq,
	struct planned *planned)
{
	const struct location_binding *stored = &registrar->location.binding[planned->slot];
	if (stored->call_id != plan->call_id)
		return true;
	planned->settled = stored->cseq == cseq;
	return stored->cseq <= cseq;
}

static struct refusal plan_star(
	struct registrar *registrar, const struct sip_message *request, struct plan *plan)
{
	if (request->contacts > 0)
		return refuse(registrar, 400, "Contact * Stands Alone");
	if (request->expires != 0)
		return refuse(registrar, 400, "Contact * Needs Expires 0");
	for (uint32_t i = 0; i < plan->count; i++) {
		struct planned *planned = &plan->binding[i];
		if (!settle_order(registrar, plan, request->cseq, planned))
			return out_of_order(registrar);
		planned->removed = !planned->settled;
	}
	return accepted;
}

/* Bytes that may stand between angle brackets as they are. */
static bool is_printable_uri(const char *uri, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (uri[i] <= ' ' || uri[i] >= 0x7f || uri[i] == '<' || uri[i] == '>' ||
			uri[i] == '"')
			return false;
	return true;
}

/* Where a Contact value has what we ask of it. */
static struct refusal scan_binding(struct registrar *registrar, const struct sip_message *request,
	struct span value, struct habit_contact *out)
{
	struct sip_contact parsed;
	struct sip_uri uri;
	if (!scan_contact(request, value, &parsed) ||
		!is_printable_uri(span_text(request, parsed.uri), parsed.uri.length))
		return refuse(registrar, 400, "Malformed Contact");
	if (!scan_uri(request, parsed.uri, &uri))
		return refuse(registrar, 400, "Contact Is No SIP URI");
	if (parsed.uri.length > LOCATION_CONTACT_MAX)
		return refuse(registrar, 513, "Contact URI Too Long");
	*out = (struct habit_contact){parsed.uri, uri.host, parsed.expires};
	return accepted;
}

static struct refusal read_contact(struct registrar *registrar, const struct exchange *exchange,
	struct span value, struct location_contact *contact, uint32_t *expires)
{
	const struct sip_message *request = exchange->request;
	struct habit *habit = exchange->habit;
	struct habit_contact found;
	if (habit != NULL && habit->knows_contact) {
		found = habit->contact;
	} else {
		struct refusal refusal = scan_binding(registrar, request, value, &found);
		if (refusal.code)
			return refusal;
		habit_keep_contact(habit, &found);
	}
	*contact = (struct location_contact){
		.uri = span_text(request, found.uri),
		.length = (uint8_t)found.uri.length,
		.host_at = (uint8_t)(found.host.at - found.uri.at),
		.host_length = (uint8_t)found.host.length,
	};
	*expires = found.expires;
	if (*expires == SCAN_ABSENT)
		*expires = request->expires;
	if (*expires == SCAN_ABSENT)
		*expires = registrar->config.expires_default_s;
	if (*expires > 0 && *expires < registrar->config.expires_min_s)
		return (struct refusal){423, NULL, &registrar->counters.registrar_too_brief};
	if (*expires > registrar->config.expires_max_s)
		*expires = registrar->config.expires_max_s;
	return accepted;
}

static struct refusal plan_contact(struct registrar *registrar, const struct exchange *exchange,
	struct span value, struct plan *plan)
{
	struct location_contact contact;
	uint32_t expires;
	struct refusal refusal = read_contact(registrar, exchange, value, &contact, &expires);
	if (refusal.code)
		return refusal;
	struct planned *planned = plan->binding, *end = plan->binding + plan->count;
	while (planned < end && !location_same_contact(&planned->contact, &contact))
		planned++;
	if (planned == end && expires == 0)
		return accepted;
	if (planned == end) {
		plan->count++;
		*planned = (struct planned){.slot = LOCATION_NONE};
	} else if (planned->slot != LOCATION_NONE && !planned->changed &&
		   !settle_order(registrar, plan, exchange->request->cseq, planned)) {
		return out_of_order(registrar);
	}
	if (planned->settled)
		return accepted;
	/* The last of several values for one contact counts. */
	planned->contact = contact;
	planned->expires_s = expires;
	planned->removed = expires == 0;
	planned->changed = true;
	return accepted;
}

/* Is there room for what is planned? */
static struct refusal plan_room(struct registrar *registrar, const struct plan *plan)
{
	uint32_t bound = 0, added = 0, removed = 0;
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct planned *planned = &plan->binding[i];
		bound += !planned->removed;
		added += planned->slot == LOCATION_NONE && !planned->removed;
		removed += planned->slot != LOCATION_NONE && planned->removed;
	}
	if (added == 0)
		return accepted;
	if (bound > LOCATION_AOR_MAX)
		return refuse(registrar, 403, "Too Many Bindings");
	uint32_t needed = added > removed ? added - removed : 0;
	registrar->counters.registrar_bindings_expired += location_make_room(
		&registrar->location, needed, plan->now_ms);
	if (bound + plan->found.others > LOCATION_USER_MAX ||
		needed > location_room(&registrar->location))
		return (struct refusal){
			503, "Binding Table Full", &registrar->counters.registrar_full};
	return accepted;
}

static struct refusal plan_all(
	struct registrar *registrar, const struct exchange *exchange, struct plan *plan)
{
	const struct sip_message *request = exchange->request;
	if (request->contact_star)
		return plan_star(registrar, request, plan);
	for (unsigned i = 0; i < request->contacts; i++) {
		struct refusal refusal = plan_contact(
			registrar, exchange, request->contact[i], plan);
		if (refusal.code)
			return refusal;
	}
	return plan_room(registrar, plan);
}

/* Removals come first: they make the room that additions were promised. */
static void carry_out(struct registrar *registrar, const struct plan *plan, uint32_t cseq)
{
	struct location *location = &registrar->location;
	for (uint32_t i = 0; i < plan->count; i++)
		if (plan->binding[i].removed && plan->binding[i].slot != LOCATION_NONE)
			location_remove(location, plan->binding[i].slot);
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct planned *planned = &plan->binding[i];
		if (planned->removed || !planned->changed)
			continue;
		uint32_t expiry_ms = plan->now_ms + planned->expires_s * 1000;
		if (planned->slot == LOCATION_NONE)
			location_add(location, plan->key, &planned->contact, plan->call_id, cseq,
				expiry_ms);
		else
			location_update(location, planned->slot, &planned->contact, plan->call_id,
				cseq, expiry_ms);
	}
}

static void send_refusal(
	struct registrar *registrar, const struct exchange *exchange, const struct refusal *refusal)
{
	struct answer answer;
	(*refusal->counter)++;
	registrar_begin(exchange, &answer, refusal->code, refusal->reason);
	if (refusal->code == 423)
		registrar_add_number(&answer, "Min-Expires: ", registrar->config.expires_min_s);
	registrar_send(registrar, exchange, &answer);
}

/* Does the answer tell of nothing but what the request asks to be bound? Then all requests of its skeleton
 * that have such an answer have the same. */
static bool is_usual(const struct exchange *exchange, const struct plan *plan)
{
	if (exchange->habit == NULL || plan->count > 1)
		return false;
	return plan->count == 0 || plan->binding[0].removed || plan->binding[0].changed;
}

static bool begin_granted(const struct registrar *registrar, const struct exchange *exchange,
	const struct plan *plan, struct answer *answer)
{
	registrar_begin(exchange, answer, 200, NULL);
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct planned *planned = &plan->binding[i];
		if (planned->removed)
			continue;
		answer_string(answer, "Contact: <");
		answer_foreign(answer, planned->contact.uri, planned->contact.length);
		registrar_add_number(answer, ">;expires=", planned->expires_s);
	}
	return answer_fits(answer) && answer->length + strlen(registrar->tail) <= ANSWER_MAX;
}

/* The answer is put together before anything is done, so that one that does not fit leaves the
 * bindings as they were. */
void registrar_bind(
	struct registrar *registrar, const struct exchange *exchange, const struct sip_uri *aor)
{
	struct plan plan;
	struct answer answer;
	plan_begin(registrar, exchange, aor, &plan);
	struct refusal refusal = plan_all(registrar, exchange, &plan);
	struct answer_shape *shape = is_usual(exchange, &plan) ? registrar_granted_shape(exchange)
							       : NULL;
	const bool shaped = shape != NULL && answer_shape_fits(shape, exchange->request);
	if (refusal.code == 0 && !shaped && !begin_granted(registrar, exchange, &plan, &answer)) {
		registrar->counters.registrar_too_long++;
		refusal = refuse(registrar, 513, NULL);
	}
	if (refusal.code) {
		send_refusal(registrar, exchange, &refusal);
		return;
	}
	registrar->counters.registrar_register_ok++;
	if (shaped)
		registrar_send_shape(registrar, exchange, shape, NULL);
	else
		registrar_send_and_learn(registrar, exchange, &answer, shape);
	carry_out(registrar, &plan, exchange->request->cseq);
}
