/* Text for HTML and SVG. */
#include "markup.h"

#include <string.h>

static void put_escaped(wg__bytes *out, const char *text)
{
    for (; *text; text++) {
        const char *entity = *text == '&'   ? "&amp;"
                             : *text == '<' ? "&lt;"
                             : *text == '>' ? "&gt;"
                             : *text == '"' ? "&quot;"
                                            : NULL;
        wg__bytes_put(out, entity ? entity : text, entity ? strlen(entity) : 1);
    }
}

void wg__put_short(wg__bytes *out, const char *text, size_t size)
{
    char shown[256];
    put_escaped(out, wg_printable(text, shown, size < sizeof shown ? size : sizeof shown));
}

static void put_line(wg__bytes *out, wg__bytes *room, const char *line, size_t length)
{
    wg__bytes_clear(room);
    char *plain = wg__bytes_more(room, 5 * length + 2); /* the line, and each byte as up to four */
    if (!plain) {
        out->failed = true;
        return;
    }
    memcpy(plain, line, length);
    plain[length] = 0;
    put_escaped(out, wg_printable(plain, plain + length + 1, 4 * length + 1));
}

void wg__put_text(wg__bytes *out, const char *text, bool lines)
{
    wg__bytes room = {0};
    for (bool more = true; more;) {
        const size_t length = lines ? strcspn(text, "\n\t") : strlen(text);
        more = text[length] != 0;
        put_line(out, &room, text, length);
        if (more) wg__bytes_put(out, text + length, 1);
        text += length + more;
    }
    wg__bytes_fini(&room);
}

void wg__put_base64(wg__bytes *out, const void *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = bytes;
    for (size_t i = 0; i < n; i += 3) {
        const size_t left = n - i;
        const uint32_t three = (uint32_t)at[i] << 16 | (left > 1 ? (uint32_t)at[i + 1] << 8 : 0) |
                               (left > 2 ? (uint32_t)at[i + 2] : 0);
        char four[4] = {digits[three >> 18], digits[three >> 12 & 63], digits[three >> 6 & 63], digits[three & 63]};
        if (left < 3) four[3] = '=';
        if (left < 2) four[2] = '=';
        wg__bytes_put(out, four, 4);
    }
}
