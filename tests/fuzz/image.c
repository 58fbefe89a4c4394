/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An image file that a full disk, another version, a torn copy or a stranger has left behind. Input:
 * how many phones the file was made for (2 bytes) and is opened for (2 bytes), then changes to it, of
 * four bytes each: what, where (2 bytes), a value. Whatever it holds, the file is used as it is or
 * moved aside with a reason, and from then on holds what is written to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "image.h"

/* The file's layout, said once more: a file of yesterday's build must be understood. */
#define CHECK_AT 96
#define PHONES_AT 24
#define HEADER_SIZE 104
#define SHARDS_AT 4096
#define RECORDS_AT (SHARDS_AT + 131072 * 8)
#define PHONES_MAX 25000 /* three shards */
#define FLEET "f1"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

enum change { HEADER_BYTE, SHARD_BYTE, RECORD_BYTE, CUT, EMPTY, MEND, CHANGES };

static char folder[64], path[96], aside[104];

static void remove_files(void)
{
	unlink(path);
	unlink(aside);
}

static void remove_folder(void)
{
	remove_files();
	rmdir(folder);
}

static void make_folder(void)
{
	if (folder[0] != '\0')
		return;
	snprintf(folder, sizeof(folder), "%s/sipherd-fuzz-image.XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	require(mkdtemp(folder) != NULL);
	snprintf(path, sizeof(path), "%s/" FLEET ".0.image", folder);
	snprintf(aside, sizeof(aside), "%s.old", path);
	atexit(remove_folder);
}

static void open_image(struct image *image, uint32_t phones, char warning[IMAGE_REASON_MAX])
{
	char reason[IMAGE_REASON_MAX];
	struct stat stat_of;
	if (image_open(image, folder, FLEET, phones, warning, reason) != 0) {
		fprintf(stderr, "%s\n", reason);
		abort();
	}
	require(image->phones == phones && image->shards == (phones + 9999) / 10000);
	require(image->slot == 0 && strcmp(image->path, path) == 0);
	require(strlen(image->node) < IMAGE_NODE_MAX && strlen(image->node) > 9);
	require(fstat(image->fd, &stat_of) == 0);
	require((size_t)stat_of.st_size == RECORDS_AT + (size_t)phones * RECORD_SIZE);
}

static uint8_t filling(uint32_t phone, uint32_t byte)
{
	return (uint8_t)(phone * 7 + byte * 13 + 1);
}

static void fill(struct image *image)
{
	uint8_t bytes[RECORD_SIZE];
	for (uint32_t phone = 0; phone < image->phones; phone++) {
		for (uint32_t i = 0; i < RECORD_SIZE; i++)
			bytes[i] = filling(phone, i);
		record_restore(&image->record[phone], bytes);
	}
	for (uint32_t shard = 0; shard < image->shards; shard++)
		atomic_store(&image->shard[shard].mine, 1000 + shard);
}

static void require_filled(const struct image *image)
{
	uint8_t bytes[RECORD_SIZE];
	for (uint32_t phone = 0; phone < image->phones; phone++) {
		record_copy(&image->record[phone], bytes);
		for (uint32_t i = 0; i < RECORD_SIZE; i++)
			require(bytes[i] == filling(phone, i));
	}
	for (uint32_t shard = 0; shard < image->shards; shard++)
		require(atomic_load(&image->shard[shard].mine) == 1000 + shard);
}

static void put_byte(int fd, size_t at, uint8_t value)
{
	require(pwrite(fd, &value, 1, (off_t)at) == 1);
}

/* What a checksum cannot see: the header is changed, and its check agrees. */
static void mend(int fd)
{
	uint8_t header[HEADER_SIZE] = {0};
	if (pread(fd, header, sizeof(header), 0) != sizeof(header))
		return;
	const uint64_t check = XXH3_64bits(header, CHECK_AT);
	require(pwrite(fd, &check, sizeof(check), CHECK_AT) == sizeof(check));
}

static void change_file(uint32_t phones, const uint8_t *data, size_t size)
{
	const size_t length = RECORDS_AT + (size_t)phones * RECORD_SIZE;
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	require(fd >= 0);
	for (; size >= 4; data += 4, size -= 4) {
		const size_t where = (size_t)data[1] << 8 | data[2];
		const uint8_t value = data[3];
		switch (data[0] % CHANGES) {
		case HEADER_BYTE:
			put_byte(fd, where % HEADER_SIZE, value);
			break;
		case SHARD_BYTE:
			put_byte(fd, SHARDS_AT + where, value);
			break;
		case RECORD_BYTE:
			put_byte(fd, RECORDS_AT + where, value);
			break;
		case CUT:
			require(ftruncate(fd, (off_t)(length * where / 60000)) == 0);
			break;
		case EMPTY:
			require(ftruncate(fd, value & 1 ? HEADER_SIZE / 2 : 0) == 0);
			break;
		default:
			mend(fd);
		}
	}
	close(fd);
}

/* Records are whatever they are, but never more than their 32 bytes say. */
static void require_readable(const struct image *image)
{
	uint8_t bytes[RECORD_SIZE], again[RECORD_SIZE];
	struct record_view view;
	for (uint32_t phone = 0; phone < image->phones; phone++) {
		record_load(&image->record[phone], &view);
		record_copy(&image->record[phone], bytes);
		record_format(&view, again);
		require(memcmp(bytes, again, sizeof(bytes)) == 0);
		require(record_last_tried(&image->record[phone]) <= PROXIES);
		require(record_cause_name(view.cause) != NULL);
		require(phone_state_name(view.phase) != NULL);
	}
}

/* What the file held before it was opened: the records that must still be there. */
static size_t read_before(uint8_t *out, size_t size, uint32_t *phones)
{
	uint32_t told = 0;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	require(fd >= 0);
	require(pread(fd, &told, sizeof(told), PHONES_AT) >= 0);
	const ssize_t n = pread(fd, out, size, RECORDS_AT);
	require(n >= 0);
	close(fd);
	*phones = told;
	return (size_t)n;
}

/* Kept: every phone that both have is as it was, and those that are new are blank. */
static void require_kept(
	const struct image *image, const uint8_t *before, size_t length, uint32_t phones)
{
	static const uint8_t blank[RECORD_SIZE];
	uint8_t bytes[RECORD_SIZE];
	for (uint32_t phone = 0; phone < image->phones; phone++) {
		record_copy(&image->record[phone], bytes);
		const uint8_t *expected = blank;
		if (phone < phones && !image->fresh) {
			require((size_t)(phone + 1) * RECORD_SIZE <= length);
			expected = before + (size_t)phone * RECORD_SIZE;
		}
		require(memcmp(bytes, expected, RECORD_SIZE) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t before[PHONES_MAX * RECORD_SIZE];
	char warning[IMAGE_REASON_MAX], node[IMAGE_NODE_MAX];
	struct image image;
	uint32_t phones;
	if (size < 4)
		return 0;
	make_folder();
	const uint32_t made_for = ((uint32_t)data[0] << 8 | data[1]) % PHONES_MAX + 1;
	const uint32_t opened_for = ((uint32_t)data[2] << 8 | data[3]) % PHONES_MAX + 1;
	open_image(&image, made_for, warning);
	require(image.fresh && warning[0] == '\0');
	fill(&image);
	image_close(&image);
	change_file(made_for, data + 4, size - 4);
	const size_t length = read_before(before, sizeof(before), &phones);

	open_image(&image, opened_for, warning);
	require((warning[0] != '\0') == (access(aside, F_OK) == 0));
	require(warning[0] == '\0' || image.fresh);
	require_kept(&image, before, length, phones);
	require_readable(&image);
	fill(&image);
	strcpy(node, image.node);
	image_close(&image);

	open_image(&image, opened_for, warning);
	require(!image.fresh && warning[0] == '\0' && strcmp(node, image.node) == 0);
	require_filled(&image);
	image_close(&image);
	remove_files();
	return 0;
}
