/* Data sets, batches of tensors from them, and augmentation of pictures.
 *
 * A data set is arrays of samples, or a function that makes a sample. A feed stacks samples into batches, in the order
 * of a wg_loader, and makes the next batches on a thread of its own while the caller computes:
 *
 *     wg_dataset data = {.n = n, .n_fields = 2};
 *     data.field[0] = (wg_field){WG_F32, WG_DIMS(1, 28, 28), pixels};       // [n, 1, 28, 28]
 *     data.field[1] = (wg_field){WG_I32, WG_SCALAR, labels};                // [n]
 *     wg_feed_options options = wg_feed_defaults();
 *     options.order.batch = 32;
 *     wg_feed *feed = wg_feed_new(&data, options, &error);
 *     for (uint64_t step = checkpoint.step; step < steps; step++) {
 *         const wg_batch *batch = wg_feed_batch(feed, step, &error);
 *         if (!batch) break;                                                  // error.text says why
 *         wg_tensor x = wg_batch_tensor(batch, tape, 0);                      // [32, 1, 28, 28]
 *         wg_tensor y = wg_batch_tensor(batch, tape, 1);                      // [32]
 *         ...
 *     }
 *     wg_feed_free(feed);
 *
 * A batch is a function of the data set, the options and the step: it has the same bits with and without the thread,
 * and a run resumes with nothing but its step, which a checkpoint has. */
#ifndef WG_DATASET_H
#define WG_DATASET_H

#include "../autograd/tape.h"
#include "io.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { WG_MAX_FIELDS = 8 }; /* the largest number of fields */

/* A part of a sample: its input, its label. */
typedef struct wg_field {
    wg_dtype dtype;   /* of the elements */
    wg_shape shape;   /* of one sample, of rank 0 to 7 */
    const void *data; /* [n, shape...], borrowed; NULL: `make` writes it */
} wg_field;

/* Which sample is made. Random numbers of `make` are to be a function of this (wg_augment is). */
typedef struct wg_sample {
    int64_t index;        /* 0 .. n - 1 */
    uint64_t epoch, seed; /* seed: options.order.seed */
} wg_sample;

/* Writes sample->index: field f to out[f], which has room for its shape and holds the sample if the field has data,
 * else zeros. On error returns a status and sets *error, which the call of wg_feed_batch for this batch reports. Called
 * on the feed's thread, by one thread at a time; must not use the feed, nor a tape that another thread uses. */
typedef wg_status (*wg_make_sample)(void *context, const wg_sample *sample, void *const *out, wg_error *error);

/* Samples. Initialize by names: {.n = n, .n_fields = 2}. */
typedef struct wg_dataset {
    int64_t n;                     /* samples */
    int n_fields;                  /* 1 to WG_MAX_FIELDS */
    wg_field field[WG_MAX_FIELDS]; /* [n_fields] */
    wg_make_sample make;           /* NULL, if all fields have data */
    void *context;                 /* of make */
} wg_dataset;

/* The order of samples, and how far ahead they are made. */
typedef struct wg_feed_options {
    wg_loader_options order; /* batch size, seed, shuffling ... */
    int64_t prefetch;        /* batches made in advance, by a thread; 0: none, no thread; default 2 */
} wg_feed_options;
WG_API wg_feed_options wg_feed_defaults(void);

typedef struct wg_feed wg_feed; /* batches in the order of a loader */

/* Takes memory for prefetch + 1 batches. The data set is copied; its arrays and context must outlive the feed. NULL on
 * error: WG_ERR_ARGUMENT if a field is invalid or has neither data nor `make`, or as of wg_loader_new; WG_ERR_MEMORY,
 * also if no thread can be started. */
WG_API wg_feed *wg_feed_new(const wg_dataset *data, wg_feed_options options, wg_error *error);
/* Ends the thread, after the sample that it is making. */
WG_API void wg_feed_free(wg_feed *feed);
/* The number of batches in an epoch. Batch s is batch s % batches of epoch s / batches. */
WG_API int64_t wg_feed_batches(const wg_feed *feed);

/* Samples of a step, stacked. */
typedef struct wg_batch {
    int64_t n;                     /* samples: the batch size, or less at the end of an epoch */
    uint64_t epoch;                /* of the step, from 0 */
    const int64_t *samples;        /* [n], their indices */
    int n_fields;                  /* as of the data set */
    wg_field field[WG_MAX_FIELDS]; /* stacked: shape [n, shape...], data */
} wg_batch;

/* Returns batch `step`, valid until the next call, or NULL on error. Steps that count up find it made; any other step
 * starts from there. After an error the same step can be repeated. One thread at a time may call it; a child of fork()
 * must make a feed of its own (WG_ERR_ARGUMENT). */
WG_API const wg_batch *wg_feed_batch(wg_feed *feed, uint64_t step, wg_error *error);
/* Field f of a batch on a tape, by wg_data. Without a copy: wg_borrow of batch->field[f], if the tape is reset before
 * the next batch. WG_NONE, with an error on the tape, if there is no such field. */
WG_API wg_tensor wg_batch_tensor(const wg_batch *batch, wg_tape *tape, int f);

/* ---- augmentation of pictures (Krizhevsky et al. 2012, section 4.1) ---- */

/* What a variant of a picture may differ in. */
typedef struct wg_augment_options {
    int64_t shift;                   /* by up to so many pixels along both axes; zeros move in. Default 0 */
    bool flip;                       /* left and right, with a probability of 1/2. Default false */
    int64_t crop_height, crop_width; /* a random window of this size. Default 0, 0: the whole picture */
    double noise;                    /* standard deviation of normal noise, added to each number. Default 0 */
} wg_augment_options;
WG_API wg_augment_options wg_augment_defaults(void);

/* Writes a random variant of picture[channels, height, width] to out[channels, crop_height, crop_width] (without a crop
 * [channels, height, width]), which do not overlap: shifted, cropped, flipped, then with noise. It is a function of the
 * picture, the options and *sample (Philox), so that runs repeat and resume. WG_ERR_ARGUMENT if a crop is larger than
 * the picture, or a size is negative. */
WG_CHECKED WG_API wg_status wg_augment(wg_augment_options options, const wg_sample *sample, const float *picture,
                                       int64_t channels, int64_t height, int64_t width, float *out,
                                       wg_error *error);

#ifdef __cplusplus
}
#endif
#endif
