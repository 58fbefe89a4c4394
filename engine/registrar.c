/* SPDX-License-Identifier: BSD-3-Clause */
#include "registrar_internal.h"

#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* The delay line has room for one answer of usual size per binding, within bounds. */
#define DELAY_BYTES_PER_BINDING 512u
#define DELAY_BYTES_MIN (256u << 10)
#define DELAY_BYTES_MAX (64u << 20)
/* So many held-back answers leave in one call at most. */
#define DELAY_BUDGET 256u
/* The sweep wants to be called this often while there is something to sweep. */
#define SWEEP_WISH_US 100000u

static const char allow[] = "Allow: REGISTER, OPTIONS\r\n";

/* splitmix64: independent seeds from one, and the coin of the loss fault. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void write_tail(struct registrar *registrar)
{
	char name[sizeof(registrar->config.server) + 1] = {0};
	memcpy(name, registrar->config.server, sizeof(registrar->config.server));
	for (char *at = name; *at != '\0'; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '_';
	registrar->tail[0] = '\0';
	if (name[0] != '\0') {
		strcat(registrar->tail, "Server: ");
		strcat(registrar->tail, name);
		strcat(registrar->tail, "\r\n");
	}
	strcat(registrar->tail, "Content-Length: 0\r\n\r\n");
}

/* Bounds that contradict each other: the maximum goes before the default, the default before the
 * minimum; and what the table's clock can tell goes before all. */
static void settle_expires(struct registrar_config *config)
{
	if (config->expires_max_s == 0 || config->expires_max_s > LOCATION_EXPIRES_MAX_S)
		config->expires_max_s = LOCATION_EXPIRES_MAX_S;
	if (config->expires_default_s == 0)
		config->expires_default_s = 3600;
	if (config->expires_min_s > config->expires_max_s)
		config->expires_min_s = config->expires_max_s;
	if (config->expires_default_s < config->expires_min_s)
		config->expires_default_s = config->expires_min_s;
}

static size_t delay_bytes(uint32_t capacity)
{
	uint64_t bytes = (uint64_t)capacity * DELAY_BYTES_PER_BINDING;
	if (bytes < DELAY_BYTES_MIN)
		return DELAY_BYTES_MIN;
	return bytes < DELAY_BYTES_MAX ? (size_t)bytes : DELAY_BYTES_MAX;
}

struct registrar *registrar_create(
	const struct registrar_config *config, const struct registrar_output *output)
{
	struct registrar *registrar = calloc(1, sizeof(*registrar));
	if (registrar == NULL)
		return NULL;
	registrar->config = *config;
	registrar->output = *output;
	uint64_t seed = config->seed;
	registrar->hash_seed = next_random(&seed);
	registrar->tag_seed = next_random(&seed);
	registrar->nonce_seed = next_random(&seed);
	registrar->random = next_random(&seed);
	settle_expires(&registrar->config);
	write_tail(registrar);
	if (registrar_open_digest(registrar) &&
		location_open(&registrar->location, config->capacity ? config->capacity : 1) == 0 &&
		delay_line_open(&registrar->delay, delay_bytes(config->capacity)) == 0 &&
		habits_open(&registrar->habits) == 0)
		return registrar;
	registrar_free(registrar);
	return NULL;
}

void registrar_free(struct registrar *registrar)
{
	if (registrar == NULL)
		return;
	registrar_close_digest(registrar);
	location_close(&registrar->location);
	delay_line_close(&registrar->delay);
	habits_close(&registrar->habits);
	free(registrar);
}

/* --- answers --------------------------------------------------------------------------------- */

/* The bytes of an answer go straight to the output, or wait in the delay line. Answers that wait
 * keep later ones behind them, so that a delay that was just taken back does not reorder. */
static uint8_t *answer_buffer(
	struct registrar *registrar, const struct endpoint *to, uint16_t length)
{
	if (registrar->faults.delay_us > 0 || registrar->delay.waiting > 0) {
		uint8_t *held = delay_line_put(&registrar->delay, to, length, registrar->now_us);
		if (held != NULL)
			registrar->counters.registrar_delayed++;
		else
			registrar->counters.registrar_delay_overflow++;
		return held;
	}
	uint8_t *out = registrar->output.buffer(registrar->output.context, to, length);
	if (out == NULL)
		registrar->counters.registrar_not_sent++;
	return out;
}

