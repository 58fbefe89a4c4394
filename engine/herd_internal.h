/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a herd, shared by its files: herd.c (life and time), herd_job.c (commands for many
 * phones), herd_shard.c (whose phones they are, and the ramp), herd_step.c (what a redundancy step asks
 * for), herd_outage.c (how long outages take), herd_impair.c (datagrams lost or late on purpose),
 * herd_asked.c (what each proxy is asked, and when), herd_record.c (what the mirror is told),
 * herd_send.c (requests), herd_receive.c (datagrams) and herd_look.c (one phone for people). Nobody
 * else includes this.
 */
#ifndef SIPHERD_HERD_INTERNAL_H
#define SIPHERD_HERD_INTERNAL_H

#include "credentials.h"
#include "herd.h"
#include "jitter_line.h"
#include "message.h"
#include "pacer.h"
#include "scan_learn.h"
#include "wheel.h"

#define HERD_JOBS 16
#define HERD_SPARE_TIMERS 256   /* wheel entries for slices of a few phones */
#define UNREGISTER_WAIT_MS 1000 /* PHONE.md: a planned reboot waits at most 1 s */
#define AUTH_TRIES 3
#define AUTH_STALE_MAX 10 /* stale=true is free, but a proxy that says nothing else is given up */
#define SECONDS_MAX 1000000u /* longer expiries and waits are cut to what 32-bit ms can order */

enum shard_state {
	SHARD_AWAY = 0, /* never adopted, or left: all its phones are off */
	SHARD_WAITING,  /* adopted; the ramp has not come to its end */
	SHARD_OURS,
	SHARD_LEAVING, /* its phones are being switched off */
};

/* A shard, in at most one list. */
struct herd_shard {
	uint64_t begin_us;       /* of the ADOPT that it waits with, and the phone which that */
	uint32_t first;          /* begins with */
	uint32_t previous, next; /* in the list */
	uint32_t end;            /* local index behind the last phone that is not as it came */
	uint8_t state;           /* enum shard_state */
	bool again;              /* adopted again before it was left */
	bool touched;            /* its phones' memory has been used */
};

struct herd_list {
	uint32_t head, tail;
};

struct herd {
	struct herd_config config;
	struct herd_output output;
	uint64_t now_us;
	uint32_t now_ms;
	uint64_t step_end_us; /* of the step of the series that is being counted */
	uint32_t phones;
	uint64_t
		stride_inverse; /* 2^40 / stride rounded up: exact for indices below 2^40 / stride */
	struct phone *phone;
	struct phone_auth *auth;
	struct wheel *wheel;
	uint32_t timers;  /* entries the wheel has room for, however they are spread */
	uint32_t queued;  /* phones with a live entry: PHONE_QUEUED */
	uint32_t spent;   /* of the budget of the last herd_advance */
	uint8_t impaired; /* bit p: there is an impairment of proxy p */
	struct impairment impairment[PROXIES];
	struct jitter_line held; /* datagrams that impairments have held back */
	struct messages *messages;
	struct credentials *credentials;
	struct scan_learned learned[PROXIES]; /* how each answers */
	struct pacer pacer;
	uint64_t ramp_last_us;  /* when the ramp's last phone was planned, where there was one */
	uint64_t ramp_floor_us; /* the ramp's next phone is planned no earlier */
	bool ramp_began, paused;
	uint32_t limit, limit_local; /* HERD_LIMIT: phones from there on are off */
	struct phone_record *record; /* of the whole fleet, the mirror's; NULL: no mirror */
	struct herd_shard *shard;    /* of the whole fleet */
	uint32_t shards;
	struct herd_list adopting, leaving; /* in the order of their commands */
	uint32_t next_start, next_leave;    /* local index in the first shard of each */
	bool stopping, stopped;
	uint32_t unregistering; /* phones with an Expires 0 in flight */
	struct herd_command job[HERD_JOBS];
	uint32_t jobs, job_next, job_end; /* waiting jobs; local indices of the first: it has come
					     to, and ends before */
	struct herd_counters counters;
	struct proxy_counters asked[PROXIES];
	struct herd_population population;
	struct herd_histograms histograms;
	struct series series;
	uint32_t *sum, no_sum;     /* of the datagram being written; nobody's */
	uint8_t lost[MESSAGE_MAX]; /* what an impairment loses is written here */
};

