/* SPDX-License-Identifier: BSD-3-Clause */
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <rte_pause.h>

#include "herd.h"
#include "registrar.h"
#include "worker.h"

#define TIMERS_PER_ROUND 64 /* so that receiving never waits long */
#define REPORT_HERDS 8      /* told at once, for the same reason */
#define ROUNDS_BUSY 256     /* between two visits of the housekeeper */
#define ROUNDS_RESTING 4    /* while there is next to nothing to do */
/*
 * How a worker without work gives way. It spins for a while, since an answer is often near, and then
 * sleeps until a timer is due or somebody wakes it: its device, another worker, the control thread.
 * Where a device cannot wake, it yields and then sleeps in steps.
 *
 * On a CPU of its own it does not lie down for a moment: a virtual CPU that goes idle comes back when its
 * host likes, one time in a thousand after some milliseconds. So it sleeps between the timers of a small
 * herd, and not between those of a large one.
 */
#define SPIN_US 50
#define YIELD_US 300
#define SLEEP_US 50
#define SLEEP_LONG_AFTER_US 10000
#define SLEEP_LONG_US 1000
#define SLEEP_SHORT_US 20     /* where a device's queue would overflow meanwhile */
#define SLEEP_WOKEN_US 100000 /* where everything that comes wakes */
#define WAKE_UP_US 20         /* a sleeper is late by about so much */
#define MOMENT_US 2000        /* on a CPU of its own */
/* The CPU is not its own when others had so much of a second there. Then it sleeps for a while: who sleeps goes
 * before others when it wakes, who gives way does not. */
#define AWAY_US 20 /* longer than giving way to nobody takes */
#define AWAY_MOST_US 50000
#define SHARED_US 10000000

static void publish_hop(struct worker *worker, unsigned place)
{
	const struct next_hop *hop = &worker->herd_station->neighbours.hop[place];
	const struct slice *slice = &worker->slice[place / PROXIES];
	uint64_t word = (uint64_t)(slice->generation[place % PROXIES] & 0x7fff) << 48;
	for (int i = 0; i < FRAME_MAC; i++)
		word |= (uint64_t)hop->mac[i] << (8 * i);
	if (hop->known)
		word |= 1ull << 63;
	atomic_store_explicit(&worker->board->hop[place], word, memory_order_relaxed);
}

void worker_publish_hops(struct worker *worker)
{
	for (unsigned p = 0; p < worker->herds * PROXIES; p++)
		publish_hop(worker, p);
	worker->to_wake |= (1u << worker->workers) - 2;
}

/* Worker 0 writes the board, the others copy from it what is meant for the address they know. */
static void read_hops(struct worker *worker)
{
	for (unsigned p = 0; p < worker->herds * PROXIES; p++) {
		const uint16_t generation = worker->slice[p / PROXIES].generation[p % PROXIES];
		const uint64_t word = atomic_load_explicit(
			&worker->board->hop[p], memory_order_relaxed);
		struct next_hop *hop = &worker->herd_station->neighbours.hop[p];
		if (!(word >> 63) || ((word >> 48) & 0x7fff) != (generation & 0x7fff))
			continue;
		for (int i = 0; i < FRAME_MAC; i++)
			hop->mac[i] = (uint8_t)(word >> (8 * i));
		hop->known = true;
	}
}

static bool move_proxy(struct worker *worker, const struct order *order, uint64_t now_us)
{
	struct slice *slice = &worker->slice[order->herd];
	const unsigned place = neighbours_place(order->herd, order->proxy);
	const struct herd_command command = {
		.kind = HERD_SET_PROXY, .proxy = order->proxy, .address = order->address};
	if (slice->herd && !herd_command(slice->herd, &command, now_us))
		return false;
	slice->proxy[order->proxy] = (struct wire_proxy){order->address, order->port, true};
	slice->generation[order->proxy]++;
	if (worker->registrar_station)
		neighbours_set_proxy(
			&worker->registrar_station->neighbours, place, &order->address, now_us);
	if (!worker->herd_station)
		return true;
	neighbours_set_proxy(&worker->herd_station->neighbours, place, &order->address, now_us);
	if (!worker->index)
		worker_publish_hops(worker);
	return true;
}

/* Each herd takes the command once, also where one of them has to be asked again. */
static bool command_all(struct worker *worker, const struct herd_command *command, uint64_t now_us)
{
	if (!worker->slice[0].herd)
		return true;
	for (; worker->told < worker->herds; worker->told++)
		if (!herd_command(worker->slice[worker->told].herd, command, now_us))
			return false;
	worker->told = 0;
	return true;
}

