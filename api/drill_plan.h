/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a drill does, and when: the catalogue of drills, what may be asked of each, and the plan that
 * follows for one fleet: steps at fixed times, waves to be measured, what it will send. Pure.
 *
 * A plan is one drill, or several of a fleet file's `drills:` one behind the other. Times count from the
 * plan's beginning, which is when all phones are registered and have been for a while.
 */
#ifndef SIPHERD_DRILL_PLAN_H
#define SIPHERD_DRILL_PLAN_H

#include "herd.h"
#include "registrar.h"

#define DRILL_NAME_MAX 64
#define DRILL_TEXT_MAX 200
#define DRILL_REASON_MAX 256
#define DRILL_STEPS_MAX 256
#define DRILL_WAVES_MAX 64
#define DRILL_REQUESTS_MAX 32 /* of one plan in a fleet file */
#define DRILL_HOLD_MAX_MS (7ull * 86400000)

enum drill_kind {
	DRILL_CRASH,  /* silence of one proxy; then it returns, which is a wave too */
	DRILL_RETURN, /* the same, held until probes are spread evenly: about the failback wave */
	DRILL_BOTH,   /* both fall silent, one returns, then the other */
	DRILL_DRAIN,  /* 503 with Retry-After: by the built-in registrar, or a hook */
	DRILL_FLAP,   /* silent for half a period, serving for the other, several times */
	DRILL_BROWN_OUT,  /* loss, delay, jitter */
	DRILL_BLIND_SPOT, /* the primary is silent; when all are at the redundant one, that too */
	DRILL_POWER_CUT,  /* phones lose their power, and it returns */
	DRILL_HALF_DEAD,  /* one method is lost, the other answered */
	DRILL_ROLLING,    /* drain, silence, return of one proxy, then of the other */
	DRILL_KINDS
};

/* Parameters, by the names they have in the fleet file, on the command line and in HTTP bodies. */
enum drill_field {
	DRILL_PROXY,       /* proxy        primary | redundant (which returns first, for `both`) */
	DRILL_SHARE,       /* share        percent of the phones */
	DRILL_HOLD,        /* hold         how long it lasts */
	DRILL_SETTLE,      /* settle       how long the last wave is watched after it, at most */
	DRILL_PERIOD,      /* period       flap: of one down and up */
	DRILL_TIMES,       /* times        flap: how many */
	DRILL_LOSS,        /* loss         brown-out: percent of datagrams each way */
	DRILL_DELAY,       /* delay        brown-out: of answers */
	DRILL_JITTER,      /* jitter       brown-out: more, uniform */
	DRILL_RETRY_AFTER, /* retry_after  drain, rolling: seconds, 0 none */
	DRILL_SPREAD,      /* spread       power-cut: power returns at once or within this */
	DRILL_METHOD,      /* method       half-dead: register | options, the one that is lost */
	DRILL_HOOK, /* hook         a hook of the fleet file makes the outage, undone at its end */
	DRILL_FIELDS
};

struct drill_request {
	uint8_t kind;   /* enum drill_kind */
	uint32_t given; /* bit per enum drill_field: the others take what suits kind and fleet */
	uint8_t proxy;  /* enum proxy */
	uint32_t share_ppm;
	uint64_t hold_ms, settle_ms, period_ms;
	uint32_t times, loss_ppm, delay_us, jitter_us, retry_after_s, spread_ms;
	uint8_t method; /* IMPAIRMENT_REGISTER or IMPAIRMENT_OPTIONS */
	char hook[DRILL_NAME_MAX];
	uint64_t wait_ms; /* of a plan: between the end of the request before and this one */
};

enum drill_act {
	DRILL_ACT_IMPAIR,  /* `impairment` for `proxy`; all zero ends it */
	DRILL_ACT_FAULTS,  /* `faults` of the built-in registrar */
	DRILL_ACT_COMMAND, /* `command` to the herd */
	DRILL_ACT_HOOK,    /* run `hook` */
	DRILL_ACT_UNDO,    /* run its undo */
	DRILL_ACT_END      /* nothing: what was begun has ended, its wave is over */
};

struct drill_step {
	uint64_t at_ms;
	uint8_t act;   /* enum drill_act */
	uint8_t proxy; /* enum proxy */
	bool restores; /* ends something that was begun */
	struct impairment impairment;
	struct registrar_faults faults;
	struct herd_command command;
	char hook[DRILL_NAME_MAX];
	char text[DRILL_TEXT_MAX]; /* "the primary proxy falls silent for all phones" */
};

