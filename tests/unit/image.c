/* SPDX-License-Identifier: BSD-3-Clause */
/* Image file: what was written survives kill -9, other files are told apart, nobody shares a slot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "image.h"

static char folder[64];
static char warning[IMAGE_REASON_MAX], reason[IMAGE_REASON_MAX];

static int remove_entry(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
	(void)stat, (void)kind, (void)where;
	return remove(path);
}

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/sipherd-image.XXXXXX");
	return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
	(void)state;
	return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void open_well(struct image *image, uint32_t phones)
{
	if (image_open(image, folder, "f1", phones, warning, reason) != 0)
		fail_msg("%s", reason);
}

static void write_phone(struct image *image, uint32_t phone, uint64_t value)
{
	for (int i = 0; i < 4; i++)
		atomic_store_explicit(
			&image->record[phone].word[i], value + i, memory_order_relaxed);
}

static uint64_t read_phone(const struct image *image, uint32_t phone)
{
	return atomic_load_explicit(&image->record[phone].word[0], memory_order_relaxed);
}

static void a_new_file_is_empty_and_private(void **state)
{
	(void)state;
	struct image image;
	struct stat stat_of;
	char deeper[128];
	snprintf(deeper, sizeof(deeper), "%s/a/b", folder);
	assert_int_equal(image_open(&image, deeper, "f1", 25000, warning, reason), 0);
	assert_true(image.fresh);
	assert_int_equal(image.shards, 3);
	assert_int_equal(image.slot, 0);
	assert_string_equal(warning, "");
	assert_true(strlen(image.node) > 9);
	assert_memory_equal(image.node + strlen(image.node) - 9, "-0-", 3);
	for (uint32_t phone = 0; phone < 25000; phone++)
		assert_int_equal(read_phone(&image, phone), 0);
	assert_int_equal((uintptr_t)image.record % 4096, 0);
	assert_int_equal(stat(image.path, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 0777, 0600);
	/* Reserved, not a hole: a full disk is told now and not by a signal later. */
	assert_true((uint64_t)stat_of.st_blocks * 512 >= 25000 * RECORD_SIZE);
	assert_int_equal(stat(deeper, &stat_of), 0);
	assert_int_equal(stat_of.st_mode & 0777, 0700);
	image_close(&image);
}

static void records_and_tokens_come_back(void **state)
{
	(void)state;
	struct image image;
	open_well(&image, 20001);
	for (uint32_t phone = 0; phone < 20001; phone++)
		write_phone(&image, phone, phone * 7 + 1);
	for (uint32_t shard = 0; shard < 3; shard++)
		atomic_store(&image.shard[shard].mine, 1000 + shard);
	image_close(&image);
	open_well(&image, 20001);
	assert_false(image.fresh);
	for (uint32_t phone = 0; phone < 20001; phone++)
		assert_int_equal(read_phone(&image, phone), phone * 7 + 1);
	for (uint32_t shard = 0; shard < 3; shard++)
		assert_int_equal(atomic_load(&image.shard[shard].mine), 1000 + shard);
	image_close(&image);
}

