/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it takes to fire a timer and to arm it again, of ten million at random phase in a minute: taken
 * off the wheel, the phone's record read and its next deadline written, put on the wheel. Beside it, in the
 * same run: to read 64 bytes at random places of as much memory, one after the other and with the next
 * places asked for ahead.
 *
 * usage: bench_timer [PHONES] [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "figure.h"
#include "phone.h"
#include "wheel.h"

#define BATCH 20000u
#define BUDGET 64u
#define AHEAD 16u
#define PERIOD_MS 60000u

struct fixture {
	struct wheel *wheel;
	struct phone *phone;
	uint32_t phones, now_ms;
	uint64_t random, sink;
};

static uint32_t draw(struct fixture *f, uint32_t range)
{
	f->random ^= f->random << 13, f->random ^= f->random >> 7, f->random ^= f->random << 17;
	return (uint32_t)((f->random >> 32) * range >> 32);
}

static void sample_timer(void *context)
{
	struct fixture *f = context;
	uint32_t index[BUDGET], slot_ms, done = 0;
	while (done < BATCH) {
		const uint32_t count = wheel_take(f->wheel, f->now_ms, index, BUDGET, &slot_ms);
		if (count == 0)
			f->now_ms++;
		for (uint32_t i = 0; i < count && i < AHEAD; i++)
			__builtin_prefetch(&f->phone[index[i]], 1);
		for (uint32_t i = 0; i < count; i++) {
			if (i + AHEAD < count)
				__builtin_prefetch(&f->phone[index[i + AHEAD]], 1);
			struct phone *phone = &f->phone[index[i]];
			phone->keepalive_due_ms += PERIOD_MS;
			if (!wheel_add(
				    f->wheel, index[i], phone->keepalive_due_ms, &phone->wheel_ms))
				exit(1);
		}
		done += count;
	}
}

static uint64_t line_sum(const struct phone *phone)
{
	const uint64_t *word = (const uint64_t *)phone;
	uint64_t sum = 0;
	for (int i = 0; i < 8; i++)
		sum += word[i];
	return sum;
}

/* The next place hangs on what was read here. */
static void sample_chain(void *context)
{
	struct fixture *f = context;
	for (uint32_t i = 0; i < BATCH; i++) {
		const uint64_t sum = line_sum(&f->phone[draw(f, f->phones)]);
		f->random += sum & 1;
		f->sink += sum;
	}
}

static void sample_ahead(void *context)
{
	struct fixture *f = context;
	uint32_t at[AHEAD];
	for (uint32_t i = 0; i < AHEAD; i++)
		at[i] = draw(f, f->phones);
	for (uint32_t i = 0; i < BATCH; i++) {
		f->sink += line_sum(&f->phone[at[i % AHEAD]]);
		at[i % AHEAD] = draw(f, f->phones);
		__builtin_prefetch(&f->phone[at[i % AHEAD]]);
	}
}

static void arm(struct fixture *f)
{
	for (uint32_t i = 0; i < f->phones; i++) {
		f->phone[i].keepalive_due_ms = 1 + draw(f, PERIOD_MS);
		if (!wheel_add(f->wheel, i, f->phone[i].keepalive_due_ms, &f->phone[i].wheel_ms))
			exit(1);
	}
}

int main(int argc, char **argv)
{
	static struct fixture f = {.random = 88172645463325252ull};
	struct figure figure[3];
	static const struct contender contenders[] = {{"timer_read", sample_chain, BATCH},
		{"timer_read_ahead", sample_ahead, BATCH}, {"timer_rearm", sample_timer, BATCH}};
	f.phones = argc > 1 ? (uint32_t)atoi(argv[1]) : 10000000;
	const unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 21;
	const size_t bytes = f.phones * sizeof(*f.phone);
	f.phone = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	f.wheel = wheel_create(f.phones, 0);
	if (f.phone == MAP_FAILED || f.wheel == NULL || f.phones < BATCH)
		return 1;
	madvise(f.phone, bytes, MADV_HUGEPAGE);
	arm(&f);
	contest(contenders, 3, &f, rounds, figure);
	printf("fire and re-arm one of %u timers: %.1f ns; 64 bytes at random: %.1f ns one after "
	       "the other, %.1f ns ahead\n",
		f.phones, figure[2].median, figure[0].median, figure[1].median);
	wheel_free(f.wheel);
	return f.sink == 0;
}
