/* An example on several ranks: mpirun -n 4 charlm. Only one rank prints; when one fails or gets a signal, all end. */
#ifndef RANKS_H
#define RANKS_H

#include "app.h"
#include "../wengert-dist.h"

/* An option of programs that call ranks_open; its value must be 0 by default, and is the number of ranks then. */
#define RANKS_SHARDS(value, saved)                                                                                 \
    {                                                                                                              \
        APP_INT, "shards", value, "N", "parts of a batch, at least one a rank; 0: one a rank", 0,                  \
            WG_DIST_MOST_SHARDS, NULL, saved, saved                                                                \
    }

/* Call it first in main: the world, until the program ends. Ranks other than 0 have no output. A failure ends the
 * program. */
wg_world *ranks_open(int *argc, char ***argv);
/* Whether this rank writes files and prints. */
bool ranks_first(void);
/* shards, or the number of ranks if it is 0. */
int64_t ranks_shards(int64_t shards);
/* A progress bar that only rank 0 shows. */
wg_progress ranks_progress(const char *unit, double units);
/* wg_dist_new; clip: the largest norm, 0: any. A failure ends the program. */
wg_dist *ranks_begin(wg_params *params, wg_optimizer *optimizer, int64_t shards, int64_t seed, double clip);
/* Records the mean loss of a shard, and says over how many rows of the batch that is. A shard may have none: rows 0,
 * WG_NONE. */
typedef wg_tensor ranks_loss(void *context, wg_tape *tape, int64_t step, int64_t shard, int64_t *rows);
/* A step of training: the gradients of this rank's shards, and an update of the parameters by those of all. All ranks
 * get the mean loss, and in *stop the signal that one of them noted, if there is none RANKS_TIMEOUT if one has timed
 * out, else 0. A failure ends the program. */
enum { RANKS_TIMEOUT = 1 }; /* no signal that is noted has this number */
double ranks_step(wg_dist *dist, wg_tape *tape, int64_t step, ranks_loss *loss_of, void *context, bool timeout,
                  int *stop);

#endif
