/* Internal to dist/: a world of ranks, waiting with a time limit, and what is built of both.
 *
 * Room dist: data parallel training. It knows parameter sets, optimizers, tapes' step and seed, and files by their
 * public headers; no op, no layer and, but for wire_mpi.c, no MPI. */
#ifndef WG_DIST_WORLD_H
#define WG_DIST_WORLD_H

#include "dist.h"
#include "wire.h"

enum { WG__CHUNK = 1 << 18 }; /* bytes of a message of data, at most */
enum { WG__LANES = 32 };      /* one for data, and rounds of recursive halving, at most */

/* Memory of messages on their way, two in each direction. [WG__CHUNK] each. */
typedef struct wg__lane {
    char *out[2], *in[2];
} wg__lane;

/* A note between ranks: a question, its answer, an end. */
typedef struct wg__note {
    int32_t kind, speaker; /* of an end: the rank that prints */
    char text[332];
} wg__note;

typedef struct wg__peer {
    wg__note note; /* the last one sent to it */
    wg__request sending;
    bool answered; /* since it was asked */
} wg__peer;

struct wg_world {
    int rank, size;
    double timeout;
    wg_error error;
    bool speaks;
    wg_world_counts counts;
    wg__peer *peers; /* [size] */
    wg__lane lanes[WG__LANES];
    int n_lanes; /* one for data, then one for each round of halving */
    unsigned n_polls;
    char engine[64];
};

/* Lanes of a world of this size, and their bytes. */
int wg__count_lanes(int size);
size_t wg__world_bytes(int size);

/* Begin a message of data or sums; its bytes are added to *count. */
wg_status wg__send(wg_world *world, int kind, const void *bytes, size_t size, int to, uint64_t *count,
                   wg__request *request);
wg_status wg__receive(wg_world *world, int kind, void *bytes, size_t size, int from, wg__request *request);
/* Whether the message to or from this rank is done. */
wg_status wg__test(wg_world *world, wg__request *request, int peer, bool *done);
/* While nothing moves: leaves the processor to others for a moment, reads notes; ends the world if the time limit is
 * over, for want of a message to or from this rank. *since: when nothing began to move, 0 at first. */
wg_status wg__idle(wg_world *world, double *since, int peer);
/* Something has moved. */
void wg__awake(wg_world *world, double *since);
/* Waits until the message to or from this rank is done, for at most the time limit. */
wg_status wg__wait(wg_world *world, wg__request *request, int peer);
/* Receives `size` bytes that `root` has; [all]. */
wg_status wg__broadcast(wg_world *world, int root, void *bytes, size_t size);
/* Send or receive any number of bytes, in messages of WG__CHUNK. */
wg_status wg__send_all(wg_world *world, const void *bytes, size_t size, int to);
wg_status wg__receive_all(wg_world *world, void *bytes, size_t size, int from);
/* Ends the world with an error; returns its status. */
wg_status wg__world_fail(wg_world *world, wg_status status, const char *text);
/* Makes *error, which a rank may have set, that of the lowest rank which has one; [all]. Returns its status. */
wg_status wg__agree(wg_world *world, wg_error *error);

#endif
