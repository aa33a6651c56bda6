/* Internal. A growing array of bytes, in which the writers of files compose what they write.
 *
 * Out of memory is sticky: `failed` is set, later calls do nothing, and the caller checks once, at the end. */
#ifndef WG_BYTES_H
#define WG_BYTES_H

#include "../autograd/status.h"

typedef struct wg__bytes {
    char *data; /* NULL while room is 0 */
    size_t size, room;
    bool failed;
} wg__bytes;

/* Appends n bytes; n places for bytes that the caller fills (NULL if out of memory); formatted text, the same in every
 * locale. */
void wg__bytes_put(wg__bytes *b, const void *data, size_t n);
char *wg__bytes_more(wg__bytes *b, size_t n);
void wg__bytes_print(wg__bytes *b, const char *format, ...) WG_PRINTF(2, 3);
/* Forgets the bytes, and a failure; keeps the memory. */
void wg__bytes_clear(wg__bytes *b);
void wg__bytes_fini(wg__bytes *b);

#endif
