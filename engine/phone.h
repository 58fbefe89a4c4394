/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One phone: a hot record of one cache line, which every keep-alive touches, and a parallel cold
 * record for credentials, which only registrations touch. A 32-bit index is the identity.
 *
 * Times are the herd's: milliseconds since its start, modulo 2^32, compared by difference, so that
 * deadlines up to 24 days away are ordered correctly. Only the worker that owns the phone reads or
 * writes these records.
 */
#ifndef SIPHERD_PHONE_H
#define SIPHERD_PHONE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum proxy { PROXY_PRIMARY = 0, PROXY_REDUNDANT = 1, PROXIES = 2 };

enum redundancy_mode { MODE_ASYMMETRIC = 0, MODE_SYMMETRIC = 1 };

enum phone_state {
	PHONE_OFF = 0,     /* does nothing until started, but may wait for its Expires 0 */
	PHONE_BOOT,        /* start delay running */
	PHONE_REGISTERING, /* a REGISTER is in flight, no binding yet */
	PHONE_WAITING,     /* retry timer running after a final refusal */
	PHONE_SWITCHING,   /* the vendor's pause before the switch takes effect */
	PHONE_REGISTERED,  /* keep-alives and refreshes run */
	PHONE_STATES
};

const char *phone_state_name(enum phone_state state);
const char *proxy_name(enum proxy proxy);

/* What a phone has in flight or armed, and what it knows; bits of phone.flags. */
enum {
	PHONE_ACTIVE_REDUNDANT = 1 << 0,  /* `active`: the proxy last tried; survives a reboot */
	PHONE_KEEPALIVE_ARMED = 1 << 1,   /* keepalive_due_ms counts */
	PHONE_KEEPALIVE_PENDING = 1 << 2, /* an OPTIONS is in flight */
	PHONE_REGISTER_ARMED = 1
			       << 3, /* register_next_ms is a boot, switch, retry or refresh time */
	PHONE_REGISTER_PENDING = 1 << 4, /* a REGISTER is in flight; register_next_ms is timer E */
	PHONE_UNREGISTER_PENDING = 1 << 5, /* a REGISTER with Expires 0 is in flight */
	PHONE_UNREGISTER_OLD = 1 << 6, /* ... of the previous epoch, to the proxy we came from */
	PHONE_PROVISIONAL = 1 << 7,    /* a 1xx came for the REGISTER: retransmit every T2 */
	PHONE_TOO_BRIEF = 1 << 8,      /* a 423 was honoured at this proxy since the last switch */
	PHONE_RAISED_EXPIRES = 1 << 9, /* cold.expires_s holds a raised expiry */
	PHONE_WITH_CREDENTIALS = 1 << 10,   /* the REGISTER in flight carries Authorization */
	PHONE_UNREGISTER_AUTH = 1 << 11,    /* the Expires 0 in flight carries Authorization */
	PHONE_UNREGISTER_RETRIED = 1 << 12, /* the Expires 0 was challenged and sent again */
	PHONE_QUEUED = 1 << 13,             /* wheel_ms is a live entry of the wheel */
	PHONE_RESTART = 1 << 14, /* OFF only until the Expires 0 of a planned reboot is done */
	PHONE_PROVEN = 1 << 15,  /* proof_ms counts, or outage_proof_ms */
};

#define OUTAGE_NO_SWITCH UINT32_MAX

enum phone_hold { PHONE_HOLD_NONE, PHONE_HOLD_UNREGISTERED };

/* A phone that is not REGISTERED has no keep-alives, and keeps in their place how its outage goes: how
 * long each part of it has taken is told when it is registered again. */
struct phone {
	uint32_t wheel_ms; /* where the live wheel entry is queued */
	union {
		uint32_t keepalive_due_ms; /* next tick of the keep-alive grid */
		uint32_t outage_over_ms;   /* end of the last switch's pause */
	};
	union {
		uint32_t keepalive_next_ms; /* timer E of the OPTIONS in flight */
		uint32_t outage_proof_ms;   /* last proof that a proxy served, where PROVEN */
	};
	union {
		uint32_t keepalive_end_ms; /* its timer F */
		uint32_t outage_detect_ms; /* from the proof to the first switch, where PROVEN */
	};
	union {
		uint32_t keepalive_planned_us; /* when it was planned to leave, modulo 2^32 us */
		uint32_t outage_switch_ms;     /* the last switch's pause; OUTAGE_NO_SWITCH */
	};
	uint32_t keepalive_cseq;      /* of the last OPTIONS in this epoch, counted from 1 */
	uint32_t register_next_ms;    /* timer E while pending, else what comes next (see flags) */
	uint32_t register_end_ms;     /* timer F */
	uint32_t register_planned_us; /* planned start of this registration (first REGISTER) */
	uint32_t register_sent_us;    /* planned start of this transaction */
	uint32_t register_cseq;       /* of the last REGISTER in this epoch, counted from 1 */
	union {
		uint32_t unregister_next_ms; /* timer E of the Expires 0 in flight */
		uint32_t proof_ms; /* REGISTERED, where PROVEN: the last proof that it serves */
	};
	uint32_t unregister_end_ms; /* its timer F, or the end of the wait before a reboot */
	uint16_t flags;
	uint16_t epoch; /* + 1 at boot and at each switch: stale answers are told by it */
	uint8_t state;  /* enum phone_state */
	uint8_t keepalive_tries, register_tries,
		unregister_tries; /* datagrams of each, for timer E */
	uint8_t misses;           /* consecutive silent keep-alives */
	uint8_t answers;          /* consecutive answers of the primary while on the redundant */
	uint8_t auth_stale : 4;   /* answers to challenges in this registration: to stale=true, */
	uint8_t auth_counted : 2; /* and to others */
	uint8_t continued : 1;    /* the REGISTER in flight follows a challenge or a 423 */
	uint8_t known : 1;        /* has been registered since power-on */
	union {
		uint8_t backoff; /* consecutive failed registrations, for RFC 5626's backoff */
		uint8_t hold;    /* OFF: enum phone_hold */
	};
};
static_assert(sizeof(struct phone) == 64, "a phone's hot record is one cache line");

static inline enum proxy phone_active(const struct phone *phone)
{
	return phone->flags & PHONE_ACTIVE_REDUNDANT ? PROXY_REDUNDANT : PROXY_PRIMARY;
}

/* a is before b, modulo 2^32. */
static inline bool time_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

#endif