/* What an event brings along besides its name. */
struct occasion {
	uint64_t planned_us;    /* when it was due; now for what comes from the wire */
	bool timed;             /* due by schedule: lateness counts */
	uint32_t granted_s;     /* REGISTER_OK */
	uint32_t retry_after_s; /* REJECTED */
	uint32_t boot_ms;       /* START: when the phone is to boot */
};

static inline uint32_t herd_index(const struct herd *herd, uint32_t local)
{
	return herd->config.first + local * herd->config.stride;
}

static inline uint32_t herd_local(const struct herd *herd, uint32_t index)
{
	return (uint32_t)((__uint128_t)(index - herd->config.first) * herd->stride_inverse >> 40);
}

/* The first phone of the slice whose fleet index is at least this; herd->phones when there is none. */
static inline uint32_t herd_first_local(const struct herd *herd, uint64_t index)
{
	if (index <= herd->config.first)
		return 0;
	if (index >= herd->config.end)
		return herd->phones;
	const uint32_t local = herd_local(herd, (uint32_t)index - 1) + 1;
	return local < herd->phones ? local : herd->phones;
}

/* A REGISTER or a keep-alive to this proxy has ended. */
static inline void herd_count_finished(struct herd *herd, enum proxy proxy, bool answered)
{
	struct herd_counters *c = &herd->counters;
	if (proxy == PROXY_PRIMARY)
		answered ? c->answered_primary++ : c->silent_primary++;
	else
		answered ? c->answered_redundant++ : c->silent_redundant++;
}

/* No lease is sure any more: not a datagram may leave. */
static inline bool herd_is_muted(const struct herd *herd)
{
	return herd->config.mirror != NULL &&
	       herd->now_us >= atomic_load_explicit(
				       &herd->config.mirror->lease_over_us, memory_order_relaxed);
}

/* Why a random number is drawn: keeps draws of one phone and epoch apart. */
enum draw {
	DRAW_CALL = 1,
	DRAW_CNONCE,
	DRAW_SWITCH,
	DRAW_BOOT,
	DRAW_FIRST,
	DRAW_JITTER,
	DRAW_BACKOFF,
	DRAW_LOSS_SENT,
	DRAW_LOSS_RECEIVED,
	DRAW_DELAY
};

/* A hash of seed, phone, epoch, purpose and n: the same in every run and however phones are sliced.
 */
uint64_t herd_draw(uint64_t seed, uint32_t index, uint16_t epoch, enum draw purpose, uint32_t n);
/* Uniform in 0..range inclusive. */
uint32_t herd_uniform(uint64_t draw, uint32_t range);

/* herd_step.c */
void herd_step(
	struct herd *herd, uint32_t local, enum phone_event event, const struct occasion *occasion);
void herd_queue(struct herd *herd, uint32_t local);
/* From the 200 OK that granted so much to the refresh; the same until the next REGISTER. */
uint32_t herd_refresh_ms(const struct herd *herd, uint32_t local, uint32_t granted_s);
void herd_unregister_ended(struct herd *herd, uint32_t local);
void herd_start_phone(struct herd *herd, uint32_t local, uint64_t planned_us, uint32_t boot_ms);
enum proxy herd_unregister_proxy(const struct phone *phone);

/* herd_outage.c */
/* The proxy where the phone is registered has proved that it serves. */
void herd_outage_proof(const struct herd *herd, struct phone *phone);
/* The phone is not registered any more. */
void herd_outage_begin(struct phone *phone);
/* It gives up its proxy; the first REGISTER to the other one leaves after this pause. */
void herd_outage_switch(const struct herd *herd, struct phone *phone, uint32_t pause_ms);
/* A 200 OK; `before`: the state in which it came. */
void herd_outage_end(struct herd *herd, struct phone *phone, enum phone_state before);

/* herd_job.c */
bool herd_add_job(struct herd *herd, const struct herd_command *command);
uint32_t herd_advance_jobs(struct herd *herd, uint32_t budget);
/* Without a lease only what sends nothing is done: the end of everything, which makes the commands
 * before it needless. */
uint32_t herd_advance_muted_jobs(struct herd *herd, uint32_t budget);

