/* SPDX-License-Identifier: BSD-3-Clause */
/* What wakes a worker: nobody who rings is missed, and nothing else wakes it. A wake-up that does not come ends the
 * test by an alarm, long before the sleep would be over. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "bell.h"

#define FOREVER_US (3600 * 1000000ull)
#define ALARM_S 60

static int open_bell(void **state)
{
	static struct bell bell;
	*state = &bell;
	alarm(ALARM_S);
	return bell_open(&bell);
}

static int close_bell(void **state)
{
	bell_close(*state);
	alarm(0);
	return 0;
}

static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The time is over, and neither before it. */
static void assert_sleeps(struct bell *bell, uint64_t duration_us)
{
	const uint64_t begin_us = now_us();
	bell_lie_down(bell);
	assert_true(bell_sleep(bell, -1, duration_us));
	assert_true(now_us() - begin_us >= duration_us);
}

static void a_ring_after_lying_down_wakes(void **state)
{
	struct bell *bell = *state;
	bell_lie_down(bell);
	bell_ring(bell);
	assert_true(bell_sleep(bell, -1, FOREVER_US));
	assert_sleeps(bell, 2000); /* it was one ring */
}

static void many_rings_wake_once(void **state)
{
	struct bell *bell = *state;
	bell_lie_down(bell);
	for (int i = 0; i < 1000; i++)
		bell_ring(bell);
	assert_true(bell_sleep(bell, -1, FOREVER_US));
	assert_sleeps(bell, 2000);
}

static void nobody_awake_is_woken(void **state)
{
	struct bell *bell = *state;
	bell_ring(bell);
	assert_sleeps(bell, 2000);
	bell_lie_down(bell);
	bell_get_up(bell);
	bell_ring(bell);
	assert_sleeps(bell, 2000);
}

static void *ring_later(void *bell)
{
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	bell_ring(bell);
	return NULL;
}

static void a_sleeper_is_woken(void **state)
{
	struct bell *bell = *state;
	pthread_t thread;
	bell_lie_down(bell);
	assert_int_equal(pthread_create(&thread, NULL, ring_later, bell), 0);
	assert_true(bell_sleep(bell, -1, FOREVER_US));
	pthread_join(thread, NULL);
}

/* What was left, and how much of it was seen: as a mailbox has it. */
struct left {
	struct bell *bell;
	_Atomic uint32_t put, taken;
};
#define LEFT 5000

static void *leave_and_ring(void *argument)
{
	struct left *left = argument;
	for (uint32_t i = 1; i <= LEFT; i++) {
		atomic_store_explicit(&left->put, i, memory_order_release);
		bell_ring(left->bell);
		/* One at a time, so that one that is missed is missed for ever. */
		while (atomic_load_explicit(&left->taken, memory_order_acquire) != i)
			sched_yield();
	}
	return NULL;
}

static void nothing_that_is_left_is_slept_on(void **state)
{
	struct left left = {.bell = *state};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, leave_and_ring, &left), 0);
	for (uint32_t taken = 0; taken < LEFT;) {
		if (atomic_load_explicit(&left.put, memory_order_acquire) != taken) {
			atomic_store_explicit(&left.taken, ++taken, memory_order_release);
			continue;
		}
		bell_lie_down(left.bell);
		if (atomic_load_explicit(&left.put, memory_order_acquire) != taken)
			bell_get_up(left.bell);
		else
			assert_true(bell_sleep(left.bell, -1, FOREVER_US));
	}
	pthread_join(thread, NULL);
}

static void a_device_wakes(void **state)
{
	struct bell *bell = *state;
	int end[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, end), 0);
	bell_lie_down(bell);
	assert_int_equal(write(end[1], "x", 1), 1);
	assert_true(bell_sleep(bell, end[0], FOREVER_US));
	close(end[0]);
	close(end[1]);
}

static void a_device_that_cannot_be_waited_for(void **state)
{
	struct bell *bell = *state;
	int end[2];
	assert_int_equal(pipe(end), 0);
	close(end[1]);
	bell_lie_down(bell);
	assert_false(bell_sleep(bell, end[0], FOREVER_US)); /* hung up */
	close(end[0]);
	bell_lie_down(bell);
	assert_false(bell_sleep(bell, end[0], FOREVER_US)); /* closed */
}

int main(void)
{
#define WITH_BELL(test) cmocka_unit_test_setup_teardown(test, open_bell, close_bell)
	const struct CMUnitTest tests[] = {
		WITH_BELL(a_ring_after_lying_down_wakes),
		WITH_BELL(many_rings_wake_once),
		WITH_BELL(nobody_awake_is_woken),
		WITH_BELL(a_sleeper_is_woken),
		WITH_BELL(nothing_that_is_left_is_slept_on),
		WITH_BELL(a_device_wakes),
		WITH_BELL(a_device_that_cannot_be_waited_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
