/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One page of header, a fixed table of tokens, then the records as one array; every part begins on
 * a page of its own. The table is as large as the largest fleet needs, so that a fleet of another
 * size is only a longer or shorter file.
 *
 * The blocks are reserved when the file is made (posix_fallocate): a write to a mapped hole of a
 * full disk would be SIGBUS in the middle of a worker. Reserving takes no longer than making a hole
 * where the file system has extents, and the error comes now, to be told with its remedy.
 */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAGIC 0x64726568706973ffull /* in the byte order of this machine: another's does not fit */
#define VERSION 1
#define SHARDS_AT 4096
#define SHARDS_MAX 131072 /* 1.3 billion phones */
#define RECORDS_AT (SHARDS_AT + SHARDS_MAX * sizeof(struct image_shard))
#define OPEN_TRIES 100 /* another process moved the file aside between two of our steps */

struct header {
	uint64_t magic;
	uint32_t version, record_size, record_version, shard_phones;
	uint32_t phones;
	uint32_t tag; /* drawn when the file was made: no two hosts of one name are one node */
	char fleet[64];
	uint64_t check; /* XXH3 of everything before */
};
static_assert(sizeof(struct header) <= SHARDS_AT, "one page");
static_assert(RECORDS_AT % 4096 == 0, "records begin on a page");

static int fail(int error, char reason[IMAGE_REASON_MAX], const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(int error, char reason[IMAGE_REASON_MAX], const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(reason, IMAGE_REASON_MAX, format, arguments);
	va_end(arguments);
	return -error;
}

static size_t length_of(uint32_t phones)
{
	return RECORDS_AT + (size_t)phones * RECORD_SIZE;
}

static uint32_t shards_of(uint32_t phones)
{
	return phones / SHARD_PHONES + (phones % SHARD_PHONES != 0);
}

static uint64_t check_of(const struct header *header)
{
	return XXH3_64bits(header, offsetof(struct header, check));
}

/* A folder that strangers may write to could hold their traps instead of our files. */
static int check_folder(const char *dir, char reason[IMAGE_REASON_MAX])
{
	struct stat stat_of;
	if (stat(dir, &stat_of) != 0)
		return fail(
			errno, reason, "cannot use the folder %.200s: %s", dir, strerror(errno));
	const bool ours = stat_of.st_uid == geteuid() || stat_of.st_uid == 0;
	if (ours && (!(stat_of.st_mode & S_IWOTH) || (stat_of.st_mode & S_ISVTX)))
		return 0;
	return fail(EPERM, reason,
		"the folder %.200s is another user's, or everybody may write to it; choose one "
		"that only this user may write to",
		dir);
}

/* Like mkdir -p; what is made is for its owner only. */
static int make_folder(const char *dir, char reason[IMAGE_REASON_MAX])
{
	char path[PATH_MAX];
	if (snprintf(path, sizeof(path), "%s", dir) >= (int)sizeof(path))
		return fail(ENAMETOOLONG, reason,
			"the folder of the image file has too long a name; choose another");
	for (char *at = path + 1;; at++) {
		const char was = *at;
		if (was != '/' && was != '\0')
			continue;
		*at = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST) {
			const int error = errno;
			return fail(error, reason,
				"cannot make the folder %.200s for the image file: %s; make it "
				"writable for this user or choose another",
				path, strerror(error));
		}
		if (was == '\0')
			return check_folder(dir, reason);
		*at = was;
	}
}

static uint32_t draw_tag(void)
{
	uint32_t tag = 0;
	if (getrandom(&tag, sizeof(tag), 0) != sizeof(tag))
		tag = (uint32_t)time(NULL) ^ (uint32_t)getpid();
	return tag;
}

static void name_node(struct image *image, uint32_t tag)
{
	char host[64];
	if (gethostname(host, sizeof(host)) != 0)
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	for (char *at = host; *at != '\0'; at++)
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
			    *at) == NULL)
			*at = '_';
	snprintf(image->node, sizeof(image->node), "%s-%u-%06x",
		host[0] == '\0' ? "localhost" : host, image->slot, tag & 0xffffff);
}

static int lock_error(int error, const char *path, char reason[IMAGE_REASON_MAX])
{
	if (error == EACCES || error == EPERM || error == EROFS)
		return fail(error, reason,
			"cannot open the image file %.200s: %s; it belongs to another user or the "
			"folder is not writable: give this user the folder or choose another",
			path, strerror(error));
	if (error == ELOOP)
		return fail(error, reason,
			"the image file %.200s is a symbolic link, which is not followed; remove "
			"it",
			path);
	return fail(error, reason, "cannot use the image file %.200s: %s", path, strerror(error));
}