/* herd_shard.c */
void herd_shards_empty(struct herd *herd);
/* So many phones per second over the whole fleet; what that is for this slice's herd. */
void herd_set_pace(struct herd *herd, uint32_t per_s);
void herd_adopt(struct herd *herd, const struct herd_command *command);
void herd_release(struct herd *herd, const struct herd_command *command);
/* Whoever has not been started is not any more. */
void herd_end_ramp(struct herd *herd);
bool herd_is_leaving(const struct herd *herd);
/* The phone is not as it came: leaving has to look at it. */
void herd_reached(struct herd *herd, uint32_t local);
/* A phone that is OFF is switched on; after its Expires 0 where one is in flight. */
void herd_power_on(struct herd *herd, uint32_t local, uint64_t planned_us, uint32_t boot_ms);
void herd_set_limit(struct herd *herd, uint32_t limit);
void herd_set_ramp(struct herd *herd, uint32_t per_s);
void herd_set_paused(struct herd *herd, bool paused);
/* When the ramp goes on; false: it is over, or paused. */
bool herd_ramp_next(const struct herd *herd, uint64_t *planned_us);
uint32_t herd_advance_ramp(struct herd *herd, uint32_t budget);
uint32_t herd_advance_leaving(struct herd *herd, uint32_t budget);

/* herd_record.c; nothing without a mirror */
void herd_record_sent(struct herd *herd, uint32_t local);
void herd_record_rtt(struct herd *herd, uint32_t local, uint32_t rtt_us);
/* The phone has just made a step from phase `before`; nothing has been sent yet. */
void herd_record_step(struct herd *herd, uint32_t local, enum phone_event event,
	enum phone_state before, struct redundancy_result result);
void herd_record_recall(struct herd *herd, uint32_t local);

/* herd.c */
void herd_set_time(struct herd *herd, uint64_t now_us);

/* herd_asked.c */
/* The first datagram of a registration that begins with it. */
void herd_count_offered(struct herd *herd, const struct phone *phone);
/* Its 200 OK, before the phone's state changes. */
void herd_count_accepted(struct herd *herd, const struct phone *phone, uint32_t rrd_us);
void herd_count_rejected(struct herd *herd, enum proxy proxy, uint16_t status);
/* Steps of the series are over. */
void herd_end_steps(struct herd *herd, uint64_t now_us);

/* herd_impair.c */
void herd_impair(struct herd *herd, enum proxy proxy, const struct impairment *impairment);
/* What follows is asked only where there is an impairment of the proxy. `method` is the bit of our own
 * transaction's method, 0: it is none of ours. */
bool herd_loses_sent(
	struct herd *herd, uint32_t phone, enum proxy proxy, uint16_t length, uint8_t method);
/* True: the herd does not read it, or not now. */
bool herd_impair_received(
	struct herd *herd, uint32_t phone, enum proxy proxy, const void *datagram, size_t length);

int herd_open_held(struct herd *herd); /* -ENOMEM */
/* Read what has been held back long enough. */
uint32_t herd_advance_held(struct herd *herd, uint32_t budget);

/* herd_receive.c: a datagram for a phone that may take it */
bool herd_may_take(const struct herd *herd, uint32_t phone);
void herd_read(
	struct herd *herd, uint32_t phone, enum proxy proxy, const void *datagram, size_t length);

/* Whose datagram comes next: before herd_buffer. */
static inline void herd_sender(struct herd *herd, const struct address *source, uint16_t port)
{
	struct herd_envelope *envelope = herd->output.envelope;
	if (envelope == NULL)
		return;
	envelope->source = *source;
	envelope->source_port = port;
}

/* Where a datagram of n bytes is to be written; NULL: there is no buffer. herd->sum is then where its sum
 * goes, of which nothing is known yet. */
static inline uint8_t *herd_buffer(
	struct herd *herd, uint32_t phone, enum proxy proxy, uint16_t n, uint8_t method)
{
	herd->sum = &herd->no_sum;
	if ((herd->impaired >> proxy & 1) == 0 || !herd_loses_sent(herd, phone, proxy, n, method)) {
		uint8_t *out = herd->output.buffer(herd->output.context, phone, proxy, n);
		if (herd->output.envelope != NULL)
			herd->sum = &herd->output.envelope->sum;
		*herd->sum = HERD_SUM_OPEN;
		return out;
	}
	if (herd->output.lost == NULL)
		return herd->lost;
	return herd->output.lost(herd->output.context, phone, proxy, n);
}

/* herd_send.c: begin a transaction, or send its datagram again */
void herd_begin_options(struct herd *herd, uint32_t local, const struct occasion *occasion);
void herd_begin_register(struct herd *herd, uint32_t local, const struct occasion *occasion);
void herd_begin_unregister(struct herd *herd, uint32_t local, uint32_t wait_ms);
void herd_again_options(struct herd *herd, uint32_t local);
void herd_again_register(struct herd *herd, uint32_t local);
void herd_again_unregister(struct herd *herd, uint32_t local);

#endif
