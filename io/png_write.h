/* Internal. Pictures as PNG files (ISO/IEC 15948), for the writers of logs and reports. */
#ifndef WG_PNG_WRITE_H
#define WG_PNG_WRITE_H

#include "bytes.h"

enum { WG__PNG_SIDE = 1 << 14 };         /* the largest height and width */
#define WG__PNG_BYTES ((int64_t)1 << 28) /* of all pixels */

/* Whether pixels of these sizes can be a picture; else *error says why, after `what`. */
bool wg__png_check(const uint8_t *pixels, int64_t height, int64_t width, int channels, const char *what,
                   wg_error *error);
/* Appends the file. pixels[height][width][channels], rows from the top; channels: 1 grey, 3 RGB, 4 RGBA. */
void wg__png_put(wg__bytes *out, const uint8_t *pixels, int64_t height, int64_t width, int channels);

#endif
