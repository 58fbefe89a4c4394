/* SPDX-License-Identifier: BSD-3-Clause */
#include "phones.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "events.h"

#define LOOK_GLANCES 3    /* a whole record takes so many more */
#define TELL_GLANCES 1000 /* and to tell it in JSON at least so many */

/* A phone by its record. */
struct listed {
	uint32_t phone;
	bool here;
	struct record_view view;
};

/* What a worker said of a phone in this tick. */
struct looked {
	uint32_t phone;
	bool known;
	struct herd_look look;
};

struct phones {
	/* The list. */
	struct listed listed[PHONES_PAGE_MAX];
	uint32_t count, next;
	bool more;
	uint32_t glances; /* at records, in this tick */
	/* One phone. */
	struct listed one;
	const struct looked *looked; /* NULL: its worker was not asked */
	struct watch_transition transition[WATCH_HISTORY];
	size_t transitions;
	bool complete;
	/* Looks of this tick. */
	struct looked look[PHONES_LOOKS];
	unsigned looks;
	uint64_t looks_us; /* that they have taken */
	/* Its messages; of the wire until the next call of wire_trace. */
	struct wire_trace trace;
};

int phones_open(struct phones **out)
{
	*out = calloc(1, sizeof(**out));
	return *out != NULL ? 0 : -ENOMEM;
}

void phones_close(struct phones *phones)
{
	free(phones);
}

void phones_tick(struct phones *phones)
{
	phones->glances = 0;
	phones->looks = 0;
	phones->looks_us = 0;
}

bool phones_exists(const struct picture *picture, uint32_t phone, struct problem *problem)
{
	const uint32_t last = picture->fleet->phones - 1;
	return phone <= last || problem_set(problem, PROBLEM_NOT_FOUND,
					"the phones of this fleet are 0 to %u", last);
}

/* --- Records --- */

/* A record that is older than this run says what the phone was once: it has not been on since. */
static void read_record(const struct mirror *mirror, uint32_t phone, bool here, struct listed *out)
{
	const uint64_t start_ms = atomic_load_explicit(
					  &mirror->unix_start_us, memory_order_relaxed) /
				  1000;
	out->phone = phone;
	out->here = here;
	record_load(&mirror->record[phone], &out->view);
	if (out->view.version != RECORD_VERSION)
		out->view = (struct record_view){.rtt_100us = RECORD_RTT_NONE};
	if (!here || out->view.since_unix_ms >= start_ms)
		return;
	out->view.phase = PHONE_OFF;
	out->view.registered = 0;
}

static const char *state_of(const struct listed *listed)
{
	return listed->here ? phone_state_name((enum phone_state)listed->view.phase) : "elsewhere";
}

static const char *proxy_of(unsigned tried)
{
	return tried == 0 || tried > PROXIES ? NULL : proxy_name((enum proxy)(tried - 1));
}

static void tell_user(struct shape *shape, const struct picture *picture, uint32_t phone)
{
	char user[IDENTITY_TEXT_MAX + 1];
	user[identity_user(picture->fleet->identities, phone, user)] = '\0';
	shape_text(shape, "user", "of its address of record", user);
}

/* What the list and one phone have in common. */
static void tell_record(struct shape *shape, const struct listed *listed)
{
	const struct record_view *v = &listed->view;
	shape_text(shape, "state",
		"off, boot, registering, waiting, switching, registered; elsewhere: another "
		"generator drives it, or nobody, and the rest is what was last known",
		state_of(listed));
	shape_maybe_text(shape, "proxy", "last tried; null: none was", proxy_of(v->last_tried));
	shape_switch(shape, "registered", "at this proxy", v->registered != 0);
	shape_count(shape, "misses", "keep-alives in a row without answer", v->misses);
	shape_text(shape, "cause", "of its last transition",
		record_cause_name((enum record_cause)v->cause));
	shape_count(shape, "since_unix_ms", "when that was; 0: never", v->since_unix_ms);
	shape_maybe_number(shape, "rtt_ms", "of its last answered keep-alive; 6553.4: longer",
		v->rtt_100us != RECORD_RTT_NONE, v->rtt_100us / 10.0);
}

