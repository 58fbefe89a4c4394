/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A slice of the fleet's phones with its wheel and templates: the unit that one worker owns.
 *
 * Exactly three calls drive it: a datagram arrived, time advanced, a command came. It emits through
 * one call: give me a buffer of n bytes for this phone and this proxy. The wire (dpdk), the
 * simulator (tests) and the fuzzers all sit on these. A herd belongs to one thread; it reads no
 * clock, allocates nothing after creation and logs nothing. Time is microseconds on any monotonic
 * clock that starts near 0; the same clock for all calls.
 */
#ifndef SIPHERD_HERD_H
#define SIPHERD_HERD_H

#include "address.h"
#include "counters.h"
#include "histogram.h"
#include "identity.h"
#include "impairment.h"
#include "mirror.h"
#include "phone.h"
#include "redundancy.h"
#include "series.h"
#include "transaction.h"

#define HERD_CODES_MAX 16          /* switching codes of a registration */
#define HERD_KEEPALIVE_CODES_MAX 3 /* codes that count as silence */
#define HERD_HOST_MAX 256

/* Room for datagrams that impairments hold back: per phone, and of one herd at least and at most. */
#define HERD_HELD_BYTES 2048u
#define HERD_HELD_BYTES_MIN (1u << 20)
#define HERD_HELD_BYTES_MAX (256u << 20)

enum keepalive_first { KEEPALIVE_FIRST_PERIOD, KEEPALIVE_FIRST_IMMEDIATE, KEEPALIVE_FIRST_SPREAD };

struct herd_proxy {
	char host[HERD_HOST_MAX]; /* as configured, IPv6 literals in brackets, without port:
				     Request-URI; empty: there is no such proxy */
	struct address address;   /* in use now; its family chooses the plan of Via and Contact */
	uint16_t port;
};

struct herd_config {
	uint32_t fleet_phones; /* of the whole fleet */
	uint32_t begin, end; /* the herd this is a slice of: begin..end-1; end 0: the whole fleet */
	uint32_t first, stride; /* this slice: first, first + stride, ... below the herd's end */
	const struct identity_set *identities; /* must outlive the herd */
	const struct address_plan
		*plan[ADDRESS_FAMILIES]; /* NULL: family not in use; must outlive it */
	struct herd_proxy proxy[PROXIES];
	char domain[HERD_HOST_MAX];
	char user_agent[64];
	struct redundancy_rules redundancy;
	struct transaction_timers timers;
	uint32_t switch_delay_ms;     /* pause before a switch takes effect: uniform in 0..this */
	bool icmp_fails;              /* ICMP unreachable is silence at once */
	uint32_t keepalive_period_ms; /* 0: no keep-alives */
	uint8_t keepalive_jitter_percent;
	uint8_t keepalive_first; /* enum keepalive_first */
	uint8_t keepalive_codes;
	uint16_t keepalive_code[HERD_KEEPALIVE_CODES_MAX]; /* answers that count as silence */
	uint32_t expires_s;
	uint32_t retry_ms;
	uint16_t refresh_permille; /* of the granted expiry: 500 */
	bool unregister;           /* Expires 0 at a planned reboot and at stop */
	bool backoff_rfc5626;
	uint8_t register_codes;
	uint16_t register_code[HERD_CODES_MAX]; /* answers that switch */
	/* Phones started per second over the whole fleet, of which each herd has its part; 0: all at once */
	uint32_t ramp_per_s;
	uint64_t seed;   /* of every random choice; the same seed and inputs give the same run */
	uint64_t secret; /* of the branch check; not printed */
	/* Where phones' records live and who drives which shard; NULL: this herd drives every phone,
	 * keeps no records, and a phone's first boot is at the primary. Must outlive the herd. */
	struct mirror *mirror;
	unsigned worker; /* which of the mirror's workers this slice is */
};

/* What is known of a datagram besides its text, for who wants it. The herd writes the source before it asks
 * for the buffer, and the sum once the buffer is filled. */
#define HERD_SUM_OPEN UINT32_MAX
struct herd_envelope {
	struct address source;
	uint16_t source_port;
	uint32_t sum; /* of the 16-bit words of the text as they lie in memory; HERD_SUM_OPEN */
};

/* Gives a buffer of n bytes for a datagram of phone `index` (fleet-wide) to a proxy, or NULL. The
 * herd fills all n bytes before its next call or its return. */
struct herd_output {
	void *context;
	uint8_t *(*buffer)(void *context, uint32_t phone, enum proxy proxy, uint16_t n);
	struct herd_envelope *envelope; /* NULL: not wanted */
	/* For who wants to see what an impairment does, else NULL: a buffer for a datagram that it
	 * loses, and one that it has held back and that is read now. */
	uint8_t *(*lost)(void *context, uint32_t phone, enum proxy proxy, uint16_t n);
	void (*held)(void *context, uint32_t phone, enum proxy proxy, const void *datagram,
		size_t length);
};

