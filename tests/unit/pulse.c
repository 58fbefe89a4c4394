/* SPDX-License-Identifier: BSD-3-Clause */
/* When a proxy is taken for dead, and since when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pulse.h"

#define PRIMARY (1u << PROXY_PRIMARY)
#define REDUNDANT (1u << PROXY_REDUNDANT)

static uint64_t dead_since_ms(const struct pulse *pulse, enum proxy proxy)
{
	return pulse->proxy[proxy].dead_since_ms;
}

static void silence_is_death_and_an_answer_is_life(void **state)
{
	(void)state;
	struct pulse pulse = {0};
	struct herd_counters c = {0};
	assert_int_equal(pulse_take(&pulse, &c, 1000), 0);
	c.answered_primary = 10;
	assert_int_equal(pulse_take(&pulse, &c, 2000), 0);
	/* Nobody asked: nothing is known. */
	assert_int_equal(pulse_take(&pulse, &c, 3000), 0);
	/* Silence next to answers is loss, not death. */
	c.answered_primary = 11, c.silent_primary = 50;
	assert_int_equal(pulse_take(&pulse, &c, 4000), 0);
	c.silent_primary = 51;
	assert_int_equal(pulse_take(&pulse, &c, 5000), 0);
	c.silent_primary = 50 + PULSE_SILENT;
	assert_int_equal(pulse_take(&pulse, &c, 6000), PRIMARY);
	assert_int_equal(dead_since_ms(&pulse, PROXY_PRIMARY), 4000);
	assert_int_equal(dead_since_ms(&pulse, PROXY_REDUNDANT), 0);
	c.silent_primary += 100;
	assert_int_equal(pulse_take(&pulse, &c, 7000), 0);
	assert_int_equal(pulse_take(&pulse, &c, 8000), 0);
	assert_int_equal(dead_since_ms(&pulse, PROXY_PRIMARY), 4000);
	c.answered_primary++, c.silent_primary++;
	assert_int_equal(pulse_take(&pulse, &c, 9000), PRIMARY);
	assert_int_equal(dead_since_ms(&pulse, PROXY_PRIMARY), 0);
}

/* One that never answered is dead since it was first asked, and both may die at once. */
static void never_alive(void **state)
{
	(void)state;
	struct pulse pulse = {0};
	struct herd_counters c = {0};
	pulse_take(&pulse, &c, 1000);
	c.silent_primary = c.silent_redundant = PULSE_SILENT;
	assert_int_equal(pulse_take(&pulse, &c, 2000), PRIMARY | REDUNDANT);
	assert_int_equal(dead_since_ms(&pulse, PROXY_REDUNDANT), 1000);
	/* One by one, over many seconds. */
	c.answered_redundant = 1;
	assert_int_equal(pulse_take(&pulse, &c, 3000), REDUNDANT);
	for (int i = 1; i <= PULSE_SILENT; i++) {
		c.silent_redundant++;
		assert_int_equal(pulse_take(&pulse, &c, 3000 + 60000 * (unsigned)i),
			i == PULSE_SILENT ? REDUNDANT : 0);
	}
	assert_int_equal(dead_since_ms(&pulse, PROXY_REDUNDANT), 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silence_is_death_and_an_answer_is_life),
		cmocka_unit_test(never_alive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
