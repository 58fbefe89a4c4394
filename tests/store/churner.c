/* SPDX-License-Identifier: BSD-3-Clause */
#include "churner.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../sim/random.h"

#define BURST 256      /* transitions of a round, before anything else is looked at ... */
#define BURST_NAP 4096 /* ... and of a round that ends with a nap */
#define NAP_NS 1000000 /* between rounds */
#define DEBT_US 100000 /* what a paced worker still makes up for */
#define PERMILLION 1e-6

/* An even flow: `done` follows rate * time. */
struct flow {
	uint64_t begun_us, done;
	double per_us;
};

struct storm {
	uint64_t begun_us, duration_us;
	uint64_t total, done;
	uint32_t position, step; /* of this worker's phones, jumping */
};

struct worker {
	struct churner *churner;
	pthread_t thread;
	unsigned index;
	uint32_t phones; /* of this worker: index, index + workers, ... */
	struct random random;
	struct flow transitions, keepalives;
	struct storm storm;
	uint32_t *driven; /* shards, in no order */
	uint32_t driven_count;
	uint32_t *session;      /* [shards]: 1 + the open one, 0 none */
	uint32_t sessions_used; /* of this worker's part */
	/* Control thread writes, the worker reads. */
	_Atomic uint8_t *wanted; /* [shards] */
	_Atomic uint32_t wanted_generation, order_generation;
	/* The worker writes. */
	uint32_t wanted_seen, order_seen;
	_Atomic bool paused, storming;
	_Atomic uint64_t transitions_done, keepalives_done, rounds, muted, adoptions, releases;
	_Atomic uint64_t publish_ns, publishes, late_us, naps;
	_Atomic int task; /* its id of the kernel; 0: not running yet */
};

struct churner {
	struct churner_config config;
	struct redundancy_rules rules;
	unsigned workers;
	/* Control thread writes; workers take them when order_generation has changed. */
	_Atomic uint32_t transitions, keepalives;
	_Atomic uint32_t storm_passes, storm_ms, storm_number;
	_Atomic bool pause, end, in_order;
	struct worker worker[MIRROR_WORKERS_MAX];
};

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
		memory_order_relaxed);
}

static uint64_t monotonic_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t herd_now_us(const struct churner *churner)
{
	return churner->config.now_us(churner->config.clock);
}

static uint64_t unix_now_ms(const struct churner *churner)
{
	return (atomic_load_explicit(&churner->config.mirror->unix_start_us, memory_order_relaxed) +
		       herd_now_us(churner)) /
	       1000;
}

/* ---- one phone ---- */

struct choice {
	uint8_t event, cause;
	uint32_t weight;
};

/* What may happen in each state; the first is the way on, which storms take. */
static const struct choice choices[PHONE_STATES][6] = {
	[PHONE_OFF] = {{EVENT_START, RECORD_START, 1}},
	[PHONE_BOOT] = {{EVENT_BOOT_DUE, RECORD_DUE, 1}},
	[PHONE_REGISTERING] = {{EVENT_REGISTER_OK, RECORD_REGISTERED, 12},
		{EVENT_REGISTER_SILENCE, RECORD_REGISTER_SILENCE, 3},
		{EVENT_REJECTED, RECORD_REFUSED, 2}, {EVENT_REJECTED_SWITCHING, RECORD_CODE, 1},
		{EVENT_CREDENTIALS_REFUSED, RECORD_REFUSED, 1}},
	[PHONE_WAITING] = {{EVENT_RETRY_DUE, RECORD_DUE, 1}},
	[PHONE_SWITCHING] = {{EVENT_SWITCH_DUE, RECORD_DUE, 1}},
	[PHONE_REGISTERED] = {{EVENT_KEEPALIVE_SILENCE, RECORD_KEEPALIVE_SILENCE, 8},
		{EVENT_KEEPALIVE_ANSWER, RECORD_KEEPALIVE_ANSWER, 8},
		{EVENT_REGISTER_SILENCE, RECORD_REFRESH_SILENCE, 2},
		{EVENT_REJECTED, RECORD_REFUSED, 1}, {EVENT_REBOOT, RECORD_REBOOT, 1}},
};

