/* SPDX-License-Identifier: BSD-3-Clause */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "options.h"

int output_failed(const char *path, int error)
{
	fprintf(stderr, "sipherd: cannot write %s: %s\n", path, strerror(error));
	return EXIT_HOST;
}

int output_check(const char *path)
{
	struct stat stat_of;
	char folder[PATH_MAX];
	if (path == NULL || strcmp(path, "-") == 0)
		return EXIT_DONE;
	if (stat(path, &stat_of) == 0) {
		if (S_ISDIR(stat_of.st_mode))
			return output_failed(path, EISDIR);
		return access(path, W_OK) == 0 ? EXIT_DONE : output_failed(path, errno);
	}
	if (errno != ENOENT || snprintf(folder, sizeof(folder), "%s", path) >= (int)sizeof(folder))
		return output_failed(path, errno != ENOENT ? errno : ENAMETOOLONG);
	return access(dirname(folder), W_OK | X_OK) == 0 ? EXIT_DONE : output_failed(path, errno);
}

int output_open(const char *path, FILE **out)
{
	struct stat stat;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
	bool good = fd >= 0 && fstat(fd, &stat) == 0 &&
		    (!S_ISREG(stat.st_mode) || fchmod(fd, S_IRUSR | S_IWUSR) == 0);
	*out = good ? fdopen(fd, "w") : NULL;
	if (*out != NULL)
		return EXIT_DONE;
	int error = errno;
	if (fd >= 0)
		close(fd);
	return output_failed(path, error);
}

int output_text(int fd, const char *text)
{
	int status = dprintf(fd, "%s", text) < 0 ? -errno : 0;
	if (close(fd) != 0 && status == 0)
		status = -errno;
	return status;
}

int output_whole(const char *path, const char *text)
{
	char draft[PATH_MAX];
	if (snprintf(draft, sizeof(draft), "%s.part", path) >= (int)sizeof(draft))
		return -ENAMETOOLONG;
	if (unlink(draft) != 0 && errno != ENOENT)
		return -errno;
	int fd = open(
		draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
	int status = fd >= 0 ? output_text(fd, text) : -errno;
	if (status == 0 && rename(draft, path) != 0)
		status = -errno;
	if (status != 0)
		unlink(draft);
	return status;
}

void output_csv_text(FILE *out, const char *text)
{
	if (strpbrk(text, "\",\r\n") == NULL) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	fputc('"', out);
}
