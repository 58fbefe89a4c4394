/* SPDX-License-Identifier: BSD-3-Clause */
#include "server.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "functions.lua.h"

#define BACKOFF_LEAST_MS 50
#define BACKOFF_MOST_MS 500 /* with its jitter 0.75 s: written again within 2 s of an answer */
#define REFUSED_MS 10000    /* a newer library: look again now and then */
#define STEADY_S 2.0        /* up for so long: the next loss begins with the shortest backoff */
#define MESSAGE_MAX 400
#define SAID_MAX 120
#define SAID "" /* why the connection is dropped: that was said in better words */

struct server {
	struct ev_loop *loop;
	struct server_config config;
	struct server_events events;
	struct link *link;
	ev_timer again;
	unsigned tries; /* since it was last up for a while */
	bool up;
	bool loading; /* FUNCTION LOAD is under way */
	bool loaded;  /* on this connection */
	bool refused; /* a newer library */
	double up_since;
	uint64_t tenure;
	uint64_t sent; /* of the link's bytes, already counted */
	uint64_t random;
	char said[MESSAGE_MAX];
};

void server_quote(const char *said, char *out, size_t size)
{
	size_t n = 0;
	for (; n + 1 < size && said[n] != '\0'; n++)
		out[n] = said[n] >= ' ' && said[n] <= '~' ? said[n] : '?';
	out[n] = '\0';
}

void server_say(struct server *server, bool fatal, const char *format, ...)
{
	char message[MESSAGE_MAX];
	va_list arguments;
	va_start(arguments, format);
	const int n = snprintf(message, sizeof(message), "%s: ", server->config.name);
	vsnprintf(message + n, sizeof(message) - (size_t)n, format, arguments);
	va_end(arguments);
	if (strcmp(message, server->said) == 0)
		return;
	memcpy(server->said, message, sizeof(message));
	server->events.trouble(server->events.owner, fatal, message);
}

static void count_bytes(struct server *server)
{
	const uint64_t sent = link_bytes_sent(server->link);
	server->events.counters->bytes_sent += sent - server->sent;
	server->sent = sent;
}

/* Steps of xorshift: many generators that lost one server shall not come back in one moment. */
static double jitter(struct server *server)
{
	uint64_t x = server->random;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	server->random = x;
	return 0.5 + (double)(x >> 11) / 9007199254740992.0;
}

static void retry(struct server *server)
{
	double wait_ms = BACKOFF_LEAST_MS;
	for (unsigned i = 0; i < server->tries && wait_ms < BACKOFF_MOST_MS; i++)
		wait_ms *= 2;
	if (wait_ms > BACKOFF_MOST_MS)
		wait_ms = BACKOFF_MOST_MS;
	if (server->refused)
		wait_ms = REFUSED_MS;
	server->tries++;
	ev_timer_stop(server->loop, &server->again);
	ev_timer_set(&server->again, wait_ms * jitter(server) / 1e3, 0);
	ev_timer_start(server->loop, &server->again);
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop, (void)events;
	struct server *server = timer->data;
	server->events.due(server->events.owner, server);
}

void server_failed(struct server *server, const char *why)
{
	if (why != NULL)
		server_say(server, false, "%s", why);
	retry(server);
}

/* --- Logging in: one step after the other, each by the answer to the one before --- */

static void order(struct server *server, link_done done, int argc, const char **argv)
{
	const struct link_call call = {.done = done};
	size_t length[8];
	for (int i = 0; i < argc; i++)
		length[i] = strlen(argv[i]);
	if (link_call(server->link, false, &call, argc, argv, length) != 0)
		link_drop(server->link, "out of memory");
}

static bool is_error(const redisReply *reply, const char *prefix)
{
	return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, prefix, strlen(prefix)) == 0;
}