static const struct choice *choose(struct random *random, unsigned state)
{
	const struct choice *choice = choices[state];
	uint32_t sum = 0;
	for (unsigned i = 0; i < 6; i++)
		sum += choice[i].weight;
	uint32_t n = random_below(random, sum);
	while (n >= choice->weight)
		n -= choice++->weight;
	return choice;
}

/* What the counts of a record say of a transition. */
static void tally(struct record_view *view, uint8_t event, uint8_t active_before, uint8_t active)
{
	if (event == EVENT_REGISTER_OK && view->registrations_ok < UINT32_MAX)
		view->registrations_ok++;
	if ((event == EVENT_REJECTED || event == EVENT_CREDENTIALS_REFUSED) &&
		view->registrations_failed < UINT16_MAX)
		view->registrations_failed++;
	if (active > active_before && view->failovers < UINT16_MAX)
		view->failovers++;
	if (active < active_before && view->failbacks < UINT16_MAX)
		view->failbacks++;
}

/* Carry `event` out on the view; false: nothing has changed. */
static bool step(const struct churner *churner, struct record_view *view, uint8_t event)
{
	struct phone phone = {.state = view->phase, .misses = view->misses};
	if (view->last_tried == 1 + PROXY_REDUNDANT)
		phone.flags = PHONE_ACTIVE_REDUNDANT;
	const enum proxy before = phone_active(&phone);
	redundancy_step(&churner->rules, &phone, event);
	if (phone.state == view->phase)
		return false;
	tally(view, event, (uint8_t)before, (uint8_t)phone_active(&phone));
	view->phase = phone.state;
	view->misses = phone.misses;
	view->registered = phone.state == PHONE_REGISTERED ? (uint8_t)(1 + phone_active(&phone))
							   : 0;
	if (phone.state != PHONE_BOOT && phone.state != PHONE_OFF)
		view->last_tried = (uint8_t)(1 + phone_active(&phone));
	return true;
}

static void view_read(const struct churner *churner, uint32_t phone, struct record_view *view)
{
	uint8_t bytes[RECORD_SIZE];
	record_copy(&churner->config.mirror->record[phone], bytes);
	record_parse(bytes, view);
	if (view->version == RECORD_VERSION)
		return;
	memset(view, 0, sizeof(*view));
	view->version = RECORD_VERSION;
	view->rtt_100us = RECORD_RTT_NONE;
}

static void publish(struct worker *worker, uint32_t phone, struct record_view *view, uint8_t before,
	uint8_t cause)
{
	struct churner *churner = worker->churner;
	view->mode = churner->config.mode;
	view->cause = cause;
	view->transition++;
	view->since_unix_ms = unix_now_ms(churner);
	const uint64_t begun_ns = monotonic_ns();
	mirror_publish(churner->config.mirror, worker->index, phone, view, before);
	count(&worker->publish_ns, monotonic_ns() - begun_ns);
	count(&worker->publishes, 1);
	count(&worker->transitions_done, 1);
}

/* One transition: at random, or the way on. */
static void transition(struct worker *worker, uint32_t phone, bool onward)
{
	struct record_view view;
	view_read(worker->churner, phone, &view);
	const uint8_t before = (uint8_t)(view.registered | view.last_tried << 2);
	if (view.phase >= PHONE_STATES)
		abort(); /* nothing but us and the store writes records: one of us is wrong */
	/* A silent keep-alive moves nobody who is at the redundant proxy: an answer does. */
	for (int i = 0; i < 4; i++) {
		const struct choice *choice = onward ? &choices[view.phase][i != 0]
						     : choose(&worker->random, view.phase);
		if (!step(worker->churner, &view, choice->event))
			continue;
		publish(worker, phone, &view, before, choice->cause);
		return;
	}
}

static void power(struct worker *worker, uint32_t phone, bool on)
{
	struct record_view view;
	view_read(worker->churner, phone, &view);
	const uint8_t before = (uint8_t)(view.registered | view.last_tried << 2);
	if (!on && view.phase == PHONE_OFF)
		return;
	view.phase = on ? PHONE_BOOT : PHONE_OFF;
	view.registered = 0;
	view.misses = 0;
	publish(worker, phone, &view, before, on ? RECORD_START : RECORD_STOPPED);
}