/* Open and lock this slot's file, made if it is missing. -EWOULDBLOCK: somebody has it, -ESTALE: it
 * was moved aside just now. */
static int lock_slot(struct image *image, char reason[IMAGE_REASON_MAX])
{
	struct stat ours, named;
	const int fd = open(
		image->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return lock_error(errno, image->path, reason);
	int error = 0;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		error = errno == EWOULDBLOCK ? EWOULDBLOCK
					     : -lock_error(errno, image->path, reason);
	else if (fstat(fd, &ours) != 0)
		error = -lock_error(errno, image->path, reason);
	else if (stat(image->path, &named) != 0 || named.st_ino != ours.st_ino ||
		 named.st_dev != ours.st_dev)
		error = ESTALE;
	else if (!S_ISREG(ours.st_mode))
		error = -fail(EINVAL, reason, "%.200s is not a file; remove it", image->path);
	if (error != 0) {
		close(fd);
		return -error;
	}
	image->fd = fd;
	return 0;
}

/* Why this file cannot be used, or NULL. *fresh: there is nothing in it yet. */
static const char *judge(int fd, const char *fleet, struct header *header, bool *fresh)
{
	static const struct header nothing;
	struct stat stat;
	*fresh = false;
	memset(header, 0, sizeof(*header));
	if (fstat(fd, &stat) != 0 || pread(fd, header, sizeof(*header), 0) < 0)
		return "cannot be read";
	if (memcmp(header, &nothing, sizeof(nothing)) == 0) {
		*fresh = true;
		return NULL;
	}
	if (header->magic != MAGIC)
		return "is no image file of this kind of machine";
	if (header->version != VERSION || header->record_version != RECORD_VERSION ||
		header->record_size != RECORD_SIZE || header->shard_phones != SHARD_PHONES)
		return "is of another version of sipherd";
	if (header->check != check_of(header) || (size_t)stat.st_size < length_of(header->phones) ||
		shards_of(header->phones) > SHARDS_MAX)
		return "is damaged";
	if (strncmp(header->fleet, fleet, sizeof(header->fleet)) != 0)
		return "is another fleet's";
	return NULL;
}

static int write_header(
	struct image *image, const char *fleet, uint32_t tag, char reason[IMAGE_REASON_MAX])
{
	struct header header = {.magic = MAGIC,
		.version = VERSION,
		.record_size = RECORD_SIZE,
		.record_version = RECORD_VERSION,
		.shard_phones = SHARD_PHONES,
		.phones = image->phones,
		.tag = tag};
	snprintf(header.fleet, sizeof(header.fleet), "%s", fleet);
	header.check = check_of(&header);
	if (pwrite(image->fd, &header, sizeof(header), 0) == sizeof(header))
		return 0;
	return lock_error(errno == 0 ? EIO : errno, image->path, reason);
}

static int reserve(struct image *image, char reason[IMAGE_REASON_MAX])
{
	const int error = posix_fallocate(image->fd, 0, (off_t)image->length);
	if (error == 0)
		return 0;
	const unsigned long mib = (unsigned long)(image->length >> 20) + 1;
	if (error == ENOSPC || error == EDQUOT)
		return fail(error, reason,
			"no room for the image file %.160s: it needs %lu MiB; free as much there, "
			"choose another folder, or run fewer phones",
			image->path, mib);
	if (error == EFBIG)
		return fail(error, reason,
			"the image file %.160s may not become %lu MiB large: raise the limit on "
			"file sizes (ulimit -f) or choose another folder",
			image->path, mib);
	return fail(error, reason, "cannot reserve %lu MiB for the image file %.160s: %s", mib,
		image->path, strerror(error));
}

/* The file was a larger fleet's: tokens beyond ours go, so that they cannot come back when the
 * fleet grows again. */
static int forget(struct image *image, uint32_t shards_before, char reason[IMAGE_REASON_MAX])
{
	static const struct image_shard none;
	for (uint32_t shard = image->shards; shard < shards_before; shard++) {
		const off_t at = SHARDS_AT + (off_t)(shard * sizeof(none));
		if (pwrite(image->fd, &none, sizeof(none), at) != sizeof(none))
			return lock_error(errno == 0 ? EIO : errno, image->path, reason);
	}
	return 0;
}

/* Make the file as long as this fleet needs. At every moment the header tells of no more records
 * than there are, and records beyond what it tells are cut off before the file grows. */
static int fit(struct image *image, const struct header *before, const char *fleet,
	char reason[IMAGE_REASON_MAX])
{
	const bool smaller = image->phones < before->phones;
	const uint32_t tag = image->fresh ? draw_tag() : before->tag;
	const size_t kept = image->fresh ? 0 : length_of(smaller ? image->phones : before->phones);
	int error = 0;
	if (!image->fresh && smaller) {
		error = forget(image, shards_of(before->phones), reason);
		if (error == 0)
			error = write_header(image, fleet, tag, reason);
	}
	if (error == 0 && ftruncate(image->fd, (off_t)kept) != 0)
		error = lock_error(errno, image->path, reason);
	if (error == 0)
		error = reserve(image, reason);
	if (error == 0)
		error = write_header(image, fleet, tag, reason);
	name_node(image, tag);
	return error;
}

static int map(struct image *image, char reason[IMAGE_REASON_MAX])
{
	/* Populated: a worker's first write to each page should not be a page fault. */
	image->map = mmap(NULL, image->length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		image->fd, 0);
	if (image->map == MAP_FAILED) {
		const int error = errno;
		image->map = NULL;
		return fail(error, reason, "cannot map the image file %.200s: %s", image->path,
			strerror(error));
	}
	image->shard = (struct image_shard *)((char *)image->map + SHARDS_AT);
	image->record = (struct phone_record *)((char *)image->map + RECORDS_AT);
	return 0;
}

/* Under our lock: what is in the file is kept, or moved aside and -ESTALE. */
static int use_slot(struct image *image, const char *fleet, char warning[IMAGE_REASON_MAX],
	char reason[IMAGE_REASON_MAX])
{
	struct header header;
	const char *trouble = judge(image->fd, fleet, &header, &image->fresh);
	if (trouble == NULL) {
		int error = fit(image, &header, fleet, reason);
		return error != 0 ? error : map(image, reason);
	}
	char old[sizeof(image->path) + 4];
	snprintf(old, sizeof(old), "%s.old", image->path);
	if (rename(image->path, old) != 0)
		return lock_error(errno, image->path, reason);
	snprintf(warning, IMAGE_REASON_MAX, "image file %.150s %s: moved aside to %.150s",
		image->path, trouble, old);
	return -ESTALE;
}

static int open_slot(struct image *image, const char *fleet, char warning[IMAGE_REASON_MAX],
	char reason[IMAGE_REASON_MAX])
{
	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		int error = lock_slot(image, reason);
		if (error == 0) {
			error = use_slot(image, fleet, warning, reason);
			if (error == 0)
				return 0;
			close(image->fd);
			image->fd = -1;
		}
		if (error != -ESTALE)
			return error;
	}
	return fail(EBUSY, reason, "the image file %.200s changes all the time", image->path);
}