/* Phones that are to move, and what is measured of it. Which phones it is about is settled when it
 * begins: those that `impairment` concerns and that are registered at `from` then. */
enum drill_wave_kind {
	WAVE_FAIL_OVER, /* from a proxy that has fallen silent to the other one */
	WAVE_FAIL_BACK, /* to the primary that serves again */
	WAVE_RESCUE,    /* both were silent; `to` serves again: of phones registered nowhere */
	WAVE_POWER,     /* phones that have lost their power, until they are registered */
	WAVE_WATCH      /* nothing need move: who leaves `from`, and who is out meanwhile */
};

struct drill_wave {
	uint8_t kind;     /* enum drill_wave_kind */
	uint8_t from, to; /* enum proxy; PROXIES: any */
	uint32_t step;    /* it begins with this step */
	uint64_t until_ms;
	/* FAIL_BACK, RESCUE: for so long `to` has been silent, or both have; 0: it has not been, for it
	 * refused, or answered some. */
	uint64_t silent_ms;
	uint32_t share_ppm;        /* of the phones, by impairment_concerns */
	char name[DRILL_NAME_MAX]; /* unique in the plan: "fail-over", "fail-back", "flap-3-down" */
	char text[DRILL_TEXT_MAX];
};

/* What the plan is made for. */
struct drill_fleet {
	const struct herd_config
		*herd;   /* timers, mode, phones of the fleet; of several herds the slowest */
	uint32_t phones; /* driven here */
	bool redundancy; /* in force */
	bool mixed;      /* herds differ in their rules: no model is of all of them */
	double keepalives_per_s; /* of all phones; 0: as many as the herd's period says */
	bool registrars;         /* built in */
	bool digest;             /* REGISTER is challenged, as far as is known */
	const char *const *hook; /* names of the fleet file's, NULL behind the last */
	double rate_limit_per_s; /* 0: nobody has said */
};

/* What it will send: the busiest seconds, by PHONE.md's model where there is one. */
struct drill_forecast {
	double register_per_s;          /* busiest second of REGISTER transactions ... */
	double register_per_100ms;      /* ... and tenth of a second */
	double options_datagrams_per_s; /* in its worst step, retransmissions included */
	double steady_per_s;            /* all requests a second, before */
	bool known;                     /* false: no model covers it, the first two are bounds */
};

struct drill_plan {
	char name[DRILL_NAME_MAX];     /* "crash", or the plan's in the fleet file */
	char title[DRILL_TEXT_MAX];    /* "crash primary" */
	char question[DRILL_TEXT_MAX]; /* what it answers */
	uint32_t requests;
	struct drill_request request[DRILL_REQUESTS_MAX];
	uint64_t begin_ms[DRILL_REQUESTS_MAX]; /* when each begins */
	uint32_t steps, waves;
	struct drill_step step[DRILL_STEPS_MAX]; /* in the order of their times */
	struct drill_wave wave[DRILL_WAVES_MAX];
	uint64_t end_ms;
	struct drill_forecast forecast;
};

/* One row per kind: what people see of the catalogue. */
struct drill_description {
	const char *name; /* "crash", "brown-out" */
	const char
		*question; /* how fast and how evenly does the herd move, does the survivor hold */
	uint32_t fields;   /* bit per enum drill_field it takes */
};
extern const struct drill_description drill_catalogue[DRILL_KINDS];
extern const char *const drill_field_names[DRILL_FIELDS];

/* One parameter as text: "hold" "90s". Durations, rates and percents as in a fleet file. `kind` is
 * "do". 0, or -EINVAL with what is wrong and what may stand there. */
int drill_request_set(struct drill_request *request, const char *field, const char *value,
	char reason[DRILL_REASON_MAX]);

/* The same the other way round: what drill_request_set reads. Empty text: no such field. */
void drill_request_get(
	const struct drill_request *request, const char *field, char out[DRILL_TEXT_MAX]);

/* A field's value as drill_request_set would read it; "" for a hook that is not given. */
void drill_request_text(
	const struct drill_request *request, enum drill_field field, char out[DRILL_NAME_MAX]);

/* What may be asked of this fleet, spelled out: 0, or -EINVAL with the reason of the refusal (no
 * redundancy, no built-in registrar to drain and no hook, a field that this drill does not take, ...). */
int drill_plan_make(struct drill_plan *plan, const char *name, const struct drill_request *request,
	uint32_t requests, const struct drill_fleet *fleet, char reason[DRILL_REASON_MAX]);

#endif