/* The child tells over a pipe how far it has come, and is killed in the middle. */
static void killed_writer_loses_nothing(void **state)
{
	(void)state;
	int told[2];
	assert_int_equal(pipe(told), 0);
	const pid_t child = fork();
	if (child == 0) {
		struct image image;
		if (image_open(&image, folder, "f1", 50000, warning, reason) != 0)
			_exit(1);
		for (uint64_t n = 1;; n++) {
			write_phone(&image, (uint32_t)(n % 50000), n);
			atomic_store(&image.shard[n % 5].mine, n);
			if (write(told[1], &n, sizeof(n)) != sizeof(n))
				_exit(1);
		}
	}
	uint64_t last = 0, n;
	for (int i = 0; i < 60000; i++) {
		assert_int_equal(read(told[0], &n, sizeof(n)), sizeof(n));
		last = n;
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(told[1]);
	while (read(told[0], &n, sizeof(n)) == sizeof(n))
		last = n;
	close(told[0]);
	struct image image;
	open_well(&image, 50000);
	assert_false(image.fresh);
	assert_int_equal(image.slot, 0);
	for (n = last; n > last - 50000; n--) {
		const uint64_t found = read_phone(&image, (uint32_t)(n % 50000));
		/* The write after the last one told may have happened, too. */
		assert_true(found == n || found == n + 50000);
	}
	assert_true(atomic_load(&image.shard[last % 5].mine) >= last);
	image_close(&image);
}

/* Who we are: the same after a restart, another when the file is gone, as on another host. */
static void the_file_is_the_node(void **state)
{
	(void)state;
	struct image image;
	char before[IMAGE_NODE_MAX];
	open_well(&image, 100);
	snprintf(before, sizeof(before), "%s", image.node);
	image_close(&image);
	open_well(&image, 200);
	assert_string_equal(image.node, before);
	assert_int_equal(unlink(image.path), 0);
	image_close(&image);
	open_well(&image, 200);
	assert_string_not_equal(image.node, before);
	image_close(&image);
}

static void strangers_may_not_write_to_the_folder(void **state)
{
	(void)state;
	struct image image;
	assert_int_equal(chmod(folder, 0777), 0);
	assert_int_equal(image_open(&image, folder, "f1", 100, warning, reason), -EPERM);
	assert_non_null(strstr(reason, folder));
	assert_int_equal(chmod(folder, 0700), 0);
}

static void two_processes_have_a_slot_each(void **state)
{
	(void)state;
	struct image first, second, again;
	open_well(&first, 100);
	open_well(&second, 100);
	assert_int_equal(first.slot, 0);
	assert_int_equal(second.slot, 1);
	assert_string_not_equal(first.node, second.node);
	write_phone(&first, 5, 11);
	write_phone(&second, 5, 22);
	image_close(&first);
	open_well(&again, 100);
	assert_int_equal(again.slot, 0);
	assert_int_equal(read_phone(&again, 5), 11);
	image_close(&again);
	image_close(&second);
}

static void the_seventeenth_is_told_so(void **state)
{
	(void)state;
	struct image image[IMAGE_SLOTS], more;
	for (int i = 0; i < IMAGE_SLOTS; i++)
		open_well(&image[i], 10);
	assert_int_equal(image_open(&more, folder, "f1", 10, warning, reason), -EBUSY);
	assert_non_null(strstr(reason, "16 processes"));
	/* Another fleet is not in the way. */
	assert_int_equal(image_open(&more, folder, "f2", 10, warning, reason), 0);
	image_close(&more);
	for (int i = 0; i < IMAGE_SLOTS; i++)
		image_close(&image[i]);
}

static void another_fleet_size_keeps_what_fits(void **state)
{
	(void)state;
	struct image image;
	open_well(&image, 30000);
	for (uint32_t phone = 0; phone < 30000; phone++)
		write_phone(&image, phone, phone + 1);
	for (uint32_t shard = 0; shard < 3; shard++)
		atomic_store(&image.shard[shard].mine, 50 + shard);
	image_close(&image);

	open_well(&image, 15000);
	assert_false(image.fresh);
	assert_string_equal(warning, "");
	for (uint32_t phone = 0; phone < 15000; phone++)
		assert_int_equal(read_phone(&image, phone), phone + 1);
	assert_int_equal(atomic_load(&image.shard[1].mine), 51);
	image_close(&image);

	open_well(&image, 40000);
	for (uint32_t phone = 0; phone < 40000; phone++)
		assert_int_equal(read_phone(&image, phone), phone < 15000 ? phone + 1 : 0);
	assert_int_equal(atomic_load(&image.shard[0].mine), 50);
	assert_int_equal(atomic_load(&image.shard[1].mine), 51);
	assert_int_equal(atomic_load(&image.shard[2].mine), 0);
	assert_int_equal(atomic_load(&image.shard[3].mine), 0);
	image_close(&image);
}

static void damage(const char *path, off_t at, const void *bytes, size_t length)
{
	const int fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, length, at), length);
	close(fd);
}