int image_open(struct image *image, const char *dir, const char *fleet, uint32_t phones,
	char warning[IMAGE_REASON_MAX], char reason[IMAGE_REASON_MAX])
{
	memset(image, 0, sizeof(*image));
	warning[0] = reason[0] = '\0';
	image->fd = -1;
	image->phones = phones;
	image->shards = shards_of(phones);
	image->length = length_of(phones);
	if (image->shards > SHARDS_MAX)
		return fail(EFBIG, reason, "an image file holds at most %u phones",
			SHARDS_MAX * (unsigned)SHARD_PHONES);
	int error = make_folder(dir, reason);
	if (error != 0)
		return error;
	for (unsigned slot = 0; slot < IMAGE_SLOTS; slot++) {
		image->slot = slot;
		if (snprintf(image->path, sizeof(image->path), "%s/%s.%u.image", dir, fleet,
			    slot) >= (int)sizeof(image->path))
			return fail(ENAMETOOLONG, reason,
				"the image file has too long a name; choose another folder");
		error = open_slot(image, fleet, warning, reason);
		if (error == -EWOULDBLOCK)
			continue;
		return error;
	}
	return fail(EBUSY, reason,
		"%u processes of fleet %s have their image files in %.200s already; stop one or "
		"give "
		"this one another folder",
		IMAGE_SLOTS, fleet, dir);
}

void image_close(struct image *image)
{
	if (image->map != NULL) {
		msync(image->map, image->length, MS_SYNC);
		munmap(image->map, image->length);
	}
	if (image->fd >= 0)
		close(image->fd);
	memset(image, 0, sizeof(*image));
	image->fd = -1;
}
