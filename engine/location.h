/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The built-in registrar's bindings: a table of fixed capacity from address-of-record to contacts.
 *
 * An address-of-record is known by a keyed 64-bit hash of user and lower-case host, never by its
 * text. Chains hang on the hash of the user alone, so that one can ask for a user at any host; how
 * many bindings one user may have over all hosts is bounded, hence so are the chains. Memory is
 * taken once. Time is milliseconds modulo 2^32, so no binding may last longer than 24 days. Owned
 * by one thread.
 */
#ifndef SIPHERD_LOCATION_H
#define SIPHERD_LOCATION_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOCATION_NONE UINT32_MAX
#define LOCATION_CONTACT_MAX 120 /* bytes of a contact's URI */
#define LOCATION_AOR_MAX 8       /* bindings of one address-of-record */
#define LOCATION_USER_MAX 64     /* bindings of one user over all hosts */
#define LOCATION_EXPIRES_MAX_S 2147000u

struct location_key {
	uint64_t aor, user;
};

/* A contact's URI as it was written, and where its host stands, which has no case. */
struct location_contact {
	const char *uri;
	uint8_t length, host_at, host_length;
};

struct location_binding {
	uint64_t aor, user; /* its key; user says in which chain it is */
	uint32_t call_id;   /* keyed hash, compared with one other only */
	uint32_t next;      /* in the chain, or in the list of free slots */
	uint32_t cseq;
	uint8_t length, host_at, host_length; /* of uri */
	char uri[LOCATION_CONTACT_MAX + 1];   /* the odd byte would be padding; no NUL is kept */
};
/* With its expiry and its share of the chain heads, eight bytes more. */
static_assert(sizeof(struct location_binding) + 2 * sizeof(uint32_t) <= 160,
	"a binding takes at most 160 bytes");

struct location {
	struct location_binding *binding;
	uint32_t *expiry_ms; /* by slot; 0: free */
	uint32_t *head;      /* first slot of each chain, as many as slots */
	uint32_t capacity;
	uint32_t fresh;    /* slots from here on were never used */
	uint32_t free;     /* list of slots that were */
	uint32_t bindings; /* in use, those that ran out and were not met since included */
	uint32_t aors;     /* addresses-of-record with a binding, likewise */
	uint32_t sweep;    /* next slot to look at */
	uint32_t reclaim;  /* likewise, of location_make_room */
	uint64_t sweep_us; /* when this pass began */
};

int location_open(struct location *location, uint32_t capacity); /* -ENOMEM, -EINVAL: capacity 0 */
void location_close(struct location *location);

/* Drop everything. */
void location_clear(struct location *location);

struct location_key location_key(
	uint64_t seed, const char *user, size_t user_length, const char *host, size_t host_length);

/* What find has found: live bindings of the address-of-record, and how many others the user has. */
struct location_found {
	uint32_t slot[LOCATION_AOR_MAX];
	uint32_t count, others;
	uint32_t expired; /* bindings of the user that had run out and were dropped on the way */
};
void location_find(struct location *location, struct location_key key, uint32_t now_ms,
	struct location_found *out);

/* Fetch the memory that this user's bindings are found by, or, when it is there, theirs. */
void location_fetch(const struct location *location, uint64_t seed, const char *user, size_t length,
	bool bindings);

/* Has this user, at any host, a live binding? */
bool location_has_user(const struct location *location, uint64_t seed, const char *user,
	size_t length, uint32_t now_ms);

/* A new binding; there must be room (location_room) and both bounds must have been kept. */
void location_add(struct location *location, struct location_key key,
	const struct location_contact *contact, uint32_t call_id, uint32_t cseq,
	uint32_t expiry_ms);
void location_update(struct location *location, uint32_t slot,
	const struct location_contact *contact, uint32_t call_id, uint32_t cseq,
	uint32_t expiry_ms);
void location_remove(struct location *location, uint32_t slot);

static inline uint32_t location_room(const struct location *location)
{
	return location->capacity - location->bindings;
}

/* Seconds a live binding still has, rounded down, at least 1. */
uint32_t location_remaining_s(const struct location *location, uint32_t slot, uint32_t now_ms);

/* Equal as URIs: byte by byte, the host without regard to case. */
bool location_same_contact(const struct location_contact *a, const struct location_contact *b);

static inline struct location_contact location_contact(
	const struct location *location, uint32_t slot)
{
	const struct location_binding *binding = &location->binding[slot];
	return (struct location_contact){
		binding->uri, binding->length, binding->host_at, binding->host_length};
}

/*
 * Drop bindings that ran out: a pass over the table takes a second, a call at most a bounded
 * budget. Returns how many were dropped; *behind says that the budget ended the call.
 */
uint32_t location_sweep(struct location *location, uint64_t now_us, bool *behind);

/* Look, within the same budget, for bindings that ran out until there is room for so many. Returns
 * how many were dropped. A table that fits the budget is never full of what ran out. */
uint32_t location_make_room(struct location *location, uint32_t needed, uint32_t now_ms);

#endif