/* A keep-alive was answered: words 3 and 0, and no mark. */
static void keepalive(struct worker *worker, uint32_t phone)
{
	struct phone_record *record = &worker->churner->config.mirror->record[phone];
	const uint64_t counts = be64toh(
		atomic_load_explicit(&record->word[3], memory_order_relaxed));
	atomic_store_explicit(
		&record->word[3], htobe64(counts + (UINT64_C(1) << 32)), memory_order_relaxed);
	const uint64_t state = be64toh(
		atomic_load_explicit(&record->word[0], memory_order_relaxed));
	const uint64_t rtt = random_below(&worker->random, 10000);
	atomic_store_explicit(
		&record->word[0], htobe64((state & ~UINT64_C(0xffff)) | rtt), memory_order_relaxed);
	count(&worker->keepalives_done, 1);
}

/* ---- shards ---- */

static uint32_t first_phone(const struct worker *worker, uint32_t shard)
{
	const uint32_t workers = worker->churner->workers, first = shard * SHARD_PHONES;
	return first + (worker->index + workers - first % workers) % workers;
}

static void begin_session(struct worker *worker, uint32_t shard)
{
	struct churner_session *sessions = worker->churner->config.sessions;
	if (sessions == NULL)
		return;
	if (worker->sessions_used == CHURNER_SESSIONS)
		abort(); /* the test runs for longer than it was made for */
	struct churner_session *session =
		&sessions[(size_t)worker->index * CHURNER_SESSIONS + worker->sessions_used++];
	session->shard = shard;
	worker->session[shard] = worker->sessions_used;
}

static void note_session(struct worker *worker, uint32_t shard, uint64_t now_us)
{
	if (worker->session[shard] == 0)
		return;
	struct churner_session *session =
		&worker->churner->config.sessions[(size_t)worker->index * CHURNER_SESSIONS +
						  worker->session[shard] - 1];
	/* An adoption alone is no act: it may have been carried out when the lease was over already. */
	if (session->used == 0)
		atomic_store_explicit(&session->first_us, now_us, memory_order_relaxed);
	atomic_store_explicit(&session->last_us, now_us, memory_order_relaxed);
	session->used = 1;
}

static void set_driven(struct worker *worker, uint32_t shard, uint8_t driven)
{
	struct mirror *mirror = worker->churner->config.mirror;
	atomic_store_explicit(
		&mirror->driven[(size_t)shard * worker->churner->workers + worker->index], driven,
		memory_order_release);
}

static bool is_driven(const struct worker *worker, uint32_t shard)
{
	struct mirror *mirror = worker->churner->config.mirror;
	return atomic_load_explicit(
		       &mirror->driven[(size_t)shard * worker->churner->workers + worker->index],
		       memory_order_relaxed) != 0;
}

static void adopt(struct worker *worker, uint32_t shard)
{
	struct mirror *mirror = worker->churner->config.mirror;
	const uint32_t end = shard * SHARD_PHONES + mirror_shard_phones(mirror, shard);
	set_driven(worker, shard, 1);
	worker->driven[worker->driven_count++] = shard;
	begin_session(worker, shard);
	for (uint32_t p = first_phone(worker, shard); p < end; p += worker->churner->workers)
		power(worker, p, true);
	count(&worker->adoptions, 1);
}

static void leave(struct worker *worker, uint32_t shard)
{
	struct mirror *mirror = worker->churner->config.mirror;
	const uint32_t end = shard * SHARD_PHONES + mirror_shard_phones(mirror, shard);
	for (uint32_t i = 0; i < worker->driven_count; i++)
		if (worker->driven[i] == shard)
			worker->driven[i] = worker->driven[--worker->driven_count];
	/* Nothing is sent for a phone that is powered off, so this is no act of the session. */
	for (uint32_t p = first_phone(worker, shard); p < end; p += worker->churner->workers)
		power(worker, p, false);
	worker->session[shard] = 0;
	set_driven(worker, shard, 0);
	count(&worker->releases, 1);
}

/* One shard a round, so that a release does not wait for a million adoptions. */
static void obey(struct worker *worker)
{
	const uint32_t generation = atomic_load_explicit(
		&worker->wanted_generation, memory_order_acquire);
	if (generation == worker->wanted_seen)
		return;
	for (int pass = 0; pass < 2; pass++)
		for (uint32_t shard = 0; shard < worker->churner->config.mirror->shards; shard++) {
			const bool wanted = atomic_load_explicit(
				&worker->wanted[shard], memory_order_relaxed);
			if (wanted == is_driven(worker, shard) || wanted != (pass == 1))
				continue;
			if (wanted)
				adopt(worker, shard);
			else
				leave(worker, shard);
			return;
		}
	worker->wanted_seen = generation;
}

