/* What the programs of the zoo share: a model from an ONNX file, run; its outputs written for check.py. No model
 * code. */
#ifndef ZOO_H
#define ZOO_H

#include "../app.h"

typedef struct zoo {
    const char *folder; /* of the models */
    const char *check;  /* folder for zoo_check, or NULL */
    int64_t threads, steps;
    bool tune;
    char *path; /* of the model */
    wg_onnx *model;
    wg_pool *pool;
    wg_tape *tape; /* in evaluation mode */
} zoo;

/* Options that all programs have. */
#define ZOO_OPTIONS(z, task)                                                                                       \
    {APP_FLAG, "tune", &(z)->tune, NULL, task}, {APP_INT, "steps", &(z)->steps, "N", "of tuning", 1, 1000000},     \
        {APP_TEXT, "folder", &(z)->folder, "DIR", "of models; default: $WG_ZOO, or ~/.cache/wengert-zoo"},         \
        {APP_TEXT, "check", &(z)->check, "DIR", "for check.py: write arrays there, run once a line of stdin"},     \
        APP_THREADS(&(z)->threads)

/* Opens a model of so many inputs, and of so many outputs or more, and makes the tape. A missing, bad or other file
 * ends the program. */
void zoo_open(zoo *z, const char *file, int inputs, int outputs, bool train_constants);
void zoo_close(zoo *z);

/* Records the model on the tape: inputs in its order, with dtype, shape and data; its first n outputs. An error ends
 * the program. */
void zoo_apply(const zoo *z, wg_tape *tape, const wg_entry *inputs, wg_tensor *outputs, int n);
/* The same for tensors. */
void zoo_record(const zoo *z, wg_tape *tape, const wg_tensor *inputs, wg_tensor *outputs, int n);
/* Runs what is recorded. */
void zoo_eval(const zoo *z, const wg_tensor *tensors, int n);
/* zoo_apply without gradients on the tape, and zoo_eval. */
void zoo_run(const zoo *z, const wg_entry *inputs, wg_tensor *outputs, int n);
/* The numbers of a tensor, f32 of this shape, until the reset. Others end the program: a model may compute anything. */
const float *zoo_floats(const zoo *z, wg_tensor tensor, wg_shape shape);
/* Writes the inputs as in0.npy, in1.npy, ... and what the model makes of them as out0.npy, ... in the folder `check`.
 * Then serves check.py by models_serve. */
void zoo_check(const zoo *z, const wg_entry *inputs);

/* Trains the model by Adam for z->steps steps on samples 0 .. samples - 1, `batch` at a time. */
void zoo_tune(const zoo *z, wg_tensor (*loss)(void *context, const wg_fit_batch *batch), void *context,
              int64_t samples, int64_t batch, double lr);

/* A WAV file's channels as one, resampled to `rate` by linear interpolation; the caller frees it. A bad file ends the
 * program, and so does one of less than 1000 Hz, whose result could be huge. */
float *zoo_sound(const char *path, int64_t rate, int64_t *frames);

#endif
