/* SPDX-License-Identifier: BSD-3-Clause */
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "report_internal.h"

#define TEXT_MAX 2048 /* bytes of one text; longer ones are cut */

#define NBSP "\xc2\xa0" /* a number stays with its unit */

static const char dash[] = "\xe2\x80\x93";
static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

void put(struct page *page, const char *markup)
{
	fputs(markup, page->out);
}

/* Characters that may not stand in XML, or that turn the direction of the text around them; their length. */
static size_t unfit(const unsigned char *c)
{
	if ((c[0] < ' ' && c[0] != '\n' && c[0] != '\t') || c[0] == 0x7f)
		return 1;
	if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
		return 2;
	if (c[0] == 0xef && c[1] == 0xbf && c[2] >= 0xbe)
		return 3;
	const bool embedding = c[0] == 0xe2 && c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae;
	const bool isolate = c[0] == 0xe2 && c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9;
	return embedding || isolate ? 3 : 0;
}

static void escape(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		const size_t bad = unfit((const unsigned char *)text);
		if (bad > 0) {
			fputs(replacement, out);
			text += bad - 1;
		} else if (*text == '&') {
			fputs("&amp;", out);
		} else if (*text == '<') {
			fputs("&lt;", out);
		} else if (*text == '>') {
			fputs("&gt;", out);
		} else if (*text == '"') {
			fputs("&quot;", out);
		} else if (*text == '\'') {
			fputs("&#39;", out);
		} else {
			fputc(*text, out);
		}
	}
}

/* A character that was cut in two at the end goes as a whole. */
static void mend(char *text)
{
	size_t length = strlen(text), tail = 0;
	while (tail < 3 && tail < length && (text[length - 1 - tail] & 0xc0) == 0x80)
		tail++;
	if (tail == length)
		return;
	const unsigned char lead = (unsigned char)text[length - 1 - tail];
	const size_t wanted = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
	if (wanted > tail)
		text[length - 1 - tail] = '\0';
}

