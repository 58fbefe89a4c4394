/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_token.h"
#include "guard.h"

#define CONNECT_S 5
#define STREAM_SILENCE_S 40 /* a stream says something every second, or a comment every 15 s */

struct client {
	CURLM *multi;
	char url[1024]; /* without a slash at its end */
	const struct options *options;
	struct client_token token;
	struct client_call *calls;
};

struct client_call {
	struct client *client;
	struct client_call *next;
	CURL *easy;
	struct curl_slist *headers;
	char *body;
	struct client_answer answer;
	size_t room;
	bool too_long;
	client_bytes bytes; /* of a stream */
	client_done done;
	void *context;
};

char *client_clean(char *text, size_t length, bool keep_lines)
{
	const unsigned char *end = (const unsigned char *)text + length;
	unsigned char previous = 0;
	for (unsigned char *c = (unsigned char *)text; c < end; previous = *c++) {
		const bool line = keep_lines && (*c == '\n' || *c == '\t');
		/* C1, alone or as UTF-8 has it: some terminals take these for ESC and a letter. */
		const bool alone = previous < 0x80 && *c >= 0x80 && *c <= 0x9f;
		const bool c1 = *c == 0xc2 && c + 1 < end && c[1] >= 0x80 && c[1] <= 0x9f;
		if ((*c < 0x20 && !line) || *c == 0x7f || alone || c1)
			*c = '?';
		if (c1)
			*++c = '?';
	}
	return text;
}

/* --- Where the server is --- */

/* Of "http://HOST..." behind the slashes: is it this very host? */
static bool is_here(const char *host)
{
	static const char *const here[] = {"127.0.0.1", "localhost", "[::1]"};
	for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++) {
		const size_t n = strlen(here[i]);
		if (strncmp(host, here[i], n) == 0 && (host[n] == ':' || host[n] == '\0'))
			return true;
	}
	return false;
}

static int set_url(struct client *client, const char *given)
{
	const char *url = given != NULL ? given : CLIENT_URL_DEFAULT, *why = NULL;
	const bool plain = strncmp(url, "http://", 7) == 0;
	const bool tls = strncmp(url, "https://", 8) == 0;
	if ((size_t)snprintf(client->url, sizeof(client->url), "%s", url) >= sizeof(client->url))
		why = "is too long";
	size_t length = strlen(client->url);
	if (length > 0 && client->url[length - 1] == '/')
		client->url[--length] = '\0';
	const char *host = client->url + (tls ? 8 : 7);
	if (!plain && !tls)
		why = "must begin with http:// or https://";
	else if (why == NULL && (*host == '\0' || host[strcspn(host, "/?#@ \\")] != '\0'))
		why = "needs a host and maybe a port, nothing else";
	else if (plain && !is_here(host))
		why = "is another host: only https:// keeps the token secret on the way there";
	if (why == NULL)
		return EXIT_DONE;
	fprintf(stderr, "sipherd: --url '%s' %s, such as " CLIENT_URL_DEFAULT ".\n", url, why);
	return EXIT_USAGE;
}

/* The port on this very host; 0: it is another host, or the text is no port. */
static uint16_t port_here(const char *url)
{
	const bool tls = strncmp(url, "https://", 8) == 0;
	const char *host = url + (tls ? 8 : 7), *end = strchr(host, ']');
	const char *colon = strchr(end != NULL ? end : host, ':');
	uint32_t port = tls ? 443 : 80;
	if (!is_here(host) || (colon != NULL && !guard_number(colon + 1, 1, UINT16_MAX, &port)))
		return 0;
	return (uint16_t)port;
}

const char *client_url(const struct client *client)
{
	return client->url;
}

int client_open(struct client **out, const struct options *options)
{
	struct client *client = calloc(1, sizeof(*client));
	*out = NULL;
	if (client == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(client);
		fprintf(stderr, "sipherd: out of memory\n");
		return EXIT_HOST;
	}
	client->multi = curl_multi_init();
	client->options = options;
	int status = client->multi != NULL ? set_url(client, options->url) : EXIT_HOST;
	if (status == EXIT_DONE)
		status = client_token_find(&client->token, options, port_here(client->url), true);
	if (status == EXIT_DONE)
		*out = client;
	else
		client_close(client);
	return status;
}

/* --- One call --- */

