/* Pictures (PNG, JPEG) and sound (WAV) into arrays.
 *
 *     wg_picture picture;
 *     wg_picture_options options = wg_picture_defaults();
 *     options.channels = 3;
 *     if (wg_picture_read("cat.jpg", options, &picture, &error) != WG_OK) ...
 *     wg_picture_floats(&picture, numbers);       // f32 [3, height, width] in 0 .. 1
 *     wg_picture_fini(&picture);
 *
 * PNG needs a build with libpng, JPEG one with libjpeg, WAV one with libsndfile; without it the file is refused with
 * WG_ERR_IO and a message that says so. Other errors: WG_ERR_IO if the file cannot be read, WG_ERR_FORMAT if it is
 * damaged, truncated, of another format, or larger than the limit, WG_ERR_MEMORY. On error the result is zero.
 *
 * Memory: the file's size, a constant, and at most 12 bytes a pixel (4 a sample of sound). The limit bounds them before
 * they are taken; a file that is too short for the size that it states is refused before as well. */
#ifndef WG_PICTURE_H
#define WG_PICTURE_H

#include "../autograd/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Pixels of 0 to 255. */
typedef struct wg_picture {
    int64_t channels, height, width; /* channels: 1, grey; 3: red, green, blue */
    uint8_t *pixels;                 /* [channels, height, width] */
} wg_picture;

/* Channels and a limit. */
typedef struct wg_picture_options {
    int channels;   /* 1 or 3; default 0: 3 of a picture in colour, else 1 */
    uint64_t limit; /* of channels * height * width, and of the file, in bytes; default 256 MiB */
} wg_picture_options;
WG_API wg_picture_options wg_picture_defaults(void);

/* Reads a PNG or JPEG file; which of them its first bytes say. Pixels are as they are stored: no correction of gamma,
 * no profile of colours, no rotation by EXIF. Transparency is dropped, a palette looked up, 16 bits are rounded to 8.
 * Grey of a coloured picture is (299 red + 587 green + 114 blue) / 1000, rounded (ITU-R BT.601). A JPEG in CMYK is
 * refused, and one whose data is damaged, which decoders of pictures for the eye fill in. */
WG_CHECKED WG_API wg_status wg_picture_read(const char *path, wg_picture_options options, wg_picture *picture,
                                            wg_error *error);
WG_API void wg_picture_fini(wg_picture *picture); /* frees the pixels */
/* Writes pixel / 255 to numbers[channels, height, width]. */
WG_API void wg_picture_floats(const wg_picture *picture, float *numbers);

/* Samples of -1 to 1. */
typedef struct wg_sound {
    int64_t channels, frames; /* 1: mono; samples of a channel */
    int64_t rate;             /* frames per second */
    float *samples;           /* [channels, frames]; integers of the file are scaled to -1 .. 1 */
} wg_sound;

/* Reads a WAV file: PCM of 8 to 32 bits, f32, f64, A-law, mu-law. limit: of the result, in bytes; 0: 1 GiB. */
WG_CHECKED WG_API wg_status wg_sound_read(const char *path, uint64_t limit, wg_sound *sound, wg_error *error);
WG_API void wg_sound_fini(wg_sound *sound); /* frees the samples */

#ifdef __cplusplus
}
#endif
#endif
