/* SPDX-License-Identifier: BSD-3-Clause */
#include "registrar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "answer.h"
#include "delay_line.h"
#include "habit.h"
#include "hex.h"
#include "location.h"
#include "memory.h"
#include "token.h"

/* The delay line has room for one answer of usual size per binding, within bounds. */
#define DELAY_BYTES_PER_BINDING 512u
#define DELAY_BYTES_MIN (256u << 10)
#define DELAY_BYTES_MAX (64u << 20)
/* So many held-back answers leave in one call at most. */
#define DELAY_BUDGET 256u
/* The sweep wants to be called this often while there is something to sweep. */
#define SWEEP_WISH_US 100000u

/* Short enough that two of them and HA1 fit a phone's memory, and that a response takes MD5 two blocks. */
#define NONCE_TIME_HEX 10 /* milliseconds modulo 2^40 */
#define NONCE_SALT_HEX 4
#define NONCE_CHECK_HEX 14 /* keyed */
#define NONCE_HEX 28
static_assert(NONCE_TIME_HEX + NONCE_SALT_HEX + NONCE_CHECK_HEX == NONCE_HEX, "and nothing else");

static const char allow[] = "Allow: REGISTER, OPTIONS\r\n";

/* The digest URI that was named last, and HA2 of a REGISTER with it. */
struct known_uri {
	enum digest_algorithm algorithm; /* DIGEST_NONE: none yet */
	size_t length;
	char text[128];
	uint8_t ha2[DIGEST_BYTES_MAX];
};

struct registrar {
	struct registrar_config config;
	struct registrar_output output;
	struct registrar_faults faults;
	struct registrar_counters counters;
	struct location location;
	struct delay_line delay;
	struct habits habits;
	struct digest_context *digest; /* NULL: no digest */
	uint8_t *ha1;                  /* by phone, as far as there is room; zeros: not known */
	uint32_t ha1_room;
	enum digest_algorithm ha1_algorithm;
	struct known_uri ha2;
	char *realm; /* as it stands between quotes */
	size_t realm_length;
	char tail[96]; /* Server and Content-Length, the end of every answer */
	uint64_t hash_seed, tag_seed, nonce_seed;
	uint64_t random; /* of the loss fault */
	uint32_t nonce_salt;
	uint64_t now_us; /* of the call we are in */
};

/* A request on its way through, and what its answer carries. */
struct exchange {
	const struct sip_message *request;
	struct habit *habit; /* NULL: the request is like none before */
	const struct endpoint *from;
	uint32_t tag;
};

