/* SPDX-License-Identifier: BSD-3-Clause */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "options.h"

int output_failed(const char *path, int error)
{
	fprintf(stderr, "sipherd: cannot write %s: %s\n", path, strerror(error));
	return EXIT_HOST;
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
