/* Internal. The files of autograd/ itself: evaluating, reading, backward and the gradient check; creating and freeing a
 * tape; dumps. They may use all rooms; no room uses them.
 *
 *     base  <-  tape  <-  grad  <-  plan  <-  run  <-  autograd */
#ifndef WG_ENGINE_H
#define WG_ENGINE_H

#include "plan/pipeline.h"
#include "run/run.h"
#include "trace.h"

/* wg_tape_new, given the table of ops/. */
wg_tape *wg__tape_new(wg_tape_options options, const wg__structural *structural);
/* Computes the wanted values and all pending kept and assigned ones. */
wg_status wg__force(wg_tape *tape, const wg__wanted *wanted);
/* Computes a node as soon as it is recorded, for the option eager. */
wg_status wg__run_now(wg_tape *tape, uint32_t node);

#endif
