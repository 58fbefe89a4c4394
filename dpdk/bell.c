/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "bell.h"

int bell_open(struct bell *bell)
{
	atomic_init(&bell->asleep, 0);
	bell->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return bell->fd < 0 ? -errno : 0;
}

void bell_close(struct bell *bell)
{
	if (bell->fd >= 0)
		close(bell->fd);
	bell->fd = -1;
}

void bell_ring(struct bell *bell)
{
	if (!atomic_exchange_explicit(&bell->asleep, 0, memory_order_acq_rel))
		return;
	/* It cannot fail: nobody rings so often that the counter is full. */
	const ssize_t written = write(bell->fd, &(uint64_t){1}, sizeof(uint64_t));
	(void)written;
}

void bell_lie_down(struct bell *bell)
{
	atomic_exchange_explicit(&bell->asleep, 1, memory_order_acq_rel);
}

void bell_get_up(struct bell *bell)
{
	atomic_store_explicit(&bell->asleep, 0, memory_order_relaxed);
}

/* An interface that has gone down leaves an error, which would wake us again at once. */
static bool take_error(int fd)
{
	int error;
	socklen_t length = sizeof(error);
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error != 0;
}

bool bell_sleep(struct bell *bell, int device_fd, uint64_t duration_us)
{
	struct pollfd wait[2] = {
		{.fd = bell->fd, .events = POLLIN}, {.fd = device_fd, .events = POLLIN}};
	const struct timespec pause = {.tv_sec = (time_t)(duration_us / 1000000),
		.tv_nsec = (long)(duration_us % 1000000) * 1000};
	const int ready = ppoll(wait, 2, &pause, NULL);
	bell_get_up(bell);
	if (ready <= 0)
		return true;
	if (wait[0].revents) {
		uint64_t rings;
		const ssize_t taken = read(bell->fd, &rings, sizeof(rings));
		(void)taken;
	}
	if (wait[1].revents & POLLERR)
		return take_error(device_fd);
	return !(wait[1].revents & (POLLHUP | POLLNVAL));
}