enum herd_command_kind {
	HERD_START, /* begin the ramp at this moment: all phones; with a mirror, it is ADOPT of all */
	HERD_STOP,      /* all phones off; Expires 0 first where `unregister` says so */
	HERD_REBOOT,    /* planned: Expires 0 if `unregister`, at most 1 s, then start again */
	HERD_POWER_CUT, /* nothing is sent; starts again after delay_ms */
	HERD_DISABLE_REDUNDANCY,
	HERD_SET_PROXY, /* a name was resolved again, to an address of the same family */
	/* With a mirror. These phones are ours from now on: each is powered on with the proxy that its
	 * record says was last tried, in the order of their indices at the ramp's rate, the first at
	 * begin_us or when its turn comes. ADOPTs are carried out in the order they were given, one
	 * behind the other: together they never go faster than the ramp. */
	HERD_ADOPT,
	/* They are another generator's: all off at once, nothing is sent. `driven` of the mirror says
	 * when it is done. Goes before other commands that wait. */
	HERD_RELEASE,
	/* What an operator may ask of a few phones, and of the herd. Nothing here adopts: phones of
	 * other generators stay theirs. */
	/* Phones that are registered refresh at once, phones that wait for a retry try again at once
	 * and with the same proxy; all others are on their way anyway, or have no power. */
	HERD_REREGISTER,
	/* All off, and kept off until a REBOOT or POWER_CUT, a STOP or a RELEASE: neither the ramp
	 * nor a LIMIT starts them. Who is registered says Expires 0 first, whatever `unregister`
	 * says, and retransmits it like any request. */
	HERD_UNREGISTER,
	/* Only phones of the fleet below `count` are on: those from there on go off as by STOP, and
	 * neither ramp nor REBOOT starts them. Those below that a lower limit had kept off are started
	 * by the ramp, from now on and at its rate. At first the limit is the whole fleet. */
	HERD_LIMIT,
	/* At once, before commands that wait: from now on `count` phones are started per second over
	 * the whole fleet, 0: all at once. Nothing is made up for. */
	HERD_RAMP,
	/* At once, before commands that wait. count 1: the ramp starts nobody until count 0 and goes on
	 * then where it stood, making up for nothing. Phones that are on go on, reboots too. */
	HERD_PAUSE,
	/* At once, before commands that wait: from now on this is what happens to datagrams to and from
	 * `proxy`, in place of what was there before. */
	HERD_IMPAIR,
};

struct herd_command {
	uint8_t kind;          /* enum herd_command_kind */
	uint8_t proxy;         /* SET_PROXY: which */
	uint32_t first, count; /* REBOOT, POWER_CUT, REREGISTER, UNREGISTER: phones of the fleet
				  it applies to; ADOPT, RELEASE: the same, whole shards; LIMIT,
				  RAMP, PAUSE: count only */
	uint32_t delay_ms; /* REBOOT, POWER_CUT, DISABLE: before a phone starts, uniform in 0..this
			    */
	struct address address; /* SET_PROXY */
	uint64_t begin_us;      /* ADOPT */
	/* IMPAIR; POWER_CUT: of the phones only those that its share concerns, 0: all */
	struct impairment impairment;
};

/* Shape of the slice now; phones by state and by active proxy. */
struct herd_population {
	uint32_t phones[PHONE_STATES][PROXIES];
};

/*
 * An array of struct histogram and nothing else. By proxy: the one that was asked; durations by the one
 * where the phone is registered again.
 *
 * duration_ms: parts of a switch, told when the phone is registered after it, so that a switch that has
 * not ended yet, or ended with a reboot or stop, is not in them.
 *
 *   since_answer  from the last proof that the phone's proxy served it to the 200 OK now. A proof is a
 *                 200 OK to a REGISTER there, refreshes included, or an answer to a keep-alive from
 *                 there: of an asymmetric phone at the redundant proxy only the former
 *   detect        from the same proof to the decision to switch
 *   switch        the pause from there until the REGISTER to the other proxy is due
 *   register      from then on to the 200 OK, with challenges, retries and whatever made it late
 *
 * A phone that tries one proxy after the other before it is registered again: since_answer and detect
 * begin with the proof before the first of these switches, detect ends with that switch, and switch and
 * register are those of the last. It may end where it began.
 *
 * Where there is no proof, since_answer and detect are left out: the phone has not been registered since
 * it was powered on, or an Expires 0 to the proxy before was still in flight when it was registered, and
 * until it was no keep-alive or refresh has been answered since. All in ms of the herd's clock, modulo
 * 49 days.
 */
