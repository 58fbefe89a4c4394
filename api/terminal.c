/* SPDX-License-Identifier: BSD-3-Clause */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[0m\033[?25h\033[?1049l"

static struct termios before, during;
static volatile sig_atomic_t taken, ended;

/* Only what may be called from a signal's handler. */
static void give_back(void)
{
	if (!taken)
		return;
	taken = 0;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	ssize_t written = write(STDOUT_FILENO, LEAVE, sizeof(LEAVE) - 1);
	(void)written;
}

static void take(void)
{
	/* First: a signal between here and the end must give it back too. */
	taken = 1;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &during);
	ssize_t written = write(STDOUT_FILENO, ENTER, sizeof(ENTER) - 1);
	(void)written;
}

static void on_end(int number)
{
	(void)number;
	ended = 1;
}

/* A fault, or Ctrl-Z: the terminal first, then what the signal does by itself. */
static void on_default(int number)
{
	const int error = errno;
	struct sigaction standard = {.sa_handler = SIG_DFL}, ours;
	sigset_t only;
	give_back();
	sigaction(number, &standard, &ours);
	sigemptyset(&only);
	sigaddset(&only, number);
	raise(number);
	/* Here a fault ends; a stop goes on when the shell says so. */
	sigprocmask(SIG_UNBLOCK, &only, NULL);
	sigaction(number, &ours, NULL);
	take();
	errno = error;
}

static void catch (int number, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
	sigaction(number, &action, NULL);
}

int terminal_open(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	static const int others[] = {SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTSTP};
	if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) != 0)
		return -ENOTTY;
	during = before;
	during.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	during.c_cc[VMIN] = 0;
	during.c_cc[VTIME] = 0;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		catch (ends[i], on_end);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		catch (others[i], on_default);
	atexit(give_back);
	take();
	return 0;
}

void terminal_close(void)
{
	give_back();
}

bool terminal_ended(void)
{
	return ended;
}

bool terminal_size(int *columns, int *rows)
{
	struct winsize size;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
		return false;
	*columns = size.ws_col;
	*rows = size.ws_row;
	return true;
}

/* Bytes of keys that came together. */
static char pending[64];
static size_t pending_length;

static int drop(size_t count, int key)
{
	pending_length -= count;
	memmove(pending, pending + count, pending_length);
	return key;
}

static int escape_key(void)
{
	static const struct {
		const char *text;
		int key;
	} keys[] = {{"\033[A", KEY_UP}, {"\033[B", KEY_DOWN}, {"\033[C", KEY_RIGHT},
		{"\033[D", KEY_LEFT}, {"\033OA", KEY_UP}, {"\033OB", KEY_DOWN},
		{"\033OC", KEY_RIGHT}, {"\033OD", KEY_LEFT}, {"\033[5~", KEY_PAGE_UP},
		{"\033[6~", KEY_PAGE_DOWN}};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const size_t n = strlen(keys[i].text);
		if (pending_length >= n && memcmp(pending, keys[i].text, n) == 0)
			return drop(n, keys[i].key);
	}
	/* Some other one: none of its letters is to count as a key. */
	return drop(pending_length, KEY_NONE);
}

int terminal_key(void)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	if (pending_length == 0) {
		if (poll(&input, 1, 0) <= 0)
			return KEY_NONE;
		ssize_t length = read(STDIN_FILENO, pending, sizeof(pending));
		if (length <= 0)
			return KEY_END_OF_INPUT;
		pending_length = (size_t)length;
	}
	if (pending[0] == '\033')
		return escape_key();
	return drop(1, (unsigned char)pending[0]);
}

bool terminal_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);
		if (value != NULL && value[0] != '\0')
			return strcasestr(value, "UTF-8") != NULL ||
			       strcasestr(value, "UTF8") != NULL;
	}
	return false;
}

bool terminal_colour(void)
{
	const char *value = getenv("NO_COLOR");
	return value == NULL || value[0] == '\0';
}