/* splitmix64: independent seeds from one, and the coin of the loss fault. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* The realm as quoted text: quotes and backslashes escaped, controls replaced. */
static char *quote_realm(const char *realm)
{
	char *quoted = malloc(2 * strlen(realm) + 1);
	if (quoted == NULL)
		return NULL;
	char *at = quoted;
	for (; *realm != '\0'; realm++) {
		if (*realm == '"' || *realm == '\\')
			*at++ = '\\';
		*at++ = (unsigned char)*realm < ' ' || *realm == 0x7f ? '_' : *realm;
	}
	*at = '\0';
	return quoted;
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

static size_t ha1_size(const struct registrar *registrar)
{
	return (size_t)registrar->ha1_room * digest_bytes(registrar->ha1_algorithm);
}

static bool open_digest(struct registrar *registrar)
{
	if (registrar->config.realm == NULL || registrar->config.identities == NULL)
		return true;
	registrar->digest = digest_open();
	registrar->realm = quote_realm(registrar->config.realm);
	if (registrar->digest == NULL || registrar->realm == NULL)
		return false;
	registrar->realm_length = strlen(registrar->realm);
	if (registrar->config.algorithm == DIGEST_NONE)
		registrar->config.algorithm = DIGEST_MD5;
	registrar->ha1_algorithm = registrar->config.offer_both ? DIGEST_SHA256
								: registrar->config.algorithm;
	registrar->ha1_room = registrar->config.capacity ? registrar->config.capacity : 1;
	registrar->ha1 = memory_take(ha1_size(registrar));
	return registrar->ha1 != NULL;
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
	if (open_digest(registrar) &&
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
	digest_close(registrar->digest);
	if (registrar->ha1 != NULL)
		explicit_bzero(registrar->ha1, ha1_size(registrar));
	memory_give(registrar->ha1, ha1_size(registrar));
	free(registrar->realm);
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

static void begin(
	const struct exchange *exchange, struct answer *answer, uint16_t code, const char *reason)
{
	answer_begin(answer, exchange->request, exchange->from, code, reason, exchange->tag);
}

static void add_line_number(struct answer *answer, const char *name, uint32_t number)
{
	answer_string(answer, name);
	answer_number(answer, number);
	answer_string(answer, "\r\n");
}

/* End an answer and send it. One that is too long gives way to a bare 513; when even that is, the
 * request's own Via values are to blame and nobody can be answered. Those that are as ended here may be
 * learned from: shape NULL: not this one. */
static void send_and_learn(struct registrar *registrar, const struct exchange *exchange,
	struct answer *answer, struct answer_shape *shape)
{
	answer_string(answer, registrar->tail);
	if (!answer_fits(answer)) {
		registrar->counters.registrar_too_long++;
		begin(exchange, answer, 513, NULL);
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

static void send_answer(
	struct registrar *registrar, const struct exchange *exchange, struct answer *answer)
{
	send_and_learn(registrar, exchange, answer, NULL);
}

/* The answer of this shape; false: the request must be answered in full. */
static bool send_shape(struct registrar *registrar, const struct exchange *exchange,
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

static struct answer_shape *granted_shape(const struct exchange *exchange)
{
	return exchange->habit != NULL ? &exchange->habit->granted : NULL;
}

/* An answer that says no more than its code. */
static void send_code(struct registrar *registrar, const struct exchange *exchange, uint16_t code,
	const char *reason)
{
	struct answer answer;
	begin(exchange, &answer, code, reason);
	send_answer(registrar, exchange, &answer);
}

/* --- digest ---------------------------------------------------------------------------------- */

static void nonce_check(
	const struct registrar *registrar, const char *head, char out[NONCE_CHECK_HEX])
{
	char digits[16];
	uint64_t check = XXH3_64bits_withSeed(
		head, NONCE_TIME_HEX + NONCE_SALT_HEX, registrar->nonce_seed);
	hex8_write((uint32_t)(check >> 32), digits);
	hex8_write((uint32_t)check, digits + 8);
	memcpy(out, digits, NONCE_CHECK_HEX);
}

static void nonce_write(struct registrar *registrar, char out[NONCE_HEX])
{
	char digits[16];
	uint64_t time_salt = registrar->now_us / 1000 << 16 | (registrar->nonce_salt++ & 0xffff);
	hex8_write((uint32_t)(time_salt >> 32), digits);
	hex8_write((uint32_t)time_salt, digits + 8);
	memcpy(out, digits + sizeof(digits) - NONCE_TIME_HEX - NONCE_SALT_HEX,
		NONCE_TIME_HEX + NONCE_SALT_HEX);
	nonce_check(registrar, out, out + NONCE_TIME_HEX + NONCE_SALT_HEX);
}

/* Is this a nonce of ours, and young enough? Its digits are as nonce_write made them once the check
 * agrees. */
static bool nonce_is_fresh(const struct registrar *registrar, struct digest_text nonce)
{
	char check[NONCE_CHECK_HEX];
	if (nonce.length != NONCE_HEX)
		return false;
	nonce_check(registrar, nonce.text, check);
	if (!digest_equal(check, nonce.text + NONCE_TIME_HEX + NONCE_SALT_HEX, sizeof(check)))
		return false;
	uint64_t since_ms = 0;
	for (int i = 0; i < NONCE_TIME_HEX; i++) {
		char c = nonce.text[i];
		since_ms = since_ms << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	uint64_t age_ms = (registrar->now_us / 1000 - since_ms) &
			  ((1ull << (4 * NONCE_TIME_HEX)) - 1);
	uint64_t lifetime_ms = (uint64_t)registrar->config.nonce_lifetime_s * 1000;
	return lifetime_ms == 0 || age_ms < lifetime_ms;
}

static void add_challenge(struct registrar *registrar, struct answer *answer, const char *header,
	enum digest_algorithm algorithm, bool stale)
{
	char nonce[NONCE_HEX];
	nonce_write(registrar, nonce);
	answer_string(answer, header);
	answer_string(answer, "Digest realm=\"");
	answer_text(answer, registrar->realm, registrar->realm_length);
	answer_string(answer, "\", nonce=\"");
	answer_copy(answer, ANSWER_NONCE, nonce, sizeof(nonce));
	answer_string(answer, algorithm == DIGEST_SHA256 ? "\", algorithm=SHA-256, qop=\"auth\""
							 : "\", algorithm=MD5, qop=\"auth\"");
	answer_string(answer, stale ? ", stale=true\r\n" : "\r\n");
}

/* The challenges we offer, the stronger first: it is the one to be taken (RFC 8760). */
static void add_challenges(
	struct registrar *registrar, struct answer *answer, const char *header, bool stale)
{
	if (!registrar->config.offer_both) {
		add_challenge(registrar, answer, header, registrar->config.algorithm, stale);
		return;
	}
	add_challenge(registrar, answer, header, DIGEST_SHA256, stale);
	add_challenge(registrar, answer, header, DIGEST_MD5, stale);
}

static void challenge(struct registrar *registrar, const struct exchange *exchange, bool stale)
{
	struct answer answer;
	struct answer_shape *shape = NULL;
	registrar->counters.registrar_challenged++;
	registrar->counters.registrar_stale += stale;
	if (exchange->habit != NULL && !stale && !registrar->config.offer_both)
		shape = &exchange->habit->challenge;
	if (shape != NULL && answer_shape_fits(shape, exchange->request)) {
		char nonce[NONCE_HEX];
		nonce_write(registrar, nonce);
		send_shape(registrar, exchange, shape, nonce);
		return;
	}
	begin(exchange, &answer, 401, NULL);
	add_challenges(registrar, &answer, "WWW-Authenticate: ", stale);
	send_and_learn(registrar, exchange, &answer, shape);
}

static bool text_is(struct digest_text text, const char *other, size_t length)
{
	return text.length == length && memcmp(text.text, other, length) == 0;
}

/* Where HA1 of a phone is kept, of the algorithm that is to be taken; NULL: nowhere. */
static uint8_t *kept_ha1(
	const struct registrar *registrar, uint32_t index, enum digest_algorithm algorithm)
{
	if (index >= registrar->ha1_room || algorithm != registrar->ha1_algorithm)
		return NULL;
	return registrar->ha1 + (size_t)index * digest_bytes(algorithm);
}

static bool is_known(const uint8_t *ha1, size_t bytes)
{
	static const uint8_t zeros[DIGEST_BYTES_MAX];
	return memcmp(ha1, zeros, bytes) != 0;
}

/* HA1 of a phone that has a password, under its auth name or, where that is another, its user. */
static bool ha1_of(struct registrar *registrar, const struct digest_credentials *credentials,
	uint32_t index, bool by_auth_name, uint8_t out[DIGEST_BYTES_MAX])
{
	const size_t bytes = digest_bytes(credentials->algorithm);
	uint8_t *kept = by_auth_name ? kept_ha1(registrar, index, credentials->algorithm) : NULL;
	if (kept != NULL && is_known(kept, bytes)) {
		memcpy(out, kept, bytes);
		return true;
	}
	char password[IDENTITY_TEXT_MAX];
	const size_t length = identity_password(registrar->config.identities, index, password);
	if (length == 0)
		return false;
	digest_ha1(registrar->digest, credentials->algorithm, credentials->username,
		credentials->realm, (struct digest_text){password, length}, out);
	if (kept != NULL)
		memcpy(kept, out, bytes);
	return true;
}

/* HA1 of the phone that this address-of-record belongs to, when these are its credentials. */
static bool find_ha1(struct registrar *registrar, const struct digest_credentials *credentials,
	const char *user, size_t user_length, uint8_t ha1[DIGEST_BYTES_MAX])
{
	const struct identity_set *set = registrar->config.identities;
	char text[IDENTITY_TEXT_MAX];
	uint32_t index;
	if (!identity_find_user(set, user, user_length, &index))
		return false;
	/* An auth name finds its phone too, but is no address-of-record. */
	size_t length = identity_user(set, index, text);
	if (length != user_length || memcmp(text, user, length) != 0)
		return false;
	const bool by_user = text_is(credentials->username, text, length);
	const bool by_auth_name = text_is(
		credentials->username, text, identity_auth(set, index, text));
	if (!by_user && !by_auth_name)
		return false;
	size_t known = identity_ha1(set, index, ha1);
	if (known > 0)
		return known == digest_bytes(credentials->algorithm);
	return ha1_of(registrar, credentials, index, by_auth_name, ha1);
}

/* HA2 of a REGISTER with the digest URI of these credentials, which phones have in common. */
static void find_ha2(struct registrar *registrar, const struct digest_credentials *credentials,
	uint8_t ha2[DIGEST_BYTES_MAX])
{
	struct known_uri *known = &registrar->ha2;
	const struct digest_text uri = credentials->uri;
	if (known->algorithm == credentials->algorithm &&
		text_is(uri, known->text, known->length)) {
		memcpy(ha2, known->ha2, sizeof(known->ha2));
		return;
	}
	digest_ha2(registrar->digest, credentials->algorithm, (struct digest_text){"REGISTER", 8},
		uri, ha2);
	if (uri.length > sizeof(known->text))
		return;
	known->algorithm = credentials->algorithm;
	known->length = uri.length;
	memcpy(known->text, uri.text, uri.length);
	memcpy(known->ha2, ha2, digest_bytes(known->algorithm));
}

static bool is_offered(const struct registrar *registrar, enum digest_algorithm algorithm)
{
	if (algorithm == DIGEST_NONE)
		return false;
	return registrar->config.offer_both || algorithm == registrar->config.algorithm;
}

static bool verify(struct registrar *registrar, const struct digest_credentials *credentials,
	const struct sip_uri *aor, const struct sip_message *request)
{
	uint8_t ha1[DIGEST_BYTES_MAX], ha2[DIGEST_BYTES_MAX];
	char response[DIGEST_HEX_MAX];
	if (!is_offered(registrar, credentials->algorithm) || credentials->nc == 0 ||
		credentials->cnonce.length == 0 || credentials->qop.length != 4 ||
		strncasecmp(credentials->qop.text, "auth", 4) != 0)
		return false;
	if (!find_ha1(registrar, credentials, span_text(request, aor->user), aor->user.length, ha1))
		return false;
	find_ha2(registrar, credentials, ha2);
	size_t length = digest_response(registrar->digest, credentials->algorithm, ha1, ha2,
		credentials->nonce, true, credentials->nc, credentials->cnonce, response);
	return credentials->response.length == length &&
	       digest_equal(response, credentials->response.text, length);
}

/*
 * True: go on. False: an answer went out. Right credentials with an old or foreign nonce are stale,
 * wrong ones with such a nonce are merely challenged, since they may have been meant for another.
 */
static bool authenticate(
	struct registrar *registrar, const struct exchange *exchange, const struct sip_uri *aor)
{
	const struct sip_message *request = exchange->request;
	for (unsigned i = 0; i < request->credentials; i++) {
		struct digest_credentials credentials;
		int error = habit_credentials(exchange->habit, request, i, &credentials);
		if (error == -EINVAL) {
			registrar->counters.registrar_refused++;
			send_code(registrar, exchange, 400, "Malformed Credentials");
			return false;
		}
		if (error || !text_is(credentials.realm, registrar->realm, registrar->realm_length))
			continue;
		bool right = verify(registrar, &credentials, aor, request);
		bool fresh = nonce_is_fresh(registrar, credentials.nonce);
		if (right && fresh)
			return true;
		if (!fresh) {
			challenge(registrar, exchange, right);
			return false;
		}
		registrar->counters.registrar_auth_failed++;
		send_code(registrar, exchange, 403, NULL);
		return false;
	}
	challenge(registrar, exchange, false);
	return false;
}

/* --- REGISTER -------------------------------------------------------------------------------- */

/* A binding as it will be once the request is carried out. */
struct planned {
	struct location_contact contact;
	uint32_t slot; /* LOCATION_NONE: new */
	uint32_t expires_s;
	bool removed, changed, settled; /* settled: this very request has been carried out before */
};

/* All of a REGISTER is planned before any of it is done, since it succeeds or fails as a whole. */
struct plan {
	struct location_key key;
	struct location_found found;
	uint32_t call_id, now_ms;
	uint32_t count;
	struct planned binding[LOCATION_AOR_MAX + SCAN_CONTACT_MAX];
};

/* Why a REGISTER is refused; code 0: it is not. */
struct refusal {
	uint16_t code;
	const char *reason;
	uint64_t *counter;
};

static const struct refusal accepted = {0, NULL, NULL};

static struct refusal refuse(struct registrar *registrar, uint16_t code, const char *reason)
{
	return (struct refusal){code, reason, &registrar->counters.registrar_refused};
}

static struct refusal out_of_order(struct registrar *registrar)
{
	return (struct refusal){
		500, "CSeq Out of Order", &registrar->counters.registrar_out_of_order};
}

static void plan_begin(struct registrar *registrar, const struct exchange *exchange,
	const struct sip_uri *aor, struct plan *plan)
{
	const struct sip_message *request = exchange->request;
	plan->key = location_key(registrar->hash_seed, span_text(request, aor->user),
		aor->user.length, span_text(request, aor->host), aor->host.length);
	plan->call_id = (uint32_t)XXH3_64bits_withSeed(span_text(request, request->call_id),
		request->call_id.length, registrar->hash_seed);
	plan->now_ms = (uint32_t)(registrar->now_us / 1000);
	location_find(&registrar->location, plan->key, plan->now_ms, &plan->found);
	registrar->counters.registrar_bindings_expired += plan->found.expired;
	plan->count = plan->found.count;
	for (uint32_t i = 0; i < plan->count; i++) {
		uint32_t slot = plan->found.slot[i];
		plan->binding[i] = (struct planned){
			.contact = location_contact(&registrar->location, slot),
			.slot = slot,
			.expires_s = location_remaining_s(&registrar->location, slot, plan->now_ms),
		};
	}
}

/* What RFC 3261 section 10.3 step 7 asks about the order of requests. An equal CSeq is a
 * retransmission, which gets its answer again and changes nothing. */
static bool settle_order(const struct registrar *registrar, const struct plan *plan, uint32_t cseq,
	struct planned *planned)
{
	const struct location_binding *stored = &registrar->location.binding[planned->slot];
	if (stored->call_id != plan->call_id)
		return true;
	planned->settled = stored->cseq == cseq;
	return stored->cseq <= cseq;
}

static struct refusal plan_star(
	struct registrar *registrar, const struct sip_message *request, struct plan *plan)
{
	if (request->contacts > 0)
		return refuse(registrar, 400, "Contact * Stands Alone");
	if (request->expires != 0)
		return refuse(registrar, 400, "Contact * Needs Expires 0");
	for (uint32_t i = 0; i < plan->count; i++) {
		struct planned *planned = &plan->binding[i];
		if (!settle_order(registrar, plan, request->cseq, planned))
			return out_of_order(registrar);
		planned->removed = !planned->settled;
	}
	return accepted;
}

/* Bytes that may stand between angle brackets as they are. */
static bool is_printable_uri(const char *uri, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (uri[i] <= ' ' || uri[i] >= 0x7f || uri[i] == '<' || uri[i] == '>' ||
			uri[i] == '"')
			return false;
	return true;
}

/* Where a Contact value has what we ask of it. */
static struct refusal scan_binding(struct registrar *registrar, const struct sip_message *request,
	struct span value, struct habit_contact *out)
{
	struct sip_contact parsed;
	struct sip_uri uri;
	if (!scan_contact(request, value, &parsed) ||
		!is_printable_uri(span_text(request, parsed.uri), parsed.uri.length))
		return refuse(registrar, 400, "Malformed Contact");
	if (!scan_uri(request, parsed.uri, &uri))
		return refuse(registrar, 400, "Contact Is No SIP URI");
	if (parsed.uri.length > LOCATION_CONTACT_MAX)
		return refuse(registrar, 513, "Contact URI Too Long");
	*out = (struct habit_contact){parsed.uri, uri.host, parsed.expires};
	return accepted;
}

static struct refusal read_contact(struct registrar *registrar, const struct exchange *exchange,
	struct span value, struct location_contact *contact, uint32_t *expires)
{
	const struct sip_message *request = exchange->request;
	struct habit *habit = exchange->habit;
	struct habit_contact found;
	if (habit != NULL && habit->knows_contact) {
		found = habit->contact;
	} else {
		struct refusal refusal = scan_binding(registrar, request, value, &found);
		if (refusal.code)
			return refusal;
		habit_keep_contact(habit, &found);
	}
	*contact = (struct location_contact){
		.uri = span_text(request, found.uri),
		.length = (uint8_t)found.uri.length,
		.host_at = (uint8_t)(found.host.at - found.uri.at),
		.host_length = (uint8_t)found.host.length,
	};
	*expires = found.expires;
	if (*expires == SCAN_ABSENT)
		*expires = request->expires;
	if (*expires == SCAN_ABSENT)
		*expires = registrar->config.expires_default_s;
	if (*expires > 0 && *expires < registrar->config.expires_min_s)
		return (struct refusal){423, NULL, &registrar->counters.registrar_too_brief};
	if (*expires > registrar->config.expires_max_s)
		*expires = registrar->config.expires_max_s;
	return accepted;
}

static struct refusal plan_contact(struct registrar *registrar, const struct exchange *exchange,
	struct span value, struct plan *plan)
{
	struct location_contact contact;
	uint32_t expires;
	struct refusal refusal = read_contact(registrar, exchange, value, &contact, &expires);
	if (refusal.code)
		return refusal;
	struct planned *planned = plan->binding, *end = plan->binding + plan->count;
	while (planned < end && !location_same_contact(&planned->contact, &contact))
		planned++;
	if (planned == end && expires == 0)
		return accepted;
	if (planned == end) {
		plan->count++;
		*planned = (struct planned){.slot = LOCATION_NONE};
	} else if (planned->slot != LOCATION_NONE && !planned->changed &&
		   !settle_order(registrar, plan, exchange->request->cseq, planned)) {
		return out_of_order(registrar);
	}
	if (planned->settled)
		return accepted;
	/* The last of several values for one contact counts. */
	planned->contact = contact;
	planned->expires_s = expires;
	planned->removed = expires == 0;
	planned->changed = true;
	return accepted;
}

/* Is there room for what is planned? */
static struct refusal plan_room(struct registrar *registrar, const struct plan *plan)
{
	uint32_t bound = 0, added = 0, removed = 0;
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct planned *planned = &plan->binding[i];
		bound += !planned->removed;
		added += planned->slot == LOCATION_NONE && !planned->removed;
		removed += planned->slot != LOCATION_NONE && planned->removed;
	}
	if (added == 0)
		return accepted;
	if (bound > LOCATION_AOR_MAX)
		return refuse(registrar, 403, "Too Many Bindings");
	uint32_t needed = added > removed ? added - removed : 0;
	registrar->counters.registrar_bindings_expired += location_make_room(
		&registrar->location, needed, plan->now_ms);
	if (bound + plan->found.others > LOCATION_USER_MAX ||
		needed > location_room(&registrar->location))
		return (struct refusal){
			503, "Binding Table Full", &registrar->counters.registrar_full};
	return accepted;
}

static struct refusal plan_all(
	struct registrar *registrar, const struct exchange *exchange, struct plan *plan)
{
	const struct sip_message *request = exchange->request;
	if (request->contact_star)
		return plan_star(registrar, request, plan);
	for (unsigned i = 0; i < request->contacts; i++) {
		struct refusal refusal = plan_contact(
			registrar, exchange, request->contact[i], plan);
		if (refusal.code)
			return refusal;
	}
	return plan_room(registrar, plan);
}

/* Removals come first: they make the room that additions were promised. */
static void carry_out(struct registrar *registrar, const struct plan *plan, uint32_t cseq)
{
	struct location *location = &registrar->location;
	for (uint32_t i = 0; i < plan->count; i++)
		if (plan->binding[i].removed && plan->binding[i].slot != LOCATION_NONE)
			location_remove(location, plan->binding[i].slot);
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct planned *planned = &plan->binding[i];
		if (planned->removed || !planned->changed)
			continue;
		uint32_t expiry_ms = plan->now_ms + planned->expires_s * 1000;
		if (planned->slot == LOCATION_NONE)
			location_add(location, plan->key, &planned->contact, plan->call_id, cseq,
				expiry_ms);
		else
			location_update(location, planned->slot, &planned->contact, plan->call_id,
				cseq, expiry_ms);
	}
}

static void send_refusal(
	struct registrar *registrar, const struct exchange *exchange, const struct refusal *refusal)
{
	struct answer answer;
	(*refusal->counter)++;
	begin(exchange, &answer, refusal->code, refusal->reason);
	if (refusal->code == 423)
		add_line_number(&answer, "Min-Expires: ", registrar->config.expires_min_s);
	send_answer(registrar, exchange, &answer);
}

/* Does the answer tell of nothing but what the request asks to be bound? Then all requests of its skeleton
 * that have such an answer have the same. */
static bool is_usual(const struct exchange *exchange, const struct plan *plan)
{
	if (exchange->habit == NULL || plan->count > 1)
		return false;
	return plan->count == 0 || plan->binding[0].removed || plan->binding[0].changed;
}

static bool begin_granted(const struct registrar *registrar, const struct exchange *exchange,
	const struct plan *plan, struct answer *answer)
{
	begin(exchange, answer, 200, NULL);
	for (uint32_t i = 0; i < plan->count; i++) {
		const struct planned *planned = &plan->binding[i];
		if (planned->removed)
			continue;
		answer_string(answer, "Contact: <");
		answer_foreign(answer, planned->contact.uri, planned->contact.length);
		add_line_number(answer, ">;expires=", planned->expires_s);
	}
	return answer_fits(answer) && answer->length + strlen(registrar->tail) <= ANSWER_MAX;
}

/* The answer is put together before anything is done, so that one that does not fit leaves the
 * bindings as they were. */
static void bind_contacts(
	struct registrar *registrar, const struct exchange *exchange, const struct sip_uri *aor)
{
	struct plan plan;
	struct answer answer;
	plan_begin(registrar, exchange, aor, &plan);
	struct refusal refusal = plan_all(registrar, exchange, &plan);
	struct answer_shape *shape = is_usual(exchange, &plan) ? granted_shape(exchange) : NULL;
	const bool shaped = shape != NULL && answer_shape_fits(shape, exchange->request);
	if (refusal.code == 0 && !shaped && !begin_granted(registrar, exchange, &plan, &answer)) {
		registrar->counters.registrar_too_long++;
		refusal = refuse(registrar, 513, NULL);
	}
	if (refusal.code) {
		send_refusal(registrar, exchange, &refusal);
		return;
	}
	registrar->counters.registrar_register_ok++;
	if (shaped)
		send_shape(registrar, exchange, shape, NULL);
	else
		send_and_learn(registrar, exchange, &answer, shape);
	carry_out(registrar, &plan, exchange->request->cseq);
}

static void handle_register(struct registrar *registrar, const struct exchange *exchange)
{
	struct sip_uri aor;
	if (!habit_aor(exchange->habit, exchange->request, &aor) || aor.user.length == 0) {
		registrar->counters.registrar_refused++;
		send_code(registrar, exchange, 404, NULL);
		return;
	}
	if (registrar->digest != NULL && !authenticate(registrar, exchange, &aor))
		return;
	bind_contacts(registrar, exchange, &aor);
}

/* --- other requests -------------------------------------------------------------------------- */

static void handle_options(struct registrar *registrar, const struct exchange *exchange)
{
	struct answer answer;
	registrar->counters.registrar_options++;
	if (send_shape(registrar, exchange, granted_shape(exchange), NULL))
		return;
	begin(exchange, &answer, 200, NULL);
	answer_string(&answer, "Accept: application/sdp\r\n");
	answer_text(&answer, allow, sizeof(allow) - 1);
	answer_string(&answer, "Supported: \r\n");
	send_and_learn(registrar, exchange, &answer, granted_shape(exchange));
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
		send_code(registrar, exchange, 481, NULL);
		return;
	}
	begin(exchange, &answer, is_known_method(exchange->request) ? 405 : 501, NULL);
	answer_text(&answer, allow, sizeof(allow) - 1);
	send_answer(registrar, exchange, &answer);
}

static void refuse_extension(struct registrar *registrar, const struct exchange *exchange)
{
	const struct sip_message *request = exchange->request;
	struct answer answer;
	if (request->method == SIP_REGISTER)
		registrar->counters.registrar_refused++;
	else
		registrar->counters.registrar_other++;
	begin(exchange, &answer, 420, NULL);
	answer_string(&answer, "Unsupported: ");
	answer_foreign(&answer, span_text(request, request->require), request->require.length);
	answer_string(&answer, "\r\n");
	send_answer(registrar, exchange, &answer);
}

/* --- faults ---------------------------------------------------------------------------------- */

static void drain(struct registrar *registrar, const struct exchange *exchange)
{
	struct answer answer;
	registrar->counters.registrar_drained++;
	begin(exchange, &answer, 503, NULL);
	if (registrar->faults.retry_after_s > 0)
		add_line_number(&answer, "Retry-After: ", registrar->faults.retry_after_s);
	send_answer(registrar, exchange, &answer);
}

/* Some codes are not well formed without a header that goes with them. */
static void reject(struct registrar *registrar, const struct exchange *exchange)
{
	uint16_t code = registrar->faults.reject_code;
	struct answer answer;
	registrar->counters.registrar_rejected++;
	begin(exchange, &answer, code, NULL);
	if (code == 401 && registrar->digest != NULL)
		add_challenges(registrar, &answer, "WWW-Authenticate: ", false);
	if (code == 407 && registrar->digest != NULL)
		add_challenges(registrar, &answer, "Proxy-Authenticate: ", false);
	if (code == 405)
		answer_text(&answer, allow, sizeof(allow) - 1);
	if (code == 423)
		add_line_number(&answer, "Min-Expires: ", registrar->config.expires_min_s);
	if (code == 503 && registrar->faults.retry_after_s > 0)
		add_line_number(&answer, "Retry-After: ", registrar->faults.retry_after_s);
	send_answer(registrar, exchange, &answer);
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
	uint32_t index;
	location_fetch(&registrar->location, registrar->hash_seed, text, user.length, near);
	if (near && registrar->ha1_room > 0 &&
		identity_guess_user(registrar->config.identities, text, user.length, &index) &&
		index < registrar->ha1_room)
		__builtin_prefetch(
			registrar->ha1 + (size_t)index * digest_bytes(registrar->ha1_algorithm), 1);
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