void registrar_begin(
	const struct exchange *exchange, struct answer *answer, uint16_t code, const char *reason)
{
	answer_begin(answer, exchange->request, exchange->from, code, reason, exchange->tag);
}

void registrar_add_number(struct answer *answer, const char *name, uint32_t number)
{
	answer_string(answer, name);
	answer_number(answer, number);
	answer_string(answer, "\r\n");
}

/* End an answer and send it. One that is too long gives way to a bare 513; when even that is, the
 * request's own Via values are to blame and nobody can be answered. Those that are as ended here may be
 * learned from: shape NULL: not this one. */
void registrar_send_and_learn(struct registrar *registrar, const struct exchange *exchange,
	struct answer *answer, struct answer_shape *shape)
{
	answer_string(answer, registrar->tail);
	if (!answer_fits(answer)) {
		registrar->counters.registrar_too_long++;
		registrar_begin(exchange, answer, 513, NULL);
		answer_string(answer, registrar->tail);
		if (!answer_fits(answer))
			return;
		shape = NULL;
	}
	struct endpoint to = answer_endpoint(exchange->request, exchange->from);
	uint8_t *out = answer_buffer(registrar, &to, (uint16_t)answer->length);
	if (out != NULL)
		answer_write(answer, out);
	if (shape != NULL && !shape->refused)
		answer_shape_make(
			shape, answer, exchange->request, registrar->habits.learned.match);
}

void registrar_send(
	struct registrar *registrar, const struct exchange *exchange, struct answer *answer)
{
	registrar_send_and_learn(registrar, exchange, answer, NULL);
}

/* The answer of this shape; false: the request must be answered in full. */
bool registrar_send_shape(struct registrar *registrar, const struct exchange *exchange,
	const struct answer_shape *shape, const char *nonce)
{
	struct answer_filling filling;
	if (shape == NULL || !answer_shape_fits(shape, exchange->request))
		return false;
	answer_fill(&filling, exchange->from, exchange->tag);
	filling.nonce = nonce;
	const uint16_t length = answer_shape_length(shape, &filling);
	uint8_t *out = answer_buffer(registrar, exchange->from, length);
	if (out != NULL)
		answer_shape_write(shape, exchange->request, &filling, out);
	return true;
}

struct answer_shape *registrar_granted_shape(const struct exchange *exchange)
{
	return exchange->habit != NULL ? &exchange->habit->granted : NULL;
}

/* An answer that says no more than its code. */
void registrar_send_code(struct registrar *registrar, const struct exchange *exchange,
	uint16_t code, const char *reason)
{
	struct answer answer;
	registrar_begin(exchange, &answer, code, reason);
	registrar_send(registrar, exchange, &answer);
}

static void handle_register(struct registrar *registrar, const struct exchange *exchange)
{
	struct sip_uri aor;
	if (!habit_aor(exchange->habit, exchange->request, &aor) || aor.user.length == 0) {
		registrar->counters.registrar_refused++;
		registrar_send_code(registrar, exchange, 404, NULL);
		return;
	}
	if (registrar->digest != NULL && !registrar_authenticate(registrar, exchange, &aor))
		return;
	registrar_bind(registrar, exchange, &aor);
}

/* --- other requests -------------------------------------------------------------------------- */

static void handle_options(struct registrar *registrar, const struct exchange *exchange)
{
	struct answer answer;
	registrar->counters.registrar_options++;
	if (registrar_send_shape(registrar, exchange, registrar_granted_shape(exchange), NULL))
		return;
	registrar_begin(exchange, &answer, 200, NULL);
	answer_string(&answer, "Accept: application/sdp\r\n");
	answer_text(&answer, allow, sizeof(allow) - 1);
	answer_string(&answer, "Supported: \r\n");
	registrar_send_and_learn(registrar, exchange, &answer, registrar_granted_shape(exchange));
}

