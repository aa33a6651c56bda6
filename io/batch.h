/* Internal to io/: batches from a data set, without threads. */
#ifndef WG_BATCH_H
#define WG_BATCH_H

#include "dataset.h"

/* Room for one batch, and what became of it. */
typedef struct wg__batch_slot {
    wg_batch batch;
    int64_t *samples;
    void *data[WG_MAX_FIELDS];
    wg_status status;
    wg_error error;
} wg__batch_slot;

/* Makes batches: a function of the step. Used by one thread at a time. */
typedef struct wg__stacker {
    wg_dataset data;
    wg_loader *loader;
    uint64_t seed;
    int64_t most;                       /* samples of a batch */
    size_t sample_bytes[WG_MAX_FIELDS]; /* of a field */
} wg__stacker;

wg_status wg__stacker_init(wg__stacker *stacker, const wg_dataset *data, const wg_loader_options *order,
                           wg_error *error);
void wg__stacker_fini(wg__stacker *stacker);
/* Takes the memory of a batch. False if there is none; wg__batch_slot_fini frees what there was. */
bool wg__batch_slot_init(wg__batch_slot *slot, const wg__stacker *stacker);
void wg__batch_slot_fini(wg__batch_slot *slot);
/* Fills the slot with batch `step`, or with the error of its first sample that could not be made. */
void wg__stack(wg__stacker *stacker, uint64_t step, wg__batch_slot *slot);

#endif
