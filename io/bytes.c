/* A growing array of bytes: see bytes.h. */
#include "bytes.h"

#include "plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(wg__bytes *b, size_t n)
{
    if (b->failed) return false;
    if (n <= b->room - b->size) return true;
    size_t room = b->room ? b->room : 256;
    while (room - b->size < n && room <= SIZE_MAX / 4) room *= 2;
    char *grown = room - b->size >= n ? realloc(b->data, room) : NULL;
    if (!grown) {
        b->failed = true;
        return false;
    }
    b->data = grown;
    b->room = room;
    return true;
}

char *wg__bytes_more(wg__bytes *b, size_t n)
{
    if (!make_room(b, n)) return NULL;
    b->size += n;
    return b->data + b->size - n;
}

void wg__bytes_put(wg__bytes *b, const void *data, size_t n)
{
    char *to = n > 0 ? wg__bytes_more(b, n) : NULL;
    if (to) memcpy(to, data, n);
}

void wg__bytes_print(wg__bytes *b, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const wg__plain caller = wg__plain_begin();
    const int n = vsnprintf(NULL, 0, format, arguments);
    if (n < 0) b->failed = true;
    if (n >= 0 && make_room(b, (size_t)n + 1)) {
        vsnprintf(b->data + b->size, (size_t)n + 1, format, again);
        b->size += (size_t)n; /* without the NUL */
    }
    wg__plain_end(&caller);
    va_end(again);
    va_end(arguments);
}

void wg__bytes_clear(wg__bytes *b)
{
    b->size = 0;
    b->failed = false;
}

void wg__bytes_fini(wg__bytes *b)
{
    free(b->data);
    *b = (wg__bytes){0};
}
