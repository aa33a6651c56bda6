/* Pictures: which decoder, how many channels, planes instead of pixels. */
#include "decode.h"

#include "file.h"
#include "plain.h"

#include <stdlib.h>
#include <string.h>

wg_picture_options wg_picture_defaults(void) { return (wg_picture_options){.limit = 256u << 20}; }

static uint8_t gray_of(const uint8_t *rgb)
{
    return (uint8_t)((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
}

/* Planes of `channels` from the pixels of a raster. */
static void fill_planes(const wg__raster *from, int64_t channels, uint8_t *planes)
{
    const size_t n = (size_t)from->height * from->width;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *pixel = from->pixels + i * from->channels;
        for (int64_t c = 0; c < channels; c++)
            planes[(size_t)c * n + i] = from->channels == 1 ? pixel[0] : channels == 1 ? gray_of(pixel) : pixel[c];
    }
}

static wg_status decode(const wg__encoded *from, wg__raster *raster, wg_error *error)
{
    static const unsigned char png[8] = "\x89PNG\r\n\x1a\n";
    if (from->size >= 8 && memcmp(from->bytes, png, 8) == 0) return wg__png_decode(from, raster, error);
    if (from->size >= 3 && memcmp(from->bytes, "\xff\xd8\xff", 3) == 0) return wg__jpeg_decode(from, raster, error);
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "%s", from->path,
                        from->size ? "neither a PNG nor a JPEG file" : "the file is empty");
}

static wg_status convert(const wg__encoded *from, wg_picture *picture, wg_error *error)
{
    wg__raster raster = {0};
    wg_status status = decode(from, &raster, error);
    if (status == WG_OK) {
        *picture = (wg_picture){.channels = raster.channels, .height = raster.height, .width = raster.width};
        if (from->channels) picture->channels = from->channels;
        picture->pixels = malloc((size_t)(picture->channels * picture->height * picture->width));
        if (picture->pixels)
            fill_planes(&raster, picture->channels, picture->pixels);
        else
            status = wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", from->path);
    }
    free(raster.pixels);
    return status;
}

wg_status wg_picture_read(const char *path, wg_picture_options options, wg_picture *picture, wg_error *error)
{
    if (!picture) return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "picture is NULL", path ? path : "");
    *picture = (wg_picture){0};
    if (options.channels != 0 && options.channels != 1 && options.channels != 3)
        return wg_error_set(error, WG_ERR_ARGUMENT, "picture: %d channels; 1 or 3 can be read", options.channels);
    char *bytes;
    size_t size;
    wg_status status = wg__file_take(path, options.limit, &bytes, &size, error);
    if (status == WG_OK) {
        const wg__encoded from = {path, (const unsigned char *)bytes, size, options.limit, options.channels};
        status = convert(&from, picture, error);
    }
    free(bytes);
    if (status != WG_OK) wg_picture_fini(picture);
    return status;
}

void wg_picture_fini(wg_picture *picture)
{
    if (!picture) return;
    free(picture->pixels);
    *picture = (wg_picture){0};
}

void wg_picture_floats(const wg_picture *picture, float *numbers)
{
    if (!picture || !picture->pixels || !numbers) return;
    const int64_t n = picture->channels * picture->height * picture->width;
    const wg__plain caller = wg__plain_begin();
    for (int64_t i = 0; i < n; i++) numbers[i] = (float)picture->pixels[i] / 255;
    wg__plain_end(&caller);
}