/* Methods that scan does not know by name but the standards do. */
static bool is_known_method(const struct sip_message *request)
{
	static const char *const names[] = {
		"INFO", "MESSAGE", "PRACK", "PUBLISH", "REFER", "SUBSCRIBE", "UPDATE"};
	if (request->method != SIP_METHOD_OTHER)
		return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (span_equal(request, request->method_text, names[i], strlen(names[i])))
			return true;
	return false;
}

static void handle_other(struct registrar *registrar, const struct exchange *exchange)
{
	struct answer answer;
	registrar->counters.registrar_other++;
	if (exchange->request->method == SIP_CANCEL) {
		registrar_send_code(registrar, exchange, 481, NULL);
		return;
	}
	registrar_begin(exchange, &answer, is_known_method(exchange->request) ? 405 : 501, NULL);
	answer_text(&answer, allow, sizeof(allow) - 1);
	registrar_send(registrar, exchange, &answer);
}

static void refuse_extension(struct registrar *registrar, const struct exchange *exchange)
{
	const struct sip_message *request = exchange->request;
	struct answer answer;
	if (request->method == SIP_REGISTER)
		registrar->counters.registrar_refused++;
	else
		registrar->counters.registrar_other++;
	registrar_begin(exchange, &answer, 420, NULL);
	answer_string(&answer, "Unsupported: ");
	answer_foreign(&answer, span_text(request, request->require), request->require.length);
	answer_string(&answer, "\r\n");
	registrar_send(registrar, exchange, &answer);
}

/* --- faults ---------------------------------------------------------------------------------- */

static void drain(struct registrar *registrar, const struct exchange *exchange)
{
	struct answer answer;
	registrar->counters.registrar_drained++;
	registrar_begin(exchange, &answer, 503, NULL);
	if (registrar->faults.retry_after_s > 0)
		registrar_add_number(&answer, "Retry-After: ", registrar->faults.retry_after_s);
	registrar_send(registrar, exchange, &answer);
}

/* Some codes are not well formed without a header that goes with them. */
static void reject(struct registrar *registrar, const struct exchange *exchange)
{
	uint16_t code = registrar->faults.reject_code;
	struct answer answer;
	registrar->counters.registrar_rejected++;
	registrar_begin(exchange, &answer, code, NULL);
	if (code == 401 && registrar->digest != NULL)
		registrar_add_challenges(registrar, &answer, "WWW-Authenticate: ", false);
	if (code == 407 && registrar->digest != NULL)
		registrar_add_challenges(registrar, &answer, "Proxy-Authenticate: ", false);
	if (code == 405)
		answer_text(&answer, allow, sizeof(allow) - 1);
	if (code == 423)
		registrar_add_number(&answer, "Min-Expires: ", registrar->config.expires_min_s);
	if (code == 503 && registrar->faults.retry_after_s > 0)
		registrar_add_number(&answer, "Retry-After: ", registrar->faults.retry_after_s);
	registrar_send(registrar, exchange, &answer);
}

/* True: the request is not read, and counted so. */
static bool is_lost(struct registrar *registrar, const struct sip_message *request)
{
	const struct registrar_faults *faults = &registrar->faults;
	if ((faults->options_silent && request->method == SIP_OPTIONS) ||
		(faults->register_silent && request->method == SIP_REGISTER)) {
		registrar->counters.registrar_dropped_crash++;
		return true;
	}
	if (faults->loss_ppm == 0 ||
		(next_random(&registrar->random) >> 32) * 1000000 >> 32 >= faults->loss_ppm)
		return false;
	registrar->counters.registrar_dropped_loss++;
	return true;
}

static void handle_request(struct registrar *registrar, const struct exchange *exchange)
{
	const struct sip_message *request = exchange->request;
	bool is_register = request->method == SIP_REGISTER;
	registrar->counters.registrar_register += is_register;
	if (registrar->faults.draining)
		drain(registrar, exchange);
	else if (is_register && registrar->faults.reject_code)
		reject(registrar, exchange);
	else if (request->require.length > 0 && request->method != SIP_CANCEL)
		refuse_extension(registrar, exchange);
	else if (is_register)
		handle_register(registrar, exchange);
	else if (request->method == SIP_OPTIONS)
		handle_options(registrar, exchange);
	else
		handle_other(registrar, exchange);
}

