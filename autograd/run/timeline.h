/* Internal. The timeline: when each task of a run began and ended, and on which thread. Threads write to lanes of their
 * own, rings of fixed size; nothing is allocated while a run executes. */
#ifndef WG_TIMELINE_H
#define WG_TIMELINE_H

#include "run.h"

enum { WG__ALL_TASKS = -1, WG__MOST_EVENTS = 1 << 24 };

/* An instruction as events name it. Equal ones share a label; all bytes count, so there is no padding. */
typedef struct wg__label {
    uint32_t op, forward_op, scope;
    uint32_t kind;         /* wg__instr_kind; WG__LABEL_RUN: a run as a whole */
    uint32_t dtype, steps; /* steps: of a chain */
    wg_shape shape;
    int64_t batches, m, n, k; /* of a product or pack */
} wg__label;
enum { WG__LABEL_RUN = 16 };

typedef struct wg__event {
    uint64_t start, nanoseconds;
    uint32_t label;
    int32_t task;
} wg__event;

/* The last events, event i at i % room. On a cache line of its own. */
typedef struct wg__lane {
    wg__event *ring;
    uint64_t n, read; /* ever written; read by a dump */
    uint64_t pad[5];
} wg__lane;

struct wg__timeline {
    uint32_t room; /* events of a lane */
    int threads;
    bool on;
    wg__lane *lanes; /* [threads + 1]; the last one has runs as a whole */
    wg__label *labels;
    uint32_t n_labels, cap_labels;
    wg__index index; /* label -> its number + 1 */
    uint32_t *of;    /* [instructions of the running plan] their labels */
    uint32_t cap_of;
};

/* Before a run, labels its instructions. Returns NULL if the timeline is off or memory is out. */
wg__timeline *wg__timeline_begin(wg_tape *tape, const wg__plan *plan);
/* A task that began at `start` and ends now. Called by each thread for its lane. */
void wg__timeline_add(wg__timeline *t, int thread, uint32_t instr, int64_t task, uint64_t start);
/* After the run. */
void wg__timeline_end(wg__timeline *t, const wg__plan *plan, uint64_t start);
void wg__timeline_free(wg_tape *tape);

/* ---- reading it ---- */

void wg__timeline_rewind(wg__timeline *t);
/* The next event by start, and the thread that it ran on; NULL: no more. */
const wg__event *wg__timeline_next(wg__timeline *t, int *thread);

#endif
