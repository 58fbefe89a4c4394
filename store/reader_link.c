/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader_link.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"
#include "server.h"
#include "slots.h"

#define REDIRECTS_MAX 5

int reader_way_fail(struct reader_way *way, int error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(way->reason, way->reason_size, format, arguments);
	va_end(arguments);
	server_quote(way->reason, way->reason, way->reason_size);
	return error;
}

/* --- One connection --- */

static void drop(struct reader_server *server)
{
	if (server->context != NULL)
		redisFree(server->context);
	server->context = NULL;
}

static struct timeval time_out(void)
{
	return (struct timeval){READER_TIME_OUT_MS / 1000, READER_TIME_OUT_MS % 1000 * 1000};
}

/* Every address of the name in its turn; hiredis gets numbers only. */
static redisContext *connect_tcp(struct reader_way *way, const struct reader_server *server)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	redisContext *context = NULL;
	char numeric[64];
	int status = getaddrinfo(server->at.host, NULL, &hints, &found);
	if (status != 0) {
		reader_way_fail(
			way, 0, "%s does not resolve: %s", server->at.host, gai_strerror(status));
		return NULL;
	}
	for (struct addrinfo *a = found; a != NULL; a = a->ai_next) {
		if (getnameinfo(a->ai_addr, a->ai_addrlen, numeric, sizeof(numeric), NULL, 0,
			    NI_NUMERICHOST) != 0)
			continue;
		if (context != NULL)
			redisFree(context);
		context = redisConnectWithTimeout(numeric, server->at.port, time_out());
		if (context != NULL && context->err == 0)
			break;
	}
	freeaddrinfo(found);
	return context;
}

static int connect_server(struct reader_way *way, struct reader_server *server)
{
	bool is_unix = way->target.kind == TARGET_UNIX || way->target.kind == TARGET_EMBEDDED;
	way->reason[0] = '\0';
	server->context = is_unix ? redisConnectUnixWithTimeout(way->target.path, time_out())
				  : connect_tcp(way, server);
	if (server->context == NULL)
		return way->reason[0] != '\0'
			       ? -EHOSTUNREACH
			       : reader_way_fail(way, -ENOMEM, "no address to connect to");
	if (server->context->err == 0 && redisSetTimeout(server->context, time_out()) == REDIS_OK) {
		measure_begin(&server->measure, server->context->reader);
		return 0;
	}
	if (is_unix)
		reader_way_fail(way, 0, "no Redis answers at unix:%s: %s", way->target.path,
			server->context->errstr);
	else
		reader_way_fail(way, 0, "no Redis answers at %s port %u: %s", server->at.host,
			server->at.port, server->context->errstr);
	drop(server);
	return -ECONNREFUSED;
}

/* The next reply; NULL: the connection broke, or the reply is without measure. */
static redisReply *read_one(struct reader_server *server)
{
	void *reply = NULL;
	server->measure.objects = 0;
	for (size_t bytes = 0; bytes <= MEASURE_BYTES_MAX;) {
		if (redisGetReplyFromReader(server->context, &reply) != REDIS_OK)
			return NULL;
		if (reply != NULL)
			return reply;
		const size_t before = server->context->reader->len;
		if (redisBufferRead(server->context) != REDIS_OK)
			return NULL;
		bytes += server->context->reader->len - before;
	}
	return NULL;
}

static redisReply *ask(
	struct reader_server *server, int argc, const char **argv, const size_t *length)
{
	int written = 0;
	if (redisAppendCommandArgv(server->context, argc, argv, length) != REDIS_OK)
		return NULL;
	while (!written)
		if (redisBufferWrite(server->context, &written) != REDIS_OK)
			return NULL;
	return read_one(server);
}

/* A reply of any kind, or NULL when the connection broke. */
static redisReply *send_one(struct reader_way *way, struct reader_server *server, int argc,
	const char **argv, const size_t *length, int *error)
{
	redisReply *reply = ask(server, argc, argv, length);
	if (reply != NULL)
		return reply;
	const int broke = server->context->err;
	const bool late = broke == REDIS_ERR_IO && errno == EAGAIN;
	const char *why = late ? "no answer for 2 s"
			  : broke == 0 || broke == REDIS_ERR_OOM
				  ? "what it answers is without measure"
				  : server->context->errstr;
	*error = reader_way_fail(
		way, late ? -ETIMEDOUT : -EPIPE, "the connection to Redis broke: %s", why);
	drop(server);
	return NULL;
}

