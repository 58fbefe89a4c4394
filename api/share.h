/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * This process' share in the fleet: the image file, the mirror, the embedded Redis, the store, and
 * which phones are driven here. With `store: none` there is none of it but the mirror where HTTP is
 * served, and all phones are driven here.
 *
 * In this order: share_open, wire_open (with share->mirror), wire_start, share_start, then per second
 * share_publish; at the end share_stop, HERD_STOP, share_leave, share_end, wire_close, share_close.
 */
#ifndef SIPHERD_SHARE_H
#define SIPHERD_SHARE_H

#include <ev.h>
#include <jansson.h>
#include <stdio.h>

#include "embedded.h"
#include "fleet.h"
#include "store.h"
#include "wire.h"

#define SHARE_WORDS_MAX 400
#define SHARE_OWNER_MAX STORE_NODE_MAX

struct share {
	const struct fleet *fleet;
	struct wire *wire;
	struct mirror *mirror; /* NULL: nothing is stored and nobody watches */
	struct image image;
	bool has_image; /* else `store: none` */
	struct embedded embedded;
	bool has_embedded;
	char pointer[FLEET_TEXT_MAX + 80]; /* tells `sipherd fleet` the embedded socket; or empty */
	struct target target;              /* of the store in use */
	char words[SHARE_WORDS_MAX];       /* where the store is */
	struct store *store;               /* NULL: on the image file alone, or none at all */
	struct store_status status;        /* as of the last share_update */
	uint32_t driven, nodes;            /* of it, when the end began */
	bool announce;                     /* addresses are told to a link */
	bool stopping;                     /* nothing is adopted any more */
	bool left;
	uint32_t phones; /* driven here */
	char state_name[PHONE_STATES][PROXIES][48];
	void *context;
	void (*say)(void *context, bool warning, const char *message);
};

/* What has to be there before the wire is opened. watched: HTTP is to show the phones. say gets lines
 * for people from then on. EXIT_DONE or an exit code after a message. */
int share_open(struct share *share, const struct fleet *fleet, unsigned workers, bool watched,
	void *context, void (*say)(void *context, bool warning, const char *message));

/* The wire runs: phones may be driven, at once or as leases come. EXIT_DONE or an exit code. */
int share_start(struct share *share, struct wire *wire, struct ev_loop *loop, bool announce);

/* Phones of other generators are off here: take them out of the picture, so that it is of ours. */
void share_only_ours(const struct share *share, struct herd_population *population);
/* Take a copy of the store's status; cheap. */
void share_update(struct share *share);
/* Once a second: what monitors may know of this node. */
void share_publish(struct share *share, const struct wire_snapshot *now);
/* The store in one line; empty when there is none. */
void share_line(const struct share *share, char *out, size_t size);

/* From now on nothing is adopted. */
void share_stop(struct share *share);
/* Give the leases back; share_is_quiet says when all is flushed and given back. */
void share_leave(struct share *share);
bool share_is_quiet(const struct share *share);
/* The store ends; before wire_close. */
void share_end(struct share *share);
/* All the rest; after wire_close. */
void share_close(struct share *share);

/* The socket of a Redis on this host that anybody may ask, or NULL. */
const char *share_socket(const struct share *share);

/* What the store is, in one word: none, image, embedded, single, unix, sentinel, cluster. */
const char *share_kind(const struct share *share);
bool share_has_redis(const struct share *share);

/* The other node that drives this shard, as far as is known; NULL: nobody is, or it is on its way to us. */
const char *share_owner(const struct share *share, uint32_t shard, char out[SHARE_OWNER_MAX]);

/* For the summary. */
void share_print(const struct share *share, FILE *out);
json_t *share_json(const struct share *share);

#endif
