/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The simulator: a herd of phones, two registrars and the network between them, in virtual time.
 *
 * Everything follows from one seed. Time is microseconds; herds and registrars are advanced every
 * millisecond, or only where something is due (config.jump). Every datagram of a phone passes the
 * model (model.h), which fails the test at the first thing that PHONE.md does not allow. The
 * environment may set SIM_SEED (another run, or the printed one again) and SIM_TRACE (a phone whose
 * datagrams are printed in full).
 */
#ifndef SIPHERD_SIM_H
#define SIPHERD_SIM_H

#include "datagram.h"
#include "herd.h"
#include "model.h"
#include "random.h"
#include "registrar.h"

#define SIM_SECOND 1000000ull
#define SIM_SLICES_MAX 16

enum sim_direction { SIM_OUT = 0, SIM_BACK = 1, SIM_DIRECTIONS };

/* One direction between the phones and one proxy. */
struct sim_path {
	uint32_t delay_us, jitter_us; /* delay plus uniform 0..jitter */
	uint32_t loss_ppm, duplicate_ppm;
	uint32_t reorder_ppm, reorder_us; /* this share is late by up to so much more */
	bool cut;
};

struct sim;

struct sim_hooks {
	void *context;
	/* A phone sent this (retransmission says what it is); may be NULL. */
	void (*sent)(void *context, const struct datagram *datagram);
	/* This reached the proxy. True: the script has dealt with it, the registrar does not see
	 * it; may be NULL. */
	bool (*arrived)(void *context, struct sim *sim, const struct datagram *datagram);
	/* A phone has read this (`matched` says whether it waited for it); may be NULL. */
	void (*read)(void *context, const struct datagram *datagram);
};

struct sim_config {
	struct herd_config herd; /* fleet_phones and behaviour; the rest is the simulator's */
	struct registrar_config registrar; /* of both; capacity, identities and seed likewise */
	struct sim_hooks hooks;
	uint32_t slices;
	uint32_t budget; /* of one herd_advance */
	bool passwords;  /* phones have credentials */
	bool ipv6;
	bool watched; /* the mirror has a MIRROR_WATCH */
	bool jump;    /* from event to event instead of every millisecond */
	/* Of an earlier run, to be gone on with; NULL: new ones. They must outlive the simulator. */
	struct phone_record *records;
	uint64_t seed;
};

/* Defaults of PHONE.md for so many phones, both proxies, no switch delay, a quick network. */
void sim_defaults(struct sim_config *config, uint32_t phones, uint64_t seed);

struct sim *sim_create(const struct sim_config *config);
void sim_free(struct sim *sim);

uint64_t sim_now_us(const struct sim *sim);
/* Until just before this moment, a whole millisecond. */
void sim_run(struct sim *sim, uint64_t until_us);
void sim_run_for(struct sim *sim, uint64_t us);

void sim_command(struct sim *sim, enum herd_command_kind kind, uint32_t first, uint32_t count,
	uint32_t delay_ms);
void sim_order(struct sim *sim, const struct herd_command *command); /* the same */
void sim_start(struct sim *sim);
/* HERD_IMPAIR of all slices. */
void sim_impair(struct sim *sim, enum proxy proxy, const struct impairment *impairment);

void sim_path(struct sim *sim, enum proxy proxy, enum sim_direction direction,
	const struct sim_path *path);
void sim_paths(struct sim *sim, const struct sim_path *path);
void sim_cut(struct sim *sim, enum proxy proxy, bool cut);
void sim_faults(struct sim *sim, enum proxy proxy, const struct registrar_faults *faults);
void sim_crash(struct sim *sim, enum proxy proxy, bool crashed);

/* A datagram from a proxy to a phone, `delay_us` from now, and ICMP at once. */
void sim_inject(struct sim *sim, uint32_t phone, enum proxy proxy, const char *text, size_t length,
	uint64_t delay_us);
void sim_unreachable(struct sim *sim, uint32_t phone, enum proxy proxy);

/* "user@host:port" of a phone's Contact. */
void sim_contact(const struct sim *sim, uint32_t phone, char *out, size_t size);
struct mirror *sim_mirror(const struct sim *sim);
struct model *sim_model(const struct sim *sim);
const struct phone *sim_phone(const struct sim *sim, uint32_t phone);
const struct registrar *sim_registrar(const struct sim *sim, enum proxy proxy);
struct herd_counters sim_counters(const struct sim *sim);
struct herd_population sim_population(const struct sim *sim);
/* Of all slices. */
void sim_histograms(const struct sim *sim, struct herd_histograms *out);
struct proxy_counters sim_proxy_counters(const struct sim *sim, enum proxy proxy);
/* Append what all slices have closed since; *out is all zero at first. */
void sim_series(const struct sim *sim, struct series *out);
uint64_t sim_herd_memory(const struct sim *sim);
uint64_t sim_own_memory(const struct sim *sim);

/* Look at every phone and at the counters now. */
void sim_check(struct sim *sim);
/* Every phone is registered, at `proxy` or (PROXIES) at either, and that registrar knows it. */
void sim_check_registered(struct sim *sim, enum proxy proxy);
/* Stop the herd and see that nothing stays in flight, neither with phones nor on the way. */
void sim_finish(struct sim *sim);

/* A seed from the environment (SIM_SEED) or this one. */
uint64_t sim_seed(uint64_t otherwise);

#endif
