/* Internal. The batches of a training run, from data sets or by numbers of samples. */
#ifndef WG_FIT_DATA_H
#define WG_FIT_DATA_H

#include "fit.h"

typedef struct wg__fit_data {
    wg_loader *loader;    /* by numbers */
    wg_feed *feed, *held; /* by data sets */
    int64_t samples, held_out, batch;
    int64_t batches; /* of an epoch; 0: no samples */
    int64_t *number; /* [batch] of samples that are validated at once, by numbers */
} wg__fit_data;

/* Errors are those of wg_loader_new and wg_feed_new. Free it also after an error. */
wg_status wg__fit_data_init(wg__fit_data *data, const wg_fit_options *options, wg_error *error);
void wg__fit_data_fini(wg__fit_data *data);

/* Sets the samples of a step's batch, or of validation batch number i; they are valid until the next call. */
wg_status wg__fit_data_step(wg__fit_data *data, uint64_t step, wg_fit_batch *batch, wg_error *error);
wg_status wg__fit_data_held_out(wg__fit_data *data, int64_t i, wg_fit_batch *batch, wg_error *error);
/* The number of validation batches. */
int64_t wg__fit_data_held_out_batches(const wg__fit_data *data);

#endif