/* --- The list --- */

#define ELSEWHERE PHONE_STATES /* in `states`, behind the states of phones */

static const char *const states[] = {
	"off", "boot", "registering", "waiting", "switching", "registered", "elsewhere", NULL};
static const char *const proxies[] = {"primary", "redundant", NULL};

enum { QUERY_STATE, QUERY_PROXY, QUERY_CURSOR, QUERY_LIMIT };

const struct ask_field phones_query[] = {
	[QUERY_STATE] = {.name = "state",
		.help = "only phones in this state; elsewhere: not driven here",
		.kind = ASK_WORD,
		.words = states},
	[QUERY_PROXY] = {.name = "proxy",
		.help = "only phones that tried this proxy last",
		.kind = ASK_WORD,
		.words = proxies},
	[QUERY_CURSOR] = {.name = "cursor",
		.help = "where to go on: `next` of the page before",
		.high = UINT32_MAX},
	[QUERY_LIMIT] = {.name = "limit",
		.help = "phones on a page, at most",
		.low = 1,
		.high = PHONES_PAGE_MAX,
		.standard = PHONES_PAGE},
	{0}};

static bool fits(const struct listed *listed, const struct ask_value *query)
{
	const struct ask_value *state = &query[QUERY_STATE], *proxy = &query[QUERY_PROXY];
	const uint32_t is = listed->here ? listed->view.phase : ELSEWHERE;
	return (!state->given || state->number == is) &&
	       (!proxy->given || listed->view.last_tried == proxy->number + 1);
}

/* A glance at one word tells most of those who do not fit, in a fourth of the time. Who is off may have a
 * record of an earlier run, which says something else. */
static bool may_fit(const struct phone_record *record, const struct ask_value *query)
{
	const struct ask_value *state = &query[QUERY_STATE], *proxy = &query[QUERY_PROXY];
	const uint64_t word = atomic_load_explicit(&record->word[0], memory_order_relaxed);
	if (proxy->given && record_word_tried(word) != proxy->number + 1)
		return false;
	return !state->given || state->number == PHONE_OFF || state->number == ELSEWHERE ||
	       record_word_phase(word) == state->number;
}

/* No phone of a shard that is here is elsewhere, and the other way round. */
static bool shard_fits(bool here, const struct ask_value *state)
{
	return !state->given || (state->number == ELSEWHERE) == !here;
}

/* Looks at phones from `phone` to the end of its shard; where it stopped. most: glances of this tick. */
static uint32_t look_through(struct phones *phones, const struct mirror *mirror, uint32_t phone,
	uint32_t most, const struct ask_value *query)
{
	const uint32_t shard = phone / SHARD_PHONES;
	const uint32_t end = shard * SHARD_PHONES + mirror_shard_phones(mirror, shard);
	const bool here = !mirror_shard_stopped(mirror, shard);
	if (!shard_fits(here, &query[QUERY_STATE]))
		return end;
	for (; phone < end && phones->count < query[QUERY_LIMIT].number && phones->glances < most;
		phone++) {
		struct listed *listed = &phones->listed[phones->count];
		phones->glances++;
		if (!may_fit(&mirror->record[phone], query))
			continue;
		phones->glances += LOOK_GLANCES;
		read_record(mirror, phone, here, listed);
		if (!fits(listed, query))
			continue;
		phones->glances += TELL_GLANCES;
		phones->count++;
	}
	return phone;
}

/* Glances that this page may cost: less when others of this tick have cost much. */
static uint32_t allowance(const struct phones *phones)
{
	const uint32_t left = phones->glances < PHONES_GLANCES_TICK
				      ? PHONES_GLANCES_TICK - phones->glances
				      : 0;
	return left < PHONES_GLANCES_LEAST ? PHONES_GLANCES_LEAST
	       : left > PHONES_GLANCES     ? PHONES_GLANCES
					   : left;
}

