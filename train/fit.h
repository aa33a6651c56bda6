/* The training loop, written once: epochs, validation, clipping, schedule, early stopping, checkpoints, resuming.
 *
 *     static wg_tensor loss_of(void *context, const wg_fit_batch *batch)
 *     {
 *         wg_tensor x = wg_batch_tensor(batch->data, batch->tape, 0), y = wg_batch_tensor(batch->data, batch->tape, 1);
 *         return wg_cross_entropy(classify(context, x), y);
 *     }
 *     ...
 *     wg_fit_options fit = wg_fit_defaults();
 *     fit.params = params;
 *     fit.optimizer = wg_adam_new(params, wg_adam_defaults());
 *     fit.loss = loss_of, fit.context = &net;
 *     fit.data = &training, fit.held_out_data = &validation;        // wg_dataset
 *     fit.batch = 32, fit.epochs = 20;
 *     fit.path = "net.safetensors", fit.resume = true;
 *     wg_progress bar = {0};                              // progress.h
 *     fit.watch = wg_fit_progress, fit.watched = &bar;
 *     wg_fit_result end;
 *     if (wg_fit(&fit, &end, &error) != WG_OK) fprintf(stderr, "%s\n", error.text);
 *
 * wg_fit is a loop of wg_trainer_step. A program that wants a loop of its own drives a trainer, step by step, or calls
 * what a trainer calls: everything here is made of public functions of io, optim and autograd. */
#ifndef WG_FIT_H
#define WG_FIT_H

#include "../io/dataset.h"
#include "../io/io.h"
#include "../optim/optim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a step learns from, or what is validated at once. */
typedef struct wg_fit_batch {
    wg_tape *tape;         /* to record the loss on */
    uint64_t step;         /* of the run, from 0 */
    const int64_t *sample; /* [n] numbers of the samples; NULL if the options have no samples */
    int64_t n;             /* number of samples; 0: the options have none */
    const wg_batch *data;  /* the samples themselves, if the options have data sets: see wg_batch_tensor */
    bool training;         /* false: a batch of samples that are held out; no gradients, dropout off */
} wg_fit_batch;

/* The samples of a batch as a tensor [n, shape...], by wg_data: those rows of data[all samples, shape...], which has
 * the held-out ones too. An error of the tape if the options have no samples (WG_ERR_ARGUMENT). */
WG_API wg_tensor wg_fit_rows(const wg_fit_batch *batch, wg_dtype dtype, wg_shape shape, const void *data);

/* Why a run ended. */
typedef enum wg_fit_end {
    WG_FIT_RUNNING, /* not ended */
    WG_FIT_DONE,    /* all epochs or steps are made */
    WG_FIT_EARLY,   /* the validation has not improved for too long */
    WG_FIT_TIME,    /* the time limit */
    WG_FIT_STOPPED, /* stop() asked for it */
    WG_FIT_FAILED   /* an error ended it */
} wg_fit_end;

/* Where a run is; when it has ended, its result. */
typedef struct wg_fit_result {
    wg_fit_end end;       /* why it ended */
    uint64_t step, steps; /* made, those of earlier parts of a resumed run included; in all, 0: no limit */
    uint64_t epoch;       /* complete epochs; 0 without samples */
    double loss;          /* of the last step */
    double mean_loss;   /* of the steps since the epoch began; without samples, a running mean of about 50 steps */
    double validation;  /* the last one; NaN: none yet */
    double best;        /* the best one; NaN: none yet */
    uint64_t best_step; /* steps made when it was the best */
    double lr, norm;    /* of the last step; norm of its gradient before it was clipped, 0 if clip is 0 */
    double seconds;     /* of this run's training, without validation */
    double samples_a_second; /* of this run's training; steps a second without samples */
} wg_fit_result;

/* What a watcher is told. */
typedef enum wg_fit_event {
    WG_FIT_BEGIN,     /* the first step is about to be made */
    WG_FIT_STEP,      /* a step was made */
    WG_FIT_VALIDATE,  /* validation is about to begin */
    WG_FIT_VALIDATED, /* it has been made: validation, best and best_step are new */
    WG_FIT_EPOCH,     /* an epoch is complete; after its validation */
    WG_FIT_SAVED,     /* a checkpoint was written */
    WG_FIT_ENDED      /* the last event; end says why */
} wg_fit_event;

