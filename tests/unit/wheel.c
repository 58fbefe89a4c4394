/* SPDX-License-Identifier: BSD-3-Clause */
/* Wheel: every entry comes out once, at its time, whatever the jumps; memory is exactly enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "phone.h"
#include "wheel.h"

static uint64_t seed;

static uint32_t draw(void)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

static void entry_fires_in_its_slot(void **state)
{
	(void)state;
	struct wheel *wheel = wheel_create(4, 1000);
	uint32_t queued, slot, entry[4];
	assert_true(wheel_add(wheel, 7, 1500, &queued));
	assert_int_equal(queued, 1500);
	assert_int_equal(wheel_next_ms(wheel, 10000), 1500);
	assert_int_equal(wheel_next_ms(wheel, 100), 1100);
	assert_int_equal(wheel_take(wheel, 1499, entry, 4, &slot), 0);
	assert_int_equal(wheel_take(wheel, 1500, entry, 4, &slot), 1);
	assert_int_equal(entry[0], 7);
	assert_int_equal(slot, 1500);
	assert_int_equal(wheel_take(wheel, 1500, entry, 4, &slot), 0);
	assert_int_equal(wheel_entries(wheel), 0);
	wheel_free(wheel);
}

static void past_and_far_are_brought_into_range(void **state)
{
	(void)state;
	struct wheel *wheel = wheel_create(4, 5000);
	uint32_t queued;
	assert_true(wheel_add(wheel, 1, 10, &queued));
	assert_int_equal(queued, 5000);
	assert_true(wheel_add(wheel, 2, 5000 + 10 * WHEEL_SLOTS, &queued));
	assert_int_equal(queued, 5000 + WHEEL_HORIZON_MS);
	wheel_free(wheel);
}

static void full_pool_refuses(void **state)
{
	(void)state;
	enum { N = 100 };
	struct wheel *wheel = wheel_create(N, 0);
	uint32_t queued, added = 0;
	/* The worst spread: each in a slot of its own. All N must fit. */
	while (wheel_add(wheel, added, added * 3, &queued))
		added++;
	assert_true(added >= N);
	assert_true(added < 3 * N);
	wheel_free(wheel);
}

/* A model: when each index is to fire, 0 for not queued. */
static void agrees_with_a_model(void **state)
{
	(void)state;
	enum { N = 3000, STEPS = 4000 };
	static uint32_t due[N];
	static bool queued[N];
	uint32_t now = UINT32_MAX - 100000, slot, entry[64], waiting = 0;
	struct wheel *wheel = wheel_create(N, now);
	for (int step = 0; step < STEPS; step++) {
		for (int i = 0; i < 20; i++) {
			uint32_t index = draw() % N, at;
			if (queued[index])
				continue;
			uint32_t ahead = draw() % (draw() % 4 == 0 ? 70000 : 300);
			assert_true(wheel_add(wheel, index, now + ahead, &at));
			queued[index] = true;
			due[index] = at;
			waiting++;
		}
		now += draw() % 100 == 0 ? draw() % 80000 : draw() % 20;
		uint32_t n, last = now - 200000;
		while ((n = wheel_take(wheel, now, entry, 1 + draw() % 64, &slot)) > 0) {
			assert_false(time_before(slot, last));
			last = slot;
			for (uint32_t i = 0; i < n; i++) {
				assert_true(queued[entry[i]]);
				assert_int_equal(due[entry[i]], slot);
				assert_false(time_before(now, slot));
				queued[entry[i]] = false;
			}
			waiting -= n;
		}
		assert_int_equal(wheel_entries(wheel), waiting);
		for (uint32_t i = 0; i < N; i++)
			assert_true(!queued[i] || time_before(now, due[i]));
	}
	wheel_free(wheel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entry_fires_in_its_slot),
		cmocka_unit_test(past_and_far_are_brought_into_range),
		cmocka_unit_test(full_pool_refuses),
		cmocka_unit_test(agrees_with_a_model),
	};
	const char *given = getenv("SEED");
	seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
	print_message("SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}
