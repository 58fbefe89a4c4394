/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A Redis that answers whatever it likes. Input: chunks, a byte of length before each; every command
 * gets the next chunk as its answer, and the rest of the input is sent when nobody asks. Replies that
 * arrive are also read as a cluster's map and as a Sentinel's answer, and errors as redirections.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../store/fake_redis.h"
#include "router.h"
#include "slots.h"

#define TURNS 24
#define CALLS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size;
	struct router *router;
	unsigned made, answered;
};

static void on_server(void *context, const struct target_server *server)
{
	(void)context;
	if (server->port == 0 || strnlen(server->host, sizeof(server->host)) >= 256)
		abort();
}

static void on_answer(void *context, uint64_t tag, enum router_fault fault, const redisReply *reply)
{
	(void)tag;
	struct input *input = context;
	const struct target_server asked = {.host = "10.0.0.1", .port = 1};
	struct target_server where;
	input->answered++;
	if ((reply == NULL) != (fault == FAULT_GONE))
		abort();
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_ERROR && slots_redirect(reply->str, &asked, &where))
		on_server(NULL, &where);
	if (slots_master(reply, 77, &asked, &where))
		on_server(NULL, &where);
	if (slots_sentinel(reply, &where))
		on_server(NULL, &where);
	slots_each(reply, &asked, on_server, NULL);
}

static void on_group_up(void *context, uint32_t group)
{
	struct input *input = context;
	const char *argv[] = {"GET", "key"};
	const size_t length[] = {3, 3};
	for (unsigned i = 0; i < CALLS && group == ROUTER_META; i++)
		input->made += router_call(input->router, group, on_answer, input, 0, 2, argv,
				       length) == 0;
}

static void on_group_down(void *context, uint32_t group)
{
	(void)context, (void)group;
}

static void on_trouble(void *context, bool fatal, const char *message)
{
	(void)context, (void)fatal;
	for (; *message != '\0'; message++)
		if (*message < ' ' || *message > '~')
			abort();
}

static void on_command(struct fake_redis *fake, const char *const *word, unsigned words)
{
	(void)word, (void)words;
	struct input *input = fake->context;
	if (input->size == 0) {
		fake_hang_up(fake);
		return;
	}
	size_t length = input->data[0];
	input->data++;
	input->size--;
	if (length > input->size)
		length = input->size;
	fake_send(fake, input->data, length);
	input->data += length;
	input->size -= length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {.data = data, .size = size};
	struct fake_redis fake = {.script = on_command, .context = &input};
	const struct router_events events = {&input, on_group_up, on_group_down, on_trouble};
	struct target target = {.kind = TARGET_UNIX};
	struct keys keys;
	struct ev_loop *loop = ev_loop_new(EVBACKEND_POLL);
	if (loop == NULL)
		return 0;
	snprintf(target.path, sizeof(target.path), "/tmp/sipherd-fuzz-%d", (int)getpid());
	fake_start(&fake, loop, target.path);
	keys_begin(&keys, "f1", false);
	input.router = router_create(loop, &target, &keys, &events);
	for (unsigned i = 0; i < TURNS && input.router != NULL; i++)
		ev_run(loop, EVRUN_NOWAIT);
	router_free(input.router);
	if (input.made != input.answered)
		abort();
	fake_stop(&fake);
	ev_loop_destroy(loop);
	return 0;
}