/* A call whose answer says only whether it went well. */
static int say(struct reader_way *way, struct reader_server *server, const char *what, int argc,
	const char **argv)
{
	int error = 0;
	redisReply *reply = send_one(way, server, argc, argv, NULL, &error);
	if (reply == NULL)
		return error;
	if (reply->type == REDIS_REPLY_ERROR)
		error = reader_way_fail(way, -EACCES, "Redis refuses %s: %s", what, reply->str);
	freeReplyObject(reply);
	if (error != 0)
		drop(server);
	return error;
}

static int log_in(struct reader_way *way, struct reader_server *server)
{
	const struct target *target = &way->target;
	char db[8];
	int status = 0;
	if (target->password[0] != '\0' && target->user[0] != '\0')
		status = say(way, server, "the log-in", 3,
			(const char *[]){"AUTH", target->user, target->password});
	else if (target->password[0] != '\0')
		status = say(
			way, server, "the log-in", 2, (const char *[]){"AUTH", target->password});
	snprintf(db, sizeof(db), "%u", target->db);
	if (status == 0 && target->db != 0)
		status = say(way, server, "the database", 2, (const char *[]){"SELECT", db});
	return status;
}

static int connect_and_log_in(struct reader_way *way, struct reader_server *server)
{
	int status = connect_server(way, server);
	return status != 0 ? status : log_in(way, server);
}

/* --- A Sentinel's master --- */

/* What one Sentinel says; -EAGAIN: ask the next. */
static int ask_sentinel(
	struct reader_way *way, const struct target_server *at, struct reader_server *master)
{
	struct reader_server sentinel = {.at = *at};
	int status = connect_server(way, &sentinel);
	if (status != 0)
		return status;
	redisReply *reply = send_one(way, &sentinel, 3,
		(const char *[]){"SENTINEL", "get-master-addr-by-name", way->target.master}, NULL,
		&status);
	drop(&sentinel);
	if (reply == NULL)
		return status;
	if (reply->type == REDIS_REPLY_ERROR)
		status = reader_way_fail(
			way, -EACCES, "the Sentinel at %s refuses: %s", at->host, reply->str);
	else if (!slots_sentinel(reply, &master->at))
		status = reader_way_fail(way, -ENOENT, "the Sentinel at %s knows no master '%s'",
			at->host, way->target.master);
	freeReplyObject(reply);
	return status;
}

static int find_master(struct reader_way *way, struct reader_server *master)
{
	int status = -ENOENT;
	for (unsigned i = 0; i < way->target.servers && status != 0; i++)
		status = ask_sentinel(way, &way->target.server[i], master);
	return status;
}

/* --- A cluster --- */

static int server_index(struct reader_way *way, const struct target_server *at)
{
	for (unsigned i = 0; i < way->servers; i++)
		if (way->server[i].at.port == at->port &&
			strcmp(way->server[i].at.host, at->host) == 0)
			return (int)i;
	if (way->servers == READER_LINKS_MAX)
		return reader_way_fail(
			way, -E2BIG, "the cluster has more than %d masters", READER_LINKS_MAX);
	way->server[way->servers] = (struct reader_server){.at = *at};
	return (int)way->servers++;
}

static void take_slots(
	struct reader_way *way, const redisReply *slots, const struct target_server *asked)
{
	struct target_server master;
	for (unsigned slot = 0; slot < READER_SLOTS; slot++) {
		if (!slots_master(slots, (uint16_t)slot, asked, &master))
			continue;
		const int index = server_index(way, &master);
		if (index >= 0)
			way->by_slot[slot] = (uint8_t)index;
	}
}

