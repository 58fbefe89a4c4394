/* SPDX-License-Identifier: BSD-3-Clause */
/* Looks at single phones while workers run, before they do, and where there is nothing to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "wire_stage.h"

/* A worker that the machine starves may not answer in time: ask again. */
static bool look_at(struct stage *stage, uint32_t phone, struct herd_look *look)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	const time_t end = time(NULL) + STAGE_PATIENCE_S;
	while (!wire_look(stage->wire, phone, look)) {
		if (time(NULL) >= end)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* Every phone is found at its worker, and what is seen fits a phone that is registered. */
static void each_phone(void)
{
	static struct stage stage;
	struct herd_look look;
	struct wire_error error;
	stage_set_up(&stage, 2, ADDRESS_IPV4);
	stage.config.herd.timers.no_response_ms = 32000; /* a stalled machine moves nobody */
	stage_check(!wire_open(&stage.wire, &stage.config, &error), error.message);
	stage_check(wire_look(stage.wire, 7, &look), "no look before the workers run");
	stage_check(look.phone == 7 && look.state == PHONE_OFF, "a phone that was never started");
	const struct herd_command command = {.kind = HERD_START};
	stage_check(!wire_start(stage.wire, &error), error.message);
	wire_command(stage.wire, &command);
	stage_wait_registered(&stage, PROXY_PRIMARY, STAGE_PHONES, true);
	for (uint32_t phone = 0; phone < STAGE_PHONES; phone++) {
		stage_check(look_at(&stage, phone, &look), "a phone was not found");
		stage_check(look.phone == phone, "another phone");
		stage_check(look.state == PHONE_REGISTERED && look.active == PROXY_PRIMARY,
			"not registered at the primary");
		stage_check(look.keepalive_target == PROXY_PRIMARY, "keep-alives to whom?");
		stage_check(look.register_cseq >= 2, "it was challenged: two REGISTERs");
		/* The grid is never further away than its period, and overdue by seconds at most. */
		stage_check(look.keepalive_armed && look.keepalive_in_ms <= 500 &&
				    look.keepalive_in_ms > -60000,
			"keep-alive grid");
		/* Half of an hour, less what has gone by. */
		stage_check(look.register_armed && look.register_in_ms <= 1800000 &&
				    look.register_in_ms > 1800000 - 1000 * STAGE_PATIENCE_S,
			"refresh");
	}
	stage_check(!wire_look(stage.wire, STAGE_PHONES, &look), "a phone beyond the fleet");
	stage_check(!wire_look(stage.wire, UINT32_MAX, &look), "a phone beyond any fleet");
	wire_close(stage.wire);
	identity_free(stage.identities);
}

static void each_phone_can_be_looked_at(void **state)
{
	(void)state;
	stage_in_child(each_phone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_phone_can_be_looked_at),
	};
	return cmocka_run_group_tests_name("wire_look", tests, NULL, NULL);
}