/* A step was refused: say why with the remedy, and begin anew later. */
static void refuse_step(struct server *server, const char *step, const redisReply *reply)
{
	char said[SAID_MAX] = "an answer of the wrong type";
	const bool error = reply->type == REDIS_REPLY_ERROR;
	if (error)
		server_quote(reply->str, said, sizeof(said));
	if (error && router_fault_of(reply) == FAULT_HOLD)
		server_say(server, false, "not ready yet: %s", said);
	else if (is_error(reply, "NOAUTH"))
		server_say(server, false,
			"it wants a password: put it into the URL of store:, into "
			"SIPHERD_STORE_PASSWORD or into the file that SIPHERD_STORE_PASSWORD_FILE "
			"names");
	else if (is_error(reply, "NOPERM"))
		server_say(server, false,
			"the user may not %s: give it the rights of the writer's "
			"ACL (docs/redis.md)",
			step);
	else if (is_error(reply, "ERR unknown command"))
		server_say(server, false, "Redis 7.0 or newer is needed, this one cannot %s", step);
	else
		server_say(server, false, "cannot %s: %s", step, said);
	link_drop(server->link, SAID);
}

static void came_up(struct server *server)
{
	server->up = true;
	server->refused = false;
	server->up_since = ev_now(server->loop);
	server->tenure = ++server->events.counters->connects;
	server->events.up(server->events.owner, server);
}

static void ask_version(struct server *server);

static void on_loaded(void *owner, const struct link_call *call, const redisReply *reply)
{
	(void)call;
	struct server *server = owner;
	server->loading = false;
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_ERROR) {
		refuse_step(server, "load the function library", reply);
		return;
	}
	server->loaded = true;
	if (!server->up)
		ask_version(server);
}

void server_load(struct server *server)
{
	const char *argv[] = {"FUNCTION", "LOAD", "REPLACE", functions_lua};
	if (server->loading)
		return;
	server->loading = true;
	order(server, on_loaded, 4, argv);
}

static void on_version(void *owner, const struct link_call *call, const redisReply *reply)
{
	(void)call;
	struct server *server = owner;
	if (reply == NULL)
		return;
	const bool missing = is_error(reply, "ERR Function not found");
	if (!missing && reply->type != REDIS_REPLY_INTEGER) {
		refuse_step(server, "call functions", reply);
	} else if (!missing && reply->integer == SERVER_LIBRARY) {
		came_up(server);
	} else if (!missing && reply->integer > SERVER_LIBRARY) {
		server->refused = true;
		server_say(server, true,
			"its function library has version %lld, this sipherd knows %d: a newer "
			"sipherd uses this fleet, use that version here too",
			reply->integer, SERVER_LIBRARY);
		link_drop(server->link, SAID);
	} else if (server->loaded) {
		server_say(server, false, "the function library was loaded and is not there");
		link_drop(server->link, SAID);
	} else {
		server_load(server);
	}
}

static void ask_version(struct server *server)
{
	const char *argv[] = {"FCALL_RO", "sipherd_version", "0"};
	order(server, on_version, 3, argv);
}

static void on_role(void *owner, const struct link_call *call, const redisReply *reply)
{
	(void)call;
	struct server *server = owner;
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_ERROR || reply->type != REDIS_REPLY_ARRAY ||
		reply->elements == 0 || reply->element[0]->type != REDIS_REPLY_STRING) {
		refuse_step(server, "tell its role", reply);
	} else if (strcmp(reply->element[0]->str, "master") != 0) {
		server_say(server, false, "the server that the Sentinels name is no master (yet)");
		link_drop(server->link, SAID);
	} else {
		ask_version(server);
	}
}

static void ask_role(struct server *server)
{
	const char *argv[] = {"ROLE"};
	if (server->config.master_only)
		order(server, on_role, 1, argv);
	else
		ask_version(server);
}

static void on_selected(void *owner, const struct link_call *call, const redisReply *reply)
{
	(void)call;
	struct server *server = owner;
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_STATUS)
		ask_role(server);
	else
		refuse_step(server, "select the database", reply);
}