/* ---- rounds ---- */

static bool is_muted(const struct churner *churner)
{
	return herd_now_us(churner) >=
	       atomic_load_explicit(&churner->config.mirror->lease_over_us, memory_order_relaxed);
}

/* Where sessions are noted, each step asks for itself whether leases are sure: this process may have
 * stood still since the round began. */
static void act(struct worker *worker, uint32_t phone, bool onward)
{
	if (worker->churner->config.sessions != NULL) {
		const uint64_t now_us = monotonic_ns() / 1000;
		if (is_muted(worker->churner))
			return;
		note_session(worker, phone / SHARD_PHONES, now_us);
	}
	transition(worker, phone, onward);
}

static uint32_t random_phone(struct worker *worker)
{
	struct mirror *mirror = worker->churner->config.mirror;
	const uint32_t workers = worker->churner->workers;
	const uint32_t shard = worker->driven[random_below(&worker->random, worker->driven_count)];
	const uint32_t first = first_phone(worker, shard);
	const uint32_t end = shard * SHARD_PHONES + mirror_shard_phones(mirror, shard);
	return first +
	       workers * random_below(&worker->random, (end - first + workers - 1) / workers);
}

static uint32_t burst_of(const struct worker *worker)
{
	return worker->churner->config.poll ? BURST : BURST_NAP;
}

/* How many are due now; what lies too far back is let go. */
static uint32_t flow_due(struct flow *flow, uint32_t burst, uint64_t now_us)
{
	if (flow->per_us <= 0)
		return 0;
	const uint64_t due = (uint64_t)((double)(now_us - flow->begun_us) * flow->per_us);
	if (due < flow->done)
		return 0;
	const uint64_t debt_max = (uint64_t)(flow->per_us * DEBT_US) + burst;
	if (due - flow->done > debt_max)
		flow->done = due - debt_max;
	const uint64_t n = due - flow->done;
	return n < burst ? (uint32_t)n : burst;
}

static void flow_round(struct worker *worker, uint64_t now_us)
{
	if (worker->driven_count == 0)
		return;
	uint32_t n = flow_due(&worker->transitions, burst_of(worker), now_us);
	worker->transitions.done += n;
	while (n-- > 0)
		act(worker, random_phone(worker), false);
	n = flow_due(&worker->keepalives, burst_of(worker), now_us);
	worker->keepalives.done += n;
	while (n-- > 0)
		keepalive(worker, random_phone(worker));
}

static void storm_end(struct worker *worker)
{
	worker->storm.total = worker->storm.done = 0;
	atomic_store_explicit(&worker->storming, false, memory_order_release);
}

static void storm_round(struct worker *worker, uint64_t now_us)
{
	struct storm *storm = &worker->storm;
	if (storm->total == 0)
		return;
	uint64_t passed_us = now_us - storm->begun_us;
	uint64_t due = passed_us >= storm->duration_us
			       ? storm->total
			       : (uint64_t)((double)storm->total * (double)passed_us /
					    (double)storm->duration_us);
	const uint64_t plan_us = storm->begun_us + storm->done * storm->duration_us / storm->total;
	if (due > storm->done && now_us - plan_us > atomic_load(&worker->late_us))
		atomic_store(&worker->late_us, now_us - plan_us);
	const uint32_t burst = burst_of(worker);
	for (uint32_t n = 0; n < burst && storm->done < due; n++, storm->done++) {
		const uint32_t phone = worker->index +
				       storm->position * (uint32_t)worker->churner->workers;
		if (is_driven(worker, phone / SHARD_PHONES))
			act(worker, phone, true);
		storm->position = (uint32_t)(((uint64_t)storm->position + storm->step) %
					     worker->phones);
	}
	if (storm->done == storm->total)
		storm_end(worker);
}

