/* Augmentation of pictures by counter-based random numbers. */
#include "dataset.h"

#include "../autograd/base/random.h"
#include "plain.h"

#include <math.h>

wg_augment_options wg_augment_defaults(void) { return (wg_augment_options){0}; }

/* Blocks of random numbers. The keys of wg_loader's streams are 1 and 2; a sample's is 3 modulo 4. */
enum { BLOCK_WINDOW, BLOCK_FLIP, BLOCK_NOISE };

static void random4(const wg_sample *sample, uint64_t block, uint32_t r[4])
{
    wg__random4(sample->seed, sample->epoch, (uint64_t)sample->index * 4 + 3, block, r);
}

/* 0 .. n - 1, n at most 2^32 */
static int64_t below(uint32_t bits, int64_t n) { return (int64_t)((uint64_t)bits * (uint64_t)n >> 32); }

/* Where the result lies in the picture: out[c, i, j] is pixel (i + y, j + x) of it, with j from the right if
 * flipped. */
typedef struct window {
    int64_t y, x, height, width;
    bool flip;
} window;

static window choose(const wg_augment_options *o, const wg_sample *sample, int64_t height, int64_t width)
{
    uint32_t r[4], flip[4];
    random4(sample, BLOCK_WINDOW, r);
    random4(sample, BLOCK_FLIP, flip);
    window w = {.height = o->crop_height ? o->crop_height : height, .width = o->crop_width ? o->crop_width : width};
    w.y = below(r[0], 2 * o->shift + 1) - o->shift + below(r[2], height - w.height + 1);
    w.x = below(r[1], 2 * o->shift + 1) - o->shift + below(r[3], width - w.width + 1);
    w.flip = o->flip && flip[0] >> 31;
    return w;
}

/* One channel. */
static void copy_window(const window *w, const float *from, int64_t height, int64_t width, float *to)
{
    for (int64_t i = 0; i < w->height; i++)
        for (int64_t j = 0; j < w->width; j++) {
            const int64_t y = i + w->y, x = (w->flip ? w->width - 1 - j : j) + w->x;
            const bool inside = y >= 0 && y < height && x >= 0 && x < width;
            to[i * w->width + j] = inside ? from[y * width + x] : 0;
        }
}

/* Adds normal numbers (Box, Muller 1958): four of a block. */
static void add_noise(const wg_sample *sample, double deviation, float *to, int64_t n)
{
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t r[4];
        random4(sample, BLOCK_NOISE + (uint64_t)i / 4, r);
        for (int64_t k = 0; k < 4 && i + k < n; k++) {
            const double radius = sqrt(-2 * log(1 - wg__uniform(r[k & 2])));
            const double angle = 2 * 3.14159265358979323846 * wg__uniform(r[(k & 2) + 1]);
            to[i + k] += (float)(deviation * radius * (k & 1 ? sin(angle) : cos(angle)));
        }
    }
}

/* Why the arguments are invalid; NULL if they are valid. */
static const char *invalid_reason(const wg_augment_options *o, int64_t channels, int64_t height, int64_t width)
{
    enum { MOST = 1 << 30 };
    if (channels < 0 || height < 0 || width < 0 || channels > MOST || height > MOST || width > MOST)
        return "a size of the picture is out of range";
    if (o->shift < 0 || o->shift > MOST) return "shift is out of range";
    if (o->crop_height < 0 || o->crop_width < 0 || o->crop_height > height || o->crop_width > width)
        return "the crop is larger than the picture, or negative";
    if (!(o->noise >= 0)) return "noise is negative";
    return NULL;
}

wg_status wg_augment(wg_augment_options options, const wg_sample *sample, const float *picture, int64_t channels,
                     int64_t height, int64_t width, float *out, wg_error *error)
{
    const char *reason = sample && picture && out ? invalid_reason(&options, channels, height, width)
                                                  : "sample, picture or out is NULL";
    if (reason) return wg_error_set(error, WG_ERR_ARGUMENT, "augment: %s", reason);
    const window w = choose(&options, sample, height, width);
    for (int64_t c = 0; c < channels; c++)
        copy_window(&w, picture + c * height * width, height, width, out + c * w.height * w.width);
    const wg__plain caller = wg__plain_begin();
    if (options.noise > 0) add_noise(sample, options.noise, out, channels * w.height * w.width);
    wg__plain_end(&caller);
    return WG_OK;
}