static int learn_slots(struct reader_way *way, struct reader_server *server)
{
	int error = 0;
	const char *argv[] = {"CLUSTER", "SLOTS"};
	const struct target_server asked = server->at;
	redisReply *reply = send_one(way, server, 2, argv, NULL, &error);
	if (reply == NULL)
		return error;
	if (reply->type == REDIS_REPLY_ERROR)
		error = reader_way_fail(
			way, -EINVAL, "%s is no cluster: %s", asked.host, reply->str);
	else if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0)
		error = reader_way_fail(way, -ENOENT, "the cluster has no slots yet");
	else
		take_slots(way, reply, &asked);
	freeReplyObject(reply);
	return error;
}

static int open_cluster(struct reader_way *way)
{
	int status = -ENOENT;
	for (unsigned i = 0; i < way->target.servers && status != 0; i++) {
		int index = server_index(way, &way->target.server[i]);
		if (index < 0)
			return index;
		status = connect_and_log_in(way, &way->server[index]);
		if (status == 0)
			status = learn_slots(way, &way->server[index]);
	}
	return status;
}

/* "MOVED 3999 127.0.0.1:6381", "ASK ...": the server meant, or -errno. */
static int redirected(struct reader_way *way, const char *text, const struct target_server *asked)
{
	struct target_server where;
	if (!slots_redirect(text, asked, &where))
		return reader_way_fail(way, -EPROTO, "Redis answers '%.80s'", text);
	return server_index(way, &where);
}

/* --- All of them --- */

int reader_way_open(struct reader_way *way)
{
	struct reader_server *server = &way->server[0];
	if (way->target.kind == TARGET_CLUSTER)
		return open_cluster(way);
	way->servers = 1;
	if (way->target.kind == TARGET_SENTINEL) {
		int status = find_master(way, server);
		if (status != 0)
			return status;
	} else if (way->target.kind == TARGET_SINGLE) {
		server->at = way->target.server[0];
	}
	return connect_and_log_in(way, server);
}

void reader_way_close(struct reader_way *way)
{
	for (unsigned i = 0; i < way->servers; i++)
		drop(&way->server[i]);
	explicit_bzero(&way->target, sizeof(way->target));
}

static int ready(struct reader_way *way, unsigned index)
{
	struct reader_server *server = &way->server[index];
	if (server->context != NULL)
		return 0;
	if (way->target.kind == TARGET_SENTINEL) {
		int status = find_master(way, server);
		if (status != 0)
			return status;
	}
	return connect_and_log_in(way, server);
}

static bool begins(const redisReply *reply, const char *word)
{
	return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;
}

static int error_of(struct reader_way *way, const redisReply *reply)
{
	bool denied = begins(reply, "NOPERM") || begins(reply, "NOAUTH");
	return reader_way_fail(way, denied ? -EACCES : -EIO, "Redis answers: %s%s", reply->str,
		denied ? ". The monitor's user of docs/redis.md may read all that is needed" : "");
}

redisReply *reader_way_call(struct reader_way *way, const char *key, int argc, const char **argv,
	const size_t *length, int *error)
{
	bool cluster = way->target.kind == TARGET_CLUSTER;
	const uint16_t slot = keys_slot(key, strlen(key));
	unsigned index = cluster ? way->by_slot[slot] : 0;
	bool asking = false;
	for (int i = 0; i < REDIRECTS_MAX; i++) {
		*error = ready(way, index);
		if (*error == 0 && asking)
			*error = say(
				way, &way->server[index], "ASKING", 1, (const char *[]){"ASKING"});
		if (*error != 0)
			return NULL;
		redisReply *reply = send_one(way, &way->server[index], argc, argv, length, error);
		if (reply == NULL || reply->type != REDIS_REPLY_ERROR)
			return reply;
		bool moved = begins(reply, "MOVED ");
		asking = begins(reply, "ASK ");
		int next = moved || asking ? redirected(way, reply->str, &way->server[index].at)
					   : error_of(way, reply);
		freeReplyObject(reply);
		*error = next;
		if (next < 0)
			return NULL;
		index = (unsigned)next;
		if (moved)
			way->by_slot[slot] = (uint8_t)index;
	}
	*error = reader_way_fail(way, -ELOOP, "the cluster sends us round in circles");
	return NULL;
}