static uint32_t divisor(uint32_t a, uint32_t b)
{
	while (b != 0) {
		const uint32_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

static void storm_begin(struct worker *worker, uint64_t now_us)
{
	struct churner *churner = worker->churner;
	struct storm *storm = &worker->storm;
	storm->begun_us = now_us;
	storm->duration_us = 1000u * (uint64_t)atomic_load(&churner->storm_ms);
	storm->total = (uint64_t)atomic_load(&churner->storm_passes) * worker->phones;
	storm->done = 0;
	if (atomic_load(&churner->in_order)) {
		storm->position = 0;
		storm->step = 1;
		return;
	}
	storm->position = random_below(&worker->random, worker->phones);
	storm->step = 1 + (uint32_t)(0.618 * worker->phones);
	while (divisor(storm->step, worker->phones) != 1)
		storm->step++;
}

static void take_orders(struct worker *worker, uint64_t now_us, uint32_t *storm_seen)
{
	struct churner *churner = worker->churner;
	const uint32_t generation = atomic_load_explicit(
		&worker->order_generation, memory_order_acquire);
	if (generation == worker->order_seen)
		return;
	worker->order_seen = generation;
	const double share = PERMILLION / churner->workers;
	worker->transitions = (struct flow){now_us, 0, share * atomic_load(&churner->transitions)};
	worker->keepalives = (struct flow){now_us, 0, share * atomic_load(&churner->keepalives)};
	const uint32_t storm = atomic_load(&churner->storm_number);
	if (storm != *storm_seen)
		storm_begin(worker, now_us);
	*storm_seen = storm;
}

static void round_once(struct worker *worker, uint32_t *storm_seen)
{
	struct churner *churner = worker->churner;
	count(&worker->rounds, 1);
	obey(worker);
	const uint64_t now_us = herd_now_us(churner);
	take_orders(worker, now_us, storm_seen);
	const bool pause = atomic_load_explicit(&churner->pause, memory_order_acquire);
	atomic_store_explicit(&worker->paused, pause, memory_order_release);
	if (pause)
		return;
	if (is_muted(churner)) {
		count(&worker->muted, 1);
		return;
	}
	storm_round(worker, now_us);
	flow_round(worker, now_us);
}

static void bind_cpu(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *worker_main(void *context)
{
	struct worker *worker = context;
	struct churner *churner = worker->churner;
	uint32_t storm_seen = 0;
	if (churner->config.cpu >= 0)
		bind_cpu(churner->config.cpu);
	atomic_store(&worker->task, gettid());
	while (!atomic_load_explicit(&churner->end, memory_order_acquire)) {
		round_once(worker, &storm_seen);
		if (churner->config.poll)
			continue;
		nanosleep(&(struct timespec){0, NAP_NS}, NULL);
		count(&worker->naps, 1);
	}
	return NULL;
}

/* ---- control ---- */

static int worker_create(struct churner *churner, unsigned index)
{
	struct worker *worker = &churner->worker[index];
	const uint32_t shards = churner->config.mirror->shards;
	const uint32_t phones = churner->config.mirror->phones;
	worker->churner = churner;
	worker->index = index;
	worker->phones = (phones - index + churner->workers - 1) / churner->workers;
	random_seed(&worker->random, churner->config.seed + index);
	worker->driven = calloc(shards, sizeof(*worker->driven));
	worker->session = calloc(shards, sizeof(*worker->session));
	worker->wanted = calloc(shards, sizeof(*worker->wanted));
	if (worker->driven == NULL || worker->session == NULL || worker->wanted == NULL)
		return -ENOMEM;
	return 0;
}

static void workers_end(struct churner *churner, unsigned started)
{
	atomic_store(&churner->end, true);
	for (unsigned i = 0; i < started; i++)
		pthread_join(churner->worker[i].thread, NULL);
	for (unsigned i = 0; i < churner->workers; i++) {
		free(churner->worker[i].driven);
		free(churner->worker[i].session);
		free(churner->worker[i].wanted);
	}
	free(churner);
}

int churner_create(struct churner **out, const struct churner_config *config)
{
	struct churner *churner = calloc(1, sizeof(*churner));
	int error = 0;
	if (churner == NULL)
		return -ENOMEM;
	churner->config = *config;
	churner->rules = (struct redundancy_rules){true, config->mode, 1, 1};
	churner->workers = config->mirror->workers;
	for (unsigned i = 0; i < churner->workers && error == 0; i++)
		error = worker_create(churner, i);
	unsigned started = 0;
	while (started < churner->workers && error == 0) {
		struct worker *worker = &churner->worker[started];
		error = -pthread_create(&worker->thread, NULL, worker_main, worker);
		started += error == 0;
	}
	if (error != 0) {
		workers_end(churner, started);
		return error;
	}
	*out = churner;
	return 0;
}

void churner_free(struct churner *churner)
{
	if (churner != NULL)
		workers_end(churner, churner->workers);
}

static void want(struct churner *churner, uint32_t first, uint32_t phones, uint8_t wanted)
{
	for (unsigned i = 0; i < churner->workers; i++) {
		struct worker *worker = &churner->worker[i];
		for (uint32_t shard = first / SHARD_PHONES; shard * SHARD_PHONES < first + phones;
			shard++)
			atomic_store_explicit(&worker->wanted[shard], wanted, memory_order_relaxed);
		atomic_fetch_add_explicit(&worker->wanted_generation, 1, memory_order_release);
	}
}

void churner_adopt(struct churner *churner, uint32_t first, uint32_t phones)
{
	want(churner, first, phones, 1);
}

void churner_release(struct churner *churner, uint32_t first, uint32_t phones)
{
	want(churner, first, phones, 0);
}

static void order(struct churner *churner)
{
	for (unsigned i = 0; i < churner->workers; i++)
		atomic_fetch_add_explicit(
			&churner->worker[i].order_generation, 1, memory_order_release);
}

void churner_rate(struct churner *churner, uint32_t transitions, uint32_t keepalives)
{
	atomic_store(&churner->transitions, transitions);
	atomic_store(&churner->keepalives, keepalives);
	order(churner);
}

void churner_storm(struct churner *churner, unsigned passes, uint32_t duration_ms)
{
	atomic_store(&churner->storm_passes, passes);
	atomic_store(&churner->storm_ms, duration_ms);
	for (unsigned i = 0; i < churner->workers; i++)
		atomic_store(&churner->worker[i].storming, true);
	atomic_fetch_add(&churner->storm_number, 1);
	order(churner);
}

void churner_in_order(struct churner *churner, bool in_order)
{
	atomic_store(&churner->in_order, in_order);
}

bool churner_storm_is_over(const struct churner *churner)
{
	for (unsigned i = 0; i < churner->workers; i++)
		if (atomic_load_explicit(&churner->worker[i].storming, memory_order_acquire))
			return false;
	return true;
}

void churner_pause(struct churner *churner)
{
	atomic_store_explicit(&churner->pause, true, memory_order_release);
	for (unsigned i = 0; i < churner->workers; i++)
		while (!atomic_load_explicit(&churner->worker[i].paused, memory_order_acquire))
			nanosleep(&(struct timespec){0, NAP_NS}, NULL);
}

void churner_resume(struct churner *churner)
{
	atomic_store_explicit(&churner->pause, false, memory_order_release);
}

/* How often the worker gave up its processor, as the kernel counted. */
static uint64_t voluntary_switches(const struct worker *worker)
{
	char path[64], line[128];
	unsigned long long switches = 0;
	snprintf(path, sizeof(path), "/proc/self/task/%d/status", atomic_load(&worker->task));
	FILE *file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		sscanf(line, "voluntary_ctxt_switches: %llu", &switches);
	if (file != NULL)
		fclose(file);
	const uint64_t naps = atomic_load(&worker->naps);
	return switches > naps ? switches - naps : 0;
}

void churner_totals(const struct churner *churner, struct churner_totals *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < churner->workers; i++) {
		const struct worker *worker = &churner->worker[i];
		out->transitions += atomic_load(&worker->transitions_done);
		out->keepalives += atomic_load(&worker->keepalives_done);
		out->rounds += atomic_load(&worker->rounds);
		out->muted += atomic_load(&worker->muted);
		out->adoptions += atomic_load(&worker->adoptions);
		out->releases += atomic_load(&worker->releases);
		out->publish_ns += atomic_load(&worker->publish_ns);
		out->publishes += atomic_load(&worker->publishes);
		out->switches += voluntary_switches(worker);
		if (atomic_load(&worker->late_us) > out->late_us)
			out->late_us = atomic_load(&worker->late_us);
	}
}