bool phones_list(const struct picture *picture, const struct asked *asked, struct problem *problem)
{
	struct phones *phones = picture->phones;
	const struct mirror *mirror = picture->share->mirror;
	uint32_t phone = asked->query[QUERY_CURSOR].number;
	(void)problem;
	phones->count = 0;
	const uint32_t most = phones->glances + allowance(phones);
	while (phone < mirror->phones && phones->count < asked->query[QUERY_LIMIT].number &&
		phones->glances < most)
		phone = look_through(phones, mirror, phone, most, asked->query);
	phones->more = phone < mirror->phones;
	phones->next = phone;
	return true;
}

static void tell_listed(struct shape *shape, const void *context, uint32_t index)
{
	const struct picture *picture = context;
	const struct listed *listed = &picture->phones->listed[index];
	shape_count(shape, "phone", "its index in the fleet", listed->phone);
	tell_user(shape, picture, listed->phone);
	tell_record(shape, listed);
}

void phones_tell_list(struct shape *shape, const struct picture *picture, unsigned which)
{
	const struct phones *phones = picture->phones;
	(void)which;
	answer_moment(shape, picture);
	shape_list(shape, "phones",
		"in the order of their indices; may be short or empty although there are more",
		phones->count, tell_listed, picture);
	shape_maybe_integer(shape, "next", "cursor of the next page; null: this was the last",
		phones->more, phones->next);
}

/* --- One phone --- */

/* Workers are asked for so many phones in a tick, and for each once. */
static const struct looked *look_at(const struct picture *picture, uint32_t phone)
{
	struct phones *phones = picture->phones;
	for (unsigned i = 0; i < phones->looks; i++)
		if (phones->look[i].phone == phone)
			return &phones->look[i];
	if (phones->looks == PHONES_LOOKS || phones->looks_us > PHONES_LOOKS_US)
		return NULL;
	struct looked *looked = &phones->look[phones->looks++];
	const uint64_t before_us = wire_now_us(picture->wire);
	looked->phone = phone;
	looked->known = wire_look(picture->wire, phone, &looked->look);
	phones->looks_us += wire_now_us(picture->wire) - before_us;
	return looked;
}

bool phones_one(const struct picture *picture, const struct asked *asked, struct problem *problem)
{
	struct phones *phones = picture->phones;
	const struct mirror *mirror = picture->share->mirror;
	const uint32_t phone = asked->number;
	if (!phones_exists(picture, phone, problem))
		return false;
	const bool here = !mirror_shard_stopped(mirror, phone / SHARD_PHONES);
	read_record(mirror, phone, here, &phones->one);
	phones->looked = here ? look_at(picture, phone) : NULL;
	if (phones->looked != NULL && !phones->looked->known)
		phones->looked = NULL;
	phones->transitions = 0;
	phones->complete = false;
	if (picture->watch != NULL)
		phones->transitions = watch_history(
			picture->watch, phone, phones->transition, &phones->complete);
	return true;
}

static void tell_place(struct shape *shape, const struct picture *picture, uint32_t phone)
{
	const struct fleet *of = fleet_herd_of(picture->fleet, phone);
	char text[ADDRESS_TEXT_MAX];
	struct address address;
	uint16_t port;
	/* The family in use is that of the proxy it tried last, where the fleet has one. */
	const unsigned tried = picture->phones->one.view.last_tried;
	const enum proxy proxy = tried == 1 + PROXY_REDUNDANT ? PROXY_REDUNDANT : PROXY_PRIMARY;
	int family = fleet_proxy_family(of, proxy);
	if (family < 0 || !of->has_plan[family])
		family = of->has_plan[ADDRESS_IPV4] ? ADDRESS_IPV4 : ADDRESS_IPV6;
	address_plan_at(&of->plan[family], phone, &address, &port);
	address_format(&address, text);
	shape_text(shape, "herd", "it is of", of->name);
	shape_text(shape, "domain", "of its address of record", of->domain);
	shape_text(shape, "address", "its own", text);
	shape_count(shape, "port", "its own, of UDP", port);
}