static void fault_all(struct worker *worker, const struct order *order)
{
	for (unsigned h = 0; h < worker->herds && worker->registrar_station; h++) {
		struct registrar *registrar = worker->slice[h].registrar[order->proxy];
		if (order->kind == ORDER_FAULTS)
			registrar_set_faults(registrar, &order->faults);
		else
			registrar_forget(registrar);
	}
}

/* False: a herd has too much to do already, ask again. */
static bool obey(struct worker *worker, const struct order *order, uint64_t now_us)
{
	switch ((enum order_kind)order->kind) {
	case ORDER_COMMAND:
		return command_all(worker, &order->command, now_us);
	case ORDER_FAULTS:
	case ORDER_FORGET:
		fault_all(worker, order);
		return true;
	case ORDER_PROXY:
		return move_proxy(worker, order, now_us);
	case ORDER_ANNOUNCE:
		announcer_add(&worker->announcer, order->command.first, order->command.count);
		return true;
	}
	return true;
}

static void take_orders(struct worker *worker, uint64_t now_us)
{
	struct mailbox *mailbox = &worker->mailbox;
	uint32_t taken = atomic_load_explicit(&mailbox->taken, memory_order_relaxed);
	const uint32_t put = atomic_load_explicit(&mailbox->put, memory_order_acquire);
	while (taken != put && obey(worker, &mailbox->order[taken & mailbox->mask], now_us)) {
		taken++;
		worker->activity++;
	}
	atomic_store_explicit(&mailbox->taken, taken, memory_order_release);
}

static void report_slice(const struct slice *slice, struct slice_report *report)
{
	if (slice->herd) {
		report->herd = *herd_counters(slice->herd);
		report->population = *herd_population(slice->herd);
		herd_histograms_copy(&report->histograms, herd_histograms(slice->herd));
		memcpy(report->proxy, herd_proxy_counters(slice->herd), sizeof(report->proxy));
		series_copy(&report->series, herd_series(slice->herd));
	}
	for (unsigned p = 0; p < PROXIES && slice->registrar[p]; p++) {
		report->registrar[p] = *registrar_counters(slice->registrar[p]);
		report->registered_at[p] = registrar_registered(slice->registrar[p]);
	}
}

/* What there is beside the herds. */
static void report_rest(struct worker *worker, uint64_t now_us)
{
	struct report *report = &worker->report;
	report->now_us = now_us;
	report->wire = worker->counters;
	report->state = (struct wire_worker_state){.cpu = (uint32_t)sched_getcpu(),
		.busy_ratio = worker->busy_ratio,
		.registrar_ratio = worker->registrar_ratio,
		.rounds = worker->rounds};
	report->quiet = true;
	for (unsigned h = 0; h < worker->herds && worker->herd_station; h++)
		report->quiet &= herd_is_quiet(worker->slice[h].herd);
}

void worker_report(struct worker *worker, uint64_t now_us)
{
	for (unsigned h = 0; h < worker->herds; h++)
		report_slice(&worker->slice[h], &worker->report.slice[h]);
	report_rest(worker, now_us);
}

/* True: it was asked, and is ours until *asked is given back as answered. */
static bool is_asked(const struct question *question, uint32_t *asked)
{
	*asked = atomic_load_explicit(&question->asked, memory_order_acquire);
	return *asked != atomic_load_explicit(&question->answered, memory_order_relaxed);
}

static void answer_report(struct worker *worker, uint64_t now_us)
{
	uint32_t asked;
	if (!is_asked(&worker->report_question, &asked))
		return;
	for (unsigned i = 0; i < REPORT_HERDS && worker->reported < worker->herds; i++) {
		const unsigned h = worker->reported++;
		report_slice(&worker->slice[h], &worker->report.slice[h]);
	}
	if (worker->reported < worker->herds) {
		worker->activity++; /* the others at the next visit, which is to be soon */
		return;
	}
	worker->reported = 0;
	report_rest(worker, now_us);
	atomic_store_explicit(&worker->report_question.answered, asked, memory_order_release);
}