struct herd_histograms {
	struct histogram options_rtt_us[PROXIES]; /* planned send of an OPTIONS to its answer */
	/* planned send of one REGISTER transaction to its final answer */
	struct histogram register_rtt_us[PROXIES];
	struct histogram duration_ms[PROXIES][FAILOVER_PHASES];
	struct histogram
		registration_us; /* RFC 6076 RRD: first REGISTER to the 200, challenge included */
	struct histogram lateness_us; /* planned to real send time of new transactions */
};

/* One phone as its worker knows it. Times are from now on, in ms, negative when overdue; they count
 * only where the flag before them is set. */
struct herd_look {
	uint32_t phone;
	uint8_t state, active;    /* enum phone_state, enum proxy: of the last REGISTER */
	uint8_t keepalive_target; /* enum proxy */
	uint8_t misses,
		answers; /* in a row: silent keep-alives; answers of the primary while away */
	uint16_t epoch;
	uint32_t register_cseq, keepalive_cseq; /* of the last of each, as on the wire; 0: none */
	bool keepalive_armed, keepalive_pending, register_armed, register_pending,
		unregister_pending;
	int32_t keepalive_in_ms;         /* next tick of the grid */
	int32_t keepalive_timeout_in_ms; /* of the OPTIONS in flight */
	int32_t register_in_ms;          /* armed: boot, switch, retry or refresh, by the state */
	int32_t register_timeout_in_ms;  /* of the REGISTER in flight */
	bool has_binding;                /* it is registered */
	bool has_grant;                  /* not kept where a 423 has raised what is asked for */
	uint32_t granted_s;              /* by the last 200 OK, 1,000,000 at most */
	bool binding_timed;              /* not kept while a refresh is in flight */
	int32_t binding_expires_in_ms;
};

struct herd;

/* Behind the herd's last phone. */
static inline uint32_t herd_config_end(const struct herd_config *config)
{
	return config->end ? config->end : config->fleet_phones;
}

/* 0, -ENOMEM, -EINVAL (a text is too long for a datagram or a template). */
int herd_create(
	struct herd **out, const struct herd_config *config, const struct herd_output *output);
void herd_free(struct herd *herd);

/* A datagram for this phone of the slice will come soon: fetch its memory. */
void herd_fetch(const struct herd *herd, uint32_t phone);
/* Some datagrams later, when that has come: what it leads to. */
void herd_fetch_near(const struct herd *herd, uint32_t phone);

/* A datagram from `proxy` for phone `index` (by destination address and port) arrived. */
void herd_datagram(struct herd *herd, uint32_t phone, enum proxy proxy, const void *datagram,
	size_t length, uint64_t now_us);

/* ICMP says that a datagram of this phone to this proxy cannot be delivered. */
void herd_unreachable(struct herd *herd, uint32_t phone, enum proxy proxy, uint64_t now_us);

/*
 * Time went on: fires at most `budget` timers and starts, and reads at most as many datagrams that an
 * impairment held back. Returns true when everything due has been done, false when a budget ran out
 * first.
 */
bool herd_advance(struct herd *herd, uint64_t now_us, uint32_t budget);

/* How much of its budget the last herd_advance has used. */
uint32_t herd_spent(const struct herd *herd);

/* Commands for many phones are carried out a budget at a time by herd_advance, in their order.
 * False: too many are waiting, this one was not taken. */
bool herd_command(struct herd *herd, const struct herd_command *command, uint64_t now_us);

/* The earliest time at which herd_advance has something to do (us), at most limit_us. */
uint64_t herd_next_us(const struct herd *herd, uint64_t limit_us);

/* True once HERD_STOP has been carried out for every phone. */
bool herd_is_quiet(const struct herd *herd);
const struct herd_counters *herd_counters(const struct herd *herd);
const struct herd_population *herd_population(const struct herd *herd);
const struct herd_histograms *herd_histograms(const struct herd *herd);
/* What each proxy was asked and how it answered: now, [PROXIES], and by steps of 100 ms. */
const struct proxy_counters *herd_proxy_counters(const struct herd *herd);
const struct series *herd_series(const struct herd *herd);
void herd_histograms_reset(struct herd_histograms *histograms);
void herd_histograms_merge(struct herd_histograms *into, const struct herd_histograms *from);
/* Make *copy, a copy of an earlier moment or after a reset, one of now: only what has changed. */
void herd_histograms_copy(struct herd_histograms *copy, const struct herd_histograms *now);
/* Read-only look at one phone of the slice by fleet index; NULL: not in this slice. For tests and
 * for the owner's own thread. */
const struct phone *herd_phone(const struct herd *herd, uint32_t index);
/* The same for people: false when the phone is not in this slice. */
bool herd_look(const struct herd *herd, uint32_t index, uint64_t now_us, struct herd_look *out);
/* Bytes taken for phones, timers and templates of this slice. What impairments hold back comes besides,
 * while and as far as they do. */
uint64_t herd_memory(const struct herd *herd);

#endif
