/* The one place that decides which characters may reach a terminal, a log of lines, or a picture. */
#include "text.h"

#include <string.h>

size_t wg__utf8_length(const void *p, size_t n)
{
    const unsigned char *c = p;
    if (n == 0 || c[0] < 0x80) return n > 0;
    const size_t length = c[0] >= 0xC2 && c[0] < 0xE0 ? 2 : c[0] >= 0xE0 && c[0] < 0xF0 ? 3 : 4;
    if (c[0] < 0xC2 || c[0] > 0xF4 || length > n) return 0;
    for (size_t i = 1; i < length; i++)
        if ((c[i] & 0xC0) != 0x80) return 0;
    const bool overlong = (c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xF0 && c[1] < 0x90),
               surrogate = c[0] == 0xED && c[1] > 0x9F, too_large = c[0] == 0xF4 && c[1] > 0x8F;
    return overlong || surrogate || too_large ? 0 : length;
}

/* Control characters (C0, DEL, C1), ends of lines, and marks that change the direction of the text around them. */
static bool is_control(unsigned code)
{
    return code < 32 || (code >= 127 && code < 0xA0) || code == 0x061C || code == 0x200E || code == 0x200F ||
           (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

enum { PIECE = 8 };

/* Writes the first character of a text, or its escape, to piece, with a NUL. Returns the bytes that it took. */
static size_t next_piece(const char *text, char piece[PIECE])
{
    const unsigned char *c = (const unsigned char *)text;
    const size_t length = wg__utf8_length(c, strnlen(text, 4));
    const unsigned code = length == 1   ? c[0]
                          : length == 2 ? (c[0] & 31u) << 6 | (c[1] & 63u)
                          : length == 3 ? (c[0] & 15u) << 12 | (c[1] & 63u) << 6 | (c[2] & 63u)
                                        : ' ';
    if (length <= 1 && (length == 0 || is_control(code)))
        snprintf(piece, PIECE, "\\x%02x", c[0]);
    else if (is_control(code))
        snprintf(piece, PIECE, "\\u%04x", code & 0xFFFF);
    else
        snprintf(piece, PIECE, "%.*s", (int)length, text);
    return length ? length : 1;
}

const char *wg_printable(const char *text, char *out, size_t size)
{
    char piece[PIECE];
    const char *start = out;
    if (!out || size == 0) return "";
    if (!text) text = "(null)";
    for (*out = 0; *text;) {
        text += next_piece(text, piece);
        const size_t length = strlen(piece);
        if (length >= size) break;
        memcpy(out, piece, length + 1);
        out += length;
        size -= length;
    }
    return start;
}

static void print(const char *text, FILE *out, bool quoted)
{
    char piece[PIECE];
    while (*text) {
        text += next_piece(text, piece);
        if (quoted && (*piece == '"' || *piece == '\\')) fputc('\\', out);
        fputs(piece, out);
    }
}

void wg__print_text(const char *text, FILE *out) { print(text, out, false); }
void wg__print_quoted(const char *text, FILE *out) { print(text, out, true); }
