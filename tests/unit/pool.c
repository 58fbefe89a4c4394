/* SPDX-License-Identifier: BSD-3-Clause */
/* How many frames a worker's pool has: what the herd may have on its way, and never less than the link,
 * its driver and the caches hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pool.h"

#define CACHE 256
#define RING 4096

static unsigned frames(uint32_t phones, unsigned workers)
{
	const struct pool_need need = {
		.phones = phones, .rings = 2, .ring = RING, .workers = workers, .redirect = 1024};
	return pool_frames(&need, CACHE);
}

static void grows_with_the_herd_up_to_the_rings(void **state)
{
	(void)state;
	unsigned before = 0;
	for (uint32_t phones = 1; phones <= 1u << 24; phones *= 2) {
		const unsigned now = frames(phones, 1);
		assert_true(now >= before);
		assert_int_equal(now & (now + 1), 0);
		before = now;
	}
	assert_true(frames(1, 1) < frames(1000, 1));
	assert_true(frames(UINT32_MAX, 1) >= 2 * RING + 3 * CACHE / 2);
	assert_int_equal(frames(UINT32_MAX, 1), frames(RING, 1));
}

static void holds_what_others_keep(void **state)
{
	(void)state;
	assert_true(frames(UINT32_MAX, 16) >= 2 * RING + 16 * 3 * CACHE / 2 + 15 * 1024);
	const struct pool_need card = {.phones = 1, .held = 8192, .workers = 1};
	assert_true(pool_frames(&card, CACHE) > 8192 + 3 * CACHE / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_with_the_herd_up_to_the_rings),
		cmocka_unit_test(holds_what_others_keep),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
