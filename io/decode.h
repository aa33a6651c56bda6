/* Internal to io/: decoders of pictures, each of a file in memory. */
#ifndef WG_DECODE_H
#define WG_DECODE_H

#include "picture.h"

/* A decoded picture, channels last, as both libraries give it. */
typedef struct wg__raster {
    uint32_t channels, height, width; /* channels: 1 or 3 */
    uint8_t *pixels;                  /* [height, width, channels], malloc'd */
} wg__raster;

/* A file in memory, and what its decoder may take. */
typedef struct wg__encoded {
    const char *path;
    const unsigned char *bytes;
    size_t size;
    uint64_t limit; /* in bytes, of the raster and of the picture */
    int channels;   /* of the picture; 0: the raster's */
} wg__encoded;

/* Takes memory for the raster's pixels, unless they exceed the limit or the file is too short for them. least: bytes
 * of the file that so many pixels need. */
wg_status wg__raster_take(wg__raster *raster, const wg__encoded *from, uint64_t least, wg_error *error);

wg_status wg__png_decode(const wg__encoded *from, wg__raster *raster, wg_error *error);
wg_status wg__jpeg_decode(const wg__encoded *from, wg__raster *raster, wg_error *error);

#endif