static const char *register_what(const struct herd_look *look)
{
	static const char *const words[PHONE_STATES] = {[PHONE_BOOT] = "boot",
		[PHONE_WAITING] = "retry",
		[PHONE_SWITCHING] = "switch",
		[PHONE_REGISTERED] = "refresh"};
	return look->register_armed && look->state < PHONE_STATES ? words[look->state] : NULL;
}

static void tell_timers(struct shape *shape, const struct herd_look *look)
{
	static const struct herd_look none;
	if (!shape_maybe_begin(shape, "timers",
		    "milliseconds from now, negative: overdue; null: its worker was not asked, "
		    "try again",
		    look != NULL))
		return;
	const struct herd_look *l = look != NULL ? look : &none;
	shape_maybe_integer(shape, "keepalive_in_ms", "until the next keep-alive; null: none",
		l->keepalive_armed, l->keepalive_in_ms);
	shape_maybe_integer(shape, "keepalive_timeout_in_ms",
		"until the OPTIONS in flight counts as silent; null: none is", l->keepalive_pending,
		l->keepalive_timeout_in_ms);
	shape_maybe_integer(shape, "register_in_ms", "until `register_what`; null: nothing is due",
		l->register_armed, l->register_in_ms);
	shape_maybe_integer(shape, "register_timeout_in_ms",
		"until the REGISTER in flight counts as silent; null: none is", l->register_pending,
		l->register_timeout_in_ms);
	shape_maybe_text(
		shape, "register_what", "boot, switch, retry, refresh or null", register_what(l));
	shape_end(shape);
}

static void tell_binding(struct shape *shape, const struct herd_look *look)
{
	static const struct herd_look none;
	const bool has = look != NULL && look->has_binding;
	if (!shape_maybe_begin(
		    shape, "binding", "at the proxy; null: none, or its worker was not asked", has))
		return;
	const struct herd_look *l = look != NULL ? look : &none;
	shape_text(shape, "proxy", "where", proxy_name((enum proxy)l->active));
	shape_maybe_integer(shape, "granted_s",
		"how long it was granted for; null: not kept where a 423 has raised what is asked",
		l->has_grant, l->granted_s);
	shape_maybe_number(shape, "expires_in_s", "from now; null: while a refresh is in flight",
		l->binding_timed, l->binding_expires_in_ms / 1e3);
	shape_end(shape);
}

static void tell_transition(struct shape *shape, const void *context, uint32_t index)
{
	events_tell_transition(shape, &((const struct phones *)context)->transition[index]);
}

static void tell_counts(struct shape *shape, const struct record_view *v)
{
	shape_count(shape, "transition", "number of its last one, modulo 65536", v->transition);
	shape_count(shape, "registrations_ok", "that succeeded", v->registrations_ok);
	shape_count(shape, "registrations_failed", "that failed", v->registrations_failed);
	shape_count(shape, "failovers", "switches to the redundant proxy", v->failovers);
	shape_count(shape, "failbacks", "switches to the primary proxy", v->failbacks);
	shape_count(shape, "keepalives_sent", "OPTIONS", v->keepalives_sent);
	shape_count(shape, "keepalives_missed", "of these, without answer", v->keepalives_missed);
}