/* What is trained, how, how long, and who is told. Start from wg_fit_defaults. */
typedef struct wg_fit_options {
    /* What is trained. All must outlive the run. */
    wg_params *params;
    wg_optimizer *optimizer; /* of params */
    wg_tape *tape; /* NULL: one of the trainer's own, on `threads` threads (0: all processors) with the seed */
    int threads;   /* of the trainer's own tape; ignored with a tape */
    uint64_t seed; /* of the order of the samples and of that tape; it is saved */

    /* Records the loss of a batch, a scalar: the mean over its samples. On an error of the tape the run ends with its
     * message. */
    wg_tensor (*loss)(void *context, const wg_fit_batch *batch);
    void *context; /* passed to loss, lr, validate and stop */

    /* Data sets to train on and to validate on (dataset.h), read by threads of their own; or NULL, and numbers: samples
     * 0 .. samples - 1 are trained on, in a new order every epoch, `batch` at a time (default 32); the next held_out
     * ones are for validation. samples 0: the loss chooses its data by batch->step. With data sets both numbers are
     * theirs, and those of held-out samples begin at 0. */
    const wg_dataset *data, *held_out_data;
    int64_t samples, held_out, batch;
    const int32_t *lengths; /* [samples], or NULL: batches of samples of similar length */

    /* How long: the first limit that is reached; 0: none. One of epochs, steps and seconds must be given. */
    int64_t epochs, steps;
    double seconds;

    double clip; /* largest global norm of the gradient; 0: any */
    /* The learning rate of a step; NULL: the optimizer's. steps: in all, 0: not known. */
    double (*lr)(void *context, uint64_t step, uint64_t steps);

    /* Validates every so many steps; 0: after every epoch. Always after the last step. validate returns the number that
     * is to become smaller (or, with `higher`, larger); it is called with the tape in evaluation mode and resets it
     * after each batch of its own. NULL: the mean of the losses of held_out. */
    int64_t validate_every;
    double (*validate)(void *context, wg_tape *tape);
    bool higher;
    int64_t patience; /* ends the run after so many validations without improvement; 0: never */

    /* The checkpoint, written after every validation, every save_every steps (0: only then) and at the end; NULL: none.
     * With `resume`, a run goes on from the checkpoint, if the file exists, bit for bit as if it had not ended; the
     * validation that was made only because it ended counts neither for patience nor for the best. */
    const char *path;
    int64_t save_every;
    bool resume;
    /* The checkpoint of the best validation, another file; at the end it is loaded; NULL: none. If a run is resumed and
     * finds no such file, the best is that of the validations from then on. */
    const char *best_path;
    const wg_pair *metadata; /* the program's own, for both; keys must not start with "wengert." or "fit." */
    size_t n_metadata;       /* pairs */

    /* Called after each event; NULL: none. */
    void (*watch)(void *watched, wg_fit_event event, const wg_fit_result *now);
    void *watched; /* passed to watch */
    /* Called after each step: whether to save and end now; NULL: never. wg_signal_noted (progress.h): on Ctrl-C. */
    bool (*stop)(void *context);
} wg_fit_options;

WG_API wg_fit_options wg_fit_defaults(void);

typedef struct wg_trainer wg_trainer; /* a run in progress */

/* A trainer that is about to make the first step, or the next one of a run that is resumed. Returns NULL on error:
 * WG_ERR_ARGUMENT for options that are missing or out of range, an error of the checkpoint that is resumed (WG_ERR_IO,
 * WG_ERR_FORMAT; also if it was written with another seed, batch or number of samples), WG_ERR_MEMORY. The strings,
 * arrays and objects that the options point to must outlive it. */
WG_API wg_trainer *wg_trainer_new(const wg_fit_options *options, wg_error *error);
/* Makes a step, and validates, saves and tells the watcher where that is due. Returns whether there is a next step.
 * When the run has ended, everything is saved that is to be saved; on error nothing is, and the checkpoint is the last
 * one that was written. An error is stored in *error: of the tape, the optimizer or a file; WG_ERR_NONFINITE if a loss
 * is NaN or infinite, and the parameters are those before the step (buffers, such as the statistics of batch norm, may
 * have seen its batch). */
WG_API bool wg_trainer_step(wg_trainer *trainer, wg_error *error);
/* Where the run is. Valid until the trainer is freed. */
WG_API const wg_fit_result *wg_trainer_result(const wg_trainer *trainer);
/* The tape of its steps. */
WG_API wg_tape *wg_trainer_tape(const wg_trainer *trainer);
WG_API void wg_trainer_free(wg_trainer *trainer); /* accepts NULL */

/* Trains to the end. *result (or NULL) is set also on error. */
WG_CHECKED WG_API wg_status wg_fit(const wg_fit_options *options, wg_fit_result *result, wg_error *error);

#ifdef __cplusplus
}
#endif
#endif