static void answer_look(struct worker *worker, uint64_t now_us)
{
	uint32_t asked;
	struct look *look = &worker->look;
	if (!is_asked(&look->question, &asked))
		return;
	const struct slice *slice = &worker->slice[roster_herd_of(worker->roster, look->phone)];
	look->found = herd_look(slice->herd, look->phone, now_us, &look->answer);
	atomic_store_explicit(&look->question.answered, asked, memory_order_release);
}

/* The earliest of everything that has a time. */
static uint64_t next_due_us(const struct worker *worker, uint64_t limit_us)
{
	uint64_t next = limit_us;
	for (unsigned h = 0; h < worker->herds && worker->herd_station; h++)
		next = herd_next_us(worker->slice[h].herd, next);
	if (worker->registrar_station && worker->registrar_next_us < next)
		next = worker->registrar_next_us;
	if (worker->herd_station && !worker->index)
		next = RTE_MIN(next, neighbours_next_us(&worker->herd_station->neighbours));
	return next;
}

/* Whether anybody has left something for us. */
static bool is_wanted(const struct worker *worker)
{
	uint32_t asked;
	if (atomic_load_explicit(&worker->mailbox.put, memory_order_acquire) !=
			atomic_load_explicit(&worker->mailbox.taken, memory_order_relaxed) ||
		is_asked(&worker->report_question, &asked) ||
		is_asked(&worker->look.question, &asked) ||
		atomic_load_explicit(worker->stop, memory_order_acquire))
		return true;
	for (unsigned from = 0; from < worker->workers; from++)
		if ((worker->redirect_from[from] && !rte_ring_empty(worker->redirect_from[from])) ||
			(worker->relay_from[from] && !rte_ring_empty(worker->relay_from[from])))
			return true;
	return false;
}

static void wake_others(struct worker *worker)
{
	for (uint32_t left = worker->to_wake; left; left &= left - 1)
		bell_ring(worker->bell_of[__builtin_ctz(left)]);
	worker->to_wake = 0;
}

/* How long we may sleep at most, timers apart. */
static uint64_t longest_us(const struct worker *worker, uint64_t idle_us)
{
	if (worker->announcer.once.count || worker->announcer.again.count)
		return SLEEP_LONG_US;
	if (!worker->has_device || worker->device_fd >= 0)
		return SLEEP_WOKEN_US;
	if (worker->rests_shortly)
		return SLEEP_SHORT_US;
	return idle_us < SLEEP_LONG_AFTER_US ? SLEEP_US : SLEEP_LONG_US;
}

static void sleep_until(struct worker *worker, uint64_t now_us, uint64_t wake_us)
{
	bell_lie_down(&worker->bell);
	if (is_wanted(worker))
		bell_get_up(&worker->bell);
	else if (!bell_sleep(&worker->bell, worker->device_fd, wake_us - now_us))
		worker->device_fd = -1;
}

/* Somebody else was let in. Otherwise it was the machine's host that had its own to do. */
static bool was_switched(struct worker *worker)
{
	struct rusage usage;
	if (getrusage(RUSAGE_THREAD, &usage))
		return true;
	const bool switched = usage.ru_nivcsw != worker->switches;
	worker->switches = usage.ru_nivcsw;
	return switched;
}

static void give_way(struct worker *worker, uint64_t now_us)
{
	const uint64_t before_us = clock_us(worker->clock);
	sched_yield();
	const uint64_t away_us = clock_us(worker->clock) - before_us;
	if (away_us < AWAY_US || !was_switched(worker))
		return;
	worker->away_us += away_us;
	if (worker->away_us > AWAY_MOST_US)
		worker->shared_until_us = RTE_MAX(worker->shared_until_us, now_us + SHARED_US);
}

/* Nothing happened since the last visit: give way, but be back in time. */
static void rest(struct worker *worker, uint64_t now_us)
{
	const uint64_t idle_us = now_us - worker->idle_since_us;
	const bool yields = worker->has_device && worker->device_fd < 0;
	if (idle_us < SPIN_US && !worker->crowded && !worker->alone) {
		rte_pause();
		return;
	}
	if (idle_us < YIELD_US && yields) {
		sched_yield();
		return;
	}
	const uint64_t limit_us = now_us + longest_us(worker, idle_us);
	const bool shared = worker->crowded || now_us < worker->shared_until_us;
	const uint64_t moment_us = shared ? WAKE_UP_US : MOMENT_US;
	const uint64_t due_us = next_due_us(
		worker, RTE_MAX(limit_us + WAKE_UP_US, now_us + moment_us + 1));
	if (due_us <= now_us + moment_us)
		give_way(worker, now_us);
	else
		sleep_until(worker, now_us, RTE_MIN(due_us - WAKE_UP_US, limit_us));
}