void phones_tell_one(struct shape *shape, const struct picture *picture, unsigned which)
{
	const struct phones *phones = picture->phones;
	const struct listed *one = &phones->one;
	const struct herd_look *look = phones->looked != NULL ? &phones->looked->look : NULL;
	char owner[SHARE_OWNER_MAX];
	(void)which;
	answer_moment(shape, picture);
	shape_count(shape, "phone", "its index in the fleet", one->phone);
	tell_user(shape, picture, one->phone);
	tell_place(shape, picture, one->phone);
	shape_maybe_text(shape, "owner",
		"who drives it: here, or the name of a node; null: nobody, or not known",
		one->here ? "here" : share_owner(picture->share, one->phone / SHARD_PHONES, owner));
	tell_record(shape, one);
	shape_text(shape, "map_state", "as on the map",
		watch_state_name(watch_state_of(&one->view, one->here)));
	tell_counts(shape, &one->view);
	tell_timers(shape, look);
	tell_binding(shape, look);
	shape_switch(shape, "history_complete", "these are all transitions there were",
		phones->complete);
	shape_list(shape, "transitions",
		"its newest, newest first, gathered ten times a second: the last one, "
		"`transition`, "
		"may still be missing",
		(uint32_t)phones->transitions, tell_transition, phones);
}

/* --- Its messages --- */

bool phones_trace(const struct picture *picture, const struct asked *asked, struct problem *problem)
{
	struct phones *phones = picture->phones;
	if (!phones_exists(picture, asked->number, problem))
		return false;
	const int status = wire_trace(picture->wire, asked->number, &phones->trace);
	if (status == 0)
		return true;
	phones->trace = (struct wire_trace){0};
	return status == -ENOENT
		       ? problem_set(problem, PROBLEM_NOT_FOUND, "this phone cannot be traced here")
		       : problem_set(problem, PROBLEM_OUT_OF_MEMORY, "try again");
}

/* SIP as text that JSON can carry: what is no ASCII in a datagram that is no UTF-8 becomes a mark. */
static void readable(const struct wire_message *message, char out[WIRE_TRACE_FRAME_MAX + 1])
{
	const uint16_t n = message->payload_length;
	memcpy(out, message->frame + message->payload, n);
	out[n] = '\0';
	for (uint16_t i = 0; i < n; i++)
		if (out[i] == '\0')
			out[i] = '?';
	if (shape_is_text(out))
		return;
	for (uint16_t i = 0; i < n; i++)
		if ((unsigned char)out[i] >= 0x80)
			out[i] = '?';
}

static void tell_message(struct shape *shape, const void *context, uint32_t index)
{
	static const struct wire_message none;
	const struct wire_trace *trace = context;
	const struct wire_message *m = !shape->schema && index < trace->count
					       ? trace->message[index]
					       : &none;
	char text[WIRE_TRACE_FRAME_MAX + 1], first[WIRE_TRACE_FRAME_MAX + 1];
	readable(m, text);
	memcpy(first, text, sizeof(first));
	first[strcspn(first, "\r\n")] = '\0';
	shape_count(shape, "unix_us", "when", m->unix_us);
	shape_text(shape, "direction", "sent or received by the phone",
		m->inbound ? "received" : "sent");
	shape_text(shape, "proxy", "at the other end", proxy_name((enum proxy)m->proxy));
	shape_text(shape, "first_line", "of the message", first);
	shape_count(shape, "length", "bytes of the frame", m->length);
	shape_text(shape, "text", "the message, credentials masked; its beginning if it is long",
		text);
}

void phones_tell_trace(struct shape *shape, const struct picture *picture, unsigned which)
{
	const struct wire_trace *trace = &picture->phones->trace;
	(void)which;
	shape_count(shape, "phone", "its index in the fleet", trace->phone);
	shape_count(shape, "since_unix_us",
		"when it was first asked for: nothing older is known; 16 phones are traced at a "
		"time",
		trace->since_unix_us);
	shape_count(shape, "dropped", "messages of traced phones that were lost since then",
		trace->dropped);
	shape_list(shape, "messages", "the newest 64, oldest first", trace->count, tell_message,
		trace);
}

uint8_t *phones_capture(const struct picture *picture, size_t *length)
{
	return wire_trace_pcapng(&picture->phones->trace, length);
}