/* Every byte of the header counts. */
static void damaged_files_are_moved_aside(void **state)
{
	(void)state;
	struct image image;
	char path[4096], old[4200];
	for (off_t at = 0; at < 104; at++) {
		open_well(&image, 100);
		write_phone(&image, 3, 77);
		strcpy(path, image.path);
		image_close(&image);
		unsigned char byte;
		const int fd = open(path, O_RDONLY);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		close(fd);
		byte ^= 0x40;
		damage(path, at, &byte, 1);
		open_well(&image, 100);
		assert_true(image.fresh);
		assert_int_equal(image.slot, 0);
		assert_non_null(strstr(warning, "moved aside"));
		assert_int_equal(read_phone(&image, 3), 0);
		image_close(&image);
		snprintf(old, sizeof(old), "%s.old", path);
		assert_int_equal(access(old, F_OK), 0);
	}
}

static void short_and_strange_files_are_moved_aside(void **state)
{
	(void)state;
	struct image image;
	char path[4096];
	open_well(&image, 20000);
	strcpy(path, image.path);
	image_close(&image);
	assert_int_equal(truncate(path, 1100000), 0);
	open_well(&image, 20000);
	assert_true(image.fresh);
	assert_non_null(strstr(warning, "damaged"));
	image_close(&image);
	damage(path, 0, "not an image at all", 19);
	open_well(&image, 20000);
	assert_true(image.fresh);
	assert_non_null(strstr(warning, "no image file"));
	image_close(&image);
	/* Killed before the first header: nothing to save, nothing to say. */
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(truncate(path, 2000000), 0);
	open_well(&image, 20000);
	assert_true(image.fresh);
	assert_string_equal(warning, "");
	image_close(&image);
	/* A file that was copied from another fleet. */
	char other[4096];
	snprintf(other, sizeof(other), "%s/f3.0.image", folder);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(image_open(&image, folder, "f3", 20000, warning, reason), 0);
	assert_true(image.fresh);
	assert_non_null(strstr(warning, "another fleet"));
	image_close(&image);
}

static void errors_name_the_remedy(void **state)
{
	(void)state;
	struct image image;
	char path[128];
	snprintf(path, sizeof(path), "%s/f1.0.image", folder);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(image_open(&image, folder, "f1", 100, warning, reason), -ELOOP);
	assert_non_null(strstr(reason, "symbolic link"));
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(image_open(&image, folder, "f1", 100, warning, reason), -EINVAL);
	unlink(path);
	assert_int_equal(image_open(&image, "/proc/none", "f1", 100, warning, reason), -ENOENT);
	assert_non_null(strstr(reason, "choose another"));
	assert_int_equal(image_open(&image, folder, "f1", UINT32_MAX, warning, reason), -EFBIG);

	/* As large a file as we may not write. */
	struct rlimit before, less;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	less = before;
	less.rlim_cur = 1 << 20;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
	const int error = image_open(&image, folder, "f1", 100000, warning, reason);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(error, -EFBIG);
	assert_non_null(strstr(reason, "ulimit"));
	/* And nothing is left locked. */
	open_well(&image, 100000);
	assert_int_equal(image.slot, 0);
	image_close(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_new_file_is_empty_and_private, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			records_and_tokens_come_back, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			killed_writer_loses_nothing, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(the_file_is_the_node, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			strangers_may_not_write_to_the_folder, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			two_processes_have_a_slot_each, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			the_seventeenth_is_told_so, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			another_fleet_size_keeps_what_fits, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			damaged_files_are_moved_aside, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			short_and_strange_files_are_moved_aside, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(errors_name_the_remedy, make_folder, remove_folder),
	};
	return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