static void select_db(struct server *server)
{
	char db[16];
	const char *argv[] = {"SELECT", db};
	snprintf(db, sizeof(db), "%u", server->config.db);
	if (server->config.db != 0)
		order(server, on_selected, 2, argv);
	else
		ask_role(server);
}

/* What the server says of AUTH is never repeated: old ones quote the arguments. */
static void on_authenticated(void *owner, const struct link_call *call, const redisReply *reply)
{
	(void)call;
	struct server *server = owner;
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_STATUS) {
		select_db(server);
		return;
	}
	if (is_error(reply, "WRONGPASS") || is_error(reply, "ERR invalid password"))
		server_say(server, false, "user or password is wrong");
	else if (reply->type == REDIS_REPLY_ERROR && router_fault_of(reply) == FAULT_HOLD)
		server_say(server, false, "not ready yet");
	else
		server_say(server, false,
			"it refuses AUTH: either it has no such user, or no "
			"password is set there and none may be given here");
	link_drop(server->link, SAID);
}

static void on_opened(void *owner)
{
	struct server *server = owner;
	const char *password = server->config.password, *user = server->config.user;
	const char *with_user[] = {"AUTH", user, password}, *without[] = {"AUTH", password};
	server->loading = server->loaded = false;
	if (user[0] != '\0')
		order(server, on_authenticated, 3, with_user);
	else if (password[0] != '\0')
		order(server, on_authenticated, 2, without);
	else
		select_db(server);
}

/* --- The end of a connection --- */

static void on_closed(void *owner, const char *why, bool timed_out)
{
	struct server *server = owner;
	const bool was_up = server->up;
	char said[SAID_MAX];
	count_bytes(server);
	server->up = false;
	server->loading = false;
	server->events.counters->timeouts += timed_out;
	if (was_up && ev_now(server->loop) - server->up_since >= STEADY_S) {
		server->tries = 0;
		server->said[0] = '\0';
	}
	retry(server);
	server_quote(why, said, sizeof(said));
	if (said[0] != '\0')
		server_say(server, false, "%s; trying again", said);
	if (!was_up)
		return;
	server->events.counters->disconnects++;
	server->events.down(server->events.owner, server);
}

void server_again(struct server *server, const char *why, bool hurry)
{
	if (hurry)
		server->tries = 0;
	link_drop(server->link, why);
	if (!hurry)
		return;
	ev_timer_stop(server->loop, &server->again);
	ev_timer_set(&server->again, 0, 0);
	ev_timer_start(server->loop, &server->again);
}

struct server *server_create(struct ev_loop *loop, const struct server_config *config,
	const struct server_events *events)
{
	struct server *server = calloc(1, sizeof(*server));
	if (server == NULL)
		return NULL;
	server->loop = loop;
	server->config = *config;
	server->events = *events;
	server->link = link_create(loop,
		&(struct link_events){.owner = server, .opened = on_opened, .closed = on_closed});
	if (server->link == NULL) {
		free(server);
		return NULL;
	}
	/* Never 0, and another one in each process. */
	server->random = ((uint64_t)(ev_time() * 1e6) ^ (uint64_t)(uintptr_t)server << 20) | 1;
	ev_timer_init(&server->again, on_again, 0, 0);
	server->again.data = server;
	ev_timer_start(loop, &server->again);
	return server;
}

void server_free(struct server *server)
{
	if (server == NULL)
		return;
	link_free(server->link);
	ev_timer_stop(server->loop, &server->again);
	free(server);
}

bool server_is_up(const struct server *server)
{
	return server->up && link_is_open(server->link);
}

struct link *server_link(struct server *server)
{
	return server->link;
}

uint64_t server_tenure(const struct server *server)
{
	return server->tenure;
}

void *server_owner(const struct server *server)
{
	return server->events.owner;
}
