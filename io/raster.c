/* The memory of a picture that is being decoded, by what the file states and what it can hold. */
#include "decode.h"

#include "file.h"

#include <stdlib.h>

wg_status wg__raster_take(wg__raster *raster, const wg__encoded *from, uint64_t least, wg_error *error)
{
    /* Sizes of at most 2^31 by 2^31 and 3 channels: the product fits. */
    const uint64_t pixels = (uint64_t)raster->height * raster->width, limit = from->limit;
    if (pixels == 0) return wg_error_set(error, WG_ERR_FORMAT, WG__AT "the picture has no pixels", from->path);
    const uint64_t channels = from->channels > (int)raster->channels ? (uint64_t)from->channels : raster->channels;
    if (pixels > limit || pixels * channels > limit)
        return wg_error_set(error, WG_ERR_FORMAT,
                            WG__AT "%u x %u pixels take more than %llu bytes; wg_picture_options.limit allows that",
                            from->path, raster->width, raster->height, (unsigned long long)limit);
    if (least > from->size)
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "truncated: %u x %u pixels are not in %zu bytes",
                            from->path, raster->width, raster->height, from->size);
    raster->pixels = malloc((size_t)(pixels * raster->channels));
    return raster->pixels ? WG_OK : wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", from->path);
}