static void say_list(struct page *page, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

static void say_list(struct page *page, const char *format, va_list arguments)
{
	char text[TEXT_MAX];
	if (vsnprintf(text, sizeof(text), format, arguments) >= (int)sizeof(text))
		mend(text);
	escape(page->out, text);
}

void say(struct page *page, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	say_list(page, format, arguments);
	va_end(arguments);
}

void element(struct page *page, const char *tag, const char *class, const char *format, ...)
{
	va_list arguments;
	fprintf(page->out, class != NULL ? "<%s class=\"%s\">" : "<%s>", tag, class);
	va_start(arguments, format);
	say_list(page, format, arguments);
	va_end(arguments);
	fprintf(page->out, "</%s>\n", tag);
}

/* --- Tables: the first column names the row --- */

void table_begin(struct page *page, const char *caption, const char *const *heads, unsigned count)
{
	put(page, "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"");
	say(page, "%s", caption);
	put(page, "\"><table>\n<caption>");
	say(page, "%s", caption);
	put(page, "</caption>\n<thead><tr>");
	for (unsigned i = 0; i < count; i++) {
		put(page, "<th scope=\"col\">");
		say(page, "%s", heads[i]);
		put(page, "</th>");
	}
	put(page, "</tr></thead>\n<tbody>\n");
	page->row = false;
}

void table_row(struct page *page, const char *head)
{
	put(page, page->row ? "</tr>\n<tr><th scope=\"row\">" : "<tr><th scope=\"row\">");
	page->row = true;
	say(page, "%s", head);
	put(page, "</th>");
}

void table_cell(struct page *page, const char *format, ...)
{
	va_list arguments;
	put(page, "<td>");
	va_start(arguments, format);
	say_list(page, format, arguments);
	va_end(arguments);
	put(page, "</td>");
}

void table_end(struct page *page)
{
	put(page, page->row ? "</tr>\n</tbody></table></div>\n" : "</tbody></table></div>\n");
}

/* --- Numbers as words --- */

const char *word_count(double count, char out[WORD_MAX])
{
	char digits[WORD_MAX];
	if (isnan(count))
		return dash;
	const int length = snprintf(digits, sizeof(digits), "%.0f", fabs(count));
	size_t used = 0;
	if (count < 0 && digits[0] != '0')
		out[used++] = '-';
	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			out[used++] = ',';
		out[used++] = digits[i];
	}
	out[used] = '\0';
	return out;
}

/* Three digits, and no more behind the point than say something. */
const char *word_plain(double number, char out[WORD_MAX])
{
	const double size = fabs(number);
	if (isnan(number))
		return dash;
	if (size >= 1000)
		return word_count(number, out);
	snprintf(out, WORD_MAX, "%.*f", size >= 100 || size == 0 ? 0 : size >= 10 ? 1 : 2, number);
	if (size > 0 && size < 0.1)
		snprintf(out, WORD_MAX, "%.2g", number);
	return out;
}

const char *word_ms(double ms, char out[WORD_MAX])
{
	const double size = fabs(ms);
	if (isnan(ms))
		return dash;
	if (size < 1000) {
		char number[WORD_MAX];
		snprintf(out, WORD_MAX, "%.40s" NBSP "ms", word_plain(ms, number));
		return out;
	}
	const double seconds = round(size / 1000);
	if (size < 300000)
		snprintf(out, WORD_MAX, "%.*f" NBSP "s", size < 9995 ? 2 : 1, ms / 1000);
	else if (seconds < 7200)
		snprintf(out, WORD_MAX, "%s%.0f" NBSP "min %.0f" NBSP "s", ms < 0 ? "-" : "",
			floor(seconds / 60), fmod(seconds, 60));
	else
		snprintf(out, WORD_MAX, "%s%.0f" NBSP "h %.0f" NBSP "min", ms < 0 ? "-" : "",
			floor(seconds / 3600), floor(fmod(seconds, 3600) / 60));
	return out;
}

const char *word_at(double ms, char out[WORD_MAX])
{
	if (isnan(ms) || fabs(ms) >= 300000)
		return word_ms(ms, out);
	snprintf(out, WORD_MAX, "%.1f" NBSP "s", ms / 1000);
	return out;
}

const char *word_us(double us, char out[WORD_MAX])
{
	char number[WORD_MAX];
	if (isnan(us))
		return dash;
	if (fabs(us) >= 1000)
		return word_ms(us / 1000, out);
	snprintf(out, WORD_MAX, "%.40s" NBSP "\xc2\xb5s", word_plain(us, number));
	return out;
}

const char *word_share(double share, char out[WORD_MAX])
{
	char number[WORD_MAX];
	if (isnan(share))
		return dash;
	snprintf(out, WORD_MAX, "%.40s" NBSP "%%", word_plain(share * 100, number));
	return out;
}

const char *word_rate(double per_s, char out[WORD_MAX])
{
	char number[WORD_MAX];
	if (isnan(per_s))
		return dash;
	snprintf(out, WORD_MAX, "%.40s/s", word_plain(per_s, number));
	return out;
}

const char *word_utc(double unix_ms, char out[WORD_MAX])
{
	struct tm utc;
	const time_t seconds = isnan(unix_ms) ? 0 : (time_t)(unix_ms / 1000);
	if (isnan(unix_ms) || gmtime_r(&seconds, &utc) == NULL ||
		strftime(out, WORD_MAX, "%Y-%m-%d %H:%M:%S UTC", &utc) == 0)
		return dash;
	return out;
}

const char *word_unit(const char *unit, double value, char out[WORD_MAX])
{
	if (strcmp(unit, "ms") == 0)
		return word_ms(value, out);
	if (strcmp(unit, "ratio") == 0)
		return word_share(value, out);
	if (strcmp(unit, "per_s") == 0)
		return word_rate(value, out);
	return value == floor(value) ? word_count(value, out) : word_plain(value, out);
}