static size_t on_bytes(char *bytes, size_t one, size_t count, void *context)
{
	struct client_call *call = context;
	struct client_answer *answer = &call->answer;
	const size_t length = one * count;
	long code = 0;
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &code);
	if (call->bytes != NULL && code == 200) {
		call->bytes(call->context, bytes, length);
		return length;
	}
	if (answer->length + length > CLIENT_ANSWER_MAX) {
		call->too_long = true;
		return 0;
	}
	if (answer->length + length + 1 > call->room) {
		const size_t room = (answer->length + length) * 2 + 4096;
		char *more = realloc(answer->text, room);
		if (more == NULL)
			return 0;
		answer->text = more;
		call->room = room;
	}
	memcpy(answer->text + answer->length, bytes, length);
	answer->length += length;
	answer->text[answer->length] = '\0';
	return length;
}

static void add_header(struct client_call *call, const char *name, const char *value)
{
	char text[512];
	snprintf(text, sizeof(text), "%s: %s", name, value);
	struct curl_slist *more = curl_slist_append(call->headers, text);
	if (more != NULL)
		call->headers = more;
	explicit_bzero(text, sizeof(text));
}

static void set_where(struct client_call *call, const char *path)
{
	char url[sizeof(call->client->url) + CLIENT_PATH_MAX];
	snprintf(url, sizeof(url), "%s%s", call->client->url, path);
	curl_easy_setopt(call->easy, CURLOPT_URL, url);
	curl_easy_setopt(call->easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(call->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(call->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(call->easy, CURLOPT_PROXY, "");
	curl_easy_setopt(call->easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(call->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(call->easy, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(call->easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	/* localhost has two addresses: the port of the other one may be somebody else's, who would be
	 * shown the token. */
	if (strncmp(call->client->url, "http://localhost", 16) == 0)
		curl_easy_setopt(call->easy, CURLOPT_IPRESOLVE, (long)CURL_IPRESOLVE_V4);
	if (call->client->options->cacert != NULL)
		curl_easy_setopt(call->easy, CURLOPT_CAINFO, call->client->options->cacert);
}

static struct client_call *new_call(
	struct client *client, const char *method, const char *path, const char *body)
{
	struct client_call *call = calloc(1, sizeof(*call));
	if (call == NULL)
		return NULL;
	call->client = client;
	call->easy = curl_easy_init();
	call->body = body != NULL ? strdup(body) : NULL;
	if (call->easy == NULL || (body != NULL && call->body == NULL)) {
		curl_easy_cleanup(call->easy);
		free(call->body);
		free(call);
		return NULL;
	}
	set_where(call, path);
	curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
	if (client->token.text[0] != '\0') {
		char bearer[CLIENT_TOKEN_MAX + 8];
		snprintf(bearer, sizeof(bearer), "Bearer %s", client->token.text);
		add_header(call, "Authorization", bearer);
		explicit_bzero(bearer, sizeof(bearer));
	}
	if (body != NULL) {
		add_header(call, "Content-Type", "application/json");
		curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, call->body);
	}
	return call;
}

static struct client_call *start(struct client_call *call)
{
	curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
	curl_multi_add_handle(call->client->multi, call->easy);
	call->next = call->client->calls;
	call->client->calls = call;
	return call;
}

struct client_call *client_begin(struct client *client, const char *method, const char *path,
	const char *body, client_done done, void *context)
{
	struct client_call *call = new_call(client, method, path, body);
	if (call == NULL)
		return NULL;
	call->done = done;
	call->context = context;
	curl_easy_setopt(call->easy, CURLOPT_TIMEOUT, (long)CLIENT_REQUEST_S);
	return start(call);
}

struct client_call *client_stream(struct client *client, const char *path, const char *last_id,
	client_bytes bytes, client_done done, void *context)
{
	struct client_call *call = new_call(client, "GET", path, NULL);
	if (call == NULL)
		return NULL;
	call->bytes = bytes;
	call->done = done;
	call->context = context;
	add_header(call, "Accept", "text/event-stream");
	if (last_id[0] != '\0')
		add_header(call, "Last-Event-ID", last_id);
	curl_easy_setopt(call->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(call->easy, CURLOPT_LOW_SPEED_TIME, (long)STREAM_SILENCE_S);
	return start(call);
}

void client_answer_free(struct client_answer *answer)
{
	free(answer->text);
	*answer = (struct client_answer){0};
}

void client_cancel(struct client *client, struct client_call *call)
{
	struct client_call **at = &client->calls;
	while (*at != NULL && *at != call)
		at = &(*at)->next;
	if (*at == NULL)
		return;
	*at = call->next;
	curl_multi_remove_handle(client->multi, call->easy);
	for (struct curl_slist *header = call->headers; header; header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(call->headers);
	curl_easy_cleanup(call->easy);
	client_answer_free(&call->answer);
	free(call->body);
	free(call);
}

void client_close(struct client *client)
{
	if (client == NULL)
		return;
	while (client->calls != NULL)
		client_cancel(client, client->calls);
	curl_multi_cleanup(client->multi);
	explicit_bzero(&client->token, sizeof(client->token));
	free(client);
	curl_global_cleanup();
}

/* --- Answers --- */

static void explain_code(const struct client *client, struct client_answer *answer)
{
	json_t *problem = json_loadb(
		answer->text != NULL ? answer->text : "", answer->length, 0, NULL);
	const char *title = "no reason was given", *detail = "";
	json_unpack(problem, "{s?s, s?s}", "title", &title, "detail", &detail);
	const bool token = answer->code == 401 || answer->code == 403;
	snprintf(answer->why, sizeof(answer->why), "%ld %.60s%s%.300s%s%.200s", answer->code, title,
		detail[0] != '\0' ? ": " : "", detail, token ? " The token shown is " : "",
		token ? client->token.origin : "");
	json_decref(problem);
}

/* Whoever started sipherd anew made new tokens, and wrote them where the old ones were. */
static void find_token_again(struct client *client)
{
	struct client_token token = {0};
	if (client_token_find(&token, client->options, port_here(client->url), false) == EXIT_DONE)
		client->token = token;
	explicit_bzero(&token, sizeof(token));
}

static void explain(struct client_call *call, CURLcode result)
{
	struct client *client = call->client;
	struct client_answer *answer = &call->answer;
	char *type = NULL;
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &answer->code);
	curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
	answer->json = type != NULL && strstr(type, "json") != NULL;
	if (result != CURLE_OK) {
		answer->code = 0;
		snprintf(answer->why, sizeof(answer->why), "%.200s: %.100s%s", client->url,
			call->too_long ? "its answer is too long" : curl_easy_strerror(result),
			result == CURLE_COULDNT_CONNECT
				? ". Does sipherd run, and is --url where it listens?"
				: "");
	} else if (answer->code < 200 || answer->code > 299) {
		explain_code(client, answer);
	}
	client_clean(answer->why, strlen(answer->why), false);
	if (answer->code == 401)
		find_token_again(client);
}

/* What is done is taken out before it is told: who is told may begin the next. */
static void finish(struct client_call *call, CURLcode result)
{
	struct client *client = call->client;
	explain(call, result);
	struct client_answer answer = call->answer;
	const client_done done = call->done;
	void *context = call->context;
	call->answer = (struct client_answer){0};
	client_cancel(client, call);
	done(context, &answer);
	client_answer_free(&answer);
}

void client_turn(struct client *client, struct curl_waitfd *extra, unsigned extras, int timeout_ms)
{
	int left = 0;
	curl_multi_perform(client->multi, &left);
	curl_multi_poll(client->multi, extra, extras, timeout_ms, NULL);
	curl_multi_perform(client->multi, &left);
	for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left)) != NULL;) {
		struct client_call *call = NULL;
		if (message->msg != CURLMSG_DONE)
			continue;
		const CURLcode result = message->data.result;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
		finish(call, result);
	}
}

struct waiting {
	struct client_answer *answer;
	bool done;
};

static void on_done(void *context, const struct client_answer *answer)
{
	struct waiting *waiting = context;
	*waiting->answer = *answer;
	/* Longer than the call: a copy of its own. */
	waiting->answer->text = malloc(answer->length + 1);
	if (waiting->answer->text == NULL)
		waiting->answer->length = 0;
	else if (answer->length > 0)
		memcpy(waiting->answer->text, answer->text, answer->length);
	if (waiting->answer->text != NULL)
		waiting->answer->text[answer->length] = '\0';
	waiting->done = true;
}

void client_ask(struct client *client, const char *method, const char *path, const char *body,
	struct client_answer *answer)
{
	struct waiting waiting = {.answer = answer};
	*answer = (struct client_answer){.why = "out of memory"};
	if (client_begin(client, method, path, body, on_done, &waiting) == NULL)
		return;
	while (!waiting.done)
		client_turn(client, NULL, 0, 1000);
}

int client_exit(const struct client_answer *answer)
{
	if (answer->code >= 200 && answer->code < 300)
		return EXIT_DONE;
	fprintf(stderr, "sipherd: %s\n", answer->why);
	return answer->code >= 400 && answer->code < 500 ? EXIT_USAGE : EXIT_HOST;
}
