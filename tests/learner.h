/* What wg_fit trains in tests: y = w x of f32, with dropout on x; its samples and options, and the files of a run.
 * Links with test_io.c. */
#ifndef TEST_LEARNER_H
#define TEST_LEARNER_H

#include "check.h"
#include "wengert.h"

enum { SAMPLES = 23, HELD_OUT = 7, BATCH = 5, STEPS_OF_EPOCH = 5, IN = 3 };

typedef struct learner {
    wg_params *params;
    wg_optimizer *optimizer;
    int64_t steps, validated; /* calls so far */
    int64_t stop_at;          /* asks to stop once so many steps are made; 0: never */
    int64_t spoil_at;         /* the loss of this step is NaN; < 0: of none */
    bool mistaken;            /* shapes that do not fit */
    char events[400];         /* a letter each, of "BsvVESN" */
} learner;

learner learner_new(void);
void learner_fini(learner *l);
bool same_params(const learner *a, const learner *b);

/* The loss of n samples, recorded. */
wg_tensor record(const learner *l, wg_tape *tape, const int64_t *sample, int64_t n);
/* 3 epochs of SAMPLES samples, HELD_OUT held out, with Adam on one thread. */
wg_fit_options options_of(learner *l);
/* wg_fit, which must end without an error. */
wg_fit_result fit(const wg_fit_options *o);

/* n of the same samples from *first on as a data set, and the loss that reads it. SAMPLES + HELD_OUT and those behind
 * cannot be made. */
wg_dataset dataset_of(int64_t n, int64_t *first);
wg_tensor loss_of_data(void *context, const wg_fit_batch *batch);

/* Files of a run, in the folder of test_io.h. Both functions are for TEST_CASE_WITH; end_files expects that no other
 * file is left. */
extern char path[128], best_path[128];
void begin_files(void);
void end_files(void);

#endif