/* Share of the last second that was not spent polling in vain. */
static void measure_busy(struct worker *worker, uint64_t tsc)
{
	const uint64_t window = tsc - worker->window_tsc;
	if (window < rte_get_tsc_hz())
		return;
	worker->busy_ratio = (float)((double)worker->busy_tsc / (double)window);
	worker->registrar_ratio = (float)((double)worker->registrar_tsc / (double)window);
	worker->busy_tsc = worker->registrar_tsc = worker->away_us = 0;
	worker->window_tsc = tsc;
}

/* When it wants to be called again. */
static uint64_t advance_registrars(struct worker *worker, uint64_t now_us)
{
	uint64_t next_us = UINT64_MAX;
	for (unsigned h = 0; h < worker->herds; h++)
		for (unsigned p = 0; p < PROXIES; p++)
			next_us = RTE_MIN(
				next_us, registrar_advance(worker->slice[h].registrar[p], now_us));
	return next_us;
}

/* One budget for all: where it ends early, the next round goes on behind the herd that has used it up. */
static void advance_herds(struct worker *worker, uint64_t now_us)
{
	uint32_t budget = TIMERS_PER_ROUND;
	unsigned h = worker->turn;
	for (unsigned i = 0; i < worker->herds; i++) {
		struct herd *herd = worker->slice[h].herd;
		const bool done = herd_advance(herd, now_us, budget);
		h = h + 1 < worker->herds ? h + 1 : 0;
		if (!done) {
			worker->activity++;
			worker->turn = h;
			return;
		}
		budget -= herd_spent(herd);
	}
}

/* One round: take what came, do what is due, send. */
static void go_round(struct worker *worker)
{
	const uint64_t tsc = rte_rdtsc(), before = worker->activity;
	const uint64_t now_us = clock_us_at(worker->clock, tsc);
	struct station *far = worker->registrar_station, *near = worker->herd_station;
	worker->rounds++;
	if (far) {
		const bool came = station_receive(worker, far, now_us);
		if (came || now_us >= worker->registrar_next_us)
			worker->registrar_next_us = advance_registrars(worker, now_us);
		station_flush(worker, far);
	}
	const uint64_t between = far ? rte_rdtsc() : tsc;
	if (near) {
		if (worker->workers > 1)
			station_receive_redirected(worker, now_us);
		station_receive(worker, near, now_us);
		advance_herds(worker, now_us);
		station_flush(worker, near);
		if (worker->relays)
			station_relay(worker, near);
	}
	if (worker->to_wake)
		wake_others(worker);
	if (worker->activity != before) {
		worker->busy_tsc += rte_rdtsc() - tsc;
		worker->registrar_tsc += between - tsc;
	}
}

/* What needs not be done every round. */
static void keep_house(struct worker *worker, uint64_t now_us)
{
	take_orders(worker, now_us);
	if (worker->herd_station) {
		if (worker->index) {
			read_hops(worker);
		} else {
			station_ask(worker, worker->herd_station, now_us);
			station_announce(worker, worker->herd_station, now_us);
		}
	}
	answer_report(worker, now_us);
	answer_look(worker, now_us);
	measure_busy(worker, rte_rdtsc());
}

int worker_run(void *argument)
{
	struct worker *worker = argument;
	prctl(PR_SET_TIMERSLACK, 1000ul); /* sleeps are short: be woken within a microsecond */
	worker->window_tsc = rte_rdtsc();
	worker->idle_since_us = clock_us(worker->clock);
	/* With a real-time priority, who never sleeps is stopped by the kernel for a twentieth of each second. */
	const int policy = sched_getscheduler(0);
	if (policy == SCHED_FIFO || policy == SCHED_RR)
		worker->shared_until_us = UINT64_MAX;
	bool resting = false;
	while (!atomic_load_explicit(worker->stop, memory_order_acquire)) {
		const uint64_t before = worker->activity;
		const unsigned rounds = resting ? ROUNDS_RESTING : ROUNDS_BUSY;
		for (unsigned i = 0; i < rounds; i++)
			go_round(worker);
		const uint64_t now_us = clock_us(worker->clock);
		keep_house(worker, now_us);
		resting = worker->activity == before;
		if (resting)
			rest(worker, now_us);
		else
			worker->idle_since_us = now_us;
	}
	return 0;
}