/* Answers whose time has come leave, oldest first. Returns when the next one is due. */
static uint64_t release_delayed(struct registrar *registrar)
{
	const struct delayed *oldest;
	for (unsigned sent = 0; (oldest = delay_line_oldest(&registrar->delay)) != NULL; sent++) {
		uint64_t due_us = oldest->since_us + registrar->faults.delay_us;
		if (due_us > registrar->now_us)
			return due_us;
		if (sent == DELAY_BUDGET)
			return registrar->now_us;
		uint8_t *out = registrar->output.buffer(
			registrar->output.context, &oldest->to, oldest->length);
		if (out != NULL)
			memcpy(out, delayed_bytes(oldest), oldest->length);
		else
			registrar->counters.registrar_not_sent++;
		delay_line_drop(&registrar->delay);
	}
	return UINT64_MAX;
}

void registrar_datagram(struct registrar *registrar, const struct endpoint *from,
	const void *datagram, size_t length, uint64_t now_us)
{
	struct sip_message request;
	registrar->now_us = now_us;
	if (registrar->faults.crashed) {
		registrar->counters.registrar_dropped_crash++;
		return;
	}
	if (registrar->delay.waiting > 0)
		release_delayed(registrar);
	if (scan_learned_message(&registrar->habits.learned, datagram, length, &request) !=
			SCAN_OK ||
		request.status != 0) {
		registrar->counters.registrar_malformed++;
		return;
	}
	if (is_lost(registrar, &request))
		return;
	if (request.method == SIP_ACK) {
		registrar->counters.registrar_ack++;
		return;
	}
	struct exchange exchange = {
		.request = &request,
		.habit = habit_of(&registrar->habits),
		.from = from,
		.tag = (uint32_t)XXH3_64bits_withSeed(span_text(&request, request.call_id),
			request.call_id.length, registrar->tag_seed),
	};
	handle_request(registrar, &exchange);
}

void registrar_fetch(
	const struct registrar *registrar, const void *datagram, size_t length, bool near)
{
	const struct span user = habit_guess_user(&registrar->habits, length);
	if (user.length == 0)
		return;
	const char *text = (const char *)datagram + user.at;
	location_fetch(&registrar->location, registrar->hash_seed, text, user.length, near);
	if (near)
		registrar_fetch_ha1(registrar, text, user.length);
}

uint64_t registrar_advance(struct registrar *registrar, uint64_t now_us)
{
	bool behind;
	registrar->now_us = now_us;
	uint64_t due_us = release_delayed(registrar);
	registrar->counters.registrar_bindings_expired += location_sweep(
		&registrar->location, now_us, &behind);
	if (behind)
		return now_us;
	if (registrar->location.bindings == 0)
		return due_us;
	uint64_t sweep_us = now_us + SWEEP_WISH_US;
	return due_us < sweep_us ? due_us : sweep_us;
}

void registrar_set_faults(struct registrar *registrar, const struct registrar_faults *faults)
{
	registrar->faults = *faults;
	if (registrar->faults.reject_code < 300 || registrar->faults.reject_code > 699)
		registrar->faults.reject_code = 0;
	if (!faults->crashed)
		return;
	/* A proxy that dies takes the answers with it that it was still holding. */
	registrar->counters.registrar_dropped_crash += registrar->delay.waiting;
	delay_line_clear(&registrar->delay);
}

void registrar_forget(struct registrar *registrar)
{
	location_clear(&registrar->location);
}

uint32_t registrar_registered(const struct registrar *registrar)
{
	return registrar->location.aors;
}

bool registrar_is_bound(
	const struct registrar *registrar, const char *user, size_t length, uint64_t now_us)
{
	return location_has_user(&registrar->location, registrar->hash_seed, user, length,
		(uint32_t)(now_us / 1000));
}

const struct registrar_counters *registrar_counters(const struct registrar *registrar)
{
	return &registrar->counters;
}
